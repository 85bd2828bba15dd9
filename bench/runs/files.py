"""Record files: the one writer and the one reader.

results/<suite>/<row>/<task>/s<seed>-<key>-<attempt>.jsonl is written by one process, a line at a
time, and never changed afterwards. A file without an `end`, or with a seal that does not fit, is no
result.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bench.errors import BenchError
from bench.paths import sync_folder
from bench.runs.checks import contradiction
from bench.runs.lease import Lease, Lost
from bench.runs.lines import LINE, RUN, SCHEMA, End, Eval, Line, Resume, Run, Train, text

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

NAME = re.compile(r"s\d+-[0-9a-f]{12}-\d+\.jsonl")
BEGINNING = f'{{"kind":"run","schema":{SCHEMA},'.encode()  # of a record's first line
SEALED = b'"}\n'  # what follows the seal's digits


def encode(line: Line, before: "Hash") -> bytes:
    """The bytes of a line. before: the sha256 of the file so far, which takes these bytes in.

    An `end` is sealed: the digits of its seal are the sha256 of all that stands before them.
    """
    data = text(line).encode() + b"\n"
    if not isinstance(line, End):
        before.update(data)
        return data
    data = data[:-2] + b',"seal":"'
    before.update(data)
    return data + before.hexdigest().encode() + SEALED


@dataclass(frozen=True)
class Place:
    """How far a record was written: what a checkpoint goes on from."""

    name: str  # of the record's file
    size: int  # bytes
    sha256: str  # of these bytes


class Writer:
    """Appends lines to one record, each in one write; `run` and `end` are flushed to disk."""

    def __init__(self, path: Path, fd: int, lease: Lease | None = None, begun: bytes = b"") -> None:
        """lease: what has to be ours still for a line to be written. begun: what the file holds."""
        self.path, self._fd, self._sha, self._size = path, fd, sha256(begun), len(begun)
        self._lease = lease

    @property
    def place(self) -> Place:
        return Place(self.path.name, self._size, self._sha.hexdigest())

    @property
    def doubtful(self) -> bool:
        """Whether it is time to `check`."""
        return self._lease is not None and self._lease.doubtful

    def check(self, *, sure: bool = False) -> None:
        """Raise Busy or Lost unless the cell is still ours; see `Lease.check`."""
        if self._lease:
            self._lease.check(sure=sure)

    def line(self, line: Line) -> None:
        """Append a line. Raises Lost when the disk is full or the file is gone, and Busy when
        another process has taken over its cell."""
        self.check(sure=isinstance(line, End))
        data = encode(line, self._sha)
        self._size += len(data)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            if isinstance(line, Run | Resume | End):
                os.fsync(self._fd)
        except OSError as e:
            raise Lost(
                f"cannot write {self.path} ({e.strerror}); "
                "free space or choose another --results folder"
            ) from e
        if isinstance(line, End) and not self._in_place():
            raise Lost(
                f"{self.path} was deleted or replaced while it was written; run this cell again"
            )

    def _in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.stat())
        except OSError:
            return False


@contextmanager
def create(
    folder: Path, stem: str, place: Place | None = None, lease: Lease | None = None
) -> Iterator[Writer]:
    """A new attempt at a cell, or the old one where it goes on at `place` (see `check_place`).

    folder: of its records. stem: 's<seed>-<key>'. lease: on the cell; without one, the caller sees
    to it that nobody else goes on with the same attempt. O_EXCL makes sure that no new attempt is
    written twice. Raises BenchError when the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path, fd, begun = _open_again(folder, place) if place else _open_new(folder, stem)
        except OSError as e:
            raise BenchError(
                f"cannot write under {folder} ({e.strerror}); choose another --results folder"
            ) from e
        stack.callback(os.close, fd)
        yield Writer(path, fd, lease, begun)


def locate_checkpoint(folder: Path, stem: str) -> Path:
    """What an interrupted run of a cell goes on from. stem: 's<seed>-<key>'."""
    return folder / f"{stem}.checkpoint"


def list_leftovers(folder: Path, stem: str) -> list[Path]:
    """What interrupted processes left of a cell: its checkpoint, and drafts of one, of a record or
    of an artefact."""
    checkpoint = locate_checkpoint(folder, stem)
    return [*folder.glob(checkpoint.name), *folder.glob(f"{stem}*.part")]


def drop_leftovers(folder: Path, stem: str) -> None:
    """Remove them: the cell has ended. Raises OSError."""
    for path in list_leftovers(folder, stem):
        path.unlink(missing_ok=True)


def check_place(folder: Path, place: Place) -> str:
    """Why a record cannot go on from there, in a sentence; '' where it can."""
    if not NAME.fullmatch(place.name):
        return "it is of no record"
    try:
        raw = (folder / place.name).read_bytes()
    except OSError as e:
        return f"its record {place.name} cannot be read ({e.strerror})"
    if sha256(raw[: place.size]).hexdigest() != place.sha256 or len(raw) < place.size:
        return f"its record {place.name} is not what it was"
    if parse(raw).end is not None:
        return f"its record {place.name} has ended"
    return ""


