"""The records of one results folder into another: verified, nothing overwritten."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench.errors import BenchError, UsageError
from bench.paths import sync_folder
from bench.runs import artefacts, files, records
from bench.runs.lease import FOLDER, Lease
from bench.runs.lines import End

Fate = Literal["copied", "there already", "unfinished", "damaged"]


@dataclass(frozen=True)
class Merged:
    """What became of one record file."""

    path: Path  # where it lies
    fate: Fate
    reason: str = ""  # what is wrong with a damaged one
    place: Path | None = None  # where it is in the other folder, or would be
    artefacts: int = 0  # how many of its artefacts were copied
    absent: int = 0  # how many lie in neither folder: git, for one, carries none
    left: tuple[str, ...] = ()  # a sentence about each of them that is damaged


def merge(source: Path, into: Path, *, write: bool = True) -> Iterator[Merged]:
    """Copy every whole record below `source` to the same place below `into`; give each one's fate.

    A record whose seal stands in `into` already is there, whatever its name. One whose name is
    taken by another gets the number of a further attempt. What is unfinished or damaged stays where
    it is. A copy is moved into its place when all of it is on disk, so that a kill leaves nothing
    half-written. Its artefacts follow a record, those that are intact; they are copied too where
    the record is there already and lacks one or has a damaged one.
    write: False only says what would be done.

    Raises UsageError when there is no such folder or both are one, Held when another process merges
    into it, BenchError when it cannot be written.
    """
    _check(source, into)
    # trials and smoke runs lie in folders of their own, which a reader of results passes over
    for folder in ("", *(name for name in records.ASIDE if name not in (FOLDER, records.JOBS))):
        found = records.list_files(source / folder)
        if not found:
            continue
        have = {r.end.seal: r.path for r in records.read_all(into / folder) if r.end}
        with _alone(into) if write else nullcontext():
            for path in found:
                yield _merge_one(path, source, into, have, write)


@contextmanager
def _alone(into: Path) -> Iterator[None]:
    lease = Lease(into, "merge", f"merges into {into}")
    lease.take_or_wait()
    try:
        yield
    finally:
        lease.give_back()


def copy_record(path: Path, source: Path, into: Path) -> Merged:
    """Copy one whole record below `source`, with its artefacts, as `merge` does. Raises BenchError
    when it cannot be written."""
    (into / FOLDER).mkdir(parents=True, exist_ok=True)
    return _merge_one(path, source, into, {}, True)


def _check(source: Path, into: Path) -> None:
    if not source.is_dir():
        raise UsageError(f"no folder {source}")
    a, b = source.resolve(), into.resolve()
    if a == b or a in b.parents or b in a.parents:
        raise UsageError(f"{source} and {into} are one folder, or one lies in the other: give two")


def _merge_one(path: Path, source: Path, into: Path, have: dict[str, Path], write: bool) -> Merged:
    """have: the record of each seal that is there; a copied one is added."""
    try:
        raw = path.read_bytes()
    except OSError as e:
        return Merged(path, "damaged", f"it cannot be read ({e.strerror})")
    content = files.parse(raw)
    if content.problem:
        return Merged(path, "damaged", content.problem)
    if content.end is None:
        return Merged(path, "unfinished")
    fate: Fate = "there already"
    place = have.get(content.end.seal)
    if place is None:
        place, fate = into / path.relative_to(source), "copied"
        if write:
            place = _place(raw, into, place, files.place)
        have[content.end.seal] = place
    merged = Merged(path, fate, place=place)
    return _copy_artefacts(merged, content.end, into, place, write=write)


def _copy_artefacts(one: Merged, end: End, into: Path, place: Path, *, write: bool) -> Merged:
    """What became of a record, with what becomes of its artefacts.

    place: the copy of the record, which has another number where the name was taken.
    """
    copied, absent, left = 0, 0, []
    for artefact in end.artefacts.values():
        if not artefacts.find_problem(place, artefact):
            continue
        if not os.path.lexists(artefacts.locate(one.path, artefact.file)):
            absent += 1
            continue
        try:
            raw = artefacts.load(one.path, artefact)
        except BenchError as e:
            left.append(str(e))
            continue
        if write:
            _place(raw, into, artefacts.locate(place, artefact.file), _replace)
        copied += 1
    return replace(one, artefacts=copied, absent=absent, left=tuple(left))


def _replace(file: Path, wanted: Path) -> Path:
    os.replace(file, wanted)
    return wanted


def _place(raw: bytes, into: Path, wanted: Path, put: Callable[[Path, Path], Path]) -> Path:
    """Write a file, whole or not at all; gives where. put: moves it to the wanted place or, where a
    record has that name, to that of a further attempt."""
    part = into / FOLDER / f"{wanted.name}.part"  # what a kill leaves, the next try replaces
    try:
        with part.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        wanted.parent.mkdir(parents=True, exist_ok=True)
        path = put(part, wanted)
        sync_folder(path.parent)
        return path
    except OSError as e:
        raise BenchError(f"cannot write below {into} ({e.strerror}); what was copied counts") from e
    finally:
        part.unlink(missing_ok=True)
