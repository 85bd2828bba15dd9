"""One knob at a time: which runs are an ablation of a row, and which commands are still wanted."""

from dataclasses import replace

import pytest
from fakes import cell, record, write
from helpers import ROOT
from typer.testing import CliRunner

from bench.cli.app import app
from bench.errors import UsageError
from bench.report.numbers.ablation import find_ablations, list_wanted
from bench.report.page.page import compose_accuracies
from bench.runs.plan import seeds, write_seeds
from bench.suite import suites

DEMO = suites.find("demo")
TASK = "UCI-MNIST"
OWN = [record(cell(DEMO, "dann", TASK, s), [50.0 + s]) for s in range(3)]


def varied(by_seed: dict[int, float], row="dann", task=TASK, **override):
    return [record(cell(DEMO, row, task, s, **override), [x]) for s, x in by_seed.items()]


def test_runs_that_differ_in_one_knob_are_found_with_what_they_moved():
    (one,) = find_ablations(DEMO, [*OWN, *varied({0: 53.0, 1: 54.0, 2: 55.0}, lr=0.01)], "dann")
    assert (one.task, one.knob, one.value, one.stated) == (TASK, "lr", 0.01, 0.02)
    assert one.seeds == (0, 1, 2) and one.reached.mean == 54.0
    assert one.moved.gap == pytest.approx(3.0) and one.moved.interval == pytest.approx((3.0, 3.0))


def test_hyper_parameters_and_parts_of_tables_are_knobs():
    found = find_ablations(
        DEMO,
        [*OWN, *varied({0: 53.0}, hyper={"lam": 0.5}), *varied({0: 52.0}, lr_mult={"F": 0.5})],
        "dann",
    )
    assert [(a.knob, a.value) for a in found] == [("hyper.lam", 0.5), ("lr_mult.F", 0.5)]


@pytest.mark.parametrize(
    "others",
    [
        varied({0: 53.0}, lr=0.01, batch=16),  # two knobs
        varied({0: 53.0}, row="mcc"),  # another method
        varied({0: 53.0}),  # the row itself
        varied({0: 53.0}, eval_every=300),  # trains nothing otherwise
        [record(cell(DEMO, "dann", TASK, 0, lr=0.01), [], status="diverged", reason="x")],
        [record(cell(DEMO, "dann", TASK, 0, lr=0.01), [53.0], generated=True)],
    ],
    ids=["two knobs", "method", "itself", "evaluations", "diverged", "made up"],
)
def test_other_runs_are_no_ablation(others):
    assert find_ablations(DEMO, [*OWN, *others], "dann") == []


def test_runs_of_other_code_are_no_ablation():
    """They would be averaged with those of today's."""
    older = varied({0: 90.0, 1: 91.0}, lr=0.01)
    probe = older[0].run.code.probe
    other = probe.model_copy(update={"losses": tuple(x + 1 for x in probe.losses)})
    older = [
        replace(r, run=r.run.model_copy(update={"code": r.run.code.model_copy(update={"probe": other})}))
        for r in older
    ]  # fmt: skip
    (newer,) = varied({2: 53.0}, lr=0.01)
    newer = replace(newer, run=newer.run.model_copy(update={"started": "2027-01-01T00:00:00Z"}))
    (one,) = find_ablations(DEMO, [newer, *OWN, *older], "dann")
    assert (one.seeds, one.reached.mean) == ((2,), 53.0)


def test_runs_that_are_one_knob_from_two_rows_are_told_where_a_row_was_run():
    suite = suites.find("mnistm")
    base = [record(cell(suite, "dann", "MNIST-MNIST-M", s, "cpu"), [60.0 + s]) for s in range(3)]
    tried = [
        record(cell(suite, "dann", "MNIST-MNIST-M", s, "cpu", hyper={"gamma": 10.0}), [65.0 + s])
        for s in range(3)
    ]
    assert find_ablations(suite, [*base, *tried], "lambda-1", "cpu"), "also one knob from this row"
    page = compose_accuracies(suite, [*base, *tried], "last", {})
    (section,) = (s for s in page.sections if s.title.startswith("What single knobs"))
    assert [line.label for line in section.grid.lines] == ["DANN, γ = 2: hyper.gamma = 10.0"]


