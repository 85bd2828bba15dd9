"""(suite, records) -> what each row costs: time per iteration, throughput, memory; apart for each kind of machine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.report.page.provenance import hardware
from bench.runs.ledger import sort
from bench.runs.plan import Cell
from bench.runs.records import Record
from bench.suite.suites import Suite

Run = tuple[Cell, dict[str, Any]]  # a cell and the `end` of its record


@dataclass(frozen=True)
class Cost:
    """Medians over n records of one row on one machine.

    ms: per iteration, and its 5th and 95th percentile; wait_ms: of it, until the batch was ready; images_per_s: of both
    domains; memory: peak in MiB without the resident data set, allocated_mib and reserved_mib on a GPU, or rss_mib, of the
    whole process, on a CPU; data_mib: the resident data set. ratio, memory_ratio: ms and the first of memory over those of the
    suite's cost baseline, at the tasks that both have; None without one.
    """

    row: str
    n: int
    ms: float
    p5: float
    p95: float
    wait_ms: float
    images_per_s: float
    memory: dict[str, float]
    data_mib: float
    ratio: float | None
    memory_ratio: float | None


def cost(
    suite: Suite, records: Iterable[Record], budget: str = "full"
) -> dict[str, tuple[Cost, ...]]:
    """Machine -> the costs of the rows that finished on it, in the suite's order.

    Raises UsageError for a budget that the suite does not name.
    """
    done = [
        (cell, r)
        for cell, r in sort(suite, records, budget, made_up=True).counted
        if r.status == "ok"
    ]
    machines: dict[str, list[Run]] = {}
    for cell, r in done:
        assert r.end
        machines.setdefault(f"{hardware(r.run['env'])}, torch {r.run['env']['torch']}", []).append(
            (cell, r.end)
        )
    found = {}
    for machine, runs in sorted(machines.items()):
        by_row = {row.id: [x for x in runs if x[0].row == row.id] for row in suite.rows}
        base = by_row.get(suite.cost_baseline or suite.baseline or "", [])
        found[machine] = tuple(_cost(row, mine, base) for row, mine in by_row.items() if mine)
    return found


def _cost(row: str, mine: list[Run], base: list[Run]) -> Cost:
    def mid(read: Callable[[dict[str, Any]], float], runs: list[Run] = mine) -> float:
        return median(read(end) for _, end in runs)

    kinds = list(mine[0][1]["memory"])
    shared = {c.task for c, _ in mine} & {c.task for c, _ in base}
    ours, theirs = ([x for x in runs if x[0].task in shared] for runs in (mine, base))
    return Cost(
        row=row,
        n=len(mine),
        ms=mid(_ms),
        p5=mid(lambda e: e["ms"]["p5"]),
        p95=mid(lambda e: e["ms"]["p95"]),
        wait_ms=mid(lambda e: e["wait_ms"]["p50"]),
        images_per_s=mid(lambda e: e["images_per_s"]),
        memory={k: mid(lambda e, k=k: _memory(e, k)) for k in kinds},  # type: ignore[misc]
        data_mib=mid(lambda e: e["data_mib"]),
        ratio=mid(_ms, ours) / mid(_ms, theirs) if shared else None,
        memory_ratio=mid(lambda e: _memory(e, kinds[0]), ours)
        / mid(lambda e: _memory(e, kinds[0]), theirs)
        if shared
        else None,
    )


def _ms(end: dict[str, Any]) -> float:
    return float(end["ms"]["p50"])


def _memory(end: dict[str, Any], kind: str) -> float:
    """Peak of that kind, MiB; of a GPU's, what the data set takes is not the model's."""
    return float(end["memory"][kind]) - (0.0 if kind == "rss_mib" else end["data_mib"])
