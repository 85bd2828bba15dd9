"""Square pictures kept in a file of raw bytes that runs map into memory, decoded once for all of them.

`<key>.u8` holds uint8 (N, 3, size, size). `<key>.json`, moved into place last, says what the pixels are: without it, or
beside a file of another length, they count for nothing and are made anew.
"""

import errno
import hashlib
import json
import os
import warnings
from collections.abc import Container, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL
from filelock import FileLock

from bench.data import cache
from bench.data.files import Labels, Pixels, fingerprint, reading
from bench.data.listing import Listing
from bench.data.square import Square, fill
from bench.errors import BenchError

FORMAT = 1
BLOCK = 1 << 24  # bytes read at a time
FEW = 1 << 28  # bytes of pixels that a run can do with in memory


class Kept(NamedTuple):
    """Decoded pictures: uint8 (len(y), 3, size, size), the whole of a file or, for want of one, in memory.

    unreadable: which of the listing are not among them, and why.
    """

    pixels: Path | Pixels
    size: int
    y: Labels
    unreadable: Sequence[tuple[int, str]]
    fingerprint: str | None = None


def mapped(listing: Listing, how: Square, *, title: str, skip_unreadable: bool = False) -> Kept:
    """The pictures of a listing as squares, from the cache or decoded now, by one process at a time.

    Raises BenchError naming the first picture that cannot be read, unless told to leave such pictures out, and when the
    cache cannot be written; of a few pictures that is only a warning.
    """
    key = _key(listing, how)
    path = cache.home("images") / f"{key[:24]}.u8"
    kept = _find(path, key) or _made(path, key, listing, how, title)
    if kept.unreadable and not (skip_unreadable and len(kept.y)):
        (i, why), others = kept.unreadable[0], len(kept.unreadable) - 1
        more = f", nor can {others:,} more" if others else ""
        which = f"{listing.pictures[i]} cannot be read ({why}){more}"
        raise BenchError(f"{title}: {which}: replace what is damaged, or leave it out with --skip-unreadable")
    return kept


def _key(listing: Listing, how: Square) -> str:
    """What decides the content: the pictures' names, labels, sizes and times of change, the squares, and who decodes."""
    digest = hashlib.sha256(f"{FORMAT} {PIL.__version__} {tuple(how)}\n".encode())
    for path in dict.fromkeys(picture.path for picture in listing.pictures):
        with reading(path):
            stat = path.stat()
        digest.update(f"{os.path.relpath(path, listing.base)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    for picture, label in zip(listing.pictures, listing.y, strict=True):
        digest.update(f"{picture.row} {label}\n".encode())
    return digest.hexdigest()


def _find(path: Path, key: str) -> Kept | None:
    """What an earlier run kept; None unless it is whole and of this key."""
    try:
        about: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        y = np.array(about["labels"], dtype=np.int64)
        if about["key"] != key or path.stat().st_size != len(y) * 3 * about["size"] ** 2:
            return None
        return Kept(path, about["size"], y, about["unreadable"], about["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):  # absent, torn, or written by somebody else
        return None


def _made(path: Path, key: str, listing: Listing, how: Square, title: str) -> Kept:
    """What this process decodes, or another one did while this one waited for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            return _find(path, key) or _build(path, key, listing, how, title)
    except OSError as e:
        nbytes = len(listing.pictures) * how.nbytes
        if nbytes > FEW:
            why = f"{nbytes / 1e9:.1f} GB of decoded images in {path.parent} ({e})"
            raise BenchError(f"cannot keep {why}: make room, or set XDG_CACHE_HOME to another folder") from e
        warnings.warn(f"decoded images cannot be kept in {path.parent} ({e}): they are decoded anew each time", stacklevel=2)
        return _in_memory(listing, how, title)


def _build(path: Path, key: str, listing: Listing, how: Square, title: str) -> Kept:
    part, sidecar = path.with_suffix(".part"), path.with_suffix(".json")
    sidecar.unlink(missing_ok=True)
    try:
        with part.open("w+b") as file:
            fd = file.fileno()
            wrong = fill(listing.pictures, how, partial(_put, fd), title)
            good = _but(wrong, listing)
            _close_gaps(fd, good, how.nbytes)
            os.fsync(fd)  # else a power cut could leave the mark of a file that never reached the disk
            y = listing.y[good]
            known = fingerprint((len(y), 3, how.size, how.size), _blocks(fd), y)
        os.replace(part, path)
        unreadable = sorted(wrong.items())
        about = {"key": key, "size": how.size, "labels": y.tolist(), "fingerprint": known, "unreadable": unreadable}
        part.write_text(json.dumps(about), encoding="utf-8")
        os.replace(part, sidecar)
    except BaseException:  # Ctrl-C too: these may be gigabytes
        part.unlink(missing_ok=True)
        raise
    return Kept(path, how.size, y, unreadable, known)


def _in_memory(listing: Listing, how: Square, title: str) -> Kept:
    pixels = np.empty((len(listing.pictures), 3, how.size, how.size), np.uint8)
    wrong = fill(listing.pictures, how, pixels.__setitem__, title)
    good = _but(wrong, listing)
    return Kept(pixels[good] if wrong else pixels, how.size, listing.y[good], sorted(wrong.items()))


def _but(wrong: Container[int], listing: Listing) -> list[int]:
    """The places of the pictures that are not wrong."""
    return [i for i in range(len(listing.y)) if i not in wrong]


def _put(fd: int, i: int, pixels: Pixels) -> None:
    """Writes a picture at its place. Raises OSError when the disk has no room for the whole of it."""
    if os.pwrite(fd, np.ascontiguousarray(pixels).data, i * pixels.nbytes) < pixels.nbytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _close_gaps(fd: int, rows: Sequence[int], nbytes: int) -> None:
    """Moves these rows to the front of the file, in their order, and cuts off the rest."""
    for to, row in enumerate(rows):
        if to != row:
            os.pwrite(fd, os.pread(fd, nbytes, row * nbytes), to * nbytes)
    os.ftruncate(fd, len(rows) * nbytes)


def _blocks(fd: int) -> Iterator[bytes]:
    """The content of a file, read rather than mapped: the pages of a map would count as memory of this process."""
    at = 0
    while block := os.pread(fd, BLOCK, at):
        yield block
        at += len(block)
