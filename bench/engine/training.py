"""A training and its state: interrupted and resumed, it ends as if it had never stopped."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from bench.engine.clock import Clock
from bench.engine.loop import Window, train
from bench.nets.weights import hash_tensors
from bench.suite.recipe import Recipe
from methods import Batch, Method, Network, Progress

T = TypeVar("T")
WARMUP = 10  # iterations before times and memory count
WINDOW = 100  # iterations between two lines of a record


@dataclass(frozen=True)
class Stops:
    """The iteration counts after which a training is interrupted to write or to measure."""

    warmup: int  # the end of the warm-up; what comes later is timed
    measured: frozenset[int]  # after these the task measures; the last iteration is among them
    every: frozenset[int]  # all of them

    @classmethod
    def of(cls, r: Recipe) -> "Stops":
        n, interval = r.iterations, r.eval_every or r.iterations
        warmup = min(WARMUP, n // 2)
        measured = frozenset({*range(interval, n, interval), n})
        return cls(warmup, measured, measured | {warmup, *range(WINDOW, n, WINDOW)})


@dataclass(frozen=True)
class RandomState:
    """Where every generator of random numbers stood that a training may draw from."""

    torch_cpu: Tensor  # torch's on the CPU
    torch_cuda: Tensor | None  # torch's on the training's GPU; None when it trains on a CPU
    numpy: dict[str, Any]  # numpy's global one
    python: tuple[Any, ...]  # that of Python's `random`

    @classmethod
    def read(cls, device: torch.device) -> "RandomState":
        """The generators as they stand now."""
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        numpy = np.random.get_state(legacy=False)
        assert isinstance(numpy, dict)
        return cls(torch.get_rng_state(), cuda, deepcopy(numpy), random.getstate())

    def restore(self, device: torch.device) -> None:
        """Set the generators to where they stood."""
        torch.set_rng_state(self.torch_cpu)
        if self.torch_cuda is not None:
            torch.cuda.set_rng_state(self.torch_cuda, device)
        np.random.set_state(self.numpy)
        random.setstate(self.python)


@dataclass(frozen=True)
class TrainingState:
    """All that decides how a training goes on."""

    step: int  # iterations done
    net: dict[str, Tensor]  # parameters and buffers by name
    method: dict[str, Tensor]  # those that the method adds
    optimizer: dict[str, Any]  # its `state_dict`: momenta and parameter groups
    random: RandomState
    parts: tuple[Window, ...] = ()  # of the window that is under way


class Training:
    """A network, its method and its optimizer, trained for `step` iterations so far."""

    def __init__(self, net: Network, method: Method, optimizer: torch.optim.Optimizer) -> None:
        self.net, self.method, self.optimizer = net, method, optimizer
        self.step = 0
        self.parts: list[Window] = []  # of the window that is under way, each up to a pause

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def run(
        self,
        batches: Callable[[int], tuple[Batch, Batch]],
        lr_at: Callable[[float], float],
        clock: Clock,
        *,
        iterations: int,
        stops: frozenset[int],
        autocast: AbstractContextManager[Any],
        second_stage: int = 0,
        pause: Callable[[], bool] = lambda: False,
    ) -> Iterator[Window]:
        """Go on from `step` up to `iterations`; see `loop.train` for what is given and yielded.

        What is yielded at a pause is added to `parts`; a window is yielded with all its parts.
        """
        self.net.train(), self.method.train()
        for window in train(
            self.method,
            self.net,
            batches,
            self.optimizer,
            lr_at,
            clock,
            iterations=iterations,
            stops=stops,
            autocast=autocast,
            start=self.step,
            second_stage=second_stage,
            progress=partial(Progress, first=second_stage),
            pause=pause,
        ):
            self.step = window.step
            if window.whole:
                window, self.parts = Window.join([*self.parts, window]), []
            else:
                self.parts.append(window)
            yield window

    def measure(self, task_measure: Callable[[Network, Method, int], T]) -> T:
        """What the function finds while both modules are in evaluation mode.

        Interrupted in the middle, it leaves the training as it was.
        """
        before = RandomState.read(self.device)
        self.net.eval(), self.method.eval()
        try:
            return task_measure(self.net, self.method, self.step)
        except BaseException:
            before.restore(self.device)
            raise
        finally:
            self.net.train(), self.method.train()

    def state(self, *, copy: bool = True) -> TrainingState:
        """All that decides how the training goes on. Taken between two iterations.

        copy: whether it shares no memory with the training, which writes to its own.
        """
        own: Callable[[T], T] = deepcopy if copy else lambda x: x
        return TrainingState(
            step=self.step,
            net=own(self.net.state_dict()),
            method=own(self.method.state_dict()),
            optimizer=own(self.optimizer.state_dict()),
            random=RandomState.read(self.device),
            parts=tuple(self.parts),
        )

    def digest(self) -> str:
        """sha256 of all parameters and buffers as they are now, 16 hex digits."""
        return hash_tensors(module.state_dict() for module in (self.net, self.method))[:16]

    def load(self, state: TrainingState) -> None:
        """Stand where the training stood whose state this is: one of the same network, method
        and optimizer. Sets the process's random numbers too. The state stays as it is."""
        self.step, self.parts = state.step, list(state.parts)
        self.net.load_state_dict(state.net)
        self.method.load_state_dict(state.method)
        # torch's optimizers keep the tensors that they are given, and then write to them
        self.optimizer.load_state_dict(deepcopy(state.optimizer))
        state.random.restore(self.device)


def set_precision(r: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """Set torch's float32 arithmetic as the recipe says; returns the context of its forwards."""
    tf32 = r.precision != "fp32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    return torch.autocast(device.type, torch.bfloat16) if r.precision == "bf16" else nullcontext()


def computes_bf16(device: torch.device) -> bool:
    """Whether bf16 is worth asking for: a CPU without instructions for it is many times slower."""
    if device.type != "cpu":
        return True
    mkldnn = torch.backends.mkldnn.is_available()
    return mkldnn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
