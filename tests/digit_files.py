"""Tiny digit sets in their published layouts, written without the code under test."""

import gzip
import struct
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import paths
from bench.datasets import sets
from bench.datasets.facts import Both

TRAIN = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
TEST = np.arange(10)


def pixels(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    """n random uint8 images."""
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def shrink(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """For one test, the published counts of these sets are those of TRAIN and TEST."""
    counts = Both(tuple(np.bincount(TRAIN).tolist()), tuple(np.bincount(TEST).tolist()))
    for name in names:
        monkeypatch.setitem(sets.ALL, name, replace(sets.ALL[name], counts=counts))


def cache_in(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(paths, "cache_root", lambda: folder)


def idx(array: np.ndarray) -> bytes:
    """The bytes of an idx file: two zeros, type 8, rank, sizes as big-endian 32-bit integers, then the elements."""
    return (
        struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        + array.astype(np.uint8).tobytes()
    )


def png(image: np.ndarray) -> bytes:
    """(C, H, W) or (H, W) -> the bytes of a png file."""
    out = BytesIO()
    Image.fromarray(image if image.ndim == 2 else image.transpose(1, 2, 0)).save(out, "png")
    return out.getvalue()


def write_mnist(root: Path, *, gz: bool = False) -> Both[np.ndarray]:
    """The four files of MNIST; returns the images (N, 28, 28)."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    images = Both(pixels(len(TRAIN), 28, 28), pixels(len(TEST), 28, 28, seed=1))
    for prefix, x, y in (("train", images.train, TRAIN), ("t10k", images.test, TEST)):
        for name, array in ((f"{prefix}-images-idx3-ubyte", x), (f"{prefix}-labels-idx1-ubyte", y)):
            if gz:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return images


def write_usps(root: Path) -> Both[np.ndarray]:
    """zip.train.gz and zip.test.gz; returns the values in [-1, 1] with three decimals (N, 256)."""
    folder = root / "USPS"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    values = Both(*(rng.integers(-1000, 1001, (len(y), 256)) / 1000 for y in (TRAIN, TEST)))
    for split, v, y in zip(("train", "test"), values, (TRAIN, TEST), strict=True):
        lines = [
            " ".join([f"{label:.4f}", *(f"{x:.4f}" for x in row)])
            for label, row in zip(y, v, strict=True)
        ]
        (folder / f"zip.{split}.gz").write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    return values


def write_mnist_m(root: Path) -> Both[np.ndarray]:
    """The folders of png files and the lists of their labels; returns the images (N, 3, 32, 32)."""
    images = Both(pixels(len(TRAIN), 3, 32, 32), pixels(len(TEST), 3, 32, 32, seed=1))
    for split, x, y in zip(("train", "test"), images, (TRAIN, TEST), strict=True):
        folder = root / "mnist_m" / f"mnist_m_{split}"
        folder.mkdir(parents=True)
        for i, image in enumerate(x):
            (folder / f"{i:08}.png").write_bytes(png(image))
        listing = "".join(f"{i:08}.png {label}\n" for i, label in enumerate(y))
        (root / "mnist_m" / f"mnist_m_{split}_labels.txt").write_text(listing)
    return images
