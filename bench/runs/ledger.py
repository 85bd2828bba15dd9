"""The one rule of which record counts for a cell, and why others do not: for plans and tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from bench.runs.cell import Cell, find_released
from bench.runs.lines import Probe, Run, plain
from bench.runs.records import Record
from bench.suite import released
from bench.suite.schema import flat

Why = Literal["damaged", "generated", "other code", "other recipe", "replaced", "unfinished"]
TOLERANCE = 1e-6  # relative and absolute: probes that differ by more are of different code


@dataclass(frozen=True)
class Aside:
    """A record that does not count."""

    why: Why
    detail: str
    record: Record


@dataclass(frozen=True)
class Ledger:
    """Cells with the record that counts for each, and the records that count for none."""

    counted: tuple[tuple[Cell, Record], ...]
    aside: tuple[Aside, ...]

    @cached_property
    def _by_place(self) -> dict[tuple[str, str], list[tuple[Cell, Record]]]:
        places: dict[tuple[str, str], list[tuple[Cell, Record]]] = {}
        for cell, r in self.counted:
            places.setdefault((cell.row, cell.task), []).append((cell, r))
        return places

    def results(self, row: str, task: str) -> list[tuple[Cell, Record]]:
        """The counted records of a row at a task, by seed: ok, diverged or failed."""
        return self._by_place.get((row, task), [])

    def ran(self, row: str) -> bool:
        """Whether any record of a row counts."""
        return any(c.row == row for c, _ in self.counted)


def settle(cells: Sequence[Cell], records: Iterable[Record]) -> Ledger:
    """Decide which record counts for each cell.

    A record is of a cell when its key is the cell's, whichever suite asked for it. Of those that
    are whole, undamaged, of today's code and (where it matters) of real images, the newest that did
    not fail counts, else the newest that failed.
    """
    found = sorted(records, key=lambda r: r.age)
    current = find_current_probes(found)
    by_key: dict[str, list[int]] = {}  # places in `found`, the oldest first
    for i, r in enumerate(found):
        if r.run:
            by_key.setdefault(r.run.key, []).append(i)
    counted: list[tuple[Cell, Record]] = []
    aside: dict[int, Aside] = {}
    taken: set[int] = set()
    for cell in cells:
        tried = by_key.get(cell.key, [])
        faults = {i: fault for i in tried if (fault := _fault(cell, found[i], current))}
        aside |= {i: Aside(*fault, found[i]) for i, fault in faults.items()}
        if usable := [i for i in tried if i not in faults]:
            best = max(usable, key=lambda i: (found[i].status != "failed", i))
            counted.append((cell, found[best]))
            older = (i for i in usable if i != best)
            aside |= {i: Aside("replaced", found[i].status, found[i]) for i in older}
        taken.update(tried)
    strangers = [r for i, r in enumerate(found) if i not in taken]
    return Ledger(tuple(counted), (*aside.values(), *_strangers(cells, strangers)))


def _fault(cell: Cell, r: Record, current: Mapping[str, Probe]) -> tuple[Why, str] | None:
    """Why a record with the cell's key does not count for it; None when it may."""
    assert r.run
    if r.problem:
        return "damaged", r.problem
    if not r.complete:
        return "unfinished", ""
    if r.status == "ok" and not r.evals:
        return "damaged", "damaged: it says that all went well without an evaluation"
    if changed := _defaults(cell, r.run):
        return "other recipe", changed
    if r.generated and not cell.generated_counts:
        return "generated", ""
    if not is_current(r, current):
        return "other code", f"{cell.row}: its probe differs from that of the newest record"
    return None


def find_current_probes(found: Iterable[Record]) -> dict[str, Probe]:
    """By subject, the probe of its newest complete record: today's code, as far as records know."""
    ordered = sorted(found, key=lambda r: r.age)
    probes = (r.run.code.probe for r in ordered if r.run and r.complete)
    return {p.subject: p for p in probes if p}


def is_current(r: Record, current: Mapping[str, Probe]) -> bool:
    """Whether a run's code does what that of the newest record does, as far as a probe tells.

    current: from `find_current_probes`.
    """
    probe = r.run.code.probe if r.run else None
    return probe is None or _alike(probe, current.get(probe.subject, probe))


def _alike(a: Probe, b: Probe) -> bool:
    if len(a.losses) != len(b.losses):
        return False
    pairs = zip(a.losses, b.losses, strict=True)
    return all(abs(x - y) <= TOLERANCE * max(1.0, abs(y)) for x, y in pairs)


def _defaults(cell: Cell, run: Run) -> str:
    """The method's defaults that changed since: no key holds them."""
    today = cell.hyper_all
    changed = (
        f"hyper.{k} {v} instead of {today.get(k, 'unset')}"
        for k, v in run.hyper_all.items()
        if today.get(k) != v
    )
    return "; ".join(changed)


def _strangers(cells: Sequence[Cell], records: Iterable[Record]) -> Iterable[Aside]:
    """Those at a cell's place in the suite that have another key or cannot be read."""
    places = {(c.suite, c.row, c.task, c.seed, c.budget): c for c in cells}
    suites = {(c.suite, c.budget) for c in cells}
    asked = {(c.row, c.task) for c in cells}
    for r in records:
        if r.run is None:
            if r.path.parts[-4:-3] in {(suite,) for suite, _ in suites}:
                yield Aside("damaged", r.problem, r)
            continue
        run = r.run
        if (run.suite, run.budget) not in suites:
            continue
        now = places.get((run.suite, run.row, run.task, run.seed, run.budget))
        if r.problem:
            yield Aside("damaged", r.problem, r)
        elif now:
            yield Aside("other recipe", _changes(run, now), r)
        elif (run.row, run.task) not in asked:
            yield Aside("other recipe", "the suite no longer has this row or task", r)


def _changes(run: Run, now: Cell) -> str:
    """'lr 0.003 instead of 0.01': where a record departs from the cell that took its place."""
    found = compare_content(run, now)
    return "; ".join(f"{k} {then} instead of {today}" for k, (then, today) in found.items()) or (
        "a key of another version"
    )


def compare_content(run: Run, cell: Cell) -> dict[str, tuple[Any, Any]]:
    """What decides the outcome and differs between a record and a cell, by dotted name, sorted.

    Both values, the record's first; 'unset' for what only one of them has. A hyper-parameter that
    the program of the record did not have yet stood at its released default: that is what it did.
    """
    recipe, hyper = released.completed(run.recipe), run.hyper_all
    if run.method == cell.method:
        hyper = {**plain(find_released(run.method)), **hyper}
    then = _flat(run.method, hyper, run.classes, run.source, run.target, recipe)
    recipe = cell.recipe.model_dump(mode="json")
    today = _flat(cell.method, cell.hyper_all, cell.classes, *cell.ends, recipe)
    return {
        k: (then.get(k, "unset"), today.get(k, "unset"))
        for k in sorted(then | today)
        if then.get(k) != today.get(k)
    }


def _flat(
    method: str,
    hyper: Mapping[str, Any],
    classes: int,
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    recipe: Mapping[str, Any],
) -> dict[str, Any]:
    """What can differ at one place of the grid, by dotted name; infinities as records name them."""
    parts = {
        "method": method,
        "classes": classes,
        "source": source,
        "target": target,
        "hyper": hyper,
    }
    return flat(plain({**parts, **recipe}))
