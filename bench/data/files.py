"""What every reader shares: images as arrays, finding the files of a set, and saying what is wrong with one of them."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.datasets.sets import Both, DataSet, Form
from bench.errors import BenchError

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


class Split(NamedTuple):
    """Labelled images as arrays: x uint8 (N, C, H, W), y int64 (N,)."""

    x: Pixels
    y: Labels


@dataclass(frozen=True)
class Found:
    """Where a set lies, in which of its published forms, and which of that form's files are not there."""

    folder: Path
    form: Form
    files: Both[tuple[Path, ...]]
    missing: tuple[str, ...]

    def origin(self, root: Path) -> str:
        """As a record may say it: nothing of this machine in it."""
        return f"{self.form.reader} files in {self.folder.relative_to(root).as_posix()}"


def locate(facts: DataSet, root: Path) -> Found | None:
    """The most complete copy of a set below root, the preferred form first; None when there is no trace of it."""
    candidates = [_match(root / folder, form) for form in facts.forms for folder in form.folders]
    traces = [found for found in candidates if any(found.files)]
    return min(traces, key=lambda found: len(found.missing), default=None)


def _match(folder: Path, form: Form) -> Found:
    hits = {pattern: sorted(folder.glob(pattern)) for patterns in form.files for pattern in patterns}
    files = Both(*(tuple(p for pattern in patterns for p in hits[pattern]) for patterns in form.files))
    return Found(folder, form, files, tuple(pattern for pattern, paths in hits.items() if not paths))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns whatever a parser says about the bytes of `path` into one sentence."""
    try:
        yield
    except BenchError:
        raise
    except Exception as e:  # parsers of other people, fed any bytes at all: there is no shorter list of what they raise
        raise damaged(path, f"{type(e).__name__}: {e}") from e


def damaged(path: Path, why: str) -> BenchError:
    return BenchError(f"{path} cannot be read ({why}): delete it and run `bench data get`, or put an intact copy there")


def absent(facts: DataSet, root: Path) -> BenchError:
    wanted = ", ".join(form.files.train[0] for form in facts.forms)
    return BenchError(f"no {facts.name} below {root} (looked for {wanted}): {remedy(facts, root)}")


def incomplete(facts: DataSet, root: Path, found: Found) -> BenchError:
    gone = " and no ".join(found.missing)
    return BenchError(f"{facts.name} is incomplete ({found.folder} has no {gone}): {remedy(facts, root)}")


def remedy(facts: DataSet, root: Path) -> str:
    return f"run `bench data get {facts.name}`, or {by_hand(facts, root)}"


def by_hand(facts: DataSet, root: Path) -> str:
    return f"put the published layout here:\n{root}\n{indent(facts.layout, '    ')}"


def joined(splits: Sequence[Split]) -> Split:
    return Split(np.concatenate([split.x for split in splits]), np.concatenate([split.y for split in splits]))


def parted(whole: Split) -> Both[Split]:
    """Train and test where nobody published a split: every fifth image of each class is test."""
    test = fifths(whole.y)
    return Both(Split(whole.x[~test], whole.y[~test]), Split(whole.x[test], whole.y[test]))


def fifths(y: Labels) -> NDArray[np.bool_]:
    """Which images are every fifth one of their class."""
    chosen = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        chosen[np.flatnonzero(y == label)[4::5]] = True
    return chosen


def fingerprint(shape: tuple[int, ...], pixels: Iterable[bytes | memoryview], y: Labels) -> str:
    """sha256 over the shape, the pixels (in blocks of any size) and the labels of images, 16 hex digits."""
    digest = hashlib.sha256(str(shape).encode())
    for block in pixels:
        digest.update(block)
    digest.update(y.tobytes())
    return digest.hexdigest()[:16]
