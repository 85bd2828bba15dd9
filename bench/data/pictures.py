"""Picture files -> arrays, decoded by Pillow in a pool of threads and kept in the cache."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from bench.data.cache import cached
from bench.data.files import Labels, Pixels, Split, parted, reading
from bench.errors import BenchError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm"}
Fit = Callable[[Pixels], Pixels]  # uint8 (N, C, any, any) -> (N, C, H, W)


def decode(source: Path | bytes, mode: str | None = "RGB") -> Pixels:
    """One picture, the right way up: uint8 (C, H, W). Raises whatever Pillow raises."""
    with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as picture:
        pixels = np.asarray(ImageOps.exif_transpose(picture).convert(mode))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def decode_all(files: Sequence[Path], fit: Fit) -> Pixels:
    """Pictures in RGB, made equal in size by `fit`: uint8 (N, 3, H, W). Raises BenchError naming the first picture that cannot be read."""

    def one(path: Path) -> Pixels:
        with reading(path):
            return fit(decode(path)[None])[0]

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow lets go of the interpreter lock while it decodes
        return np.stack(list(pool.map(one, files)))


def listed(files: Sequence[Path]) -> Split:
    """MNIST-M: a text file with `name label` per line, and the folder of the 32x32 pictures it names."""
    labels, folder = files
    with reading(labels):
        rows = [line.split() for line in labels.read_text(encoding="utf-8").splitlines()]
        names, y = [name for name, _ in rows], np.array([int(label) for _, label in rows], dtype=np.int64)
    if missing := sorted(set(names) - set(os.listdir(folder))):
        raise BenchError(f"{folder} lacks {len(missing):,} of the images that {labels.name} lists, {missing[0]} first")
    pictures = [folder / name for name in names]
    return cached(pictures, f"listed {y.tolist()}", lambda: Split(decode_all(pictures, _native), y))


def _native(pixels: Pixels) -> Pixels:
    if pixels.shape[1:] != (3, 32, 32):
        raise ValueError(f"{pixels.shape[3]}x{pixels.shape[2]} pixels instead of 32x32")
    return pixels


def classes(path: Path) -> list[str]:
    """The sub-folders of path, sorted by name: the classes of a folder of images."""
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def folder(path: Path, fit: Fit, how: str) -> tuple[Split, Split]:
    """Train and test of a folder with one sub-folder of pictures per class, each picture fitted to one size.

    `how` names what `fit` does, for the cache. Raises BenchError when the folder is absent or empty, when train/ and test/
    hold different classes, or when a picture cannot be read.
    """
    if not path.is_dir():
        raise BenchError(f"no folder {path}: it should hold one sub-folder of images per class")
    if classes(path) == ["test", "train"]:
        if classes(path / "train") != classes(path / "test"):
            odd = sorted(set(classes(path / "train")) ^ set(classes(path / "test")))
            raise BenchError(f"{path}/train and {path}/test hold different classes: {', '.join(odd)} in one only")
        return _folder(path / "train", fit, how), _folder(path / "test", fit, how)
    return parted(_folder(path, fit, how))


def _folder(path: Path, fit: Fit, how: str) -> Split:
    pictures, y = listing(path)
    if not pictures:
        raise BenchError(f"{path} has no images: it should hold one sub-folder of images ({', '.join(sorted(SUFFIXES))}) per class")
    return cached(pictures, f"folder {how}", lambda: Split(decode_all(pictures, fit), y))


def listing(path: Path) -> tuple[list[Path], Labels]:
    """The pictures below the class folders of path and their labels, in the order of their names."""
    by_class = [sorted(p for p in (path / name).rglob("*") if p.suffix.lower() in SUFFIXES) for name in classes(path)]
    labels = np.repeat(np.arange(len(by_class)), [len(pictures) for pictures in by_class])
    return [p for pictures in by_class for p in pictures], labels
