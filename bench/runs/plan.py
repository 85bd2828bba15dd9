"""Which cells a suite has, which of them are still to be run, and what that will cost."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import index
from typing import Any, TypeVar

from bench.errors import UsageError, unknown
from bench.runs.cell import Cell
from bench.runs.ledger import Aside, Ledger, Why, settle
from bench.runs.records import Record
from bench.suite import catalog, settings
from bench.suite.checks import check_needs
from bench.suite.suite import Row, Suite

T = TypeVar("T")


def cells(
    suite: Suite,
    *,
    methods: Iterable[str] | None = None,
    tasks: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    budget: str = "full",
    override: Mapping[str, Any] | None = None,
) -> list[Cell]:
    """The cells asked for, in the suite's order: task by task, seed by seed.

    Raises UsageError for a name that the suite does not have.
    """
    rows = _chosen("row", methods, suite.by_id)
    settings.check_hyper(override or {}, [row.method for row in rows])
    chosen = _chosen("task", tasks, {t: t for t in suite.tasks})
    asked = list(dict.fromkeys(map(index, range(suite.seeds) if seeds is None else seeds)))
    if min(asked, default=0) < 0:
        raise UsageError(f"the seed {min(asked)} is negative: give whole numbers from 0 on")
    if max(asked, default=0) >= 2**32:
        raise UsageError("a seed is too large: give whole numbers below 2^32")
    out = []
    for task in chosen:
        first = [cell(suite, row, task, 0, budget, override) for row in rows]
        out += [c.with_seed(seed) for seed in asked for c in first]
    return out


def cell(
    suite: Suite,
    row: Row,
    task: str,
    seed: int,
    budget: str = "full",
    override: Mapping[str, Any] | None = None,
) -> Cell:
    """The cell of a row, a task and a seed.

    override: recipe knobs and, under "hyper", hyper-parameters, instead of what the suite says; a
    hyper-parameter that the row's method does not have is left out. Raises UsageError when a value
    is none that the recipe or the method takes, or when the method lacks one that it needs.
    """
    recipe, hyper = settings.split_override(override or {})
    taken = catalog.methods()[row.method].hyper
    changed = {**row.hyper, **{k: v for k, v in hyper.items() if k in taken}}
    catalog.check(row.method, changed)
    whole = suite.recipe_for(row, task, budget, recipe)
    check_needs(row.method, whole, f"row {row.id!r}")
    source, target = suite.endpoints(task)
    return Cell(
        suite=suite.name,
        row=row.id,
        task=task,
        budget=budget,
        seed=seed,
        method=row.method,
        hyper=changed,
        source=(source, suite.domains[source]),
        target=(target, suite.domains[target]),
        classes=suite.classes,
        recipe=whole,
        metric=suite.metric.name if suite.metric else None,
        generated_counts=budget == "smoke" or suite.budget(budget).measures == "cost",
    )


def _chosen(kind: str, asked: Iterable[str] | None, known: Mapping[str, T]) -> list[T]:
    if asked is None:
        return list(known.values())
    asked = list(asked)
    if not asked:
        raise UsageError(f"no {kind} is named; known: {', '.join(known)}")
    for name in asked:
        if name not in known:
            raise unknown(kind, name, known)
    return [v for k, v in known.items() if k in asked]


def seeds(text: str) -> list[int]:
    """'0-4' or '0,2,7-9' -> the seeds. Raises UsageError."""
    out: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if (
            not re.fullmatch(r"\d{1,9}(-\d{1,9})?", part.strip())
            or int(last or first) - int(first) > 9999
        ):
            raise UsageError(f"cannot read the seeds {text!r}; write 0-4 or 0,2,5")
        if int(last or first) < int(first):
            raise UsageError(f"the seeds {text!r} are an empty range; write 0-4 or 0,2,5")
        out += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(out))


def write_seeds(chosen: Sequence[int]) -> str:
    """(0, 1, 2) -> '0-2'; (0, 2) -> '0,2': what `seeds` reads as these, in their order."""
    if len(chosen) > 1 and list(chosen) == list(range(chosen[0], chosen[-1] + 1)):
        return f"{chosen[0]}-{chosen[-1]}"
    return ",".join(map(str, chosen))


@dataclass(frozen=True)
class CellState:
    """What the records say about a cell."""

    cell: Cell
    done: Record | None  # the result that counts, ok or diverged
    failed: Record | None = None  # the failure that counts for want of a result
    aside: tuple[Aside, ...] = ()  # the records at its place that do not count

    def count(self, *reasons: Why) -> int:
        """How many records are set aside for one of these reasons."""
        return sum(a.why in reasons for a in self.aside)

    @property
    def torn(self) -> int:
        """Attempts without an end."""
        return self.count("unfinished")

    @property
    def stale(self) -> int:
        """Attempts with another recipe, or by other code."""
        return self.count("other recipe", "other code")

    @property
    def label(self) -> str:
        """done, made up (on images that the program drew), stale or pending."""
        if self.done:
            return "done"
        if self.count("generated"):
            return "made up"
        return "stale" if self.stale else "pending"


def states(cells: Iterable[Cell], found: Iterable[Record]) -> list[CellState]:
    """What the records say about each cell: done, or to be run (again)."""
    cells = list(cells)
    ledger = settle(cells, found)
    counted = {id_of(cell): r for cell, r in ledger.counted}
    aside: dict[Any, list[Aside]] = {}
    unreadable = tuple(a for a in ledger.aside if a.record.run is None)
    for a in ledger.aside:
        if run := a.record.run:
            aside.setdefault(run.key, []).append(a)
            aside.setdefault((run.suite, run.row, run.task, run.seed, run.budget), []).append(a)
    out = []
    for cell in cells:
        r = counted.get(id_of(cell))
        near = {str(a.record.path): a for k in (cell.key, id_of(cell)) for a in aside.get(k, [])}
        failed = r if r and r.status == "failed" else None
        out.append(CellState(cell, None if failed else r, failed, (*near.values(), *unreadable)))
    return out


def settle_suite(suite: Suite, found: Iterable[Record], budget: str) -> Ledger:
    """Which records count for a suite at one budget: for the seeds that it asks for, and for every
    other seed that was run. Raises UsageError for a budget that the suite does not have."""
    found = list(found)
    every = {*range(suite.seeds), *(r.run.seed for r in found if r.run)}
    made = _make_cells(_Same(suite), tuple(sorted(every)), budget, catalog.stamp())
    return settle(made, found)


@dataclass(frozen=True, eq=False)
class _Same:
    """Equals itself alone, so that what was made of a suite can be looked up."""

    suite: Suite

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.suite is self.suite

    def __hash__(self) -> int:
        return id(self.suite)


@lru_cache(maxsize=64)
def _make_cells(suite: _Same, seeds: tuple[int, ...], budget: str, methods: object) -> list[Cell]:
    """All cells of a suite, made once for the many tables of a page. methods: what the catalogue
    was when they were made."""
    return cells(suite.suite, seeds=seeds, budget=budget)


def id_of(cell: Cell) -> tuple[str, str, str, int, str]:
    """The place of a cell in its suite."""
    return cell.suite, cell.row, cell.task, cell.seed, cell.budget
