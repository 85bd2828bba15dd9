"""What is read: pictures in files, or images as arrays; and the error for a damaged file."""

import bz2
import gzip
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, printable, shorten
from bench.paths import special_kind

UNPACKED = 1 << 28  # values of an array: SVHN, the largest, has 225 million

ByteArray = NDArray[np.uint8]  # pixels, 0..255
Labels = NDArray[np.int64]  # 0..classes-1


def to_labels(numbers: NDArray[Any]) -> Labels:
    """Numbers of any type as labels. Raises ValueError where one is no whole number, and what numpy
    raises over what are no numbers."""
    if not ((np.abs(numbers) < 1 << 53) & (numbers == np.rint(numbers))).all():
        raise ValueError("not all labels are whole numbers")
    return numbers.astype(np.int64)


def name_file(path: object) -> str:
    """A path on one line, whatever its name is."""
    return str(path).replace("\n", "\\n")


class Split(NamedTuple):
    """Labelled images as arrays."""

    x: ByteArray  # (N, C, H, W)
    y: Labels  # (N,)


class Picture(NamedTuple):
    """An encoded picture: a file, or one row of a Parquet file."""

    path: Path
    row: int | None = None  # None when the whole file is the picture

    def __str__(self) -> str:
        path = name_file(self.path)
        return path if self.row is None else f"row {self.row} of {path}"


@dataclass(frozen=True, eq=False)
class Listing:
    """Which pictures a domain consists of and what they show; none of them is decoded yet."""

    base: Path  # the folder that they lie below
    pictures: Sequence[Picture]  # the rows of one Parquet file stand together, in ascending order
    y: Labels  # (N,)
    classes: tuple[str, ...] = ()  # the names of the labels; () when nobody named them

    def select(self, keep: NDArray[np.bool_]) -> "Listing":
        """The pictures for which keep (N,) is true."""
        kept = [self.pictures[i] for i in np.flatnonzero(keep).tolist()]
        return replace(self, pictures=kept, y=self.y[keep])


def choose_test(y: Labels, fraction: float = 0.2) -> NDArray[np.bool_]:
    """Which images are to test on: this fraction of each class, spread evenly over it; for 0.2
    every fifth one.

    Labels (N,) -> (N,)
    """
    exact = Fraction(str(fraction))  # in floating point 100 × 0.29 is 28.999...
    chosen = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        places = np.flatnonzero(y == label)
        before = [i * exact.numerator // exact.denominator for i in range(len(places) + 1)]
        chosen[places[np.diff(before) > 0]] = True
    return chosen


def fingerprint(shape: tuple[int, ...], pixels: Iterable[bytes | memoryview], y: Labels) -> str:
    """The identity of labelled images, wherever they were read: 16 hex digits of a sha256.

    shape: that of the pixels. pixels: their bytes, in blocks of any size.
    """
    digest = hashlib.sha256(str(shape).encode())
    for block in pixels:
        digest.update(block)
    digest.update(y.tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Turns every exception in the block into a BenchError that says that `path` is damaged.

    BenchErrors pass as they are. The block is not entered for what `refuse_special` refuses.
    """
    refuse_special(path)
    try:
        yield
    except BenchError:
        raise
    # libraries that parse arbitrary bytes: there is no shorter list of what they raise
    except Exception as e:
        raise damaged(path, f"{type(e).__name__}: {e}") from e


def refuse_special(path: Path) -> None:
    """Raises BenchError for what is neither a file nor a folder: reading it could wait for ever."""
    if kind := special_kind(path):
        raise damaged(path, f"it is {kind}, not a file")


def unpack(path: Path, most: int) -> bytes:
    """The content of a file, unpacked where its name ends in .gz or .bz2.

    Raises BenchError when it is damaged, or holds more than `most` bytes.
    """
    openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
    opener = openers.get(path.suffix, open)
    with parsing(path), opener(path, "rb") as file:
        content: bytes = file.read(most + 1)
    if len(content) > most:
        raise damaged(path, f"it holds more than {most >> 20} MiB, more than any published one")
    return content


def damaged(path: Path | Picture, reason: str) -> BenchError:
    """The error for a downloaded file whose content is not what it should be.

    reason: what a library says, for one; it may quote all that is in the file.
    """
    short = shorten(" ".join(printable(reason).split()), 200)
    return BenchError(
        f"{name_file(path)} cannot be read ({short}): delete it and run `bench data get`, "
        "or put an intact copy there"
    )
