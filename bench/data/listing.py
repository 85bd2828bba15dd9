"""Which pictures a domain consists of and what they show, before any of them is decoded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.files import Labels, fifths
from bench.data.pictures import SUFFIXES, classes, listing, parts, read_list, unshared
from bench.datasets.sets import Both
from bench.errors import BenchError


class Picture(NamedTuple):
    """An encoded picture: a file, or a row of a Parquet file."""

    path: Path
    row: int | None = None

    def __str__(self) -> str:
        return f"{self.path}" if self.row is None else f"row {self.row} of {self.path}"


@dataclass(frozen=True, eq=False)
class Listing:
    """Pictures below a folder and their labels, int64 (N,); classes: the labels' names, () when nobody gave any."""

    base: Path
    pictures: Sequence[Picture]
    y: Labels
    classes: tuple[str, ...] = ()

    def where(self, keep: NDArray[np.bool_]) -> "Listing":
        return replace(self, pictures=[self.pictures[i] for i in np.flatnonzero(keep).tolist()], y=self.y[keep])


def tree(path: Path) -> Listing:
    """The pictures below one sub-folder per class, the classes in the order of their names."""
    files, y = listing(path)
    return Listing(path, [Picture(file) for file in files], y, tuple(classes(path)))


def folder(path: Path) -> Both[Listing]:
    """Train and test of a folder with one sub-folder of pictures per class, or with train/ and test/ of that kind.

    Raises BenchError when the folder is absent or empty, or when train/ and test/ hold different classes.
    """
    if not path.is_dir():
        raise BenchError(f"no folder {path}: put sub-folders of images there, one per class, or correct `path` in the suite")
    if odd := unshared(path):
        raise BenchError(f"{path} has classes in only one of train/ and test/ ({', '.join(odd)}): they must hold the same")
    found = [tree(part) for part in parts(path)]
    for part in found:
        if not part.pictures:
            raise BenchError(f"no images in {part.base}: put sub-folders of them there, one per class ({', '.join(SUFFIXES)})")
    return Both(*found) if len(found) == 2 else parted(*found)


def listed(file: Path, base: Path) -> Listing:
    """The pictures that a list file names, one `relative/path label` per line, below base; the labels are the file's own.

    Raises BenchError when the file is absent or has a line of another form, or when a picture is missing.
    """
    if not file.is_file():
        raise BenchError(f"no list file {file}: correct `list` in the suite, which is relative to the data root")
    names, y = read_list(file)
    if not names:
        raise BenchError(f"{file} lists no pictures: give it a line `relative/path label` for each")
    pictures = [Picture(base / name) for name in names]
    if gone := [picture.path for picture in pictures if not picture.path.is_file()]:
        raise BenchError(f"{file} lists {len(gone):,} pictures that are not there, {gone[0]} first: correct it or `path`")
    return Listing(base, pictures, y)


def parted(whole: Listing) -> Both[Listing]:
    """Train and test where nobody published a split."""
    test = fifths(whole.y)
    return Both(whole.where(~test), whole.where(test))


def together(path: Path, found: Iterable[Listing]) -> Listing:
    """Listings of the same classes as one."""
    found = list(found)
    y = np.concatenate([part.y for part in found])
    return Listing(path, [picture for part in found for picture in part.pictures], y, found[0].classes)
