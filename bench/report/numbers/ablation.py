"""What a single knob moves: a row's runs beside runs that differ from them in it alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report.numbers.scores import pick_evaluation, read_value, score_row
from bench.report.numbers.selection import Select
from bench.report.numbers.stats import Gain, Summary, compare_pairs, summarize
from bench.runs.cell import Cell
from bench.runs.ledger import compare_content, find_current_probes, is_current
from bench.runs.plan import cells, settle_suite
from bench.runs.records import Record
from bench.suite.search import HYPER
from bench.suite.suite import Row, Suite, Unstated

IDLE = {"eval_every"}  # knobs that train nothing otherwise


@dataclass(frozen=True)
class Ablation:
    """Runs of a row with one knob set otherwise, at one task."""

    task: str
    knob: str  # as --set spells it
    value: Any  # what it was set to
    stated: Any  # what the row has
    seeds: tuple[int, ...]  # of the runs with the knob set otherwise
    reached: Summary  # in %, over these runs
    moved: Gain | None  # those − the row's own, over the seeds that both have; None without any


def find_ablations(
    suite: Suite,
    records: Iterable[Record],
    row: str,
    budget: str = "full",
    select: Select = "last",
    *,
    in_tables: bool = True,
) -> list[Ablation]:
    """Every knob that was varied alone, sorted by task, knob and value.

    Whatever suite and row asked for the runs: content decides. in_tables: whether runs count that
    stand in the suite's tables as another row. Runs that diverged, failed, are damaged or on
    made-up images are left out, and those of other code than the newest record's. Raises UsageError
    for a row or budget that the suite does not have.
    """
    every = list(records)
    asked = cells(suite, methods=[row], budget=budget, seeds=[0])
    ledger = settle_suite(suite, every, budget)
    shown = set() if in_tables else set(_list_shown(suite, every))
    current, method = find_current_probes(every), asked[0].method
    near = [
        r
        for r in every
        if r.run and r.run.method == method and r.path not in shown and is_current(r, current)
    ]
    near.sort(key=lambda r: r.age)
    own = score_row(suite, ledger, row, select, "target")
    found = []
    for cell in asked:
        varied: dict[tuple[str, str], tuple[Any, Any, dict[int, float]]] = {}
        for r in near:  # of two runs of a seed the newer one counts
            if not (one := _single_change(r, cell)) or r.run is None:
                continue
            knob, value, stated = one
            if evaluation := pick_evaluation(suite, r, select):
                _, _, by_seed = varied.setdefault((knob, str(value)), (value, stated, {}))
                by_seed[r.run.seed] = read_value(suite, evaluation, "target")
        found += [
            Ablation(
                cell.task, knob, value, stated, tuple(sorted(by_seed)), summarize(by_seed.values()),
                compare_pairs(by_seed, own[cell.task].by_seed, suite.confidence),
            )
            for (knob, _), (value, stated, by_seed) in sorted(varied.items())
        ]  # fmt: skip
    return found


def _list_shown(suite: Suite, records: Iterable[Record]) -> Iterator[Path]:
    """The records that stand in a table of the suite, at whatever budget, or would if no later run,
    or run of today's code, stood there."""
    for budget in ("full", *suite.budgets):
        ledger = settle_suite(suite, records, budget)
        yield from (r.path for _, r in ledger.counted)
        yield from (a.record.path for a in ledger.aside if a.why in ("replaced", "other code"))


def _single_change(r: Record, cell: Cell) -> tuple[str, Any, Any] | None:
    """The one knob in which a run that went well departs from a cell: its name, both values."""
    if r.run is None or r.status != "ok" or r.generated:
        return None
    if (r.run.source, r.run.target, r.run.classes) != (*cell.ends, cell.classes):
        return None
    found = {k: v for k, v in compare_content(r.run, cell).items() if k not in IDLE}
    if len(found) != 1:
        return None
    ((knob, (value, stated)),) = found.items()
    # a program that did not have the knob yet did not vary it
    return None if "unset" in (value, stated) else (knob, value, stated)


@dataclass(frozen=True)
class Wanted:
    """A run that would tell more about what the papers leave open."""

    knob: str
    value: Any
    why: str  # what is not known
    seeds: tuple[int, ...]  # those that are not recorded


def list_wanted(suite: Suite, row: Row, found: Iterable[Ablation], seeds: int) -> Iterator[Wanted]:
    """The values of `unstated` that the row was not run with, up to so many seeds.

    found: what was. A seed is wanted until it was run at every task; a value that the row has
    anyway is not.
    """
    found = list(found)

    def is_recorded(knob: str, value: Any, seed: int) -> bool:
        alike = (a for a in found if a.knob == knob and a.value == value)
        return {*suite.tasks} <= {a.task for a in alike if seed in a.seeds}

    for open_knob in suite.unstated:
        if row not in suite.rows_open_to(open_knob):
            continue
        for value in open_knob.values:
            if _has(suite, row, open_knob, value):
                continue
            knob = open_knob.knob
            if missing := tuple(s for s in range(seeds) if not is_recorded(knob, value, s)):
                yield Wanted(knob, value, open_knob.why, missing)


def _has(suite: Suite, row: Row, open_knob: Unstated, value: Any) -> bool:
    (cell, *_) = cells(suite, methods=[row.id], seeds=[0])
    if open_knob.knob.startswith(HYPER):
        return bool(cell.hyper_all[open_knob.knob.removeprefix(HYPER)] == value)
    at: Any = cell.recipe.model_dump(mode="json")
    for part in open_knob.knob.split("."):
        at = at[part]
    return bool(at == value)
