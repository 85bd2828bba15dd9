"""The process of one worker: it is given cells through a pipe, runs them, and gives back events."""

import os
import queue
import signal
import sys
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from bench.engine.interrupts import Interrupted
from bench.errors import BenchError, UsageError
from bench.execute.here import Here
from bench.execute.job import Job
from bench.runs.cell import Cell


@dataclass(frozen=True)
class Ready:
    """The worker has nothing to do: a cell is to be sent, or None, which ends it."""


@dataclass(frozen=True)
class Refusal:
    """Why the worker can run nothing at all."""

    reason: str
    usage: bool  # whether it is the user's mistake


def serve(fd: int, device: str) -> None:
    """Be a worker, until the other end of the pipe sends None or closes it.

    fd: file descriptor of the pipe, through which a Job comes first.
    """
    pipe = Connection(fd)
    try:
        _run(pipe, device)
    except Interrupted as e:
        sys.exit(128 + e.number)
    except BenchError as e:
        _send(pipe, Refusal(str(e), isinstance(e, UsageError)))


def _run(pipe: Connection, device: str) -> None:
    try:
        job: Job = pipe.recv()
    except EOFError:  # the command was ended before the worker had begun
        return
    here = Here(job.open_lab(device, tell=lambda event: _send(pipe, event)))
    orders: queue.SimpleQueue[Cell | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, orders), daemon=True).start()
    _send(pipe, Ready())
    while (cell := orders.get()) is not None:
        with closing(here.run([cell], keep_going=True, redo=job.redo)) as events:
            for event in events:  # interrupted here, too, the cell writes its checkpoint
                _send(pipe, event)
        _send(pipe, Ready())


def _send(pipe: Connection, message: Any) -> None:
    with suppress(OSError):  # whoever is at the other end died: `_listen` ends this process
        pipe.send(message)


def _listen(pipe: Connection, orders: "queue.SimpleQueue[Cell | None]") -> None:
    """Take orders; when nobody is left to give any, end the process as a signal would, so that the
    cell that runs leaves a checkpoint."""
    try:
        while (cell := pipe.recv()) is not None:
            orders.put(cell)
        orders.put(None)
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
