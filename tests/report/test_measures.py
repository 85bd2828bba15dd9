"""Measures of generated images and the statements about them: numbers, verdicts, page, report."""

import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from fakes import (
    CPU,
    GOLDEN,
    GPU,
    LEVELS,
    cell,
    made,
    made_records,
    measurements,
    record,
    write_generated,
)
from scipy import stats

from bench.report.numbers import measures
from bench.report.numbers.measures import Reading, build_board, measure_run
from bench.report.numbers.statements import judge_statement, judge_statements
from bench.report.numbers.view import View
from bench.report.page.report import compose_report
from bench.report.page.text import count_decimals, format_number, format_reading
from bench.report.write.render import render_accuracies
from bench.report.write.report import write_report
from bench.runs import plan
from bench.runs.files import read
from bench.runs.records import read_all
from bench.suite import suites
from bench.suite.references import read_references

MADE = made()
NAMED = {m.name: m for m in MADE.measures}
GAN = suites.find("gan")
REFERENCES = read_references(GOLDEN)


@pytest.fixture
def records(tmp_path):
    return made_records(tmp_path)


def board_of(records, budget="full", suite=MADE):
    ledger = plan.settle_suite(suite, records, budget)
    return build_board(suite, ledger, budget, "digits", suite.rows)


def read_row(records, measure, row, **about):
    return dict(board_of(records, **about).read(measure, row).by_seed)


def write(root: Path, row="dcgan", seed=0, values=None, **about):
    return write_generated(root, cell(MADE, row, "digits", seed), values or measurements(row, seed), **about)  # fmt: skip


def value_of(name, written, row="dcgan"):
    return measure_run(MADE, NAMED[name], cell(MADE, row, "digits", 0), written)


def test_values_are_those_of_the_last_measurement(records):
    last = {s: measurements("cdcgan", s)[-1] for s in range(3)}
    for name in ("frechet", "consistency", "z_slant"):
        assert read_row(records, name, "cdcgan") == {s: v[name] for s, v in last.items()}


def test_a_value_that_a_row_does_not_have_is_no_error(records):
    assert read_row(records, "consistency", "dcgan") == {}
    text = render_accuracies(MADE, records, references=REFERENCES)
    assert re.search(r"\| Class consistency +\| +— \|", text)


def test_seconds_of_an_epoch_are_its_iterations_times_their_median(tmp_path):
    # 10,000 images in batches of 100
    assert value_of("epoch_s", write(tmp_path, ms=30.0)) == pytest.approx(3.0)


@pytest.mark.parametrize("changed", [{"load": 9.0}, {"shared": 2}])
def test_a_run_that_others_slowed_down_has_no_time(tmp_path, changed):
    machine = CPU._replace(env=CPU.env.model_copy(update=changed))
    assert value_of("epoch_s", write(tmp_path, machine=machine)) is None


def test_only_times_of_one_machine_are_compared(tmp_path):
    found = [write(tmp_path, "dcgan", s, ms=30.0) for s in range(2)]
    found += [write(tmp_path, "cdcgan", 0, ms=40.0), write(tmp_path, "cdcgan", 1, ms=4.0, machine=GPU)]  # fmt: skip
    assert read_row(found, "epoch_s", "cdcgan") == {0: pytest.approx(4.0)}
    assert "1 run of other machines left out" in render_accuracies(MADE, found, references={})


@pytest.mark.parametrize(
    ("values", "epochs", "least"),
    [([25, 20, 30, 18], 4.0, ()), ([19, 5, 5, 5], 2.0, ()), ([25, 24, 23, 22], 8.0, (0,))],
)
def test_epochs_go_up_to_the_first_measurement_that_is_good_enough(tmp_path, values, epochs, least):
    found = [{**LEVELS["dcgan"], "frechet": float(x)} for x in values]
    reading = board_of([write(tmp_path, values=found)]).read("epochs_to", "dcgan")
    assert reading == Reading({0: epochs}, least), "800 iterations, 100 of them an epoch"


