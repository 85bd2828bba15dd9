"""The search for hyper-parameters on tasks whose labels may be seen."""

import os
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engine.events import Ended, Event
from bench.engine.executor import Executor
from bench.errors import BenchError, UsageError, unknown
from bench.runs import plan, records
from bench.runs.plan import CellState
from bench.suite import search
from bench.suite.schema import flat
from bench.suite.search import Values
from bench.suite.suite import DomainSpec, Row, Suite
from bench.tuning import sampler
from bench.tuning.trials import Search, Trial


@dataclass(frozen=True)
class Trying:
    """The runs of a set of values begin, or go on."""

    number: int  # 1 for the first set of values of the search
    trials: int  # how many sets are asked for
    values: Values


@dataclass(frozen=True)
class Exhausted:
    """Fewer sets of values exist than were asked for, and all of them are tried."""

    row: str  # whose search it is
    done: int  # how many sets are tried


def searches(
    suite: Suite,
    rows: list[str] | None,
    on: Iterable[str],
    seeds: Iterable[int],
    budget: str,
    override: Mapping[str, Any],
    *,
    skip: Collection[str] = (),
) -> list[Search]:
    """What is to be searched for each row.

    rows: their ids; None: all that search something, but for those in `skip`. on: the tasks to
    choose on. override: what `--set` says. Raises UsageError for a name that the suite does not
    have, a task that reads held-out labels, and a knob that is both fixed and searched.
    """
    _check_budget(suite, budget, override)
    tasks = free_tasks(suite, on)
    spaces = {row.id: search.restrict(suite.search, row.hyper) for row in suite.rows}
    for name in rows or []:
        if not spaces[name]:
            raise UsageError(
                f"nothing is searched for row {name!r}: it states no hyper-parameter that "
                "[search] names"
            )

    def is_asked(row: Row) -> bool:
        return row.id in rows if rows else bool(spaces[row.id]) and row.id not in skip

    asked = [row for row in suite.rows if is_asked(row)]
    if not asked:
        raise UsageError("no row is left that searches something: name rows with --methods")
    return [
        Search(suite, row, spaces[row.id], tasks, tuple(seeds), budget, override) for row in asked
    ]


def _check_budget(suite: Suite, budget: str, override: Mapping[str, Any]) -> None:
    """Raise UsageError when nothing can be searched, or nothing chosen, at this budget."""
    if not suite.search:
        example = "`[search]` and below it lr = { low = 1e-4, high = 1e-2, log = true }"
        raise UsageError(
            f"the suite {suite.name!r} does not say what to search: add to its file {example}"
        )
    if suite.metric:
        raise UsageError(
            f"hyper-parameters are chosen by accuracies, and {suite.name} measures "
            f"{suite.metric.title}"
        )
    if budget == "smoke" or suite.budget(budget).measures == "cost":
        raise UsageError(
            f"accuracies of the budget {budget!r} mean nothing, so nothing is chosen by them: "
            "name another"
        )
    fixed = {f"budget {budget!r}": suite.budget(budget).recipe, "--set": override}
    for place, values in fixed.items():
        if both := suite.search.keys() & flat(values).keys():
            raise UsageError(
                f"{min(both)} is fixed by {place} and searched by the suite: "
                "leave it to one of the two"
            )


def free_tasks(suite: Suite, on: Iterable[str]) -> tuple[str, ...]:
    """The tasks to choose on, each once.

    Raises UsageError for a task of a domain on which the suite reports: its labels must not be
    seen while hyper-parameters are chosen.
    """
    reported = [suite.domains[suite.endpoints(task)[1]] for task in suite.tasks]
    held_out = {k for k, spec in suite.domains.items() if any(_overlap(spec, r) for r in reported)}
    tasks = {f"{a}-{b}": {a, b} for a in suite.domains for b in suite.domains if a != b}
    free = [task for task, ends in tasks.items() if not ends & held_out]
    asked = tuple(dict.fromkeys(on))
    if not asked:
        raise UsageError(f"no task is named to choose on; known: {', '.join(free) or 'none'}")
    instead = (
        f"choose on {', '.join(free)}" if free else "give the suite other domains to choose on"
    )
    for task in asked:
        if touched := tasks.get(task, set()) & held_out:
            raise UsageError(
                f"{task} would read labels of {min(touched)}, on which {suite.name} reports: "
                f"{instead}"
            )
        if task not in free:
            raise unknown("task to choose on", task, free)
    return asked


def _overlap(a: DomainSpec, b: DomainSpec) -> bool:
    """Whether two domains may share images: of one set or folder, and not of two parts of it."""
    paths = [os.path.normpath(x.path or "") for x in (a, b)]
    parts = ((a.domain, b.domain), (a.list, b.list))
    same_set = (a.set, paths[0]) == (b.set, paths[1])
    return same_set and all(x == y or None in (x, y) for x, y in parts)


def run_search(
    s: Search, executor: Executor, results: Path, trials: int
) -> Iterator[Event | Trying | Exhausted]:
    """Try sets of values until `trials` of them are done; give what happens as it happens.

    results: the folder in which the executor keeps the records of searches.
    Raises BenchError when a cell fails, when other processes run some of the sets, and before a
    set is begun when its backbone, data or weights are missing.
    """
    folder = s.folder(results)
    elsewhere: list[Values] = []  # sets that other processes are running
    while True:
        found = s.trials(records.read_all(folder))
        done = [t for t in found if t.done]
        elsewhere = [v for v in elsewhere if all(v != t.values for t in done)]
        if len(done) + len(elsewhere) >= trials:
            break
        values = _next_values(s, found, elsewhere)
        if values is None:
            yield Exhausted(s.row.id, len(done))
            break
        cells = s.cells(values)
        executor.check(cells)
        yield Trying(len(done) + 1, trials, values)
        obstacle = yield from _try(executor, plan.states(cells, records.read_all(folder)))
        if obstacle is None:
            continue
        if obstacle.status != "busy":
            raise BenchError(
                f"{len(done)} of {trials} trials done; mend what failed, or take its values out of "
                "[search], and run the same command to go on"
            )
        elsewhere.append(values)
    if elsewhere:
        raise BenchError(
            f"{len(elsewhere)} of {trials} trials are run by another process: "
            "run the same command when it has ended"
        )


def best_first(s: Search, results: Path) -> list[Trial]:
    """Every set of values that is done, the best first."""
    done = [t for t in s.trials(records.read_all(s.folder(results))) if t.done]
    return sorted(done, key=lambda t: -t.mean)


def _try(executor: Executor, states: list[CellState]) -> Generator[Event, None, Ended | None]:
    """Run what is pending of one set of values; returns the end of the cell that stopped it.

    A cell that diverged stops nothing: it says that the values are bad.
    """
    pending = [s.cell for s in states if not s.done]
    with closing(executor.run(pending, keep_going=True)) as events:
        for event in events:
            yield event
            if isinstance(event, Ended) and event.status not in ("ok", "diverged"):
                return event
    return None


def _next_values(s: Search, found: list[Trial], elsewhere: list[Values]) -> Values | None:
    """A set that was begun and that nobody else runs, else a new one; None when none is left."""
    begun = [t.values for t in found if not t.done and t.values not in elsewhere]
    if begun:
        return begun[0]
    scored = [(t.values, t.mean) for t in found if t.done]
    return sampler.propose(s.space, scored, elsewhere, first=s.own())
