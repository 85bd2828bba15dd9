"""The executor of a Ray cluster, whose machines need share no folder.

The driver takes the leases of cells, sends them to whichever node is free, and places what comes
back. While a cell trains its checkpoints travel to the driver, so that nothing is lost with a node.
"""

import logging
import socket
import tempfile
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.engine.events import Ended, Event, Substituted, Working
from bench.engine.interrupts import Interrupts
from bench.engine.lab import Lab
from bench.errors import BenchError, UsageError
from bench.execute import parcel
from bench.execute.here import Here
from bench.execute.job import Job
from bench.execute.node import Desk, Landed, Sent, train
from bench.execute.parcel import Parcel
from bench.runs import forecast, plan, records
from bench.runs.cell import Cell
from bench.runs.lease import Busy, Lease

RETRIES = 20  # nodes that a cell may lose
WAIT_S = 0.2  # between two looks at what came
FAREWELL_S = 60.0  # that interrupted cells have to send their checkpoints
SPARE = 4  # cells that wait at the cluster beyond those that fit: a free node has one at once


@dataclass(frozen=True)
class Ask:
    """What is asked of Ray."""

    device: str = "auto"  # auto, cpu or cuda
    per_gpu: int = 1  # cells that share a GPU
    cpus: int = 1  # cores of a cell
    address: str | None = None  # of the cluster; None: $RAY_ADDRESS, else one on this machine


@dataclass(frozen=True)
class Flight:
    """A cell that is at the cluster."""

    cell: Cell
    lease: Lease


@dataclass(frozen=True)
class Cluster:
    """An Executor."""

    here: Here  # checks cells on this machine, which need not have a GPU
    ask: Ask

    @property
    def lab(self) -> Lab:
        return self.here.lab

    def check(self, cells: Iterable[Cell]) -> None:
        """See Executor.check: that of this machine. Nodes need the same data and weights."""
        self.here.check(cells)

    def run(
        self, cells: Iterable[Cell], *, keep_going: bool = False, redo: bool = False
    ) -> Generator[Event, None, None]:
        """See Executor.run. Raises UsageError when Ray is not installed, BenchError when no cluster
        answers."""
        cells = list(cells)
        if self.lab.fresh:
            self.here.drop_checkpoints(cells)
        todo = deque(forecast.order_longest_first(cells, records.read_all(self.lab.results)))
        ray = import_ray()
        with Interrupts(), connected(ray, self.ask), ExitStack() as stack:
            dispatch = Dispatch(self, ray, Job.of(self.lab, redo=redo), todo)
            stack.callback(dispatch.call_back)
            try:
                for event in dispatch.work():
                    if isinstance(event, Ended) and event.stops_the_rest and not keep_going:
                        dispatch.todo.clear()
                    yield event
            except ray.exceptions.RayError as e:
                why = str(e).strip().partition("\n")[0].rstrip(".")[:300]
                raise BenchError(
                    f"the Ray cluster is gone ({why}): start one and run the command again, what "
                    "has ended is recorded"
                ) from e
        if dispatch.stood_in:
            yield Substituted(tuple(sorted(dispatch.stood_in)), self.lab.data)


