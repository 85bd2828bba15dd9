"""Which records count for a suite as it is now, and why the others do not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.runs import plan
from bench.runs.plan import Cell
from bench.runs.records import Record, plain
from bench.suite.recipe import default_knobs, modernized
from bench.suite.schema import flat
from bench.suite.suites import Suite

Why = Literal["made-up images", "other recipe", "unfinished", "replaced"]


@dataclass(frozen=True)
class Ledger:
    """Cells with the attempt that counts for each, and the records set aside: (why, detail, record)."""

    counted: tuple[tuple[Cell, Record], ...]
    aside: tuple[tuple[Why, str, Record], ...]

    def results(self, row: str, task: str) -> list[tuple[Cell, Record]]:
        """The counted attempts of a row at a task, by seed: ok, diverged or failed."""
        return [(c, r) for c, r in self.counted if (c.row, c.task) == (row, task)]

    def ran(self, row: str) -> bool:
        """Whether any attempt at a row counts."""
        return any(c.row == row for c, _ in self.counted)


def sort(suite: Suite, records: Iterable[Record], budget: str, *, made_up: bool = False) -> Ledger:
    """Sort the records of one suite and budget: which of them repeat a cell of the suite as it is now.

    made_up: count those of made-up images too, which tell a cost but no accuracy.
    """
    # two machines may both have made attempt 1 of a cell: the path settles which comes first
    mine = sorted(
        (r for r in records if (r.run["suite"], r.run["budget"]) == (suite.name, budget)),
        key=lambda r: r.path.as_posix(),
    )
    seeds = sorted({*range(suite.seeds), *(r.run["seed"] for r in mine)})
    cells = plan.cells(suite, seeds=seeds, budget=budget)
    counted: list[tuple[Cell, Record]] = []
    aside: list[tuple[Why, str, Record]] = [("made-up images", "", r) for r in mine if r.made_up and not made_up]
    attempts: dict[str, list[Record]] = {}
    for r in mine:
        if made_up or not r.made_up:
            attempts.setdefault(r.run["cell"], []).append(r)
    for cell in cells:
        tried = [r for r in attempts.get(cell.key, []) if cell.repeated_by(r.run)]
        attempts[cell.key] = [r for r in attempts.get(cell.key, []) if not cell.repeated_by(r.run)]
        result = plan.result(r for r in tried if _usable(r))
        if result:
            counted.append((cell, result))
        for r in tried:
            if not _usable(r):
                aside.append(("unfinished", "", r))
            elif r is not result:
                aside.append(("replaced", r.status, r))
    places = {(c.row, c.task, c.seed): c for c in cells}
    for r in (r for tried in attempts.values() for r in tried):
        now = places.get((r.run["row"], r.run["task"], r.run["seed"]))
        aside.append(("other recipe", _changes(r, now) if now else "the suite no longer has this row or task", r))
    return Ledger(tuple(counted), tuple(aside))


def _usable(r: Record) -> bool:
    """It came to its end, and to an evaluation if it says that all went well."""
    return r.complete and (r.status != "ok" or bool(r.evals))


def _changes(record: Record, now: Cell) -> str:
    """'lr 0.003, now 0.01': where a record's identity departs from the cell that took its place."""
    # a knob younger than the record had its default then
    hyper = "hyper_all" if "hyper_all" in record.run else "hyper"
    then = flat(default_knobs()) | _flat(record.run, hyper)
    today = _flat(now.identity() | {"hyper_all": now.hyper_all, "recipe": now.recipe.model_dump(mode="json")}, hyper)
    changed = [
        f"{k} {then.get(k, 'unset')}, now {today.get(k, 'unset')}" for k in sorted(then | today) if then.get(k) != today.get(k)
    ]
    return "; ".join(changed) or "a key of another version"


def _flat(identity: Mapping[str, Any], hyper: str) -> dict[str, Any]:
    """What can differ at one place of the grid, named by its path. Infinities are named, as in records."""
    kept = {k: identity[k] for k in ("method", "classes", "source", "target")}
    kept |= {"hyper": identity[hyper]} | modernized(identity["recipe"])
    return flat(plain(kept))
