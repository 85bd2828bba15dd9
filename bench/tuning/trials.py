"""Sets of values and their runs: the records are all that a search for hyper-parameters leaves, and all it resumes from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bench.runs import plan
from bench.runs.plan import Cell, State
from bench.runs.records import Record
from bench.suite import space
from bench.suite.schema import flat, merged
from bench.suite.space import HYPER, Space, Values
from bench.suite.suites import Row, Suite


@dataclass(frozen=True)
class Trial:
    """One set of values and its cells, tasks × seeds."""

    values: Values
    states: list[State]

    @property
    def done(self) -> bool:
        return all(s.done for s in self.states)

    @property
    def accuracies(self) -> dict[str, float]:
        """For each task the mean over seeds, in %, at the last evaluation; a run that diverged has learnt nothing: 0."""
        by_task: dict[str, list[float]] = {}
        for s in self.states:
            if s.done:
                last = s.done.evals[-1]["target"] if s.done.status == "ok" else {"correct": [0], "total": [1]}
                by_task.setdefault(s.cell.task, []).append(100 * sum(last["correct"]) / sum(last["total"]))
        return {task: fmean(scores) for task, scores in by_task.items()}

    @property
    def mean(self) -> float:
        return fmean(self.accuracies.values())

    @property
    def diverged(self) -> int:
        return sum(s.done is not None and s.done.status == "diverged" for s in self.states)


@dataclass(frozen=True)
class Search:
    """What is tried for one row of a suite, and on which cells."""

    suite: Suite
    row: Row
    space: Space
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    budget: str
    override: Mapping[str, Any]

    def with_values(self, values: Values) -> Row:
        """The row as it would stand in the suite with these values."""
        recipe, hyper = space.changes(values)
        return self.row.model_copy(update={"recipe": merged(self.row.recipe, recipe), "hyper": {**self.row.hyper, **hyper}})

    def cells(self, values: Values) -> list[Cell]:
        """The cells of one set of values, which go by the row's own name. Raises UsageError when the values contradict."""
        row, suite = self.with_values(values), self.suite
        out = []
        for task in self.tasks:
            ends = [(name, suite.domains[name]) for name in suite.endpoints(task)]
            recipe = suite.recipe_for(row, task, self.budget, self.override)
            about = (suite.name, row.id, row.method, row.hyper, task, ends[0], ends[1], suite.classes)
            out += [Cell(*about, seed, self.budget, recipe) for seed in self.seeds]
        return out

    def trials(self, found: Iterable[Record]) -> list[Trial]:
        """Every set of values that the records know of, done or not, in the order in which they were begun."""
        found = sorted(found, key=lambda r: str(r.run["started"]))
        out: dict[str, Trial] = {}
        for r in found:
            values = self._values(r.run["recipe"], r.run["hyper"])
            if values is None or repr(values) in out:
                continue
            cells = self.cells(values)
            if any(r.run["cell"] == cell.key for cell in cells):
                out[repr(values)] = Trial(values, plan.states(cells, found))
        return list(out.values())

    def own(self) -> Values | None:
        """The values that the row has as it stands, if they lie within the space."""
        cell = self.cells({})[0]
        return self._values(cell.recipe.model_dump(mode="json"), cell.hyper)

    def _values(self, recipe: Mapping[str, Any], hyper: Mapping[str, Any]) -> Values | None:
        stated = flat(recipe) | {HYPER + k: v for k, v in hyper.items()}
        found = {key: space.within(knob, stated.get(key)) for key, knob in self.space.items()}
        return None if None in found.values() else found
