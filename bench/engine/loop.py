"""The one training loop."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import isfinite
from operator import truediv
from typing import Any

import torch
from torch import Tensor, nn

from bench.engine.clock import Clock, Lap


@dataclass(frozen=True)
class Window:
    """The iterations between two stops, or the part of them up to a pause."""

    step: int  # iterations trained so far, counted from the start of the training
    lap: Lap  # how long each iteration took
    losses: list[list[float]]  # of each iteration, one for each loss that the method yielded
    lr: float  # learning rate of the last iteration, before the multipliers of the groups
    whole: bool = True  # whether it ends at a stop; False: at a pause

    @property
    def loss(self) -> list[float]:
        """Of each iteration the sum of its losses."""
        return list(map(sum, self.losses))

    @property
    def mean_loss(self) -> float:
        """Not finite when the loss of any iteration was not."""
        return sum(self.loss) / len(self.losses)

    @property
    def diverged_at(self) -> int | None:
        """The first iteration, counted from 1, whose loss was not finite; None when all were."""
        begun = self.step - len(self.losses)
        return next((begun + i for i, x in enumerate(self.loss, 1) if not isfinite(x)), None)

    @classmethod
    def join(cls, parts: "Sequence[Window]") -> "Window":
        """The window that these parts make, one after the other."""
        last = parts[-1]
        lap = Lap([x for w in parts for x in w.lap.ms], [x for w in parts for x in w.lap.wait_ms])
        return cls(last.step, lap, [x for w in parts for x in w.losses], last.lr, last.whole)


def train(
    method: Any,
    net: nn.Module,
    batches: Callable[[int], tuple[Any, Any]],
    optimizer: torch.optim.Optimizer,
    lr_at: Callable[[float], float],
    clock: Clock,
    *,
    iterations: int,
    stops: AbstractSet[int],
    autocast: AbstractContextManager[Any],
    start: int = 0,
    second_stage: int = 0,
    progress: Callable[[int, int], float] = truediv,
    pause: Callable[[], bool] = lambda: False,
) -> Iterator[Window]:
    """Train from iteration `start` to `iterations`; yield a Window after each iteration in `stops`.

    batches: iteration -> source and target batch. lr_at: progress -> learning rate, which each
    parameter group multiplies by its "lr_mult". autocast: the context of every forward.
    second_stage: the iteration at which the optimizer forgets its momenta.
    progress: (iteration, iterations) -> the p that the method's step is given.
    pause: asked after each iteration between two stops; True yields the part of a window so far.

    Between two stops nothing waits for the device: losses stay there, and one synchronisation reads
    losses and clock. The caller measures, writes and draws while this generator is suspended,
    outside the clock.
    """
    losses: list[list[Tensor]] = []
    for it in range(start, iterations):
        clock.begin()
        s, t = batches(it)
        clock.ready()
        if it == second_stage:
            optimizer.state.clear()
        p = progress(it, iterations)
        lr = lr_at(p)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["lr_mult"]
        losses.append(_step(method.step(net, s, t, p), optimizer, autocast))
        whole = it + 1 in stops
        if whole or pause():
            lap = clock.end()
            yield Window(it + 1, lap, _read(losses), lr, whole)
            losses = []


def _read(losses: list[list[Tensor]]) -> list[list[float]]:
    """The numbers of these losses; waits for the device once."""
    numbers = iter(torch.stack([x for some in losses for x in some]).tolist())
    return [[next(numbers) for _ in some] for some in losses]


def _step(
    yields: Iterator[Any], optimizer: torch.optim.Optimizer, autocast: AbstractContextManager[Any]
) -> list[Tensor]:
    """One iteration: an optimizer step for every loss that the method yields; returns these."""
    losses: list[Tensor] = []
    while True:
        with autocast:
            out = next(yields, None)
        if out is None:
            assert losses, "a method yields at least one loss"
            return losses
        loss, module = out if isinstance(out, tuple) else (out, None)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if module is not None:  # parameters without a gradient are not stepped
            stepped = set(module.parameters())  # parameters are equal only to themselves
            for group in optimizer.param_groups:
                for q in group["params"]:
                    if q not in stepped:
                        q.grad = None
        optimizer.step()
        losses.append(loss.detach())
