"""What each row costs on each kind of machine: time for an iteration, throughput, memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from bench.runs.cell import Cell
from bench.runs.lines import End, Env
from bench.runs.plan import settle_suite
from bench.runs.records import Record
from bench.suite.suite import Suite

IDLE = 0.5  # what the load average may exceed the threads of a run by on a machine that is its own


class Timed(NamedTuple):
    """A run that went well."""

    cell: Cell
    end: End
    busy: bool | None  # see `is_busy`
    shared: bool  # whether other cells of its command trained on its device


@dataclass(frozen=True)
class Cost:
    """Medians over the records of one row on one machine.

    Records of a busy machine are left out where there are others, unless they were asked for.
    """

    row: str  # its id
    n: int  # number of records that these are medians of
    busy: int  # of these n the records that were made while others computed on the machine
    left_out: int  # number of further records, of a busy machine
    unknown: int  # of the n records those that do not say whether their machine was busy
    ms: float  # milliseconds for an iteration, the median within each record
    p5: float  # 5th percentile of the iterations of a record, ms
    p95: float  # 95th percentile, ms
    wait_ms: float  # the part of ms until the batch was ready
    images_per_s: float  # images of both domains
    memory: dict[str, float]  # kind -> peak in MiB: allocated_mib and reserved_mib, or rss_mib
    data_mib: float  # size of the resident data set
    ratio: float | None
    """ms over that of the cost baseline, at the tasks that both have; None also where either has
    none but busy records, unless these were asked for."""
    memory_ratio: float | None  # the same for the first kind of memory


def summarize_costs(
    suite: Suite, records: Iterable[Record], budget: str = "full", *, busy_too: bool = False
) -> dict[str, tuple[Cost, ...]]:
    """Machine -> the costs of the rows that finished on it, in the suite's order.

    Runs on made-up images count too: their time is real. busy_too: treat records of a busy machine
    as any other. Raises UsageError for a budget that the suite does not have.
    """
    machines: dict[str, list[Timed]] = {}
    for cell, r in settle_suite(suite, records, budget).counted:
        if r.status == "ok" and r.end and r.run:
            timed = Timed(cell, r.end, is_busy(r.run.env), r.run.env.shared > 1)
            machines.setdefault(name_machine(r.run.env), []).append(timed)
    found = {}
    for machine, runs in sorted(machines.items()):
        by_row = {row.id: [x for x in runs if x.cell.row == row.id] for row in suite.rows}
        alone = not any(x.shared for x in runs)  # else no ratio: all are times of each other, too
        base = by_row.get(suite.cost_row or "", []) if alone else []
        found[machine] = tuple(
            _summarize(row, own, base, busy_too) for row, own in by_row.items() if own
        )
    return found


def is_busy(env: Env) -> bool | None:
    """Whether others computed on the machine when a run began; None where a record does not say.

    As many threads as the run has are forgiven: the run before it in the same process had them.
    """
    return None if env.load is None else env.load > env.threads + IDLE


def name_machine(env: Env) -> str:
    """What times compare on: the device of a run, torch, and how memory was kept."""
    kept = ", freed memory kept" if env.keeps_freed else ""
    return f"{name_processor(env)}, torch {env.torch}{kept}"


def name_processor(env: Env) -> str:
    """The device of a run: the GPU, or the CPU with the threads that were used."""
    at_once = f", {env.shared} cells at once" if env.shared > 1 else ""
    if env.device == "cuda":
        return (env.gpu or "a GPU") + at_once
    return f"{env.cpu}, {env.threads} thread{'' if env.threads == 1 else 's'}{at_once}"


def _summarize(row: str, every: list[Timed], every_base: list[Timed], busy_too: bool) -> Cost:
    own, base = (x if busy_too else _idle(x) for x in (every, every_base))
    ends = [x.end for x in own]
    kinds = list(ends[0].memory)
    shared = {x.cell.task for x in own} & {x.cell.task for x in base}
    ours = [x.end for x in own if x.cell.task in shared]
    theirs = [x.end for x in base if x.cell.task in shared]
    timed = shared and (busy_too or not any(x.busy for x in (*own, *base)))
    return Cost(
        row=row,
        n=len(ends),
        busy=sum(bool(x.busy) for x in own),
        left_out=len(every) - len(own),
        unknown=sum(x.busy is None for x in own),
        ms=_median_ms(ends),
        p5=median(e.ms["p5"] or 0.0 for e in ends if e.ms),
        p95=median(e.ms["p95"] or 0.0 for e in ends if e.ms),
        wait_ms=median(e.wait_ms["p50"] or 0.0 for e in ends if e.wait_ms),
        images_per_s=median(e.images_per_s or 0.0 for e in ends),
        memory={kind: _median_peak(ends, kind) for kind in kinds},
        data_mib=median(e.data_mib or 0.0 for e in ends),
        ratio=_median_ms(ours) / _median_ms(theirs) if timed else None,
        memory_ratio=(
            _median_peak(ours, kinds[0]) / _median_peak(theirs, kinds[0]) if shared else None
        ),
    )


def _idle(runs: list[Timed]) -> list[Timed]:
    """The runs that had their machine to themselves, as far as known; all where there are none."""
    return [x for x in runs if not x.busy] or runs


def _median_ms(ends: list[End]) -> float:
    return median(e.ms["p50"] or 0.0 for e in ends if e.ms)


def _median_peak(ends: list[End], kind: str) -> float:
    """Median of the peaks of one kind of memory, MiB.

    On a GPU what the data set takes is subtracted, because it is not the model's. A CPU's rss_mib
    is of the whole process.
    """
    return median(read_peak(e, kind) for e in ends)


def read_peak(end: End, kind: str) -> float:
    """The peak of one kind of memory of a run, MiB, as `_median_peak` takes it."""
    return end.memory[kind] - (0.0 if kind == "rss_mib" else end.data_mib or 0.0)