def test_higher_is_reached_from_below(tmp_path):
    metric = replace_model(NAMED["frechet"], better="higher")
    suite = MADE.model_copy(update={"metric": metric})
    found = [{**LEVELS["dcgan"], "frechet": float(x)} for x in (19, 20, 5, 40)]
    written = write(tmp_path, values=found)
    assert measure_run(suite, NAMED["epochs_to"], cell(MADE, "dcgan", "digits", 0), written) == 4.0


def replace_model(model, **changed):
    return model.model_copy(update=changed)


def spoil(written, *spreads):
    """The windows of a record with other deviations of D's loss."""
    windows = read(written.path).train
    return tuple(
        replace_model(w, losses=(replace_model(w.losses[0], sd=sd), *w.losses[1:]))
        for w, sd in zip(windows, spreads, strict=True)
    )


def test_a_fluctuation_is_of_the_second_half_of_the_training(tmp_path, monkeypatch):
    written = write(tmp_path, spread=(0.25, 0.5))
    assert value_of("fluctuation_D", written) == pytest.approx(0.25)
    monkeypatch.setattr(measures, "read_windows", lambda r: spoil(written, 9.0, 9.0, 0.1, 0.3))
    assert value_of("fluctuation_D", written) == pytest.approx(0.2)
    monkeypatch.setattr(measures, "read_windows", lambda r: spoil(written, 9.0, 9.0, None, 0.3))
    assert value_of("fluctuation_D", written) == pytest.approx(0.3), "not finite in one window"


def test_a_long_window_counts_more_than_a_short_one(tmp_path, monkeypatch):
    written = write(tmp_path)
    first, second, third, fourth = spoil(written, 0.0, 0.0, 0.1, 0.5)
    parts = (first, second, replace_model(third, step=700, n=300), replace_model(fourth, n=100))
    monkeypatch.setattr(measures, "read_windows", lambda r: parts)
    assert value_of("fluctuation_D", written) == pytest.approx((3 * 0.1 + 0.5) / 4)


def test_the_losses_of_d_and_g_are_told_apart(tmp_path):
    written = write(tmp_path, spread=(0.2, 0.7))
    asked = cell(MADE, "dcgan", "digits", 0)
    g = next(m for m in GAN.measures if m.name == "fluctuation_G")
    assert measure_run(MADE, g, asked, written) == pytest.approx(0.7)


