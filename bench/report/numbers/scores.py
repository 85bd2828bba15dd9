"""The records of one row to accuracies by task and seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

from bench.report.numbers.selection import SIGNS, Select, Side
from bench.report.numbers.stats import Summary, summarize
from bench.runs.ledger import Ledger
from bench.runs.records import Evaluation, Record
from bench.suite.suite import Suite

AVERAGE = "average"  # the column after the tasks
COLLAPSED = 0.99  # a run has collapsed when one class receives this share of its predictions


@dataclass(frozen=True)
class Score:
    """What the seeds of one row reached in one column."""

    by_seed: Mapping[int, float]  # seed -> accuracy in %
    lost: Mapping[int, str]  # seed without an accuracy -> "diverged", "failed" or "without scores"
    collapsed: tuple[int, ...]  # seeds that call nearly every image the same class

    @property
    def summary(self) -> Summary:
        """Mean and sample deviation over the seeds, in %."""
        return summarize(self.by_seed.values())


Scores = Mapping[str, Score]  # by column: the tasks, then AVERAGE where there are several tasks


def score_row(suite: Suite, ledger: Ledger, row: str, select: Select, on: Side) -> Scores:
    """The scores of a row at every task and their average, at each run's selected evaluation."""
    found: dict[str, Score] = {}
    for task in suite.tasks:
        results = ledger.results(row, task)
        picks = {
            cell.seed: pick_evaluation(suite, r, select) for cell, r in results if r.status == "ok"
        }
        evals = {seed: e for seed, e in picks.items() if e}
        lost = {cell.seed: r.status for cell, r in results if r.status != "ok"}
        found[task] = Score(
            by_seed={seed: read_value(suite, e, on) for seed, e in evals.items()},
            lost=lost | dict.fromkeys(picks.keys() - evals.keys(), "without scores"),
            collapsed=tuple(seed for seed, e in evals.items() if _is_collapsed(e, on)),
        )
    if len(suite.tasks) > 1:
        found[AVERAGE] = _average(list(found.values()))
    return found


def _average(tasks: list[Score]) -> Score:
    """The mean over all tasks within each seed; a seed that lacks a task has no average."""
    complete = sorted(set.intersection(*(set(s.by_seed) for s in tasks)))
    return Score(
        by_seed={seed: mean(s.by_seed[seed] for s in tasks) for seed in complete},
        lost={},
        collapsed=tuple(seed for seed in complete if any(seed in s.collapsed for s in tasks)),
    )


def read_value(suite: Suite, e: Evaluation, on: Side) -> float:
    """What a suite is about, of one evaluation: an accuracy in %, or the value that it names."""
    if suite.metric:
        return e.values[suite.metric.name]
    counts = e.source if on == "source" else e.target
    assert counts is not None, "a record that measures no accuracy is of a suite with a metric"
    return counts.score(suite.accuracy)


def _is_collapsed(e: Evaluation, on: Side) -> bool:
    counts = e.source if on == "source" else e.target
    return counts is not None and counts.most >= COLLAPSED * counts.total


def pick_evaluation(suite: Suite, record: Record, select: Select) -> Evaluation | None:
    """The selected evaluation of a run; where several are equally good, the latest of them.

    None for a score that the record does not have of each evaluation.
    """
    values = rank_evaluations(suite, record, select)
    if values is None:
        return None
    best = max(values)
    return record.evals[max(i for i, value in enumerate(values) if value == best)]


def rank_evaluations(suite: Suite, record: Record, select: Select) -> list[float] | None:
    """How good each evaluation of a run is by that choice: more is better.

    None for a score that the record does not have of each evaluation.
    """
    if select == "last":
        return [e.step for e in record.evals]
    if select in SIGNS:
        if not all(select in e.scores for e in record.evals):
            return None
        return [SIGNS[select] * e.scores[select] for e in record.evals]
    on: Side = "source" if select == "best-on-source" else "target"
    sign = -1 if suite.lower_is_better else 1
    return [sign * read_value(suite, e, on) for e in record.evals]
