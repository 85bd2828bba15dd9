"""Signals that end a run. Each waits for the end of an iteration, so that a checkpoint can be
written; a second one does not wait."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Ctrl-C; what ends a process; a terminal that is gone; what SLURM sends before a time limit."""
TOGETHER = 1.0  # seconds within which signals are one: schedulers send several, to all processes


class Interrupted(KeyboardInterrupt):
    """The process was asked to end. Like Ctrl-C, it is no Exception."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number  # of the signal


class Interrupts:
    """As a context manager: while the block lasts, each of SIGNALS raises Interrupted.

    In `held` it waits for that block's end. Only the main thread gets signals; elsewhere, and for a
    signal that the process ignores (`nohup`), nothing is changed.
    """

    def __init__(self) -> None:
        self.pending: int | None = None  # the signal that waits
        self._held = False
        self._last = float("-inf")  # when the last signal came
        self._before: dict[int, Any] = {}

    @property
    def settled(self) -> bool:
        """Whether nothing is half done: no `held` block was left by an exception."""
        return not self._held

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if e is None:
            self.check()  # no signal is lost

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is done in the block is done as a whole, unless a second signal comes."""
        self._held = True
        yield
        self._held = False

    def check(self) -> None:
        """Raise Interrupted when a signal waits."""
        if self.pending is not None:
            number, self.pending = self.pending, None
            raise Interrupted(number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before, self._last = self._last, time.monotonic()
        if self._last - before < TOGETHER:
            return
        if self._held and self.pending is None:
            self.pending = number
            return
        self.pending = None
        raise Interrupted(number)
