"""The one training loop."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from operator import truediv
from typing import Any

import torch
from torch import Tensor, nn

from bench.engine.clock import Clock, Lap


@dataclass(frozen=True)
class Window:
    """What happened since the last window. step: iterations done so far. loss: of each iteration, summed over its yields."""

    step: int
    lap: Lap
    loss: list[float]
    lr: float


def train(
    method: Any,
    net: nn.Module,
    batches: Callable[[int], tuple[Any, Any]],
    optimiser: torch.optim.Optimizer,
    lr_at: Callable[[float], float],
    clock: Clock,
    *,
    iterations: int,
    stops: set[int],
    autocast: AbstractContextManager[Any],
    progress: Callable[[int, int], float] = truediv,
) -> Iterator[Window]:
    """Run `iterations` steps of a method; yield a Window after every iteration count in `stops`.

    progress: (iteration, iterations) -> the p that the method's step is given.
    Between two stops nothing waits for the device: losses stay there, and one synchronisation reads losses and clock.
    The caller evaluates, writes and draws while this generator is suspended, outside the clock.
    """
    losses: list[Tensor] = []
    for it in range(iterations):
        clock.begin()
        s, t = batches(it)
        clock.ready()
        p = progress(it, iterations)
        lr = lr_at(p)
        for group in optimiser.param_groups:
            group["lr"] = lr * group["lr_mult"]
        losses.append(_step(method.step(net, s, t, p), optimiser, autocast))
        if it + 1 in stops:
            lap = clock.end()
            yield Window(it + 1, lap, torch.stack(losses).tolist(), lr)
            losses = []


def _step(yields: Iterator[Any], optimiser: torch.optim.Optimizer, cast: AbstractContextManager[Any]) -> Tensor:
    """One iteration: an optimiser step for every loss that the method yields."""
    total: Tensor | None = None
    while True:
        with cast:
            out = next(yields, None)
        if out is None:
            assert total is not None, "a method yields at least one loss"
            return total
        loss, only = out if isinstance(out, tuple) else (out, None)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if only is not None:  # parameters without a gradient are not stepped
            keep = {id(q) for q in only.parameters()}
            for group in optimiser.param_groups:
                for q in group["params"]:
                    if id(q) not in keep:
                        q.grad = None
        optimiser.step()
        total = loss.detach() if total is None else total + loss.detach()
