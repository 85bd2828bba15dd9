"""Encoded pictures -> pixels, on all cores."""

import hashlib
import logging
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.data import cache
from bench.data.files import ByteArray, Listing, Picture, parsing
from bench.data.parquet import read_pictures
from bench.data.resize import Square
from bench.errors import BenchError
from bench.paths import special_kind

_T = TypeVar("_T")
FORMAT = 1  # of what the cache keeps; part of every key
PIXELS = 1 << 27  # pixels of the largest picture that is decoded: 0.4 GB as RGB, on each core
KINDS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "PPM", "GIF", "TIFF")
"""What a file may hold, whatever its name ends in. Of others Pillow lets a program make pictures:
Ghostscript of EPS."""
CHUNK = 32  # pictures per task: a fraction of a second's work, so that all cores end together

Image.MAX_IMAGE_PIXELS = None  # Pillow would only warn; PIXELS takes its place
# what Pillow tells besides is of metadata: where pixels cannot be decoded, it raises
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

DecodeProgress = Callable[[int, int], None]
"""Called with the number of pictures decoded so far and the number to decode."""


class Original(NamedTuple):
    """A picture of one size only, as it is."""

    shape: tuple[int, int, int]  # (C, H, W), C = 1 (grey) or 3 (RGB)

    def convert(self, picture: Image.Image) -> ByteArray:
        """A picture as uint8 (C, H, W); grey is repeated where RGB is wanted.

        Raises BenchError when the picture is of another size, or colored where grey is wanted.
        """
        channels, height, width = self.shape
        if picture.size != (width, height):
            here, published = f"{picture.width}x{picture.height}", f"{width}x{height}"
            raise BenchError(f"{here} pixels where {published} are published")
        if channels == 1 and picture.mode != "L":
            raise BenchError("it is colored where the published pictures are grey")
        pixels = np.asarray(picture if channels == 1 else picture.convert("RGB"))
        return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def decode_listing(
    listing: Listing,
    target: Square | Original,
    *,
    verify: bool = False,
    progress: DecodeProgress | None = None,
) -> cache.Kept:
    """The pixels of a listing's pictures, from the cache or decoded now.

    verify: whether to check every byte of what the cache holds. Raises BenchError when a file
    cannot be opened, and when the cache cannot be written and the pictures are many.
    """
    key, fill = _key(listing, target), partial(_decode_all, listing.pictures, target, progress)
    return cache.keep(cache.Request(key, target.shape, listing.y, fill, verify))


def _key(listing: Listing, target: Square | Original) -> str:
    """A sha256 of all that decides the pixels and labels: the pictures' names, labels, sizes and
    times of change, what is made of them, and which Pillow decodes them."""
    digest = hashlib.sha256(f"{FORMAT} {PIL.__version__} {tuple(target)}\n".encode())
    for path in dict.fromkeys(picture.path for picture in listing.pictures):
        try:
            stat = path.stat()
        except OSError as e:
            raise _unopened(Picture(path), e) from e
        name = os.fsencode(os.path.relpath(path, listing.base))
        digest.update(name + f" {stat.st_size} {stat.st_mtime_ns}\n".encode())
    for picture, label in zip(listing.pictures, listing.y, strict=True):
        digest.update(f"{picture.row} {label}\n".encode())
    return digest.hexdigest()


def _decode_all(
    pictures: Sequence[Picture],
    target: Square | Original,
    progress: DecodeProgress | None,
    put: Callable[[int, ByteArray], object],
) -> dict[int, str]:
    """Calls put(i, pixels) for each picture, from many threads; returns i -> why for those that
    cannot be decoded.

    Memory is that of a few encoded and one decoded picture per core, however many pictures there
    are. Raises BenchError when a file cannot be opened, and whatever `put` raises.
    """
    failed: dict[int, str] = {}
    done = 0
    for chunk in _attempt_all(pictures, target.convert, put):
        for i, error in chunk:
            if isinstance(error, OSError) and error.errno is not None:
                # the disk's fault rather than the picture's, and perhaps gone tomorrow
                raise _unopened(pictures[i], error)
            if error is not None:
                failed[i] = _explain(error)
        done += len(chunk)
        if progress:
            progress(done, len(pictures))
    return failed


def _unopened(picture: Picture, error: OSError) -> BenchError:
    return BenchError(
        f"{picture} cannot be opened ({error.strerror}): see that it can, then run this again"
    )


def decode_each(
    pictures: Sequence[Picture], target: Square
) -> Iterator[tuple[int, ByteArray | str]]:
    """(i, its pixels) of each picture in their order or, where it cannot be decoded, (i, why).

    Nothing of it is kept in the cache. Raises BenchError when a Parquet file cannot be read.
    """
    made: dict[int, ByteArray] = {}
    for chunk in _attempt_all(pictures, target.convert, made.__setitem__):
        for i, error in chunk:
            yield i, made.pop(i) if error is None else _explain(error)


