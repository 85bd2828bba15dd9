"""Images that this program makes: MNIST-M, folders in a published layout, random stand-ins."""

import hashlib
import math
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.decode import decode_rgb
from bench.data.files import ByteArray, Split
from bench.data.listing import find_pictures
from bench.datasets import sets
from bench.datasets.facts import Both, DataSet
from bench.datasets.generated import Mark, scale_counts, write_mark
from bench.errors import BenchError, UsageError, unknown

# MNIST-M's published images: MNIST's 28x28 digits with two pixels of photograph around them, ...
MNIST_M_SIZE, MNIST_M_MARGIN = 32, 2
MNIST_M_COUNTS = Both(59_001, 9_001)  # ... and only the first so many of MNIST

SIDES = 120, 640  # shortest and longest side where the published pictures vary in size, in pixels


def blend_mnist_m(mnist: Both[Split], photos: Path, seed: int = 0) -> Both[Split]:
    """MNIST-M: |patch - digit| for every digit and a random patch of a random photograph
    (Ganin et al., JMLR 2016).

    mnist: the 28x28 digits. photos: a folder of pictures of at least 32x32 pixels (published:
    BSDS500). Gives x (N, 3, 32, 32) in MNIST's order, as many as published, the same for the same
    photographs and seed. Raises BenchError when a photograph is too small or cannot be read.
    """
    files = find_pictures(photos)
    if not files:
        raise BenchError(f"no photographs in {photos}: name a folder of pictures, such as BSDS500")
    rng = np.random.default_rng(seed)
    train, test = (
        Split(_blend(split.x[:n, 0], files, rng), split.y[:n])
        for split, n in zip(mnist, MNIST_M_COUNTS, strict=True)
    )
    return Both(train, test)


def _blend(digits: ByteArray, photos: Sequence[Path], rng: np.random.Generator) -> ByteArray:
    """Digits (N, 28, 28) -> blended (N, 3, 32, 32).

    Each photograph is decoded once, for all the digits that drew it: together they can exceed the
    memory.
    """
    drawn, corners = rng.integers(len(photos), size=len(digits)), rng.random((len(digits), 2))
    size = MNIST_M_SIZE
    blended = np.empty((len(digits), 3, size, size), np.uint8)
    for number, file in enumerate(photos):
        photo = decode_rgb(file).astype(np.int16)
        room = np.array(photo.shape[1:]) - size + 1
        if room.min() < 1:
            raise BenchError(f"{file} is smaller than {size}x{size} pixels: take it out")
        for i in np.flatnonzero(drawn == number):
            top, left = (corners[i] * room).astype(int)
            patch = photo[:, top : top + size, left : left + size]
            blended[i] = np.abs(patch - np.pad(digits[i], MNIST_M_MARGIN))
    return blended


def generate(kind: str, root: Path, *, scale: float = 0.01, seed: int = 0) -> Path:
    """Writes a folder of the shape of a published set of several domains below root and returns it.

    scale: images per published image, at least one of each class. The pictures are the same for
    the same seed. The folder appears whole or not at all, and is marked as made up. Raises
    UsageError for another kind or scale, BenchError when the folder exists or cannot be written.
    """
    kinds = [name for name, facts in sets.ALL.items() if facts.domains]
    if kind not in kinds:
        raise unknown("kind of set to generate", kind, kinds)
    if not 0 < scale < math.inf:
        raise UsageError(
            f"a scale of {scale:g} makes no sense: give images per published image, such as 0.01"
        )
    facts = sets.find_set(kind)
    folder = root / facts.forms[0].folders[0]
    if folder.exists():
        raise BenchError(
            f"{folder} exists already: name another folder, or delete it if its images were made up"
        )
    aside = root / f".{folder.name}.part"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        _write_pictures(facts, aside, scale, seed)
        write_mark(aside, Mark(kind, scale, seed))
        os.replace(aside, folder)
    except OSError as e:
        raise BenchError(
            f"cannot write {folder} ({e.strerror}): free space or choose another folder"
        ) from e
    return folder


def _write_pictures(facts: DataSet, folder: Path, scale: float, seed: int) -> None:
    """Made-up pictures of all domains and classes, and the list files. Raises OSError."""

    def place(domain: str) -> Path:
        pattern = facts.domains[domain]
        return folder / (domain if "*" in pattern else pattern) / facts.inner

    def write_class(domain: str, name: str, n: int) -> None:
        (place(domain) / name).mkdir(parents=True)
        suffix = "png" if domain == "sketch" else "jpg"
        for i in range(1, n + 1):
            file = facts.numbering.format(i) if facts.numbering else f"pic_{i:03}.{suffix}"
            picture = _draw(f"{seed}/{name}", f"{domain}/{i}", facts.size)
            picture.save(place(domain) / name / file)

    counts = scale_counts(facts.name, scale)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = [
            pool.submit(write_class, domain, name, n)
            for domain, classes in counts.items()
            for name, n in classes.items()
        ]
        for future in waiting:
            future.result()
    for domain, file in facts.lists.items():
        path, classes = folder / file, sorted(counts[domain])
        names = sorted(p for p in place(domain).rglob("*.*") if p != path)
        lines = (
            f"{p.relative_to(path.parent).as_posix()} {classes.index(p.parent.name)}\n"
            for p in names
        )
        path.write_text("".join(lines), encoding="utf-8")


def _draw(class_key: str, own_key: str, side: int | None) -> Image.Image:
    """Four by four patches of color, decided by class_key, under noise that own_key decides too.

    side: in pixels; None for a random width and height.
    """
    pattern, own = _random(class_key), _random(f"{class_key}/{own_key}")
    size = (side, side) if side else tuple(own.integers(*SIDES, 2, endpoint=True).tolist())
    colors = pattern.integers(0, 160, (4, 4, 3)) + own.integers(0, 96, (4, 4, 3))
    patches = Image.fromarray(colors.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noise = Image.fromarray(own.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    return Image.blend(patches, noise.resize(size, Image.Resampling.NEAREST), 0.15)


def synthesize(domain: str, *, classes: int, channels: int, size: int) -> Both[Split]:
    """Stand-ins for data that is not there: a coarse pattern per class under the domain's noise.

    Train and test as x (N, channels, size, size), every class in both; the same for the same
    arguments on every machine.
    """
    patterns = np.random.default_rng(0).integers(0, 160, (classes, channels, 4, 4), dtype=np.uint8)
    cells = np.arange(size) * 4 // size
    patterns = patterns[:, :, cells][:, :, :, cells]
    noise = _random(domain)
    y = np.arange(max(128, 2 * classes), dtype=np.int64) % classes
    shape = len(y), channels, size, size
    train, test = (
        Split(patterns[y] + noise.integers(0, 96, shape, dtype=np.uint8), y) for _ in range(2)
    )
    return Both(train, test)


def _random(key: str) -> np.random.Generator:
    """Random numbers that the key alone decides."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]))
