"""The executor of several processes on this machine, which share its cores or its GPUs."""

import os
import signal
import subprocess
import tempfile
import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe, connection
from multiprocessing.connection import Connection
from typing import IO

from bench import paths
from bench.engine.events import Ended, Event, Orphaned, Started, Substituted, Working
from bench.engine.interrupts import Interrupts
from bench.engine.tasks import check_backbones
from bench.errors import BenchError, UsageError
from bench.execute.here import Here
from bench.execute.job import Job
from bench.execute.worker import Ready, Refusal
from bench.runs import forecast, records
from bench.runs.cell import Cell

TRIES = 3  # processes that may die over one cell without its getting on
FAREWELL = 120.0  # seconds that a worker has to write its checkpoint and end
TAIL = 300  # characters of what a dead worker printed that are shown


class Workers:
    """An Executor. Each worker has a device, or a share of one, and runs one cell at a time."""

    def __init__(self, here: Here, devices: Sequence[str]) -> None:
        """here: the executor of this process, which checks cells. devices: that of each worker, as
        --device; several may have one."""
        self.here, self.lab, self.devices = here, here.lab, list(devices)

    def check(self, cells: Iterable[Cell]) -> None:
        """See Executor.check."""
        self.here.check(cells)

    def run(
        self, cells: Iterable[Cell], *, keep_going: bool = False, redo: bool = False
    ) -> Generator[Event, None, None]:
        """See Executor.run. The longest cells are begun first, so that none is waited for alone.

        A cell whose worker dies is given to another, which goes on at its checkpoint; it is given
        up when three in a row die over it and it gets no further. Closing the generator, or a
        signal, ends every worker; each leaves a checkpoint.
        """
        cells = list(cells)
        check_backbones(cells)
        if self.lab.fresh:
            self.here.drop_checkpoints(cells)
        todo = forecast.order_longest_first(cells, records.read_all(self.lab.results))
        devices = self.devices[: len(todo)]
        # how many cells train at once on one device; a processor is one
        shared = max(Counter(devices).values(), default=1)
        crew = Crew(self, Job.of(self.lab, shared=shared, redo=redo), deque(todo), devices)
        with Interrupts(), crew.ended():
            for event in crew.work():
                if isinstance(event, Ended) and event.stops_the_rest and not keep_going:
                    crew.todo.clear()
                yield event
        if crew.stood_in:
            yield Substituted(tuple(sorted(crew.stood_in)), self.lab.data)

    def start(self, device: str, job: Job) -> "Process":
        """A new worker."""
        ours, theirs = Pipe()
        code = f"from bench.execute import worker; worker.serve({theirs.fileno()}, {device!r})"
        command, env = paths.own_interpreter(code)
        if device == "cpu":
            share = max(1, len(os.sched_getaffinity(0)) // job.shared)
            env.setdefault("OMP_NUM_THREADS", str(share))
        printed = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        # a session of its own: Ctrl-C is for this process, which ends its workers in turn
        process = subprocess.Popen(
            command, env=env, pass_fds=[theirs.fileno()], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
        )  # fmt: skip
        theirs.close()
        with suppress(OSError):  # it died already
            ours.send(job)
        return Process(process, ours, printed, device)


@dataclass
class Process:
    """A worker as its parent sees it."""

    process: "subprocess.Popen[bytes]"
    pipe: Connection
    printed: IO[bytes]  # what it wrote to its standard streams
    device: str
    cell: Cell | None = None  # what it runs
    useful: bool = False  # whether it has run anything

    def give(self, cell: Cell | None) -> None:
        self.cell = cell
        with suppress(OSError):  # it died: the next look at its pipe tells
            self.pipe.send(cell)

    def describe_death(self) -> str:
        """How it ended, and the last of what it printed."""
        code = self.process.wait()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        self.printed.seek(0)
        text = " ".join(self.printed.read().decode(errors="replace").split())
        self.printed.close()
        return how + (f": {text[-TAIL:]}" if text else "")


@dataclass
class Crew:
    """The workers of one run, and what is left to do."""

    executor: Workers
    job: Job
    todo: deque[Cell]
    devices: Sequence[str]  # of each worker
    # by the key of a cell: its furthest start, in iterations, and the workers that died since then
    begun_at: dict[str, int] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    false_starts: int = 0  # workers that died before they were given a cell
    stood_in: set[str] = field(default_factory=set)
    processes: list[Process] = field(default_factory=list)

    def work(self) -> Iterator[Event]:
        """Give cells to workers until none is left; gives what they tell."""
        for device in self.devices:
            self.processes.append(self.executor.start(device, self.job))
        while self.processes:
            by_pipe = {p.pipe: p for p in self.processes}
            for pipe in connection.wait(list(by_pipe)):
                assert isinstance(pipe, Connection)
                yield from self._hear(by_pipe[pipe])

    def _hear(self, worker: Process) -> Iterator[Event]:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._replace(worker)
            return
        match message:
            case Ready():
                self.false_starts = 0
                worker.useful = worker.useful or worker.cell is not None
                worker.give(self.todo.popleft() if self.todo else None)
            case Refusal(reason, usage):
                raise (UsageError if usage else BenchError)(reason)
            case Working():
                self.executor.lab.tell(message)
            case Substituted(domains):
                self.stood_in.update(domains)
            case Started(cell, step) if step > self.begun_at.get(cell.key, 0):
                self.begun_at[cell.key], self.deaths[cell.key] = step, 0
                yield message
            case Ended(cell) if cell == worker.cell:
                worker.useful = True
                worker.cell = None
                yield message
            case _:
                yield message

    def _replace(self, dead: Process) -> Iterator[Event]:
        """A worker ended: as it was told, or with a cell that another has to take up."""
        self.processes.remove(dead)
        cell, how = dead.cell, dead.describe_death()
        if cell is not None:
            self.deaths[cell.key] += 1
            if (deaths := self.deaths[cell.key]) < TRIES:
                self.todo.appendleft(cell)
                yield Orphaned(cell, f"its worker ended {how}; another goes on with it")
            else:
                why = f"{deaths} workers ended over it, the last one {how}"
                yield Ended(cell, "error", why)
        elif dead.process.returncode != 0 and not dead.useful:
            self.false_starts += 1
            if self.false_starts == TRIES:
                raise BenchError(f"{TRIES} workers ended before they could run anything, {how}")
        if self.todo:
            self.processes.append(self.executor.start(dead.device, self.job))

    @contextmanager
    def ended(self) -> Iterator[None]:
        """However the block is left, no worker outlives it."""
        try:
            yield
        finally:
            for p in self.processes:
                p.pipe.close()  # by which it knows
            end = time.monotonic() + FAREWELL
            try:
                for p in self.processes:
                    with suppress(subprocess.TimeoutExpired):
                        p.process.wait(timeout=max(0.0, end - time.monotonic()))
            finally:  # also those that are not in time, or after a second Ctrl-C
                for p in self.processes:
                    p.process.kill()
                    p.process.wait()
                    p.printed.close()
