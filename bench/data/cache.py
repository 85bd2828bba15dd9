"""Decoded pictures kept between runs, because decoding 68,000 png files takes longer than reading their pixels."""

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL
from platformdirs import user_cache_path

from bench.data.files import Pixels, reading
from bench.errors import BenchError


def cached(files: Sequence[Path], how: str, decode: Callable[[], Pixels]) -> Pixels:
    """`decode()`, or what it gave last time for the same `how` and the same files (path, size, time of change)."""
    path = home("decoded") / f"{_key(files, how)}.npz"
    kept = _load(path)
    if kept is not None:
        return kept
    pixels = decode()
    try:
        _save(path, pixels)
    except OSError as e:  # a full disk or a read-only home costs the next run some time, and this one nothing
        warnings.warn(f"decoded images cannot be kept in {path.parent} ({e}): they are decoded anew each time", stacklevel=2)
    return pixels


def home(kind: str) -> Path:
    """The user's folder of what is kept of one kind."""
    return user_cache_path("uda-bench", appauthor=False) / kind


def _key(files: Sequence[Path], how: str) -> str:
    digest = hashlib.sha256(f"{how}, Pillow {PIL.__version__}\n".encode())
    for file in files:
        with reading(file):
            stat = file.stat()
        digest.update(f"{file.absolute()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def _load(path: Path) -> Pixels | None:
    """None when the file is absent or damaged, which the checksums of the zip format show."""
    try:
        with reading(path), path.open("rb") as file, np.load(file) as kept:
            pixels: Pixels = kept["pixels"]
            return pixels
    except BenchError:  # what was kept is only a copy
        return None


def _save(path: Path, pixels: Pixels) -> None:
    """Written aside and moved into place, so that a reader finds the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as out:
            np.savez(out, pixels=pixels)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
