"""What a run writes to its record: the one place where values of the engine become lines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Literal

from bench.engine import env
from bench.engine.clock import spread
from bench.engine.loop import Window
from bench.engine.probe import probe
from bench.engine.task import Materials, Placement
from bench.engine.training import WARMUP
from bench.runs.cell import Cell
from bench.runs.lines import (
    Artefact,
    ArtefactName,
    End,
    Env,
    Resume,
    Run,
    Spread,
    Train,
    YieldedLoss,
    now,
    plain,
)


@dataclass(frozen=True)
class Spell:
    """What ran from a resumption to the next."""

    step: int  # iterations done when it began
    away: bool  # whether on another machine than that of the first line, or shared otherwise


@dataclass
class Costs:
    """Time and memory of the iterations after the warm-up, outside of what the task measures, on
    the machine on which the run began."""

    ms: list[float] = field(default_factory=list)  # of each iteration, milliseconds
    wait_ms: list[float] = field(default_factory=list)  # of these, until its batch was ready
    memory: dict[str, float] = field(default_factory=dict)  # peak of each kind, MiB
    cold_ms: list[float] = field(default_factory=list)  # of each iteration of a warm-up
    cold_wait_ms: list[float] = field(default_factory=list)
    cold_memory: dict[str, float] = field(default_factory=dict)  # of the last window left out

    def add(
        self,
        window: Window,
        memory: Mapping[str, float],
        spells: Sequence[Spell] = (),
        *,
        warmup: bool = False,
    ) -> None:
        """A window. warmup: whether none of its times count. spells: the first iterations of each
        are a warm-up, too."""
        begun = window.step - len(window.losses)
        for it, times in enumerate(zip(window.lap.ms, window.lap.wait_ms, strict=True), begun):
            spell = next((s for s in reversed(spells) if s.step <= it), None)
            if spell and spell.away:
                continue
            cold = warmup or (spell is not None and it < spell.step + WARMUP)
            for kept, x in zip(self._lists(cold=cold), times, strict=True):
                kept.append(x)
        if warmup or (spells and spells[-1].away):
            self.cold_memory = dict(memory)
        else:
            self.memory = {k: max(v, self.memory.get(k, v)) for k, v in memory.items()}

    def _lists(self, *, cold: bool) -> tuple[list[float], list[float]]:
        return (self.cold_ms, self.cold_wait_ms) if cold else (self.ms, self.wait_ms)

    def settle(self) -> tuple[list[float], list[float]]:
        """The times that count: those of the warm-up where there are no others."""
        return self._lists(cold=not self.ms)


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    status: Literal["ok", "diverged", "failed"]
    reason: str = ""  # one sentence; of an ok one what could not be kept, else empty
    trace: str = ""  # the traceback of an error that nobody foresaw
    out_of_memory: bool = False  # it failed for want of memory
    costs: Costs = field(default_factory=Costs)  # counts when the status is ok
    placement: Placement = field(default_factory=Placement)  # the same
    parameters: str | None = None  # digest of the final parameters and buffers, likewise
    artefacts: Mapping[ArtefactName, Artefact] = field(default_factory=dict)  # what was kept


def make_run_line(cell: Cell, materials: Materials, here: Env) -> Run:
    """What is run, on what, by what. here: the machine."""
    source, target = cell.ends
    return Run(
        key=cell.key,
        suite=cell.suite,
        row=cell.row,
        task=cell.task,
        budget=cell.budget,
        seed=cell.seed,
        method=cell.method,
        hyper=plain(cell.stated),
        hyper_all=cell.hyper_all,
        classes=cell.classes,
        source=source,
        target=target,
        recipe=cell.recipe.model_dump(mode="json"),
        metric=cell.metric,
        data=materials.data,
        weights=materials.weights,
        normalization=materials.normalization,
        code=env.code(probe(cell)),
        env=here,
        started=now(),
    )


def make_resume_line(step: int, wall_s: float, env: Env) -> Resume:
    """Where a run goes on. wall_s: how long it took up to there. env: the machine that goes on."""
    return Resume(step=step, wall_s=round(wall_s, 3), env=env, resumed=now())


def make_train_line(w: Window, memory: Mapping[str, float], *, warmup: bool) -> Train:
    """memory: peaks of this window, MiB. warmup: whether its times do not count."""
    return Train(
        step=w.step,
        n=len(w.losses),
        warmup=warmup,
        loss=round(w.mean_loss, 6) if math.isfinite(w.mean_loss) else None,
        losses=summarize_losses(w.losses),
        lr=w.lr,
        ms=summarize_ms(w.lap.ms),
        wait_ms=summarize_ms(w.lap.wait_ms),
        memory=dict(memory),
    )


def summarize_losses(losses: Sequence[Sequence[float]]) -> tuple[YieldedLoss, ...]:
    """Of each yield of the iterations; () of a method with one, or with more in some iterations."""
    if {len(some) for some in losses} - {len(losses[0])} or len(losses[0]) == 1:
        return ()
    return tuple(map(_summarize_loss, zip(*losses, strict=True)))


def _summarize_loss(values: Sequence[float]) -> YieldedLoss:
    if not all(map(math.isfinite, values)):
        return YieldedLoss()
    sd = round(stdev(values), 6) if len(values) > 1 else None
    return YieldedLoss(mean=round(mean(values), 6), sd=sd)


def make_end_line(cell: Cell, outcome: Outcome, *, wall_s: float) -> End:
    """wall_s: seconds since the cell was begun."""
    wall_s = round(wall_s, 3)
    if outcome.status != "ok":
        return End(
            status=outcome.status,
            reason=outcome.reason,
            trace=outcome.trace,
            out_of_memory=outcome.out_of_memory,
            wall_s=wall_s,
            finished=now(),
        )
    times, waits = outcome.costs.settle()
    ms = summarize_ms(times)
    return End(
        status="ok",
        step=cell.recipe.iterations,
        reason=outcome.reason,
        ms=ms,
        wait_ms=summarize_ms(waits),
        images_per_s=round(2e3 * cell.recipe.batch / (ms["p50"] or math.inf), 1),
        memory=outcome.costs.memory or outcome.costs.cold_memory,
        data_mib=round(outcome.placement.mib, 1),
        placement=outcome.placement.places,
        parameters=outcome.parameters,
        artefacts=dict(outcome.artefacts),
        wall_s=wall_s,
        finished=now(),
    )


def summarize_ms(values: list[float]) -> Spread:
    """Of milliseconds; see `clock.spread`."""
    found = spread(values)
    return Spread(p50=found["p50"], p5=found["p5"], p95=found["p95"])
