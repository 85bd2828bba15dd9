"""What a run writes to its record: the one place where values of the engine become lines."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from bench.engine import env
from bench.engine.clock import Lap, spread
from bench.engine.loop import Window
from bench.engine.task import Materials, Placement
from bench.runs import records
from bench.runs.plan import Cell
from bench.runs.records import Writer


@dataclass
class Costs:
    """Time and memory of the iterations after the warm-up, outside of what the task measures."""

    ms: list[float] = field(default_factory=list)  # of each iteration, milliseconds
    wait_ms: list[float] = field(default_factory=list)  # of these, until its batch was ready
    memory: dict[str, float] = field(default_factory=dict)  # peak of each kind, MiB

    def add(self, lap: Lap, memory: Mapping[str, float]) -> None:
        self.ms += lap.ms
        self.wait_ms += lap.wait_ms
        self.memory = {k: max(v, self.memory.get(k, v)) for k, v in memory.items()}


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    status: Literal["ok", "diverged", "failed"]
    reason: str = ""  # one sentence; empty when the status is ok
    trace: str = ""  # the traceback of an error that nobody foresaw
    out_of_memory: bool = False  # it failed for want of memory
    costs: Costs = field(default_factory=Costs)  # counts when the status is ok
    placement: Placement = field(default_factory=Placement)  # the same


def write_run(out: Writer, cell: Cell, materials: Materials, device: torch.device) -> None:
    """What is run, on what, by what."""
    out.line(
        "run",
        schema=records.SCHEMA,
        cell=cell.key,
        **cell.identity() | {"recipe": cell.recipe.model_dump(mode="json")},
        hyper_all=cell.hyper_all,
        data=materials.data,
        weights=materials.weights,
        env=env.describe(device),
        started=records.now(),
    )


def write_window(out: Writer, w: Window, memory: Mapping[str, float], *, warmup: bool) -> None:
    loss = round(w.mean_loss, 6) if math.isfinite(w.mean_loss) else None
    out.line(
        "train",
        step=w.step,
        n=len(w.loss),
        warmup=warmup,
        loss=loss,
        lr=w.lr,
        ms=spread(w.lap.ms),
        wait_ms=spread(w.lap.wait_ms),
        memory=memory,
    )


def write_measurement(out: Writer, step: int, fields: Mapping[str, Any]) -> None:
    """fields: whatever the task measured."""
    out.line("eval", step=step, **fields)


def write_end(out: Writer, cell: Cell, outcome: Outcome, *, wall_s: float) -> None:
    """wall_s: seconds since the cell was begun."""
    fields: dict[str, Any] = {"status": outcome.status}
    if outcome.status == "ok":
        fields |= _costs(cell, outcome.costs, outcome.placement)
    else:
        fields["reason"] = outcome.reason
    if outcome.out_of_memory:
        fields["out_of_memory"] = True
    if outcome.trace:
        fields["trace"] = outcome.trace
    out.line("end", **fields, wall_s=round(wall_s, 3), finished=records.now())


def _costs(cell: Cell, costs: Costs, placement: Placement) -> dict[str, Any]:
    ms = spread(costs.ms)
    return {
        "step": cell.recipe.iterations,
        "ms": ms,
        "wait_ms": spread(costs.wait_ms),
        "images_per_s": round(2 * cell.recipe.batch / ms["p50"] * 1e3, 1),
        "memory": costs.memory,
        "data_mib": round(placement.mib, 1),
        "placed": placement.notes,
    }
