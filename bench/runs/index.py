"""The index of records: a SQLite file in the user's cache folder, one for each results folder."""

import gc
import json
import os
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from bench import paths, suite
from bench.runs import files
from bench.runs.classes import mean_over_classes
from bench.runs.lines import Counts

MANY = 200  # records to be read anew, from which on several processes share the work
TABLE = (
    "CREATE TABLE IF NOT EXISTS record (path TEXT PRIMARY KEY, stamp TEXT, crc INTEGER, blob BLOB)"
)

UNREAD = "it cannot be read"  # how the problem of a file begins that may be read another time


class IndexRow(NamedTuple):
    """What the index keeps of a record file."""

    stamp: str  # size, times of change and number of the file when it was read
    crc: int  # of path, stamp and blob
    blob: bytes  # see `summarize`


class Index:
    """Looks up record files by path and stamp; what it does not know is read and kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.abspath(folder))
        name = sha256(os.fsencode(self._folder)).hexdigest()[:24]
        self._file = paths.cache_root() / "records" / f"{name}.sqlite"

    def look_up(self, found: Sequence[tuple[str, os.stat_result]]) -> list[bytes]:
        """The summary of each file (`summarize`), in their order."""
        start = len(os.path.join(self._folder, ""))
        stamps = {os.path.abspath(path)[start:]: _stamp(stat) for path, stat in found}
        kept = self._load()
        new = [name for name, stamp in stamps.items() if not _fits(kept.get(name), name, stamp)]
        for name, blob in zip(new, self._read(new), strict=True):
            kept[name] = IndexRow(stamps[name], _crc(name, stamps[name], blob), blob)
        read = {name: kept[name] for name in new if UNREAD.encode() not in kept[name].blob}
        self._save(read, kept.keys() - stamps.keys())
        return [kept[name].blob for name in stamps]

    def _load(self) -> dict[str, IndexRow]:
        try:
            with closing(self._open("ro")) as db:
                return {path: IndexRow(*rest) for path, *rest in db.execute("SELECT * FROM record")}
        except (sqlite3.Error, TypeError, OSError):  # absent, damaged, or being written
            return {}

    def _open(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._file.absolute().as_uri()}?mode={mode}", uri=True)

    def _read(self, names: Sequence[str]) -> Iterable[bytes]:
        paths_to_read = [str(self._folder / name) for name in names]
        cores = os.cpu_count() or 1
        if len(names) < MANY or cores < 2:
            return map(summarize_file, paths_to_read)
        return _read_in_processes(paths_to_read, min(cores, 8))

    def _save(self, new: Mapping[str, IndexRow], gone: Iterable[str]) -> None:
        if not (new or gone):
            return
        with suppress(OSError):  # a full disk or a read-only cache: the next command reads anew
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._write(new, gone)
            except sqlite3.OperationalError:  # another process is writing
                pass
            except sqlite3.DatabaseError:  # damaged: made anew next time
                self._file.unlink(missing_ok=True)

    def _write(self, new: Mapping[str, IndexRow], gone: Iterable[str]) -> None:
        with closing(self._open("rwc")) as db, db:
            db.execute(TABLE)
            rows = [(name, *kept) for name, kept in new.items()]
            db.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", rows)
            db.executemany("DELETE FROM record WHERE path = ?", [(name,) for name in gone])


def _read_in_processes(paths_to_read: Sequence[str], n: int) -> list[bytes]:
    """`summarize_file` of each path, by n interpreters of their own."""
    command, env = paths.own_interpreter("from bench.runs import index; index.answer()")

    def read_share(share: Sequence[str]) -> list[bytes]:
        asked = json.dumps(share).encode()
        done = subprocess.run(command, input=asked, capture_output=True, env=env)
        found = done.stdout.splitlines()
        return found if len(found) == len(share) else list(map(summarize_file, share))

    with ThreadPoolExecutor(n) as pool:
        shares = list(pool.map(read_share, (paths_to_read[k::n] for k in range(n))))
    return [shares[i % n][i // n] for i in range(len(paths_to_read))]


def answer() -> None:
    """Read a JSON list of paths from stdin; write the summary of each, a line each."""
    gc.disable()  # nothing of a record outlives its summary
    for path in json.load(sys.stdin):
        sys.stdout.buffer.write(summarize_file(path) + b"\n")


def _fits(kept: IndexRow | None, name: str, stamp: str) -> bool:
    """Whether what is kept is of the file as it is now, and undamaged."""
    try:
        return kept is not None and kept.stamp == stamp and kept.crc == _crc(name, stamp, kept.blob)
    except TypeError:  # a damaged index can hold anything
        return False


def _stamp(s: os.stat_result) -> str:
    return f"{s.st_size} {s.st_mtime_ns} {s.st_ctime_ns} {s.st_ino} {_code()}"


@cache
def _code() -> str:
    """Stands for the code that reads and checks records: when that changes, they are read anew."""
    sources = [*Path(__file__).parent.glob("*.py"), *Path(suite.__file__).parent.glob("*.py")]
    stats = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(sources)]
    return sha256(repr(stats).encode()).hexdigest()[:12]


def _crc(name: str, stamp: str, blob: bytes) -> int:
    return zlib.crc32(blob, zlib.crc32(f"{name} {stamp}".encode()))


SHARED = ("hyper", "hyper_all", "source", "target", "recipe", "data", "weights")


def summarize(raw: bytes) -> bytes:
    """JSON of what plans and tables need of a record: [run, shared, evals, end, problem].

    shared: JSON of those fields of `run` that many records have alike, so that it is parsed once.
    evals: [step, source, target, values, scores], the counts of a test set as [right, images,
    images that went to the class that received most, mean of the accuracies of the classes].
    """
    content = files.parse(raw)
    evals = [
        [e.step, _tally(e.source), _tally(e.target), e.values, e.scores or {}]
        for e in content.evals
    ]
    run = json.loads(raw[: raw.index(b"\n")]) if content.run else None
    end = json.loads(raw[raw.rindex(b"\n", 0, -1) :]) if content.end else None
    shared = json.dumps({k: run.pop(k) for k in SHARED if k in run}) if run else ""
    parts = [run, shared, evals, end, content.problem]
    return json.dumps(parts, separators=(",", ":")).encode()


def summarize_file(path: str | Path) -> bytes:
    """`summarize` of a file. Never raises."""
    try:
        return summarize(Path(path).read_bytes())
    except OSError as e:
        return json.dumps([None, "", [], None, f"{UNREAD} ({e.strerror})"]).encode()


def _tally(c: Counts | None) -> list[float | None] | None:
    if c is None:
        return None
    most = max(c.predicted, default=0)
    return [sum(c.correct), sum(c.total), most, mean_over_classes(c.correct, c.total)]
