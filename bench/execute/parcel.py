"""A cell's record on its way between folders that nobody shares: bytes that prove themselves.

A finished record has its seal, a checkpoint its digest, an artefact its sha256 in the record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError
from bench.paths import replacing, write_bytes
from bench.runs import artefacts, files, merge
from bench.runs.cell import Cell


@dataclass(frozen=True)
class Parcel:
    """A record, and what lies beside it."""

    name: str  # of the record's file; '' where there is none yet
    record: bytes = b""
    checkpoint: bytes | None = None  # of an unfinished one
    artefacts: Mapping[str, bytes] = field(default_factory=dict)  # by the end of their names


def pack(root: Path, cell: Cell) -> Parcel | None:
    """What an interrupted run of a cell goes on from; None where there is nothing."""
    folder = root / cell.folder
    path = files.locate_checkpoint(folder, cell.stem)
    try:
        checkpoint = path.read_bytes()
        found = files.list_attempts(folder, cell.stem)
        newest = max(found, key=lambda p: p.stat().st_mtime_ns)
        return Parcel(newest.name, newest.read_bytes(), checkpoint)
    except (OSError, ValueError):  # ValueError: there is no record
        return None


def pack_finished(path: Path) -> Parcel:
    """A record that has ended. Raises BenchError when it is damaged."""
    raw = path.read_bytes()
    end = files.parse(raw).end
    if end is None:
        raise BenchError(f"{path.name} has no end")
    beside = {a.file: artefacts.load(path, a) for a in end.artefacts.values()}
    return Parcel(path.name, raw, None, beside)


def unpack(parcel: Parcel, root: Path, cell: Cell) -> None:
    """Put an unfinished record and its checkpoint into a results folder; what an earlier parcel
    left there is replaced, and what has ended is not. The cell has to be ours. Raises OSError."""
    folder = root / cell.folder
    folder.mkdir(parents=True, exist_ok=True)
    there = files.read(folder / parcel.name)
    if there.end or (there.run is None and (folder / parcel.name).exists()):
        return
    wanted = {folder / parcel.name: parcel.record}
    if parcel.checkpoint is not None:
        wanted[files.locate_checkpoint(folder, cell.stem)] = parcel.checkpoint
    for path, raw in wanted.items():  # the record first: a checkpoint names it
        with replacing(path) as file:
            file.write(raw)


def unpack_finished(parcel: Parcel, root: Path, cell: Cell, scratch: Path) -> Path:
    """Put a finished record into a results folder, in place of the unfinished one that an earlier
    parcel left; gives its path there. scratch: an empty folder.

    Raises BenchError when it was damaged on its way, or the folder cannot be written.
    """
    sent = scratch / cell.folder / parcel.name
    write_bytes(sent, parcel.record)
    for file, raw in parcel.artefacts.items():
        write_bytes(artefacts.locate(sent, file), raw)
    if problem := files.read(sent).problem:
        raise BenchError(f"the record of {cell} was damaged on its way: {problem}")
    wanted = root / cell.folder / parcel.name
    if files.read(wanted).end is None:
        wanted.unlink(missing_ok=True)
    place = merge.copy_record(sent, scratch, root).place
    assert place is not None
    files.locate_checkpoint(root / cell.folder, cell.stem).unlink(missing_ok=True)
    return place
