"""Hyper-parameters chosen on tasks whose labels may be seen."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bench.cli import listing
from bench.errors import BenchError, UsageError, unknown
from bench.execute import grid
from bench.runs import plan, records
from bench.suite import space
from bench.suite.schema import flat
from bench.suite.space import Values
from bench.suite.suites import DomainSpec, Suite
from bench.tuning import sampler
from bench.tuning.trials import Search, Trial

if TYPE_CHECKING:
    from bench.engine.run import Lab


def searches(
    suite: Suite, rows: list[str] | None, on: Iterable[str], seeds: Iterable[int], budget: str, override: Mapping[str, Any],
    *, but: Collection[str] = (),
) -> list[Search]:  # fmt: skip
    """What is to be searched for each row, when none is named for all that search something, save `but` some.

    Raises UsageError for what is not there, is held out or is fixed already.
    """
    if not suite.search:
        example = "`[search]` and below it lr = { low = 1e-4, high = 1e-2, log = true }"
        raise UsageError(f"the suite {suite.name!r} does not say what to search: add to its file {example}")
    if budget == "smoke" or suite.budget(budget).measures == "cost":
        raise UsageError(f"accuracies of the budget {budget!r} mean nothing, so nothing is chosen by them: name another")
    for place, fixed in ((f"budget {budget!r}", suite.budget(budget).recipe), ("--set", override)):
        if both := suite.search.keys() & flat(fixed).keys():
            raise UsageError(f"{min(both)} is fixed by {place} and searched by the suite: leave it to one of the two")
    tasks = free_tasks(suite, on)
    spaces = {row.id: space.of_row(suite.search, row.hyper) for row in suite.rows}
    for name in rows or []:
        if not spaces[name]:
            raise UsageError(f"nothing is searched for row {name!r}: it states no hyper-parameter that [search] names")
    asked = [row for row in suite.rows if (row.id in rows if rows else spaces[row.id] and row.id not in but)]
    if not asked:
        raise UsageError("no row is left that searches something: name rows with --methods")
    return [Search(suite, row, spaces[row.id], tasks, tuple(seeds), budget, override) for row in asked]


def free_tasks(suite: Suite, on: Iterable[str]) -> tuple[str, ...]:
    """The tasks to choose on. Raises UsageError for one of a domain on which the suite reports: its labels are not to be seen."""
    reported = [suite.domains[suite.endpoints(task)[1]] for task in suite.tasks]
    held = {name for name, spec in suite.domains.items() if any(_overlap(spec, r) for r in reported)}
    tasks = {f"{a}-{b}": {a, b} for a in suite.domains for b in suite.domains if a != b}
    free = [task for task, ends in tasks.items() if not ends & held]
    if not (on := list(dict.fromkeys(on))):
        raise UsageError(f"no task is named to choose on; known: {', '.join(free) or 'none'}")
    for task in on:
        if touched := tasks.get(task, set()) & held:
            instead = f"choose on {', '.join(free)}" if free else "give the suite other domains to choose on"
            raise UsageError(f"{task} would read labels of {min(touched)}, on which {suite.name} reports: {instead}")
        if task not in free:
            raise unknown("task to choose on", task, free)
    return tuple(on)


def _overlap(a: DomainSpec, b: DomainSpec) -> bool:
    """Whether two domains may share images: one set or folder, and not two different parts of it."""
    paths = [os.path.normpath(x.path or "") for x in (a, b)]
    parts = ((a.domain, b.domain), (a.list, b.list))
    return (a.set, paths[0]) == (b.set, paths[1]) and all(x == y or None in (x, y) for x, y in parts)


def run(s: Search, lab: "Lab", trials: int, console: Console) -> list[Trial]:
    """Try values until `trials` sets of them are done; returns all that are, the best first.

    Raises BenchError when a cell fails, and before a trial is begun for want of its backbone, data or weights.
    """
    from bench.nets import backbones

    folder = lab.results / s.suite.name / s.row.id
    elsewhere: list[Values] = []
    while True:
        found = s.trials(records.read_all(folder))
        done = [t for t in found if t.done]
        elsewhere = [v for v in elsewhere if all(v != t.values for t in done)]
        if len(done) + len(elsewhere) >= trials:
            break
        begun = [t.values for t in found if not t.done and t.values not in elsewhere]
        scored = [(t.values, t.mean) for t in done]
        if (values := begun[0] if begun else sampler.propose(s.space, scored, elsewhere, first=s.own())) is None:
            console.print(f"{s.row.id}: all {len(done)} sets of values are tried", highlight=False)
            break
        cells = s.cells(values)
        for cell in cells:
            backbones.find(cell.recipe.backbone), lab.domains(cell), lab.pretrained(cell)
        console.print(f"trial {len(done) + 1} of {trials}: {listing.compact(values)}", highlight=False, markup=False)
        for state in plan.states(cells, records.read_all(folder)):
            status = "done" if state.done else grid.one(state.cell, lab, console, redo=False)
            if status == "busy":
                elsewhere.append(values)
                break
            if status not in ("done", "ok", "diverged"):
                what = "mend what failed, or take its values out of [search], and run the same command to go on"
                raise BenchError(f"{len(done)} of {trials} trials done; {what}")
    if elsewhere:
        raise BenchError(
            f"{len(elsewhere)} of {trials} trials are run by another process: run the same command when it has ended"
        )
    return sorted(done, key=lambda t: -t.mean)


def show_plan(plans: list[Search], results: Path, trials: int, console: Console) -> None:
    """What is searched for each row, how far the search has come, and what the rest will cost."""
    kept = records.read_all(results / plans[0].suite.name)
    rows, todo = [], []
    for s in plans:
        found = s.trials(r for r in kept if r.run["row"] == s.row.id)
        done = sum(t.done for t in found)
        todo += s.cells({}) * (trials - done)
        within = (f"{k} {'|'.join(map(str, v)) if isinstance(v, tuple) else v}" for k, v in s.space.items())
        rows.append((s.row.id, "\n".join(within), f"{done}/{trials}", len(found) - done))
    listing.show(console, "search", ("row", "within", "trials done", "begun"), rows)
    s = plans[0]
    n = len(s.tasks) * len(s.seeds)
    runs = f"{n} run{'s' * (n > 1)}: {', '.join(s.tasks)} × seed {', '.join(map(str, s.seeds))}, budget {s.budget}"
    seconds = plan.forecast(todo, kept)
    console.print(f"a trial is {runs}" + (f"; about {grid.duration(seconds)} to go" if seconds else ""), highlight=False)


def show_trials(s: Search, trials: list[Trial], console: Console) -> None:
    """One line per set of values, in the order given."""
    rows = []
    for t in trials:
        accuracies = (f"{x:.2f}" for x in (*(t.accuracies[task] for task in s.tasks), t.mean))
        rows.append((*t.values.values(), *accuracies, t.diverged or None))
    columns = (*s.space, *(f"{task} %" for task in s.tasks), "mean %", "diverged")
    listing.show(console, f"{s.row.id}: trials, the best first", columns, rows)
