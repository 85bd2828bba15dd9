"""What plans and tables need of each record, by way of an index, so that each file is read once.

The index is derived: deleting or damaging it costs time and changes nothing.
"""

import gc
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from math import nan
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter

from bench import paths
from bench.errors import UsageError, shorten
from bench.runs.files import NAME, attempt
from bench.runs.index import UNREAD, Index, summarize_file
from bench.runs.lease import FOLDER
from bench.runs.lines import Code, Converted, End, Env, LoadedDomain, Normalization, Run, Weights
from bench.suite.search import TRIALS

JOBS = ".jobs"  # the folder of what schedulers keep of their jobs
ASIDE = (TRIALS, paths.PAGES, paths.SMOKE, FOLDER, JOBS)
"""Folders below the results that hold no results of suites."""


CLOSED = "lost+found"  # of a disk, which its owner alone may read


class Tally(NamedTuple):
    """Predictions on a test set."""

    correct: int  # how many are right
    total: int  # how many images there are
    most: int  # how many go to the class that receives most
    class_accuracy: float | None = None
    """Mean over the classes of right predictions in %; None without an image."""

    @property
    def accuracy(self) -> float:
        """Right predictions in %."""
        return 100 * self.correct / self.total if self.total else nan

    def score(self, over: Literal["images", "classes"]) -> float:
        """Right predictions in % of the images; or of those of each class, on average."""
        if over == "images":
            return self.accuracy
        return nan if self.class_accuracy is None else self.class_accuracy


class Evaluation(NamedTuple):
    """One evaluation."""

    step: int  # iterations done
    source: Tally | None = None
    target: Tally | None = None
    values: Mapping[str, float] = MappingProxyType(
        {}
    )  # what a task measures that counts no predictions
    scores: Mapping[str, float] = MappingProxyType(
        {}
    )  # how good the predictions on the target look without its labels


KeptParts = tuple[dict[str, Any] | None, str, tuple[Evaluation, ...], End | None, str]
KEPT: TypeAdapter[KeptParts] = TypeAdapter(KeptParts)


@dataclass(frozen=True)
class Record:
    """A record file as plans and tables see it."""

    path: Path
    run: Run | None  # None: the first line could not be read
    evals: tuple[Evaluation, ...] = ()
    end: End | None = None  # None: unfinished, or damaged
    problem: str = ""  # why it counts for nothing although it does not look unfinished

    @property
    def complete(self) -> bool:
        return self.end is not None

    @property
    def status(self) -> str:
        """ok, diverged or failed, as the run said itself; unfinished; damaged."""
        return self.end.status if self.end else "damaged" if self.problem else "unfinished"

    @property
    def unread(self) -> bool:
        """Whether it could not be read now, so that nobody knows what it says."""
        return self.problem.startswith(UNREAD)

    @property
    def generated(self) -> bool:
        """Whether any of its images were made up by the program."""
        return self.run is not None and any(d.generated for d in self.run.data.values())

    @property
    def age(self) -> tuple[str, int, str]:
        """Sorts records from the oldest to the newest."""
        return self.run.started if self.run else "", attempt(self.path.name), self.path.as_posix()


def read_record(path: Path) -> Record:
    """One record, without the index. Never raises, whatever the file holds."""
    return _record(path, summarize_file(path))


def read_all(folder: Path) -> list[Record]:
    """Every record below a folder, in a fixed order; a file of another name (a copy, say) is none.

    Folders inside it that hold no results of suites (trials, smoke runs) are passed over. A folder
    that is not there has no records. Raises UsageError for one that cannot be read, as a whole or
    in part: what is recorded there would be run again.
    """
    check_folder(folder)
    found = sorted(_walk(folder), key=itemgetter(0))
    kept = Index(folder).look_up(found)
    with _no_collection():
        return [_record(Path(path), blob) for (path, _), blob in zip(found, kept, strict=True)]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Makes many objects that live on without the collector looking for garbage among them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def list_files(folder: Path) -> list[Path]:
    """The record files that `read_all` would read, unread. Raises UsageError like it."""
    return sorted(Path(path) for path, _ in _walk(folder))


def find_record(text: str, root: Path) -> Path:
    """The file of a record: `text` is its path, from here or below `root`, or its name alone, with
    or without .jsonl. Raises UsageError when there is none, or several of that name."""
    for path in (Path(text), root / text):
        if os.path.isfile(path):  # a name too long for a file is none, too
            return path
    name = f"{text.removesuffix('.jsonl')}.jsonl"
    found = sorted(root.rglob(name)) if NAME.fullmatch(name) else []
    if len(found) > 1:
        raise UsageError(f"{text} is several records, give one path: {', '.join(map(str, found))}")
    if not found:
        raise UsageError(f"no record {shorten(text)}; `bench ls runs` names them")
    return found[0]


def _record(path: Path, blob: bytes) -> Record:
    """blob: from `index.summarize`, of lines that were checked: nothing is checked again."""
    own, shared, evals, end, problem = KEPT.validate_json(blob)
    return Record(path, _run(own, shared) if own else None, evals, end, problem)


def _run(own: dict[str, Any], shared: str) -> Run:
    load = own["env"].pop("load", None)
    own["code"] = _code(json.dumps(own["code"]))
    own["env"] = _env(json.dumps(own["env"])).model_copy(update={"load": load})
    if own.get("converted"):
        own["converted"] = Converted.model_validate(own["converted"])
    if own.get("normalization"):
        own["normalization"] = Normalization.model_validate_json(json.dumps(own["normalization"]))
    own.pop("schema", None)
    return _like(shared).model_copy(update=own)


@lru_cache(maxsize=4096)
def _code(text: str) -> Code:
    return Code.model_validate_json(text)


@lru_cache(maxsize=4096)
def _env(text: str) -> Env:
    return Env.model_validate_json(text)


@lru_cache(maxsize=4096)
def _like(shared: str) -> Run:
    """A run whose own fields are still to be filled in."""
    fields: dict[str, Any] = json.loads(shared)
    fields["data"] = {
        k: LoadedDomain.model_validate_json(json.dumps(v)) for k, v in fields["data"].items()
    }
    fields["weights"] = Weights.model_validate_json(json.dumps(fields["weights"]))
    return Run.model_construct(**fields)


def check_folder(folder: Path) -> None:
    """Raise UsageError for a folder of records that cannot be read; one that is absent is empty.

    Otherwise what is recorded there would be run again.
    """
    try:
        os.scandir(folder).close()
    except FileNotFoundError:
        pass
    except OSError as e:
        raise _refuse(folder, e) from e


def _refuse(folder: str | Path, e: OSError) -> UsageError:
    return UsageError(
        f"the records under {shorten(str(folder))} cannot be read ({e.strerror}): "
        "choose another --results folder"
    )


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Raises UsageError for a folder below it that is there and cannot be read."""
    top = str(folder)
    pending = [top]
    while pending:
        here = pending.pop()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if here != top or entry.name not in (*ASIDE, CLOSED):
                            pending.append(entry.path)
                    elif NAME.fullmatch(entry.name) and entry.is_file():  # no pipe: it never ends
                        with suppress(FileNotFoundError):
                            yield entry.path, entry.stat()
        except (FileNotFoundError, NotADirectoryError):  # it went away in this moment
            pass
        except OSError as e:
            raise _refuse(here, e) from e
