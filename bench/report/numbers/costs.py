"""What each row costs on each kind of machine: time for an iteration, throughput, memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from bench.runs.cell import Cell
from bench.runs.lines import End, Env
from bench.runs.plan import settle_suite
from bench.runs.records import Record
from bench.suite.suite import Suite

EndedCell = tuple[Cell, End]  # a cell and the `end` line of the record that counts for it


@dataclass(frozen=True)
class Cost:
    """Medians over the records of one row on one machine."""

    row: str  # its id
    n: int  # number of records
    ms: float  # milliseconds for an iteration, the median within each record
    p5: float  # 5th percentile of the iterations of a record, ms
    p95: float  # 95th percentile, ms
    wait_ms: float  # the part of ms until the batch was ready
    images_per_s: float  # images of both domains
    memory: dict[str, float]  # kind -> peak in MiB: allocated_mib and reserved_mib, or rss_mib
    data_mib: float  # size of the resident data set
    ratio: float | None  # ms over that of the cost baseline, at the tasks that both have
    memory_ratio: float | None  # the same for the first kind of memory


def summarise_costs(
    suite: Suite, records: Iterable[Record], budget: str = "full"
) -> dict[str, tuple[Cost, ...]]:
    """Machine -> the costs of the rows that finished on it, in the suite's order.

    Runs on made-up images count too: their time is real. Raises UsageError for a budget that the
    suite does not have.
    """
    machines: dict[str, list[EndedCell]] = {}
    for cell, r in settle_suite(suite, records, budget).counted:
        if r.status == "ok" and r.end and r.run:
            kept = ", freed memory kept" if r.run.env.keeps_freed else ""
            machine = f"{name_processor(r.run.env)}, torch {r.run.env.torch}{kept}"
            machines.setdefault(machine, []).append((cell, r.end))
    found = {}
    for machine, runs in sorted(machines.items()):
        by_row = {row.id: [x for x in runs if x[0].row == row.id] for row in suite.rows}
        base = by_row.get(suite.cost_baseline or suite.baseline or "", [])
        found[machine] = tuple(_summarise(row, own, base) for row, own in by_row.items() if own)
    return found


def name_processor(env: Env) -> str:
    """The device of a run: the GPU, or the CPU with the threads that were used."""
    if env.device == "cuda":
        return env.gpu or "a GPU"
    return f"{env.cpu}, {env.threads} thread{'' if env.threads == 1 else 's'}"


def _summarise(row: str, own: list[EndedCell], base: list[EndedCell]) -> Cost:
    ends = [end for _, end in own]
    kinds = list(ends[0].memory)
    shared = {cell.task for cell, _ in own} & {cell.task for cell, _ in base}
    ours = [end for cell, end in own if cell.task in shared]
    theirs = [end for cell, end in base if cell.task in shared]
    return Cost(
        row=row,
        n=len(ends),
        ms=_median_ms(ends),
        p5=median(e.ms["p5"] or 0.0 for e in ends if e.ms),
        p95=median(e.ms["p95"] or 0.0 for e in ends if e.ms),
        wait_ms=median(e.wait_ms["p50"] or 0.0 for e in ends if e.wait_ms),
        images_per_s=median(e.images_per_s or 0.0 for e in ends),
        memory={kind: _median_peak(ends, kind) for kind in kinds},
        data_mib=median(e.data_mib or 0.0 for e in ends),
        ratio=_median_ms(ours) / _median_ms(theirs) if shared else None,
        memory_ratio=(
            _median_peak(ours, kinds[0]) / _median_peak(theirs, kinds[0]) if shared else None
        ),
    )


def _median_ms(ends: list[End]) -> float:
    return median(e.ms["p50"] or 0.0 for e in ends if e.ms)


def _median_peak(ends: list[End], kind: str) -> float:
    """Median of the peaks of one kind of memory, MiB.

    On a GPU what the data set takes is subtracted, because it is not the model's. A CPU's rss_mib
    is of the whole process.
    """
    return median(e.memory[kind] - (0.0 if kind == "rss_mib" else e.data_mib or 0.0) for e in ends)
