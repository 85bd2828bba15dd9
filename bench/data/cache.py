"""Decoded pixels, kept between runs in files that runs map into memory.

`<key>.u8` holds the pixels as uint8. `<key>.json`, moved into place last, says what they are:
without it, or beside pixels of another size, they count for nothing and are decoded anew. Its seal
shows whether anybody has changed what it says, and the time that it keeps, whether anybody has
changed the pixels since: an edited file, or a copy, is read whole and must have its fingerprint.
What that cannot show is a disk that rots silently: then the time stays the same.
"""

import errno
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from bench import paths
from bench.data.files import ByteArray, Labels, fingerprint
from bench.errors import BenchError

BLOCK_BYTES = 1 << 24  # how much is read at a time
FEW_BYTES = 1 << 28  # as many pixels as a run can do with in memory when they cannot be kept

Fill = Callable[[Callable[[int, ByteArray], object]], dict[int, str]]
"""Makes pictures: calls its argument with (i, pixels) for each one, from any thread and in any
order; returns i -> why for those that it could not make."""


@dataclass(frozen=True)
class Kept:
    """Decoded pictures."""

    pixels: Path | ByteArray
    """uint8 of `shape`: the whole content of a file or, where it could not be kept, an array."""
    picture: tuple[int, int, int]  # the shape of one picture (C, H, W)
    y: Labels  # the labels of the pictures that could be decoded
    unreadable: Sequence[tuple[int, str]]  # (i, why) for those that could not
    fingerprint: str | None = None  # that of the pixels and labels, where it is known

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of all pixels (N, C, H, W)."""
        return len(self.y), *self.picture

    def read(self) -> ByteArray:
        """The pixels in memory."""
        if isinstance(self.pixels, Path):
            return np.fromfile(self.pixels, np.uint8).reshape(self.shape)
        return self.pixels


@dataclass(frozen=True)
class Request:
    """What is asked of the cache."""

    key: str  # hexadecimal digits that stand for all that decides the pixels and labels
    picture: tuple[int, int, int]  # the shape of one picture (C, H, W)
    y: Labels  # one label per picture
    fill: Fill  # makes the pictures if they are not kept
    verify: bool = False  # whether to read and check every byte of what is kept

    @property
    def nbytes(self) -> int:
        """The size of all pixels."""
        return len(self.y) * prod(self.picture)

    @property
    def path(self) -> Path:
        """The file of the pixels."""
        return paths.cache_root() / "images" / f"{self.key[:24]}.u8"


def keep(request: Request) -> Kept:
    """The pictures as they were kept, or made now, by one process at a time.

    When they cannot be kept, few of them are made in memory, with a warning; raises BenchError
    for many.
    """
    return _find(request) or _make(request)


def _find(request: Request) -> Kept | None:
    """What an earlier run kept; None unless it is whole and has this key."""
    path, sidecar = request.path, request.path.with_suffix(".json")
    if paths.special_kind(sidecar):  # reading it could wait for ever
        return None
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        if content.pop("seal") != _seal(content):
            return None
        y = np.array(content["labels"], dtype=np.int64)
        kept = Kept(path, request.picture, y, content["unreadable"], content["fingerprint"])
        if content["key"] != request.key or path.stat().st_size != prod(kept.shape):
            return None
        verify = request.verify or content["modified"] != path.stat().st_mtime_ns
        if verify and kept.fingerprint != _fingerprint(path, kept.shape, y):
            return None
        return kept
    # absent, torn, or another program's file
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _make(request: Request) -> Kept:
    """The pictures, made by this process or by another one while this one waited for it."""
    path = request.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            return _find(request) or _build(request)
    except OSError as e:
        if request.nbytes > FEW_BYTES:
            raise BenchError(
                f"cannot keep {request.nbytes / 1e9:.1f} GB of decoded images in {path.parent} "
                f"({e}): make room, or set XDG_CACHE_HOME to another folder"
            ) from e
        warnings.warn(
            f"decoded images cannot be kept in {path.parent} ({e}): they are decoded each time",
            stacklevel=2,
        )
        return _make_in_memory(request)


def _build(request: Request) -> Kept:
    """Makes the pictures in a file beside their place, then moves it there. Raises OSError."""
    path = request.path
    part, sidecar = path.with_suffix(".part"), path.with_suffix(".json")
    sidecar.unlink(missing_ok=True)
    try:
        with part.open("w+b") as file:
            fd = file.fileno()
            failed = request.fill(partial(_write_picture, fd))
            good = _remaining(failed, request)
            _close_gaps(fd, good, prod(request.picture))
            os.fsync(fd)  # or a power cut could leave the sidecar of pixels that were never written
        y, unreadable = request.y[good], sorted(failed.items())
        modified = part.stat().st_mtime_ns  # before they are read: a later change shows
        digest = _fingerprint(part, (len(y), *request.picture), y)
        os.replace(part, path)
        content = {
            "key": request.key,
            "labels": y.tolist(),
            "unreadable": unreadable,
            "fingerprint": digest,
            "modified": modified,
        }
        part.write_text(json.dumps(content | {"seal": _seal(content)}), encoding="utf-8")
        os.replace(part, sidecar)
    except BaseException:  # Ctrl-C too: these may be gigabytes
        part.unlink(missing_ok=True)
        raise
    return Kept(path, request.picture, y, unreadable, digest)


def _make_in_memory(request: Request) -> Kept:
    """The pictures, kept for this run alone."""
    pixels = np.empty((len(request.y), *request.picture), np.uint8)
    failed = request.fill(pixels.__setitem__)
    good = _remaining(failed, request)
    pixels = pixels[good] if failed else pixels
    return Kept(pixels, request.picture, request.y[good], sorted(failed.items()))


def _remaining(failed: Container[int], request: Request) -> list[int]:
    """The numbers of the pictures that did not fail."""
    return [i for i in range(len(request.y)) if i not in failed]


def _write_picture(fd: int, i: int, pixels: ByteArray) -> None:
    """Writes picture i at its place. Raises OSError when the disk has no room for all of it."""
    if os.pwrite(fd, np.ascontiguousarray(pixels).data, i * pixels.nbytes) < pixels.nbytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _close_gaps(fd: int, rows: Sequence[int], nbytes: int) -> None:
    """Moves these rows of nbytes each to the front of the file, in order, and cuts off the rest."""
    for place, row in enumerate(rows):
        if place != row:
            os.pwrite(fd, os.pread(fd, nbytes, row * nbytes), place * nbytes)
    os.ftruncate(fd, len(rows) * nbytes)


def _seal(content: dict[str, Any]) -> str:
    """A sha256 of what a sidecar says, whose numbers and names nothing else checks."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _fingerprint(path: Path, shape: tuple[int, ...], y: Labels) -> str:
    """The fingerprint of the pixels in a file and their labels."""
    with path.open("rb") as file:
        return fingerprint(shape, iter(partial(file.read, BLOCK_BYTES), b""), y)
