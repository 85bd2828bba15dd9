"""Encoded pictures -> squares of pixels, on all cores."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from bench.data.files import Pixels
from bench.data.listing import Picture
from bench.data.parquet import encoded
from bench.data.pictures import upright
from bench.errors import BenchError

T = TypeVar("T")
CHUNK = 32  # pictures per task: a fraction of a second's work, so that the bar moves and the cores end together


class Square(NamedTuple):
    """How a picture becomes size x size pixels: centre crop of crop x crop first, if any, then a resize by Pillow."""

    size: int
    resize: str
    crop: int | None = None

    @property
    def nbytes(self) -> int:
        return 3 * self.size**2

    def apply(self, picture: Image.Image) -> Pixels:
        """A picture as uint8 (3, size, size), resized as torchvision's Resize((size, size)) resizes it."""
        picture = picture.convert("RGB")
        if self.crop is not None:
            if self.crop > min(picture.size):
                raise ValueError(f"{picture.width}x{picture.height} pixels, smaller than crop = {self.crop}")
            left, top = (picture.width - self.crop) // 2, (picture.height - self.crop) // 2
            picture = picture.crop((left, top, left + self.crop, top + self.crop))
        how = Image.Resampling.NEAREST if self.resize == "nearest" else Image.Resampling.BILINEAR
        return np.asarray(picture.resize((self.size, self.size), how)).transpose(2, 0, 1)


def fill(pictures: Sequence[Picture], how: Square, put: Callable[[int, Pixels], object], title: str) -> dict[int, str]:
    """Calls put(i, pixels) for each picture, from many threads; returns what is wrong with those that cannot be decoded.

    Memory is that of one decoded picture for each core, however many pictures there are. Raises BenchError when a file
    cannot be opened at all, and whatever `put` raises.
    """

    def decode(first: int) -> dict[int, str]:
        wrong = {}
        for i, (picture, made) in enumerate(_attempts(pictures[first : first + CHUNK], how.apply), start=first):
            if isinstance(made, OSError) and made.errno is not None:  # the disk's fault, which may be mended tomorrow
                raise BenchError(f"{picture} cannot be opened ({made.strerror}): see that it can, then run this again")
            if isinstance(made, Exception):
                wrong[i] = f"{type(made).__name__}: {made}"
            else:
                put(i, made)
        return wrong

    wrong: dict[int, str] = {}
    console = Console(stderr=True)
    with _threads() as pool, Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        for problems in bar.track(
            pool.map(decode, range(0, len(pictures), CHUNK)), total=-(-len(pictures) // CHUNK), description=f"decoding {title}"
        ):
            wrong |= problems
    return wrong


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core: Pillow lets go of the interpreter lock for the 95 % of its time that are decoding and resizing.

    Processes would be no faster, and each would import what the caller's script imports, torch for one.
    """
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C waits for the pictures in hand only


def unreadable(pictures: Sequence[Picture]) -> Iterator[str]:
    """What is wrong with each picture that cannot be read."""

    def problems(chunk: Sequence[Picture]) -> list[str]:
        tried = ((picture, made) for picture, made in _attempts(chunk, Image.Image.load) if isinstance(made, Exception))
        return [f"{picture} cannot be read ({type(made).__name__}: {made})" for picture, made in tried]

    chunks = [pictures[i : i + CHUNK] for i in range(0, len(pictures), CHUNK)]
    with _threads() as pool:
        for found in pool.map(problems, chunks):
            yield from found


def _attempts(pictures: Sequence[Picture], make: Callable[[Image.Image], T]) -> Iterator[tuple[Picture, T | Exception]]:
    """What `make` makes of each picture, or why it could not."""
    for picture, source in zip(pictures, encoded(pictures), strict=True):
        try:
            yield picture, make(upright(source))
        except MemoryError:
            raise
        except Exception as e:  # whatever Pillow says about any bytes at all
            yield picture, e
