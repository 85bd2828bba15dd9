"""The run file: its schema, its only writer, its only reader.

results/<suite>/<row>/<task>/s<seed>-<cell>-<attempt>.jsonl, one JSON object a line, written by one process:
`run` (what is run, on what, by what) -> `train` windows and `eval`s -> `end`. No `end`, no result.
"""

import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.errors import BenchError

SCHEMA = 1
STATUSES = ("ok", "diverged", "failed")
FIELDS = {"cell", "suite", "row", "method", "hyper", "task", "seed", "budget", "recipe", "data", "weights", "env"}
NAME = re.compile(r"s\d+-[0-9a-f]{12}-\d+\.jsonl")


class Busy(BenchError):
    """Another process is running this cell, or has just finished it."""


@dataclass(frozen=True)
class Record:
    """One run file as far as it could be read. complete: it has its `end`, and nothing after it."""

    path: Path
    run: dict[str, Any]
    train: list[dict[str, Any]]
    evals: list[dict[str, Any]]
    end: dict[str, Any] | None

    @property
    def complete(self) -> bool:
        return self.end is not None

    @property
    def made_up(self) -> bool:
        """Whether any of its images were drawn by the program: that shows that things run, never how well."""
        return any(of.get("origin", "").startswith(("synthetic", "made-up")) for of in self.run["data"].values())

    @property
    def attempt(self) -> int:
        return int(self.path.stem.rsplit("-", 1)[1])

    @property
    def status(self) -> str:
        """ok, diverged or failed as the run said itself; unfinished while it runs or when it was killed."""
        return self.end["status"] if self.end else "unfinished"


class Writer:
    """Appends lines to one new run file. A line is one write; the last one is on the disk before `end` returns."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path, self._fd = path, fd

    def line(self, kind: str, **fields: Any) -> None:
        """Append one object. Raises BenchError when the disk is full."""
        text = json.dumps({"kind": kind} | plain(fields), separators=(",", ":"), allow_nan=False) + "\n"
        try:
            data = text.encode()
            while data:
                data = data[os.write(self._fd, data) :]
            if kind in ("run", "end"):
                os.fsync(self._fd)
        except OSError as e:
            raise BenchError(f"cannot write {self.path} ({e.strerror}); free space or choose another --results folder") from e


def plain(x: Any) -> Any:
    """The value as strict JSON can hold it: an infinity (a hyper-parameter's) by its name, NaN as null."""
    if isinstance(x, float) and not math.isfinite(x):
        return None if math.isnan(x) else str(x)
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    return [plain(v) for v in x] if isinstance(x, list | tuple) else x


@contextmanager
def create(folder: Path, stem: str, wanted: Callable[[], bool] = lambda: True) -> Iterator[Writer]:
    """A new attempt at a cell, ours alone until the block is left.

    The lock tells a running cell from one whose process died; the system drops it with the process. O_EXCL makes sure that
    no attempt is ever written twice. `wanted` is asked once the lock is ours. Raises Busy, or BenchError when the folder
    cannot be written.
    """
    locks = folder.parents[2] / ".locks"
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            locks.mkdir(exist_ok=True)
            stack.enter_context(FileLock(locks / f"{stem}.lock", timeout=0))
            if not wanted():
                raise Busy(f"another process has finished {stem}")
            attempts = [p for p in folder.glob(f"{stem}-*.jsonl") if NAME.fullmatch(p.name)]
            attempt = 1 + max((int(p.stem.rsplit("-", 1)[1]) for p in attempts), default=0)
            path = folder / f"{stem}-{attempt}.jsonl"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except Timeout as e:
            raise Busy(f"another process is running {stem}") from e
        except OSError as e:
            raise BenchError(f"cannot write under {folder} ({e.strerror}); choose another --results folder") from e
        stack.callback(os.close, fd)
        yield Writer(path, fd)


def read(path: Path) -> Record | None:
    """Read one run file up to its first bad line; None when not even the `run` line can be read. Never raises on a torn file."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    lines: list[dict[str, Any]] = []
    for text in raw.split(b"\n")[:-1]:  # what follows the last newline is torn
        try:
            obj = json.loads(text)
        except ValueError:
            break
        if not isinstance(obj, dict) or "kind" not in obj:
            break
        lines.append(obj)
    if not lines or lines[0]["kind"] != "run" or lines[0].get("schema") != SCHEMA or not lines[0].keys() >= FIELDS:
        return None
    body = lines[1:]
    end = body[-1] if body and body[-1]["kind"] == "end" and body[-1].get("status") in STATUSES else None
    return Record(
        path,
        lines[0],
        [x for x in body if x["kind"] == "train"],
        [x for x in body if x["kind"] == "eval"],
        end if raw.endswith(b"\n") and len(lines) == raw.count(b"\n") else None,
    )


def read_all(folder: Path) -> list[Record]:
    """Every readable record below a folder (of results, of a suite, of one row and task), in a fixed order.

    A file of another name (somebody's copy of a record) is none.
    """
    files = sorted(p for p in folder.rglob("*.jsonl") if NAME.fullmatch(p.name))
    return [r for r in map(read, files) if r is not None]


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
