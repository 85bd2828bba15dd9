"""What an interrupted run goes on from: one file beside its record, gone when the run has ended.

torch.save's bytes and then their sha256 in 64 hex digits, so that a file that was cut or changed is
never taken for one. It holds tensors, numbers and text alone, and no code runs when it is read.
"""

import io
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.engine.clock import Lap
from bench.engine.lines import Costs, Spell
from bench.engine.log import Log
from bench.engine.loop import Window
from bench.engine.training import RandomState, Training, TrainingState
from bench.errors import BenchError
from bench.paths import replacing, special_kind
from bench.runs import files
from bench.runs.files import Place
from bench.runs.lease import Busy
from bench.runs.lines import RUN, Env, Run, text

FORMAT = 2  # of the file
DIGITS = 64  # of the sha256 at its end


class Stale(BenchError):
    """A checkpoint that a run cannot go on from. Its text says why, without a subject."""


@dataclass(frozen=True)
class Checkpoint:
    """A run, at the end of one of its iterations."""

    state: TrainingState
    costs: Costs  # so far
    peak: dict[str, float]  # memory of the window that is under way, MiB
    measured: int  # the iteration count at the last measurement
    wall_s: float  # how long the run took so far
    run: Run  # the first line of its record, with the machine and code that it began on
    spells: tuple[Spell, ...]  # since it was first resumed
    here: Env  # the machine that wrote it
    place: Place  # how far its record was written


def write(path: Path, checkpoint: Checkpoint) -> int:
    """Write a checkpoint in place of the one before; returns its size in bytes.

    Whoever reads the file finds the old one or the new one. Raises OSError when the disk takes no
    more; the old one is still there then.
    """
    try:
        with replacing(path) as file:
            torch.save(_pack(checkpoint), file)
            file.seek(0)
            digest = file_digest(file, "sha256").hexdigest()
            file.seek(0, os.SEEK_END)
            file.write(digest.encode())
            return file.tell()
    except RuntimeError as e:  # as which torch's writer passes an OSError on
        raise OSError(None, str(e).splitlines()[0]) from e


def read(path: Path, wanted: Run) -> Checkpoint | None:
    """The checkpoint of a cell; None where there is none.

    wanted: what a new attempt would write as its first line. Raises Stale unless the run can go on
    so that it ends as if it had never been interrupted.
    """
    if kind := special_kind(path):
        raise Stale(f"it is {kind}, not a file")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as e:
        raise Stale(f"it cannot be read ({e.strerror})") from e
    if sha256(raw[:-DIGITS]).hexdigest().encode() != raw[-DIGITS:]:
        raise Stale("it is not whole")
    try:
        packed = torch.load(io.BytesIO(raw[:-DIGITS]), map_location="cpu", weights_only=True)
        if packed["format"] != FORMAT:
            raise Stale("another version of the program wrote it")
        found = _unpack(packed)
    except Stale:
        raise
    except Exception as e:  # a whole file, and none of ours
        raise Stale("this program did not write it") from e
    if why := _find_change(found, wanted) or files.check_place(path.parent, found.place):
        raise Stale(why)
    return found


def _find_change(found: Checkpoint, wanted: Run) -> str:
    """What is not as it was, in a sentence; '' where the run can go on to the same bits."""
    run, env = found.run, wanted.env
    pairs = {
        "another cell": (run.key, wanted.key),
        "other images": (
            [(d.train, d.test) for d in run.data.values()],
            [(d.train, d.test) for d in wanted.data.values()],
        ),
        "other pretrained weights": tuple(
            (w.sha256, w.tensors) for w in (run.weights, wanted.weights)
        ),
    }
    for what, (then, now) in pairs.items():
        if then != now:
            return f"it is of {what}"
    if run.code.probe != wanted.code.probe:
        return "the code trains otherwise now"
    writer = found.here
    if writer.torch != env.torch:
        return f"it was written with torch {writer.torch}, and this is {env.torch}"
    if writer.gpu != env.gpu:
        return f"it was written on {writer.gpu or 'a CPU'}, and this is {env.gpu or 'a CPU'}"
    if env.gpu is None and writer.threads != env.threads:
        return f"it was written with {writer.threads} threads, and these are {env.threads}"
    return ""


def _pack(c: Checkpoint) -> dict[str, Any]:
    """Tensors, numbers, texts, and lists and dictionaries of these."""
    s = c.state
    numpy = dict(s.random.numpy)
    key = numpy["state"]["key"]
    numpy["state"] = dict(numpy["state"]) | {"key": torch.from_numpy(key.astype(np.int64))}
    return {
        "format": FORMAT,
        "step": s.step, "net": s.net, "method": s.method, "optimizer": s.optimizer,
        "torch_cpu": s.random.torch_cpu, "torch_cuda": s.random.torch_cuda,
        "numpy": numpy, "python": s.random.python,
        "parts": [asdict(w) for w in s.parts],
        "costs": asdict(c.costs), "peak": dict(c.peak), "measured": c.measured, "wall_s": c.wall_s,
        "run": text(c.run), "spells": [asdict(x) for x in c.spells],
        "here": c.here.model_dump(), "place": asdict(c.place),
    }  # fmt: skip


def _unpack(packed: Mapping[str, Any]) -> Checkpoint:
    numpy = dict(packed["numpy"])
    key = numpy["state"]["key"].numpy().astype(np.uint32)
    numpy["state"] = dict(numpy["state"]) | {"key": key}
    random = RandomState(packed["torch_cpu"], packed["torch_cuda"], numpy, packed["python"])
    parts = tuple(Window(**{**w, "lap": Lap(**w["lap"])}) for w in packed["parts"])
    state = TrainingState(
        packed["step"], packed["net"], packed["method"], packed["optimizer"], random, parts
    )
    return Checkpoint(
        state, Costs(**packed["costs"]), packed["peak"], packed["measured"], packed["wall_s"],
        RUN.validate_json(packed["run"]), tuple(Spell(**x) for x in packed["spells"]),
        Env(**packed["here"]), Place(**packed["place"]),
    )  # fmt: skip


@dataclass
class Saver:
    """Writes the checkpoints of one run."""

    path: Path
    every: float  # seconds between two; 0: none is ever written
    began: float  # when the run would have begun without interruptions, by time.perf_counter
    first: Run  # the first line of the record
    here: Env  # the machine
    spells: tuple[Spell, ...] = ()  # since the run was first resumed
    _last: float = field(default_factory=lambda: time.monotonic())

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return 0 < self.every <= time.monotonic() - self._last

    def save(self, training: Training, log: Log) -> str:
        """Write a checkpoint, between two iterations; returns why it could not be written, in a
        sentence, '' when it was. The training goes on in either case."""
        if not (self.every and training.step):
            return ""
        self._last = time.monotonic()
        wall_s = time.perf_counter() - self.began
        found = Checkpoint(
            training.state(copy=False), log.costs, log.peak, log.measured, wall_s, self.first,
            self.spells, self.here, log.out.place,
        )  # fmt: skip
        try:
            log.out.check(sure=True)
            write(self.path, found)
        except Busy:  # the checkpoint is another process's now
            return ""
        except BenchError as e:
            return f"no checkpoint of it could be written: {e}"
        except OSError as e:
            return f"no checkpoint of it could be written ({e.strerror})"
        return ""

    def end(self) -> None:
        """The record has ended: nothing is to go on from a checkpoint. One that cannot be removed
        does no harm, and the next `bench run` tries again."""
        with suppress(OSError):
            files.drop_leftovers(self.path.parent, self.path.stem)
