"""What runs on a node of a cluster that shares no folder: one cell in a folder of its own, whose
record and checkpoints are sent home."""

import os
import signal
import tempfile
from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.engine.events import Ended
from bench.engine.interrupts import Interrupted
from bench.errors import BenchError
from bench.execute import parcel
from bench.execute.here import Here
from bench.execute.job import Job
from bench.execute.parcel import Parcel
from bench.runs import files
from bench.runs.cell import Cell


@dataclass(frozen=True)
class Sent:
    """A cell, and what is known of it at home."""

    job: Job
    cell: Cell
    gpu: bool  # whether it trains on one
    per_gpu: int  # cells that share a GPU
    cpus: int  # cores that the cell has
    taken: tuple[str, ...]  # names of its records at home, so that a new attempt takes another
    begun: Parcel | None  # where an interrupted run had got to


@dataclass(frozen=True)
class Landed:
    """How a cell ended, and its record where there is one."""

    ended: Ended
    parcel: Parcel | None


class Desk:
    """An actor beside the driver: what nodes tell, and the newest checkpoint of each cell."""

    def __init__(self) -> None:
        self.told: deque[Any] = deque()
        self.newest: dict[str, Parcel] = {}

    def tell(self, message: Any) -> None:
        """An event, for the driver."""
        self.told.append(message)

    def put(self, stem: str, unfinished: Parcel) -> None:
        """A checkpoint, for the driver and for whichever node goes on."""
        self.newest[stem] = unfinished
        self.told.append((stem, unfinished))

    def get(self, stem: str) -> Parcel | None:
        """The newest checkpoint of a cell."""
        return self.newest.get(stem)

    def drop(self, stem: str) -> None:
        """A cell has ended."""
        self.newest.pop(stem, None)

    def take(self) -> list[Any]:
        """What was told since it was last asked."""
        told = list(self.told)
        self.told.clear()
        return told


def train(sent: Sent, desk: Any) -> Landed:
    """The task: run one cell, or go on with it. Gives its record; raises nothing of ours."""
    import ray

    cell = sent.cell
    begun = ray.get(desk.get.remote(cell.stem)) or sent.begun
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        try:
            landed = Trainee(sent, desk, Path(scratch)).run(begun)
        except BenchError as e:
            landed = Landed(Ended(cell, "error", str(e)), None)
    ray.get(desk.drop.remote(cell.stem))  # after all else that was told
    return landed


@dataclass
class Trainee:
    """One cell in a folder of its own."""

    sent: Sent
    desk: Any  # the handle of the Desk
    root: Path
    shown: int = 0  # when the checkpoint was written that was sent last, ns

    def run(self, begun: Parcel | None) -> Landed:
        """begun: where an interrupted run had got to."""
        self.lay_out(begun)
        cell = self.sent.cell
        job = replace(self.sent.job, results=self.root, shared=self._count_sharers())
        lab = job.open_lab("cuda" if self.sent.gpu else "cpu", tell=self.desk.tell.remote)
        landed = None
        try:
            with closing(Here(lab).run([cell], keep_going=True, redo=True)) as events:
                for event in events:
                    self._send_checkpoint()
                    if isinstance(event, Ended):
                        made = parcel.pack_finished(event.path) if event.path else None
                        landed = Landed(replace(event, path=None), made)
                    else:
                        self.desk.tell.remote(event)
        except Interrupted as e:
            self._send_checkpoint()
            if e.number == signal.SIGTERM:  # the node is to go: as a crash, which Ray tries again
                os._exit(1)
            raise
        assert landed is not None
        return landed

    def lay_out(self, begun: Parcel | None) -> None:
        """Make the cell's folder as it is at home: the names that are taken, and, with its content,
        the record to go on with."""
        folder = self.root / self.sent.cell.folder
        folder.mkdir(parents=True)
        for name in set(self.sent.taken) - ({begun.name} if begun else set()):
            (folder / name).touch()
        if begun:
            parcel.unpack(begun, self.root, self.sent.cell)

    def _send_checkpoint(self) -> None:
        """Send the checkpoint home if there is a new one."""
        import ray

        path = files.locate_checkpoint(self.root / self.sent.cell.folder, self.sent.cell.stem)
        try:
            written = path.stat().st_mtime_ns
        except OSError:
            return
        if written != self.shown and (found := parcel.pack(self.root, self.sent.cell)):
            self.shown = written
            ray.get(self.desk.put.remote(self.sent.cell.stem, found))  # it is safe at home

    def _count_sharers(self) -> int:
        """How many cells may train at once on the device that this one has."""
        import ray

        if self.sent.gpu:
            return self.sent.per_gpu
        here = ray.get_runtime_context().get_node_id()
        cores = next(n["Resources"].get("CPU", 1) for n in ray.nodes() if n["NodeID"] == here)
        return max(1, int(cores // self.sent.cpus))
