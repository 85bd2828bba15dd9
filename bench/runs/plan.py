"""Which cells a suite has, which of them are still to be run, and what that will cost."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from bench.errors import UsageError, unknown
from bench.runs.records import Record, plain
from bench.suite import catalog
from bench.suite.recipe import NEW_NAMES, NEW_WORDS, Recipe
from bench.suite.suites import DomainSpec, Suite

T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One training run of the grid suite × row × task × seed, at one budget."""

    suite: str
    row: str
    method: str
    hyper: Mapping[str, Any]
    task: str
    source: tuple[str, DomainSpec]
    target: tuple[str, DomainSpec]
    classes: int
    seed: int
    budget: str
    recipe: Recipe

    def identity(self) -> dict[str, Any]:
        """All that decides the outcome, as the suite states it: two runs with one identity repeat each other.

        Values that equal a schema's default are left out, so that a new knob leaves old records valid.
        """
        return {
            "suite": self.suite, "row": self.row, "method": self.method, "hyper": dict(self.hyper),
            "task": self.task, "seed": self.seed, "budget": self.budget, "classes": self.classes,
            "source": self.source[1].model_dump(mode="json", exclude_defaults=True),
            "target": self.target[1].model_dump(mode="json", exclude_defaults=True),
            "recipe": _old_spelling(self.recipe.model_dump(mode="json", exclude_defaults=True)),
        }  # fmt: skip

    @cached_property
    def key(self) -> str:
        """12 hex digits that stand for the identity."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), default=str)
        return sha256(text.encode()).hexdigest()[:12]

    @cached_property
    def hyper_all(self) -> dict[str, Any]:
        """Every hyper-parameter of the method, as a record holds it: those of the suite and the defaults of today."""
        every: dict[str, Any] = plain({**catalog.check(self.method, self.hyper).hyper, **self.hyper})
        return every

    def repeated_by(self, run: Mapping[str, Any]) -> bool:
        """Whether a recorded run is one of this cell: its key, and the method's defaults, which no key holds."""
        # null: an infinity, in records of before it had a name there
        then = {k: v for k, v in run.get("hyper_all", {}).items() if v is not None}
        return run["cell"] == self.key and all(k in self.hyper_all and self.hyper_all[k] == v for k, v in then.items())

    @property
    def folder(self) -> Path:
        return Path(self.suite, self.row, self.task)

    @property
    def stem(self) -> str:
        return f"s{self.seed}-{self.key}"

    def __str__(self) -> str:
        return f"{self.row} {self.task} seed {self.seed}"


def _old_spelling(recipe: dict[str, Any]) -> dict[str, Any]:
    """TO BE REMOVED with schema 1: its keys hash the spellings of the time."""
    names = {new: old for old, new in NEW_NAMES.items()}
    words = {k: {new: old for old, new in pairs.items()} for k, pairs in NEW_WORDS.items()}
    return {names.get(k, k): words[k].get(v, v) if k in words else v for k, v in recipe.items()}


def cells(
    suite: Suite,
    *,
    methods: Iterable[str] | None = None,
    tasks: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    budget: str = "full",
    override: Mapping[str, Any] | None = None,
) -> list[Cell]:
    """The cells asked for, in the suite's order (task by task, seed by seed). Raises UsageError for unknown names."""
    rows = _chosen("row", methods, suite.by_id)
    out = []
    for task in _chosen("task", tasks, {t: t for t in suite.tasks}):
        source, target = suite.endpoints(task)
        for seed in range(suite.seeds) if seeds is None else seeds:
            for row in rows:
                recipe = suite.recipe_for(row, task, budget, override)
                out.append(
                    Cell(
                        suite.name,
                        row.id,
                        row.method,
                        row.hyper,
                        task,
                        (source, suite.domains[source]),
                        (target, suite.domains[target]),
                        suite.classes,
                        seed,
                        budget,
                        recipe,
                    )
                )
    return out


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
        if not re.fullmatch(r"\d{1,9}(-\d{1,9})?", part.strip()) or int(last or first) - int(first) > 9999:
            raise UsageError(f"cannot read the seeds {text!r}; write 0-4 or 0,2,5")
        out += range(int(first), int(last or first) + 1)
    if not out:
        raise UsageError(f"the seeds {text!r} are an empty range; write 0-4 or 0,2,5")
    return list(dict.fromkeys(out))


@dataclass(frozen=True)
class State:
    """done: its result, if there is one. torn: attempts without an end. stale: attempts with another recipe."""

    cell: Cell
    done: Record | None
    torn: int
    stale: int

    @property
    def label(self) -> str:
        return "done" if self.done else "stale" if self.stale else "pending"


def states(cells: Iterable[Cell], found: Iterable[Record]) -> list[State]:
    """What the records say about each cell: complete (`ok` or `diverged`), or to be run (again)."""
    found = list(found)
    by_key: dict[str, list[Record]] = {}
    by_place: dict[tuple[Any, ...], list[Record]] = {}
    for r in found:
        by_key.setdefault(r.run["cell"], []).append(r)
        by_place.setdefault(tuple(r.run[k] for k in ("suite", "row", "task", "seed", "budget")), []).append(r)
    out = []
    for cell in cells:
        mine = [r for r in by_key.get(cell.key, []) if cell.repeated_by(r.run)]
        place = by_place.get((cell.suite, cell.row, cell.task, cell.seed, cell.budget), [])
        done = result(mine)
        out.append(
            State(
                cell,
                done if done and done.status != "failed" else None,
                sum(not r.complete for r in mine),
                sum(not cell.repeated_by(r.run) for r in place),
            )
        )
    return out


def result(attempts: Iterable[Record]) -> Record | None:
    """The one attempt that counts: the last complete one that did not fail, else the last that failed."""
    ended = sorted((r for r in attempts if r.complete), key=lambda r: (r.status != "failed", r.attempt))
    return ended[-1] if ended else None


def forecast(pending: Iterable[Cell], found: Iterable[Record]) -> float | None:
    """Seconds that the pending cells will take, from the medians of recorded ones; None when nothing like them was run."""
    walls: dict[tuple[str, str, str], list[float]] = {}
    for r in found:
        if r.end and r.status == "ok":
            walls.setdefault((r.run["suite"], r.run["row"], r.run["budget"]), []).append(r.end["wall_s"])
    total = 0.0
    for cell in pending:
        same = walls.get((cell.suite, cell.row, cell.budget))
        near = [w for (s, _, b), ws in walls.items() if (s, b) == (cell.suite, cell.budget) for w in ws]
        if not (same or near):
            return None
        total += median(same or near)
    return total
