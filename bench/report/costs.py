"""(suite, records) -> what each row costs: time per iteration, throughput, memory; apart for each kind of machine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.plan import Cell
from bench.records import Record
from bench.report.ledger import sort
from bench.report.provenance import hardware
from bench.suites import Suite

Run = tuple[Cell, dict[str, Any]]  # a cell and the `end` of its record


@dataclass(frozen=True)
class Cost:
    """Medians over n records of one row on one machine.

    ms: per iteration, and its 5th and 95th percentile; wait_ms: of it, until the batch was ready; images_per_s: of both
    domains; memory: peak in MiB, allocated_mib and reserved_mib on a GPU, rss_mib on a CPU; data_mib: the resident
    data set. ratio: ms over the baseline row's, at the tasks that both have; None without a baseline.
    """

    label: str
    n: int
    ms: float
    p5: float
    p95: float
    wait_ms: float
    images_per_s: float
    memory: dict[str, float]
    data_mib: float
    ratio: float | None


def cost(suite: Suite, records: Iterable[Record], budget: str = "full") -> dict[str, tuple[Cost, ...]]:
    """Machine -> the costs of the rows that finished on it, in the suite's order.

    Raises UsageError for a budget that the suite does not name.
    """
    done = [(cell, r) for cell, r in sort(suite, records, budget).counted if r.status == "ok"]
    machines: dict[str, list[Run]] = {}
    for cell, r in done:
        assert r.end
        machines.setdefault(f"{hardware(r.run['env'])}, torch {r.run['env']['torch']}", []).append((cell, r.end))
    found = {}
    for machine, runs in sorted(machines.items()):
        by_row = {row.id: [x for x in runs if x[0].row == row.id] for row in suite.rows}
        base = by_row.get(suite.baseline or "", [])
        found[machine] = tuple(_cost(row.label, by_row[row.id], base) for row in suite.rows if by_row[row.id])
    return found


def _cost(label: str, mine: list[Run], base: list[Run]) -> Cost:
    def mid(read: Callable[[dict[str, Any]], float]) -> float:
        return median(read(end) for _, end in mine)

    shared = {c.task for c, _ in mine} & {c.task for c, _ in base}
    at_shared = [[end["ms"]["p50"] for c, end in runs if c.task in shared] for runs in (mine, base)]
    return Cost(
        label=label,
        n=len(mine),
        ms=mid(lambda e: e["ms"]["p50"]),
        p5=mid(lambda e: e["ms"]["p5"]),
        p95=mid(lambda e: e["ms"]["p95"]),
        wait_ms=mid(lambda e: e["wait_ms"]["p50"]),
        images_per_s=mid(lambda e: e["images_per_s"]),
        memory={k: median(end["memory"][k] for _, end in mine) for k in mine[0][1]["memory"]},
        data_mib=mid(lambda e: e["data_mib"]),
        ratio=median(at_shared[0]) / median(at_shared[1]) if shared else None,
    )