def test_a_program_that_did_not_have_a_knob_did_not_vary_it():
    (r,) = varied({0: 53.0})
    older = {k: v for k, v in r.run.hyper_all.items() if k != "gamma"}
    r = replace(r, run=r.run.model_copy(update={"hyper_all": older}))
    assert find_ablations(DEMO, [*OWN, r], "dann") == []
    gone = {**older, "gamma": 10.0, "a_knob_that_is_gone": 1.0}
    r = replace(r, run=r.run.model_copy(update={"hyper_all": gone}))
    assert find_ablations(DEMO, [*OWN, r], "dann") == []


def test_a_knob_varied_by_a_program_that_lacked_another_was_varied_alone():
    """What it did not have yet stood at its default."""
    (r,) = varied({0: 53.0}, lr=0.01)
    older = {k: v for k, v in r.run.hyper_all.items() if k not in ("smooth", "lead")}
    r = replace(r, run=r.run.model_copy(update={"hyper_all": older}))
    assert [a.knob for a in find_ablations(DEMO, [*OWN, r], "dann")] == ["lr"]


def test_runs_of_another_row_are_no_ablation_on_a_page_though_a_later_run_replaced_them():
    suite, place = suites.find("mnistm"), "MNIST-MNIST-M"
    own = record(cell(suite, "lambda-10", place, 0), [11.0])
    both = [
        record(cell(suite, "lambda-1", place, 0), [x], attempt=i) for i, x in ((1, 42), (2, 43))
    ]
    assert len(find_ablations(suite, [own, *both], "lambda-10")) == 1
    assert find_ablations(suite, [own, *both], "lambda-10", in_tables=False) == []


def test_seeds_that_the_row_lacks_are_counted_but_not_compared():
    (one,) = find_ablations(DEMO, [*OWN, *varied({7: 53.0}, lr=0.01)], "dann")
    assert one.reached.n == 1 and one.moved is None


def test_of_two_runs_of_a_seed_the_newer_counts():
    older, newer = (
        record(cell(DEMO, "dann", TASK, 0, lr=0.01), [x], attempt=i)
        for i, x in ((1, 10.0), (2, 60.0))
    )
    for order in ([older, newer], [newer, older]):
        (one,) = find_ablations(DEMO, [*OWN, *order], "dann")
        assert one.reached.mean == 60.0


# on the page


def test_the_page_says_what_single_knobs_moved():
    moved = varied({0: 60.0, 1: 61.5, 2: 62.0}, lr=0.01)
    idle = varied({0: 50.0, 1: 51.5, 2: 51.4}, momentum=0.5)
    page = compose_accuracies(DEMO, [*OWN, *moved, *idle], "last", {})
    (section,) = [s for s in page.sections if s.title.startswith("What single knobs move")]
    lines = {x.label: x.cells for x in section.grid.lines}
    assert lines["DANN: lr = 0.01"] == (
        "UCI→MNIST", "0.02", "61.17 ± 1.04 (3)", "+10.2 [9.4, 10.9] (3)"
    )  # fmt: skip
    assert section.notes[0].startswith(
        "What was shown to move the accuracy, the largest first: DANN"
    )
    assert "lr = 0.01 (+10.2" in section.notes[0] and "momentum" not in section.notes[0]
    assert section.notes[1] == "Of 1 other knob neither gain nor loss was shown."


def test_rows_of_the_suite_are_no_single_knobs_of_each_other():
    """Those stand in the table itself."""
    suite = suites.find("mnistm")
    cells_ = [cell(suite, row, "MNIST-MNIST-M", 0) for row in ("lambda-1", "lambda-10")]
    records = [record(c, [50.0]) for c in cells_]
    assert find_ablations(suite, records, "lambda-1")
    page = compose_accuracies(suite, records, "last", {})
    assert not [s for s in page.sections if s.title.startswith("What single knobs move")]


# what a suite says to be open


def opened(**unstated):
    suite = DEMO.model_dump() | {"unstated": [{"why": "It is not said.", **unstated}]}
    return type(DEMO).model_validate(suite)


def test_what_was_not_measured_is_wanted_seed_by_seed():
    suite = opened(knob="lr", values=[0.01, 0.02, 0.05])  # the row has 0.02
    runs = [r for task in suite.tasks for r in varied({1: 50.0}, task=task, lr=0.01)]
    found = find_ablations(suite, [*OWN, *runs], "dann")
    wanted = list(list_wanted(suite, suite.by_id["dann"], found, 3))
    assert [(w.value, w.seeds) for w in wanted] == [(0.01, (0, 2)), (0.05, (0, 1, 2))]


