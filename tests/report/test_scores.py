"""Which evaluation of a run a table shows, and when a run has collapsed."""

from dataclasses import replace

import pytest
from fakes import cell, record, toy

from bench.report.numbers.aggregate import build_table
from bench.report.numbers.scores import AVERAGE, pick_evaluation, score_row
from bench.report.numbers.stats import compare_pairs, judge
from bench.report.write.render import render_accuracies
from bench.runs import index
from bench.runs.lines import Counts
from bench.runs.plan import settle_suite
from bench.runs.records import Evaluation, Tally
from bench.suite.claims import parse_figure
from bench.suite.suite import Metric

TOY = toy()
IMAGES = 10_000


def run(row, task, seed, *targets, source=99.0):
    """A record whose evaluations have these accuracies, all other predictions of one class."""
    made = record(cell(TOY, row, task, seed))
    right = Tally(round(IMAGES * source / 100), IMAGES, IMAGES // 10)
    evals = [Evaluation(k, right, t) for k, t in enumerate(targets, 1)]
    return replace(made, evals=tuple(evals))


def scores(*records, on="target", row="plain"):
    return score_row(TOY, settle_suite(TOY, records, "full"), row, "last", on)


@pytest.mark.parametrize(("most", "collapsed"), [(9899, ()), (9900, (0,)), (10_000, (0,))])
def test_a_run_has_collapsed_when_99_of_100_predictions_are_of_one_class(most, collapsed):
    found = scores(run("plain", "A-B", 0, Tally(1000, IMAGES, most)))
    assert found["A-B"].collapsed == collapsed


def test_a_collapse_on_one_domain_is_none_on_the_other():
    only_target = run("plain", "A-B", 0, Tally(1000, IMAGES, IMAGES))
    assert scores(only_target)["A-B"].collapsed == (0,)
    assert scores(only_target, on="source")["A-B"].collapsed == ()


def test_an_average_has_collapsed_when_one_of_its_tasks_has():
    found = scores(
        run("plain", "A-B", 0, Tally(1000, IMAGES, IMAGES)),
        run("plain", "B-A", 0, Tally(8000, IMAGES, 2000)),
        run("plain", "A-B", 1, Tally(8000, IMAGES, 2000)),
        run("plain", "B-A", 1, Tally(8000, IMAGES, 2000)),
    )
    assert found[AVERAGE].collapsed == (0,) and found[AVERAGE].by_seed == {0: 45.0, 1: 80.0}


def test_of_equally_good_evaluations_the_latest_is_the_best():
    made = record(cell(TOY, "plain", "A-B", 0), (75.0, 80.0, 80.0, 70.0), (9.0, 9.0, 9.0, 1.0))
    first = made.evals[0].step
    assert pick_evaluation(TOY, made, "best-on-target").step == first + 2
    assert pick_evaluation(TOY, made, "best-on-source").step == first + 2
    assert pick_evaluation(TOY, made, "last").step == first + 3


@pytest.mark.parametrize(("better", "step"), [("lower", 2), ("higher", 3)])
def test_the_best_value_is_the_lowest_where_the_suite_says_so(better, step):
    metric = Metric(name="distance", title="Distance", better=better)
    evals = [Evaluation(k, values={"distance": x}) for k, x in enumerate((5.0, 1.0, 9.0, 3.0), 1)]
    made = replace(record(cell(TOY, "plain", "A-B", 0)), evals=tuple(evals))
    suite = TOY.model_copy(update={"metric": metric})
    assert pick_evaluation(suite, made, "best-on-target").step == step


def uneven(task: str, seed: int, *rights: tuple[int, int]):
    """A record of a large class of 90 images and a small one of 10; rights: of each, by step."""
    made = record(cell(TOY, "plain", task, seed))
    counts = [Counts(total=(90, 10), correct=r, predicted=(90, 10)) for r in rights]
    tallies = [Tally(*index._tally(c)) for c in counts]
    evals = tuple(Evaluation(k, t, t) for k, t in enumerate(tallies, 1))
    return replace(made, evals=evals)


def test_a_suite_of_mean_class_accuracies_counts_a_small_class_like_a_large_one():
    suite = TOY.model_copy(update={"accuracy": "classes"})
    made = uneven("A-B", 0, (90, 0), (45, 9), (54, 7))  # 90, 54, 61 % of images; 50, 70, 65 %
    assert pick_evaluation(TOY, made, "best-on-target").step == 1
    assert pick_evaluation(suite, made, "best-on-target").step == 2
    ledger = settle_suite(TOY, [made], "full")
    found = [score_row(s, ledger, "plain", "last", "target")["A-B"].by_seed for s in (TOY, suite)]
    assert found == [{0: 61.0}, {0: 65.0}]


def test_the_page_of_such_a_suite_says_so_and_its_verdicts_are_about_it():
    claim = next(c for c in TOY.published if c.row == "plain")
    claim = claim.model_copy(update={"values": {"A-B": parse_figure("65.0")}, "average": None})
    suite = TOY.model_copy(update={"accuracy": "classes", "published": (claim,)})
    made = [uneven("A-B", seed, (right, 7)) for seed, right in enumerate((54, 54, 55))]
    plain = next(g for g in build_table(suite, made).groups if g.row and g.row.id == "plain")
    assert plain.claims[0].verdicts["A-B"].word == "match"
    text = render_accuracies(suite, made, references={})
    assert "## Mean of the accuracies of the classes on the target domain, %" in text
    assert "Accuracy in % of the test images of each class, averaged over the classes" in text
    assert "65.19 ± 0.32 (3)" in text


def test_verdicts_and_gains_have_the_confidence_and_the_tolerance_of_the_suite():
    suite = TOY.model_copy(update={"confidence": 0.8, "tolerance": 7.0})
    ours, base = (80.0, 84.0, 88.0), (70.0, 71.0, 75.0)
    made = [record(cell(TOY, "dann", "A-B", s), (x,)) for s, x in enumerate(ours)]
    made += [record(cell(TOY, "plain", "A-B", s), (x,)) for s, x in enumerate(base)]
    group = next(g for g in build_table(suite, made).groups if g.row and g.row.id == "dann")
    assert group.claims[0].verdicts["A-B"] == judge(ours, 82.0, 7.0, 0.8)
    assert group.claims[0].verdicts["A-B"].word == "match" != judge(ours, 82.0, 1.0, 0.8).word
    pairs = (dict(enumerate(x)) for x in (ours, base))
    assert group.gains["A-B"] == compare_pairs(*pairs, 0.8)


def test_what_an_oracle_adds_is_over_the_last_step_averaged_over_the_seeds():
    """Whichever evaluation does best on the source."""
    made = [
        record(cell(TOY, "plain", task, seed), target, (99.0, 90.0))
        for task in ("A-B", "B-A")
        for seed, target in enumerate([(70.0, 68.0), (80.0, 70.0)])
    ]
    group = next(g for g in build_table(TOY, made).groups if g.row and g.row.id == "plain")
    assert group.oracle == pytest.approx(6.0)
    chosen = build_table(TOY, made, select="best-on-target")
    assert all(g.oracle is None for g in chosen.groups), "what is an oracle gains nothing by one"


def test_a_page_of_a_measure_that_is_no_accuracy_speaks_of_none():
    metric = Metric(name="frechet", title="Fréchet distance", better="lower")
    suite = TOY.model_copy(update={"metric": metric})
    made = [replace(r, evals=(Evaluation(9, None, None, values={"frechet": 20.0 + r.run.seed}),))
            for r in (record(cell(TOY, "plain", "A-B", s)) for s in range(3))]  # fmt: skip
    text = render_accuracies(suite, made, references={})
    assert "Fréchet distance, lower is better: mean ± sample standard deviation" in text
    assert "Accuracy" not in text and "points" not in text
