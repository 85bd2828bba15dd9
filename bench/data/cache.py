"""Decoded images kept between runs, because decoding 68,000 png files takes longer than many an experiment."""

import hashlib
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import PIL
from platformdirs import user_cache_path

from bench.data.files import Split


def cached(files: Iterable[Path], how: str, decode: Callable[[], Split]) -> Split:
    """`decode()`, or what it gave last time for the same files (by path, size and time of change) and the same `how`."""
    path = user_cache_path("uda-bench", appauthor=False) / "decoded" / f"{_key(files, how)}.npz"
    kept = _load(path)
    if kept is not None:
        return kept
    split = decode()
    try:
        _save(path, split)
    except OSError as e:  # a full disk or a read-only home costs time in the next run, not this run
        warnings.warn(f"decoded images are not cached in {path.parent}: {e}", stacklevel=2)
    return split


def _key(files: Iterable[Path], how: str) -> str:
    digest = hashlib.sha256(f"{how} Pillow {PIL.__version__}\n".encode())
    for file in files:
        stat = file.stat()
        digest.update(f"{file.absolute()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def _load(path: Path) -> Split | None:
    """The arrays of a cache file, whose zip checksums make any damage show; None when absent or damaged."""
    try:
        with np.load(path) as kept:
            return Split(kept["x"], kept["y"])
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def _save(path: Path, split: Split) -> None:
    """Written aside and moved into place, so that a reader sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".npz.tmp")
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            np.savez(out, x=split.x, y=split.y)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
