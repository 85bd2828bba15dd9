"""Two records, or two folders of records, side by side."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.runs.files import Content
from bench.runs.lines import Eval, Run
from bench.runs.records import Record
from bench.suite import released
from bench.suite.schema import flat

ABSENT = "absent"
"""Stands for a fact that only one of two records states."""
PARTS = ("hyper", "recipe", "source", "target", "data", "weights", "code", "env")
Difference = tuple[str, Any, Any]  # what differs, by its dotted name, and both values


def compare_runs(a: Run, b: Run) -> list[Difference]:
    """Where two runs differ in what was run, on what and by what, in the order of a record."""
    left, right = _facts(a), _facts(b)
    every = dict.fromkeys([*left, *right])
    pairs = ((k, left.get(k, ABSENT), right.get(k, ABSENT)) for k in every)
    return [(k, x, y) for k, x, y in pairs if x != y]


def _facts(run: Run) -> dict[str, Any]:
    """Every fact by its dotted name, without what is of each run alone: its key and its dates."""
    known = run.model_dump(mode="json")
    known["hyper"] = known["hyper_all"]
    known["recipe"] = released.completed(known["recipe"])
    names = ("suite", "row", "task", "budget", "seed", "method", "classes", "metric")
    return {k: known[k] for k in names} | flat({k: known[k] for k in PARTS})


def compare_outcomes(a: Content, b: Content) -> list[Difference]:
    """What both runs came to, whether it differs or not: scores, time, memory, parameters."""
    left, right = _outcome(a), _outcome(b)
    return [(k, left.get(k), right.get(k)) for k in dict.fromkeys([*left, *right])]


def _outcome(c: Content) -> dict[str, Any]:
    found: dict[str, Any] = {"status": c.end.status if c.end else c.problem or "unfinished"}
    found |= _scores(c.evals[-1]) if c.evals else {}
    if c.end:
        ms = c.end.ms["p50"] if c.end.ms else None
        found |= {"ms/iteration": ms, **c.end.memory, "wall s": c.end.wall_s}
        found["parameters"] = c.end.parameters
    return found


def _scores(e: Eval) -> dict[str, Any]:
    sides = (("target", e.target), ("source", e.source))
    counts = {
        f"{name} %": round(100 * sum(c.correct) / sum(c.total), 2)
        for name, c in sides
        if c and sum(c.total)
    }
    return {"step": e.step, **counts, **e.values}


@dataclass(frozen=True)
class FolderDiff:
    """What two results folders have of each other."""

    only_a: tuple[Record, ...]  # results of cells that the other folder has not
    only_b: tuple[Record, ...]
    differ: tuple[tuple[Record, Record], ...]  # of one cell, with different scores
    same: int  # cells with the same scores in both
    no_result: tuple[int, int]  # files of each folder that are damaged or have no end


def compare_folders(a: Iterable[Record], b: Iterable[Record]) -> FolderDiff:
    """Compare by cell: the newest result that did not fail stands for a cell, else the newest."""
    left, right = list(a), list(b)
    ours, theirs = _by_key(left), _by_key(right)
    both = [(r, theirs[k]) for k, r in ours.items() if k in theirs]
    return FolderDiff(
        only_a=tuple(r for k, r in ours.items() if k not in theirs),
        only_b=tuple(r for k, r in theirs.items() if k not in ours),
        differ=tuple((x, y) for x, y in both if _result(x) != _result(y)),
        same=sum(_result(x) == _result(y) for x, y in both),
        no_result=(_count_unended(left), _count_unended(right)),
    )


def _count_unended(records: list[Record]) -> int:
    return sum(not r.complete for r in records)


def _by_key(records: list[Record]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for r in sorted(records, key=lambda r: (r.status != "failed", r.age)):
        if r.run and r.complete:
            found[r.run.key] = r
    in_order = sorted(found.values(), key=lambda r: r.path.parts[-4:])
    return {r.run.key: r for r in in_order if r.run}


def _result(r: Record) -> Any:
    """What two runs of one cell have in common when they went alike."""
    e = r.evals[-1] if r.evals else None
    return r.status, e and (e.step, e.source, e.target, dict(e.values))