def test_a_seed_is_wanted_until_it_was_run_at_every_task():
    suite, (first, second) = opened(knob="lr", values=[0.01]), DEMO.tasks
    runs = [*varied({0: 1.0, 1: 1.0}, task=first, lr=0.01), *varied({1: 1.0}, task=second, lr=0.01)]
    found = find_ablations(suite, runs, "dann")
    (wanted,) = list_wanted(suite, suite.by_id["dann"], found, 2)
    assert wanted.seeds == (0,)


@pytest.mark.parametrize(
    ("knob", "value", "override"),
    [
        ("hyper.lam", 2, {"hyper": {"lam": 2}}),
        ("discriminator.hidden", [32], {"discriminator": {"hidden": [32]}}),
    ],
)
def test_a_value_that_a_record_spells_otherwise_is_not_wanted_again(knob, value, override):
    """A suite's 2 is recorded as 2.0, and a list may be read as a tuple."""
    suite = opened(knob=knob, values=[value])
    runs = [r for task in suite.tasks for r in varied({0: 1.0}, task=task, **override)]
    found = find_ablations(suite, runs, "dann")
    assert found and not list(list_wanted(suite, suite.by_id["dann"], found, 1))


def test_a_hyper_parameter_is_wanted_of_the_rows_that_have_it():
    suite = opened(knob="hyper.gamma", values=[2.0])
    assert not list(list_wanted(suite, suite.by_id["source_only"], [], 3))
    assert len(list(list_wanted(suite, suite.by_id["dann"], [], 3))) == 1


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('knob = "lrr"\nvalues = [1]', "did you mean 'lr'"),
        ('knob = "lr"\nvalues = ["fast"]', "recipe.lr"),
        ('knob = "hyper.nothing"\nvalues = [1]', "no row has 'hyper.nothing'"),
        ('knob = "lr"\nvalues = [0.1]\nrows = ["dan"]', "did you mean 'dann'"),
        ('knob = "lr"\nvalues = []', "at least 1"),
    ],
)
def test_a_mistake_is_named_when_the_suite_is_read(tmp_path, lines, says):
    text = (ROOT / "tables" / "demo.toml").read_text()
    (tmp_path / "own.toml").write_text(f'{text}\n[[unstated]]\nwhy = "x"\n{lines}\n')
    with pytest.raises(UsageError, match=says):
        suites.load(tmp_path / "own.toml")


@pytest.mark.parametrize("chosen", [(0,), (0, 1, 2), (0, 2), (3, 4), (2, 1)])
def test_seeds_are_written_as_they_are_read(chosen):
    assert seeds(write_seeds(chosen)) == list(chosen)


# the command


def test_explain_prints_the_gap_what_was_varied_and_commands_that_parse(tmp_path):
    results = tmp_path / "results"
    suite = suites.find("mnistm")
    for s in range(3):
        write(results, cell(suite, "dann", "MNIST-MNIST-M", s), [74.0 + s])
        write(results, cell(suite, "dann", "MNIST-MNIST-M", s, batch=128), [76.0 + s])
    args = ["explain", "--suite", "mnistm", "--row", "dann", "--results", str(results)]
    out = CliRunner().invoke(app, args).stdout
    assert "report, 20 epochs has 76.33; ours − published −1.3" in out
    assert "MNIST→MNIST-M, on the source: report, 20 epochs has 98.62; ours" in out
    assert "batch=128" in out and "+2.0 [2.0, 2.0] (3)" in out
    commands = [line.strip() for line in out.splitlines() if line.strip().startswith("bench run")]
    assert len(commands) == len(set(commands)) > 5
    assert not any("batch=128" in c for c in commands) and any("batch=32" in c for c in commands)
    for text in commands:
        words = text.split()[1:]
        result = CliRunner().invoke(app, [*words, "--dry-run", "--data", str(tmp_path)])
        assert "MNIST" in str(result.exception) or "missing" in str(result.exception), result.output


def test_a_row_that_is_none_is_named():
    result = CliRunner().invoke(app, ["explain", "--suite", "mnistm", "--row", "dan"])
    assert isinstance(result.exception, UsageError) and "did you mean" in str(result.exception)