@dataclass
class Dispatch:
    """What is left to do, and what is at the cluster."""

    executor: Cluster
    ray: Any
    job: Job
    todo: deque[Cell]
    flights: dict[Any, Flight] = field(default_factory=dict)  # by the task's reference
    stood_in: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        home = self.ray.get_runtime_context().get_node_id()
        beside_us = NodeAffinitySchedulingStrategy(node_id=home, soft=False)
        self.desk = self.ray.remote(Desk).options(
            num_cpus=0, scheduling_strategy=beside_us
        ).remote()  # fmt: skip

    def work(self) -> Iterator[Event]:
        """Send cells and place what comes back, until none is left."""
        while self.todo or self.flights:
            yield from self._send()
            landed = self._wait()
            yield from self._read_desk()
            for ref in landed:
                yield from self._land(ref)
        yield from self._read_desk()

    def _wait(self) -> list[Any]:
        """The tasks that have ended, after a moment at most."""
        if not self.flights:
            return []
        flying = list(self.flights)
        ended, _ = self.ray.wait(flying, num_returns=len(flying), timeout=WAIT_S)
        return list(ended)

    def _send(self) -> Iterator[Event]:
        """As many as fit, and a few that wait."""
        while self.todo and len(self.flights) < self._slots() + SPARE:
            cell = self.todo.popleft()
            lease = Lease(self.executor.lab.results, cell.stem)
            try:
                lease.take_or_wait()
            except BenchError as e:
                yield Ended(cell, "busy" if isinstance(e, Busy) else "error", str(e))
                continue
            results = self.executor.lab.results
            (state,) = plan.states([cell], records.read_all(results))
            if state.done and not self.job.redo:
                lease.give_back()
                yield Ended(cell, "busy", f"already run as {state.done.path}")
                continue
            taken = tuple(p.name for p in (results / cell.folder).glob(f"{cell.stem}-*.jsonl"))
            ask = self.executor.ask
            sent = Sent(
                self.job, cell, self._wants_gpu, ask.per_gpu, ask.cpus, taken,
                parcel.pack(results, cell),
            )  # fmt: skip
            ref = self.ray.remote(train).options(**self._needs()).remote(sent, self.desk)
            self.flights[ref] = Flight(cell, lease)

    @property
    def _wants_gpu(self) -> bool:
        device = self.executor.ask.device
        return device == "cuda" or (device == "auto" and self._total("GPU") > 0)

    def _needs(self) -> dict[str, Any]:
        ask = self.executor.ask
        gpus = 1 / ask.per_gpu if self._wants_gpu else 0
        return {"num_cpus": ask.cpus, "num_gpus": gpus, "max_retries": RETRIES}

    def _total(self, kind: str) -> float:
        return float(self.ray.cluster_resources().get(kind, 0))

    def _slots(self) -> int:
        """How many cells fit the cluster as it is now: nodes come and go."""
        ask = self.executor.ask
        fits = self._total("CPU") / ask.cpus
        return int(min(fits, self._total("GPU") * ask.per_gpu) if self._wants_gpu else fits)

    def _read_desk(self) -> Iterator[Event]:
        for message in self.ray.get(self.desk.take.remote()):
            match message:
                case (stem, Parcel() as unfinished):
                    self._keep(stem, unfinished)
                case Working():
                    self.executor.lab.tell(message)
                case Substituted(domains):
                    self.stood_in.update(domains)
                case _:
                    yield message

    def _keep(self, stem: str, unfinished: Parcel) -> None:
        """A checkpoint came: if this command is ended, the next goes on from it."""
        for flight in self.flights.values():
            if flight.cell.stem == stem:
                with suppress(OSError, BenchError):  # without it the cell begins anew
                    flight.lease.check()
                    parcel.unpack(unfinished, self.executor.lab.results, flight.cell)

    def _land(self, ref: Any) -> Iterator[Event]:
        """Place what a task gave."""
        flight = self.flights.pop(ref)
        try:
            yield self._place(flight, self.ray.get(ref))
        except self.ray.exceptions.RayError as e:
            yield Ended(flight.cell, "error", " ".join(str(e).split())[-500:])
        except BenchError as e:
            yield Ended(flight.cell, "busy" if isinstance(e, Busy) else "error", str(e))
        finally:
            flight.lease.give_back()

    def _place(self, flight: Flight, landed: Landed) -> Ended:
        if landed.parcel is None:
            return landed.ended
        flight.lease.check(sure=True)
        with tempfile.TemporaryDirectory() as scratch:
            path = parcel.unpack_finished(
                landed.parcel, self.executor.lab.results, flight.cell, Path(scratch)
            )
        return replace(landed.ended, path=path)

    def call_back(self) -> None:
        """End what is at the cluster; the checkpoints that it sends are kept."""
        try:
            for ref in self.flights:
                self.ray.cancel(ref, force=False)
            self.ray.wait(list(self.flights), num_returns=len(self.flights), timeout=FAREWELL_S)
            for _ in self._read_desk():
                pass
        except self.ray.exceptions.RayError:  # the cluster is gone
            pass
        finally:
            for flight in self.flights.values():
                flight.lease.give_back()


def import_ray() -> Any:
    """The library. Raises UsageError when it is not installed."""
    try:
        import ray
    except ImportError as e:
        raise UsageError('--on ray needs Ray: pip install "uda-bench[ray]"') from e
    return ray


def _check_address(address: str | None) -> None:
    """Raise OSError when nothing listens there: Ray itself would ask for a minute."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=5).close()


@contextmanager
def connected(ray: Any, ask: Ask) -> Iterator[None]:
    """Be the driver of a cluster. Raises BenchError when none answers, or it has no GPU."""
    ours = not ray.is_initialized()
    if ours:
        try:
            _check_address(ask.address)
            options = {} if ask.address else {"include_dashboard": False}
            ray.init(
                address=ask.address, log_to_driver=False, logging_level=logging.ERROR, **options
            )
        except (OSError, RuntimeError, ValueError) as e:
            raise BenchError(
                f"no Ray cluster answers at {ask.address} ({' '.join(str(e).split())[:200]}): "
                "start one with `ray start --head`, or leave --address out to use this machine"
            ) from e
    try:
        if ask.device == "cuda" and not ray.cluster_resources().get("GPU"):
            raise BenchError("no node of the Ray cluster has a GPU: use --device cpu")
        yield
    finally:
        if ours:
            ray.shutdown()