def _open_again(folder: Path, place: Place) -> tuple[Path, int, bytes]:
    """A record up to where a checkpoint was written; what came after is made again. Raises OSError.

    A new file under the old name: a process that was frozen, and knows nothing of having been
    replaced, has the old file open and can no longer harm.
    """
    path = folder / place.name
    with path.open("rb") as file:
        begun = file.read(place.size)
    draft = path.with_name(f"{path.name}.part")
    with ExitStack() as undo:
        undo.callback(draft.unlink, missing_ok=True)
        with draft.open("wb") as file:
            file.write(begun)
            file.flush()
            os.fsync(file.fileno())
        fd = os.open(draft, os.O_WRONLY | os.O_APPEND)
        undo.callback(os.close, fd)
        os.replace(draft, path)
        sync_folder(folder)
        undo.pop_all()
    return path, fd, begun


def _open_new(folder: Path, stem: str) -> tuple[Path, int, bytes]:
    """A new file for the next attempt, and its descriptor. Raises OSError."""
    while True:
        path = folder / f"{stem}-{_next_attempt(folder, stem)}.jsonl"
        with suppress(FileExistsError):  # `bench merge` was quicker: take the number after it
            return (
                path,
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644),
                b"",
            )


def place(file: Path, wanted: Path) -> Path:
    """Give a whole file the name of a record, or that of a further attempt where it is taken.

    Both on one disk. A link never replaces what is there. Returns the new path; raises OSError.
    """
    stem, path = wanted.name.rpartition("-")[0], wanted
    while True:
        try:
            os.link(file, path)
            return path
        except FileExistsError:
            path = wanted.with_name(f"{stem}-{_next_attempt(wanted.parent, stem)}.jsonl")


def _next_attempt(folder: Path, stem: str) -> int:
    newest = find_newest(folder, stem)
    return 1 + (attempt(newest.name) if newest else 0)


def find_newest(folder: Path, stem: str) -> Path | None:
    """The record of the last attempt at a cell."""
    return next(reversed(list_attempts(folder, stem)), None)


def list_attempts(folder: Path, stem: str) -> list[Path]:
    """The records of all attempts at a cell, the first one first; no copies of other names."""
    found = (p for p in folder.glob(f"{stem}-*.jsonl") if NAME.fullmatch(p.name))
    return sorted(found, key=lambda p: attempt(p.name))


def attempt(name: str) -> int:
    """'s0-0123456789ab-3.jsonl' -> 3"""
    return int(name.removesuffix(".jsonl").rpartition("-")[2])


@dataclass(frozen=True)
class Content:
    """What one record file says, as far as it could be read."""

    run: Run | None = None  # None: the first line could not be read
    train: tuple[Train, ...] = ()
    evals: tuple[Eval, ...] = ()
    resumes: tuple[Resume, ...] = ()
    end: End | None = None  # None: unfinished, or damaged
    problem: str = ""  # why it counts for nothing although it does not look unfinished


def read(path: Path) -> Content:
    """What a record file says. Never raises, whatever the file holds."""
    try:
        raw = path.read_bytes()
    except OSError as e:
        return Content(problem=f"it cannot be read ({e.strerror})")
    return parse(raw)


def parse(raw: bytes) -> Content:
    """What the bytes of a record say, up to their first bad line.

    Without an `end` a record is unfinished: no problem, and no result. With one it has to be whole:
    the seal fits, every line is readable, and nothing contradicts anything else.
    """
    first, *rest = raw.split(b"\n")
    run, problem = _run(first) if rest else (None, "unfinished: not even its first line is whole")
    if run is None:
        return Content(problem=problem)
    lines: list[Any] = []
    for line in rest[:-1]:  # what follows the last newline is torn
        try:
            lines.append(LINE.validate_json(line))
        except ValidationError:
            problem = "damaged: one of its lines is not one that this program writes"
            break
    end = lines[-1] if lines and isinstance(lines[-1], End) else None
    if any(isinstance(x, End) for x in lines) and not problem:
        whole = end is not None and not rest[-1] and _sealed(raw)
        seal = "" if whole else "its seal does not fit what it says"
        if found := seal or contradiction(run, lines):
            problem = f"damaged: {found}"
    train = tuple(x for x in lines if isinstance(x, Train))
    evals = tuple(x for x in lines if isinstance(x, Eval))
    resumes = tuple(x for x in lines if isinstance(x, Resume))
    kept = ((), None) if problem else (evals, end)
    return Content(run, train, kept[0], resumes, kept[1], problem)


def _sealed(raw: bytes) -> bool:
    """Whether the last line ends with the sha256 of all bytes before those digits."""
    start = len(raw) - len(SEALED) - 64
    return start > 0 and raw[start:-3] == sha256(memoryview(raw)[:start]).hexdigest().encode()


def _run(first: bytes) -> tuple[Run | None, str]:
    """The first line, or why it is none."""
    with suppress(ValidationError):
        run = RUN.validate_json(first)
        if first.startswith(BEGINNING):
            return run, ""
    schema = _schema(first)
    if schema is None:
        return None, "damaged: its first line is not the `run` line of a record"
    if schema < SCHEMA:
        return None, f"of schema {schema}, which an older program wrote: run `bench convert`"
    if schema > SCHEMA:
        return None, f"of schema {schema}, which a newer program wrote: use that one"
    return None, "damaged: its first line is not one that this program writes"


def _schema(first: bytes) -> int | None:
    """The schema that a first line states, if it states one."""
    try:
        stated = json.loads(first)
    except (ValueError, RecursionError):
        return None
    schema = (
        stated.get("schema") if isinstance(stated, dict) and stated.get("kind") == "run" else None
    )
    return schema if type(schema) is int else None