def test_each_file_is_read_once(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(measures, "read", lambda path: asked.append(path) or read(path))
    found = [write(tmp_path, seed=s) for s in range(3)]
    for fmt in ("md", "html"):
        render_accuracies(GAN, found, fmt, references={})
        render_accuracies(MADE, found, fmt, references={})
    assert sorted(asked) == sorted(r.path for r in found)


def test_a_record_without_its_file_has_no_fluctuation(tmp_path):
    written = write(tmp_path)
    gone = replace(written, path=tmp_path / "gone" / written.path.name)
    assert value_of("fluctuation_D", gone) is None


# statements


def board_with(first, second, *, higher, than="dcgan", confidence=0.95):
    """A board whose only numbers are those of one statement, and the statement."""
    suite = MADE.model_copy(update={"confidence": confidence})
    said = MADE.statements[0].model_copy(
        update={"is_": "higher" if higher else "lower", "than": than}
    )
    board = board_of([], suite=suite)
    other = ("frechet", "dcgan") if than == "dcgan" else (than, "cdcgan")
    readings = {("frechet", "cdcgan"): Reading(first), other: Reading(second)}
    return replace(board, readings=readings), said


def means(judged):
    return judged.first.summary.mean, judged.second.summary.mean


def judge(first, second, **about):
    return judge_statement(*board_with(dict(enumerate(first)), dict(enumerate(second)), **about))


@pytest.mark.parametrize("than", ["dcgan", "kernel"])
@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_a_verdict_is_that_of_a_paired_t_interval(than, higher, confidence):
    chance = np.random.default_rng(7)
    seen = set()
    for _ in range(40):
        a, b = chance.normal(size=(2, 5))
        a += 3 * chance.normal()
        found = judge(a.tolist(), b.tolist(), higher=higher, than=than, confidence=confidence)
        test = stats.ttest_rel(a, b)
        low, high = test.confidence_interval(confidence)
        assert found.gain.interval == pytest.approx((low, high))
        assert means(found) == pytest.approx((a.mean(), b.mean()))
        shown = test.pvalue < 1 - confidence
        claimed = (test.statistic > 0) == higher
        expected = ("holds" if claimed else "does not hold") if shown else "unresolved"
        assert found.ruling == expected
        seen.add(expected)
    assert len(seen) == 3


@pytest.mark.slow
def test_holds_is_wrong_as_rarely_as_the_confidence_says():
    """Where there is no difference, in (1 − confidence)/2 of all cases."""
    chance, n, level = np.random.default_rng(0), 4000, 0.9
    draws = chance.normal(size=(n, 2, 4)).tolist()
    rulings = [judge(a, b, higher=True, confidence=level).ruling for a, b in draws]
    rate = (1 - level) / 2
    error = 4 * (rate * (1 - rate) / n) ** 0.5
    for word in ("holds", "does not hold"):
        assert abs(rulings.count(word) / n - rate) < error


def test_one_seed_gets_no_interval_and_no_verdict():
    found = judge([1.0], [90.0], higher=False)
    assert (found.gain.n, found.gain.interval, found.ruling) == (1, None, "unresolved")


def test_only_seeds_that_both_sides_have_are_compared():
    board, said = board_with({0: 1.0, 1: 2.0, 5: 99.0}, {0: 3.0, 1: 5.0, 7: -99.0}, higher=False)
    found = judge_statement(board, said)
    assert means(found) == (1.5, 4.0) and (found.gain.n, found.gain.gap) == (2, -2.5)
    assert judge([], [1.0], higher=True).ruling == "not measured"
    board, said = board_with({0: 1.0}, {1: 1.0}, higher=True)
    assert judge_statement(board, said).gain is None


def test_differences_that_are_all_equal_leave_a_statement_unresolved():
    assert judge([10.0] * 5, [10.0] * 5, higher=True).ruling == "unresolved"
    # sixths of an epoch: their differences are equal but for rounding
    a, b = [2 / 6, 3 / 6, 4 / 6], [3 / 6, 4 / 6, 5 / 6]
    assert judge(a, b, higher=False).gain.word == "not shown"
    assert judge(a, b, higher=False).ruling == "unresolved"


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("row", ["cdcgan", "dcgan"])
def test_a_lower_bound_settles_nothing(higher, row):
    """A true value above it, on the smaller side, could turn the difference round; on the larger one
    it could widen the interval until that holds 0."""
    board, said = board_with({0: 1.0, 1: 2.0, 2: 3.0}, {0: 4.0, 1: 5.5, 2: 6.0}, higher=higher)
    reading = board.readings["frechet", row]
    bounded = {**board.readings, ("frechet", row): replace(reading, least=(1,))}
    found = judge_statement(replace(board, readings=bounded), said)
    assert judge_statement(board, said).ruling == ("does not hold" if higher else "holds")
    assert found.ruling == "unresolved"
    assert (found.first.least, found.second.least) == (
        ((1,), ()) if row == "cdcgan" else ((), (1,))
    )


def test_a_lower_bound_that_is_not_compared_is_forgotten():
    board, said = board_with({0: 1.0, 1: 2.0, 2: 0.0}, {0: 4.0, 1: 5.5}, higher=False)
    reading = replace(board.readings["frechet", "cdcgan"], least=(2,))
    board = replace(board, readings={**board.readings, ("frechet", "cdcgan"): reading})
    assert judge_statement(board, said).ruling == "holds"


def test_what_is_left_of_a_row_that_diverged_settles_nothing(tmp_path):
    for row, seed in product(("dcgan", "cdcgan"), range(3)):
        values = [{"frechet": 30.0 + seed * (1 + (row == "cdcgan")) + 20.0 * (row == "cdcgan")}]
        write(tmp_path, row, seed, values)
    (said,) = (s for s in MADE.statements if s.measure == "frechet")
    ruling = lambda: judge_statement(board_of(read_all(tmp_path)), said).ruling  # noqa: E731
    assert ruling() == "does not hold"
    write(tmp_path, "dcgan", 3, status="diverged", reason="the loss was no longer finite")
    assert ruling() == "unresolved"


def test_a_seed_without_a_value_settles_nothing_unless_it_is_a_time(tmp_path):
    """A generator of one class has no share of what decides the class: it is the counterexample."""
    (said,) = (s for s in MADE.statements if s.than == "z_slant")
    for seed in range(4):
        values = measurements("cdcgan", seed)
        if seed == 3:
            del values[-1]["y_slant"], values[-1]["z_slant"]
        write(tmp_path, "cdcgan", seed, values)
    found = judge_statement(board_of(read_all(tmp_path)), said)
    assert (found.gain.n, found.gain.word, found.ruling) == (3, "loss", "unresolved")
    busy = CPU._replace(env=CPU.env.model_copy(update={"load": 9.0}))
    for row, seed in product(("dcgan", "cdcgan"), range(4)):
        about = {"machine": busy} if seed == 3 else {"ms": 30.0 + seed + 20.0 * len(row)}
        write(tmp_path / "timed", row, seed, **about)
    (said,) = (s for s in MADE.statements if s.measure == "epoch_s")
    assert judge_statement(board_of(read_all(tmp_path / "timed")), said).gain.n == 3
    board = board_of(read_all(tmp_path / "timed"))
    assert not board.has_lost("epoch_s", "dcgan") and board.has_lost("z_slant", "dcgan")


def test_a_row_of_lower_bounds_is_not_the_best():
    board, _ = board_with({0: 1.0, 1: 2.0, 2: 3.0}, {0: 4.0, 1: 5.5, 2: 6.0}, higher=False)
    assert board.find_best(NAMED["frechet"]).best == {"cdcgan"}
    reading = replace(board.readings["frechet", "cdcgan"], least=(1,))
    board = replace(board, readings={**board.readings, ("frechet", "cdcgan"): reading})
    assert board.find_best(NAMED["frechet"]).best == set()


@pytest.mark.parametrize(("bound", "best"), [(3.0, set()), (9.0, {"dcgan"})])
def test_no_row_is_the_best_where_a_lower_bound_may_be_better(bound, best):
    """Two rows, and one whose values are at least `bound`; the lower, the better."""
    board, _ = board_with({}, {0: 4.0, 1: 5.5, 2: 6.0}, higher=False)
    rows = {"cdcgan": Reading({0: bound, 1: bound, 2: bound}, least=(1,)),
            "cdcgan-blind": Reading({0: 7.0, 1: 8.4, 2: 9.1})}  # fmt: skip
    added = {("frechet", row): reading for row, reading in rows.items()}
    board = replace(board, readings={**board.readings, **added})
    assert board.find_best(NAMED["frechet"]).best == best


def test_a_statement_about_two_measures_compares_them_within_a_row(records):
    board = board_of(records)
    (found,) = [j for j in judge_statements(board) if j.statement.than == "z_slant"]
    last = [measurements("cdcgan", s)[-1] for s in range(3)]
    expected = (mean(v[name] for v in last) for name in ("y_slant", "z_slant"))
    assert means(found) == pytest.approx(tuple(expected))
    assert found.ruling == "does not hold"


# the page


def page(records, **about):
    return render_accuracies(MADE, records, references=REFERENCES, **about)


def test_nothing_is_best_by_a_measure_that_only_describes(records):
    line = next(x for x in page(records).splitlines() if x.startswith("| Variance of slant"))
    assert "**" not in line and "<u>" not in line


def test_low_values_are_best_where_they_are_better(records):
    line = next(x for x in page(records).splitlines() if x.startswith("| Fréchet distance "))
    assert line.count("**") == 2 and "**14.00" in line


def test_runs_that_collapsed_failed_or_did_not_arrive_are_named(records):
    text = page(records)
    assert "† D without y: mode collapse: seed 1 makes 7 of 10 classes." in text
    assert "D without y: seed 2 diverged: the loss was no longer finite." in text
    assert "≥ DCGAN, Epochs until a Fréchet distance of 20: never reached at seed 2;" in text
    assert "Times leave out 1 run that shared the machine with others." in text
    assert "1 record without an end not counted" in text


def test_every_measure_of_the_practical_is_explained():
    text = render_accuracies(GAN, [], references={})
    for measure in GAN.measures:
        assert f"- {measure.title}: " in text
    assert all(f"| **{s.says}**" in text for s in GAN.statements)


def test_a_part_of_a_page_has_its_rows_and_their_statements(records):
    text = page(records, view=View(rows=("cdcgan-blind",)))
    head = next(x for x in text.splitlines() if x.startswith("| "))
    assert "D without y" in head and "Conditional" not in head
    assert "without y in D the class" in text and "more stable" not in text
    assert re.search(r"asked for\*\* +\| +0\.110 \| +0\.970 \|", text), (
        "the other side counts still"
    )


def test_a_budget_without_records_is_not_shown(records):
    text = page([r for r in records if r.run.budget == "full"])
    assert "budget short" not in text and "(full budget" in text


def test_a_selection_chooses_the_evaluation(tmp_path):
    found = [{**LEVELS["dcgan"], "frechet": float(x)} for x in (40, 15, 30, 25)]
    written = [write(tmp_path, values=found)]
    assert "25.00 (1)" in page(written)
    best = page(written, select="best-on-target")
    assert "15.00 (1)" in best and "best on target ‡)" in best


def test_numbers_have_the_digits_that_tell_them_apart():
    assert [count_decimals([x]) for x in (0.97, 0.012, 1.0, 14.0, 120.0, 5e4, 0.0)] == [3, 4, 3, 2, 1, 0, 3]  # fmt: skip
    assert count_decimals([]) == 3 and count_decimals([0.001, -14.0]) == 2
    assert format_number(-1234.5, 1) == "−1,234.5" and format_number(-0.0001, 2, signed=True) == "+0.00"  # fmt: skip
    assert format_reading(Reading({}), 2) == "—" and format_reading(Reading({0: 1.0}), 1) == "1.0 (1)"  # fmt: skip
    assert format_reading(Reading({0: 1.0, 1: 2.0}, (1,)), 1) == "≥ 1.5 ± 0.7 (2)"


# the report


def test_the_report_shows_the_statements_and_counts_their_verdicts(records):
    report = compose_report({"made": MADE}, records, references=REFERENCES)
    full, short = report.suites[0].tables
    assert (full.budget, full.task, short.budget) == ("full", "digits", "short")
    assert (full.tally.measured, full.tally.cells) == (3, 3)
    assert dict(full.tally.verdicts) == {"holds": 2, "fails": 1, "unresolved": 2}
    assert dict(short.tally.verdicts) == {"unresolved": 1}
    html = write_report(report)
    assert html.count('class="fails"') == 3, "in the legend, the contents and a cell"
    first, *_ = report.suites[0].parts
    assert first.title.startswith("Measures on digits")


def test_pages_of_accuracies_have_no_measures():
    toy = suites.load(GOLDEN / "toy.toml")
    (section, *_) = compose_report({"toy": toy}, [record(cell(toy, "plain", "A-B", 0))]).suites
    assert not any("Measures" in p.title for p in (*section.tables, *section.parts))