def find_unreadable(pictures: Sequence[Picture]) -> Iterator[str]:
    """A sentence about each picture that cannot be decoded. Raises BenchError when a Parquet file
    cannot be read."""
    for chunk in _attempt_all(pictures, Image.Image.load, lambda i, made: None):
        for i, error in chunk:
            if error is not None:
                yield f"{pictures[i]} cannot be read ({_explain(error)})"


def digest_pictures(
    pictures: Sequence[Picture], progress: DecodeProgress | None = None
) -> tuple[list[bytes | None], dict[int, str]]:
    """A sha256 of size and pixels for each picture, None for one that cannot be decoded; and
    i -> why for those. Equal pixels in files of different formats are equal."""
    digests: list[bytes | None] = [None] * len(pictures)
    unreadable: dict[int, str] = {}

    def digest(picture: Image.Image) -> bytes:
        rgb = picture.convert("RGB")
        return hashlib.sha256(f"{rgb.size} ".encode() + rgb.tobytes()).digest()

    done = 0
    for chunk in _attempt_all(pictures, digest, digests.__setitem__):
        unreadable |= {i: _explain(error) for i, error in chunk if error is not None}
        done += len(chunk)
        if progress:
            progress(done, len(pictures))
    return digests, unreadable


def decode_rgb(path: Path) -> ByteArray:
    """A picture file as uint8 (3, H, W). Raises BenchError naming the file."""
    with parsing(path):
        return np.array(open_upright(path).convert("RGB")).transpose(2, 0, 1)


def open_upright(source: Path | bytes) -> Image.Image:
    """One picture in 8 bits, grey (L) or RGB, turned as its camera says.

    Raises BenchError for one of more than PIXELS and for what is no file, and whatever Pillow
    raises.
    """
    if isinstance(source, Path) and (kind := special_kind(source)):
        raise BenchError(f"it is {kind}, not a file")  # opening it could wait for ever
    place = BytesIO(source) if isinstance(source, bytes) else source
    with Image.open(place, formats=KINDS) as file:
        if file.width * file.height > PIXELS:
            raise BenchError(
                f"it has {file.width:,} x {file.height:,} pixels, and no picture of more than "
                f"{PIXELS / 1e6:.0f} million is decoded"
            )
        picture: Image.Image = ImageOps.exif_transpose(file)
        if picture.mode.startswith("I"):
            # 16 bits, which Pillow would clip at 255 instead of scaling them down
            return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
        if picture.mode == "P":
            # a transparent color is still a color; Pillow warns when it goes straight to RGB
            picture = picture.convert("RGBA")
        return picture if picture.mode == "L" else picture.convert("RGB")


def encode_png(pixels: ByteArray) -> bytes:
    """uint8 (3, H, W) -> the bytes of a png file."""
    encoded = BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(encoded, "png")
    return encoded.getvalue()


def _attempt_all(
    pictures: Sequence[Picture],
    convert: Callable[[Image.Image], _T],
    put: Callable[[int, _T], object],
) -> Iterator[list[tuple[int, Exception | None]]]:
    """Calls put(i, convert(picture)) for each picture, on all cores; yields, chunk by chunk in the
    order of the pictures, (i, what went wrong with it if anything did)."""

    def attempt(sources: list[tuple[int, Path | bytes]]) -> list[tuple[int, Exception | None]]:
        return [(i, _attempt(source, convert, partial(put, i))) for i, source in sources]

    # files are read in one thread and in their order: a Parquet file is gone through once
    sources = enumerate(_open_encoded(pictures))
    waiting: deque[Future[list[tuple[int, Exception | None]]]] = deque()
    with _threads() as (pool, number):
        while chunk := list(islice(sources, CHUNK)):
            waiting.append(pool.submit(attempt, chunk))
            if len(waiting) > 2 * number:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _attempt(
    source: Path | bytes, convert: Callable[[Image.Image], _T], put: Callable[[_T], object]
) -> Exception | None:
    """Decodes one picture; returns the exception of Pillow or `convert`, raises that of `put`."""
    try:
        made = convert(open_upright(source))
    except MemoryError:
        raise
    except Exception as e:  # whatever Pillow raises over arbitrary bytes
        return e
    put(made)
    return None


def _open_encoded(pictures: Sequence[Picture]) -> Iterator[Path | bytes]:
    """What Pillow can open of each picture. Raises BenchError when a Parquet file is damaged."""
    for path, group in groupby(pictures, key=lambda picture: picture.path):
        rows = [picture.row for picture in group if picture.row is not None]
        yield from read_pictures(path, rows) if rows else [path]


@contextmanager
def _threads() -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """A thread per core, and how many these are.

    Pillow releases the interpreter lock for the 95 % of its time that go into decoding and
    resizing. Processes would be no faster, and each would import what the caller's script imports,
    torch for one.
    """
    number = os.cpu_count() or 1
    pool = ThreadPoolExecutor(number)
    try:
        yield pool, number
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C waits only for pictures being decoded


def _explain(error: Exception) -> str:
    """An error in words, with its type where the program did not write it itself."""
    if isinstance(error, UnidentifiedImageError):
        return f"it is no {', '.join(KINDS[:-1])} or {KINDS[-1]}"
    return str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
