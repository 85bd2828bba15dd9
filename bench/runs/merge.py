"""The records of one results folder into another: verified, nothing overwritten."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import BenchError, UsageError
from bench.runs import files, records
from bench.runs.files import Busy

Fate = Literal["copied", "there already", "unfinished", "damaged"]


@dataclass(frozen=True)
class Merged:
    """What became of one record file."""

    path: Path  # where it lies
    fate: Fate
    reason: str = ""  # what is wrong with a damaged one


def merge(source: Path, into: Path, *, write: bool = True) -> Iterator[Merged]:
    """Copy every whole record below `source` to the same place below `into`; give each one's fate.

    A record whose seal stands in `into` already is there, whatever its name. One whose name is
    taken by another gets the number of a further attempt. What is unfinished or damaged stays where
    it is. A copy is moved into its place when all of it is on disk, so that a kill leaves nothing
    half-written. write: False only says what would be done.

    Raises UsageError when there is no such folder or both are one, Busy when another process merges
    into it, BenchError when it cannot be written.
    """
    _check(source, into)
    # trials and smoke runs lie in folders of their own, which a reader of results passes over
    for folder in ("", *(name for name in records.ASIDE if name != ".locks")):
        found = records.list_files(source / folder)
        if not found:
            continue
        have = {r.end.seal for r in records.read_all(into / folder) if r.end}
        with _alone(into) if write else nullcontext():
            for path in found:
                yield _merge_one(path, source, into, have, write)


def _check(source: Path, into: Path) -> None:
    if not source.is_dir():
        raise UsageError(f"no folder {source}")
    a, b = source.resolve(), into.resolve()
    if a == b or a in b.parents or b in a.parents:
        raise UsageError(f"{source} and {into} are one folder, or one lies in the other: give two")


def _merge_one(path: Path, source: Path, into: Path, have: set[str], write: bool) -> Merged:
    try:
        raw = path.read_bytes()
    except OSError as e:
        return Merged(path, "damaged", f"it cannot be read ({e.strerror})")
    content = files.parse(raw)
    if content.problem:
        return Merged(path, "damaged", content.problem)
    if content.end is None:
        return Merged(path, "unfinished")
    if content.end.seal in have:
        return Merged(path, "there already")
    have.add(content.end.seal)
    if write:
        _place(raw, into, into / path.relative_to(source))
    return Merged(path, "copied")


def _place(raw: bytes, into: Path, wanted: Path) -> None:
    """Write a file, under its name or that of a further attempt, whole or not at all."""
    part = into / ".locks" / "merge.part"
    try:
        with part.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        wanted.parent.mkdir(parents=True, exist_ok=True)
        path = files.place(part, wanted)
        _sync(path.parent)
    except OSError as e:
        raise BenchError(f"cannot write below {into} ({e.strerror}); what was copied counts") from e
    finally:
        part.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Bring the names in a folder to disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _alone(into: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        (into / ".locks").mkdir(parents=True, exist_ok=True)
        lock = FileLock(into / ".locks" / "merge.lock", timeout=0)
        lock.acquire()
    except Timeout as e:
        raise Busy(f"another process merges into {into}") from e
    except OSError as e:
        raise BenchError(f"cannot write below {into} ({e.strerror})") from e
    try:
        yield
    finally:
        lock.release()
