"""Records of one row -> accuracies by task and seed, for one way to choose the checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any, Literal

from bench.report.numbers.stats import Summary, summarise
from bench.runs.ledger import Ledger
from bench.runs.records import Record
from bench.suite.suites import Suite

Select = Literal["last", "best-on-source", "best-on-target"]
On = Literal["target", "source"]

AVERAGE = "average"
COLLAPSED = 0.99  # share of the predictions that one class receives


@dataclass(frozen=True)
class Score:
    """Accuracy in % by seed. lost: seed -> 'diverged' or 'failed'; collapsed: seeds that call nearly all one class."""

    by_seed: Mapping[int, float]
    lost: Mapping[int, str]
    collapsed: tuple[int, ...]

    @property
    def summary(self) -> Summary:
        return summarise(self.by_seed.values())


Scores = Mapping[str, Score]  # of each column: the tasks, then AVERAGE where there are several


def score(suite: Suite, ledger: Ledger, row: str, select: Select, on: On) -> Scores:
    """The scores of a row at every task, and their average."""
    found: dict[str, Score] = {}
    for task in suite.tasks:
        results = ledger.results(row, task)
        evals = {cell.seed: chosen(r, select)[on] for cell, r in results if r.status == "ok"}
        found[task] = Score(
            by_seed={seed: percent_correct(e) for seed, e in evals.items()},
            lost={cell.seed: r.status for cell, r in results if r.status != "ok"},
            collapsed=tuple(
                seed
                for seed, e in evals.items()
                if max(e["predicted"]) >= COLLAPSED * sum(e["predicted"])
            ),
        )
    if len(suite.tasks) > 1:
        found[AVERAGE] = _average(list(found.values()))
    return found


def _average(tasks: list[Score]) -> Score:
    """Per seed over all tasks first: a seed that lacks a task has no average."""
    complete = sorted(set.intersection(*(set(s.by_seed) for s in tasks)))
    return Score(
        by_seed={seed: mean(s.by_seed[seed] for s in tasks) for seed in complete},
        lost={},
        collapsed=tuple(seed for seed in complete if any(seed in s.collapsed for s in tasks)),
    )


def percent_correct(counts: Mapping[str, Any]) -> float:
    """Correct predictions in % of all test images, from the counts of each class."""
    return float(100 * sum(counts["correct"]) / sum(counts["total"]))


def chosen(record: Record, select: Select) -> dict[str, Any]:
    """The evaluation that a selection picks: the last one, or the latest of the best."""
    if select == "last":
        return record.evals[-1]
    on = select.removeprefix("best-on-")
    return max(record.evals, key=lambda e: (percent_correct(e[on]), e["step"]))
