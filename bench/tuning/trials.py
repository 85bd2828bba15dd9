"""Sets of values and their runs. A search leaves nothing but records, and resumes from them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from bench.runs import plan
from bench.runs.cell import Cell
from bench.runs.plan import CellState
from bench.runs.records import Record
from bench.suite import search
from bench.suite.schema import flat, merged
from bench.suite.search import HYPER, Space, Values
from bench.suite.suite import Row, Suite


@dataclass(frozen=True)
class Trial:
    """One set of values and the runs that judge it."""

    values: Values
    states: list[CellState]  # of its cells, tasks × seeds
    over: Literal["images", "classes"] = "images"  # the suite's `accuracy`

    @property
    def done(self) -> bool:
        return all(s.done for s in self.states)

    @property
    def accuracies(self) -> dict[str, float]:
        """For each task the mean accuracy of the finished seeds, in %."""
        by_task: dict[str, list[float]] = {}
        for s in self.states:
            if s.done:
                by_task.setdefault(s.cell.task, []).append(accuracy(s.done, self.over))
        return {task: fmean(scores) for task, scores in by_task.items()}

    @property
    def mean(self) -> float:
        """The mean over tasks of `accuracies`: what the search maximises."""
        return fmean(self.accuracies.values())

    @property
    def diverged(self) -> int:
        """How many of its runs diverged."""
        return sum(s.done is not None and s.done.status == "diverged" for s in self.states)


def accuracy(record: Record, over: Literal["images", "classes"]) -> float:
    """Accuracy on the target at the last evaluation, in %; 0 for a run that diverged.

    over: a suite's `accuracy`.
    """
    if record.status != "ok":
        return 0.0
    last = record.evals[-1].target
    assert last is not None
    return last.score(over)


@dataclass(frozen=True)
class Search:
    """What is tried for one row of a suite, and on which cells."""

    suite: Suite
    row: Row  # the row whose method and recipe are tuned
    space: Space  # the knobs that vary, and within what
    tasks: tuple[str, ...]  # every set of values is run on each of these
    seeds: tuple[int, ...]  # and with each of these
    budget: str  # which reduced length each run has; "full" is the suite's own
    override: Mapping[str, Any]  # what `--set` says, for every run

    def folder(self, results: Path) -> Path:
        """Where the records of this search lie below the results folder of all searches."""
        return results / self.suite.name / self.row.id

    def with_values(self, values: Values) -> Row:
        """The row as it would stand in the suite with these values."""
        recipe, hyper = search.split_values(values)
        changed = {
            "recipe": merged(self.row.recipe, recipe),
            "hyper": {**self.row.hyper, **hyper},
        }
        return self.row.model_copy(update=changed)

    def cells(self, values: Values) -> list[Cell]:
        """The cells of one set of values, under the row's own name.

        Raises UsageError when the values contradict each other.
        """
        row = self.with_values(values)
        cells = [
            plan.cell(self.suite, row, task, seed, self.budget, self.override)
            for task in self.tasks
            for seed in self.seeds
        ]
        # a search can be tried out on made-up images: what it chooses is measured elsewhere
        return [replace(cell, generated_counts=True) for cell in cells]

    def trials(self, found: Iterable[Record]) -> list[Trial]:
        """Every set of values that the records hold, finished or not, the first begun first."""
        found = sorted(found, key=lambda r: r.age)
        out: dict[str, Trial] = {}
        for run in (r.run for r in found if r.run):
            values = self._values(run.recipe, run.hyper_all)
            if values is None or repr(values) in out:
                continue
            cells = self.cells(values)
            if any(run.key == cell.key for cell in cells):
                out[repr(values)] = Trial(values, plan.states(cells, found), self.suite.accuracy)
        return list(out.values())

    def own(self) -> Values | None:
        """The values that the row has as it stands; None when one lies outside of the space."""
        cell = self.cells({})[0]
        return self._values(cell.recipe.model_dump(mode="json"), cell.hyper_all)

    def _values(self, recipe: Mapping[str, Any], hyper: Mapping[str, Any]) -> Values | None:
        """The searched values among those of a run; None when the space does not hold them."""
        stated = flat(recipe) | {HYPER + k: v for k, v in hyper.items()}
        found = {key: search.recall(knob, stated.get(key)) for key, knob in self.space.items()}
        return None if None in found.values() else found


def spell(values: Values) -> str:
    """{"lr": 0.01, "batch": 4} -> 'lr 0.01, batch 4'"""
    return ", ".join(f"{k} {v}" for k, v in values.items())
