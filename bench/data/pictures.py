"""Picture files: how they are decoded, and how they lie in folders."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from bench.data.cache import cached
from bench.data.files import Labels, Pixels, Split, damaged, reading
from bench.errors import BenchError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm")
WORKERS = min(16, os.cpu_count() or 1)


def upright(source: Path | bytes) -> Image.Image:
    """One picture in 8 bits, grey (L) or RGB, turned as its camera says. Raises whatever Pillow raises."""
    with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as file:
        picture: Image.Image = ImageOps.exif_transpose(file)
        if picture.mode.startswith("I"):  # 16 bits, which Pillow would clip at 255 instead of scaling them down
            return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
        if picture.mode == "P":  # a transparent colour is still a colour; straight to RGB, Pillow warns about it
            picture = picture.convert("RGBA")
        return picture if picture.mode == "L" else picture.convert("RGB")


def decode(source: Path | bytes) -> Pixels:
    """One picture as uint8 (1, H, W) when it is grey, else (3, H, W). Raises whatever Pillow raises."""
    pixels = np.array(upright(source))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def rgb(path: Path) -> Pixels:
    """A picture file as uint8 (3, H, W). Raises BenchError naming the file when it cannot be read."""
    with reading(path):
        pixels = decode(path)
    return pixels if len(pixels) == 3 else np.repeat(pixels, 3, axis=0)


def _of_32x32(files: Sequence[Path]) -> Pixels:
    """Picture files of that size in RGB: uint8 (N, 3, 32, 32)."""

    def one(path: Path) -> Pixels:
        x = rgb(path)
        if x.shape[1:] != (32, 32):
            raise damaged(path, f"{x.shape[2]}x{x.shape[1]} pixels where 32x32 are published")
        return x

    with ThreadPoolExecutor(WORKERS) as pool:  # Pillow lets go of the interpreter lock while it decodes
        return np.stack(list(pool.map(one, files)))


def listed(files: Sequence[Path]) -> Split:
    """MNIST-M: a text file with `name label` per line, and the folder of the 32x32 pictures it names."""
    labels, folder = files
    names, y = read_list(labels)
    if not names:
        raise damaged(labels, "it names no pictures")
    if missing := sorted(set(names) - names_in(folder)):
        raise BenchError(f"{folder} lacks {len(missing):,} of the images that {labels.name} lists: {missing[0]} first")
    pictures = [folder / name for name in names]
    return Split(cached(pictures, "32x32", lambda: _of_32x32(pictures)), y)


def names_in(folder: Path) -> set[str]:
    with reading(folder):
        return set(os.listdir(folder))


def read_list(path: Path) -> tuple[list[str], Labels]:
    """The names and labels of a file with `name label` per line."""
    with reading(path):
        rows = [line.rsplit(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines()]
        for number, row in enumerate(rows, start=1):
            if len(row) != 2 or not row[1].isdecimal():
                raise damaged(path, f"line {number} is not a name and a label: {' '.join(row)!r}")
        return [name for name, _ in rows], np.array([int(label) for _, label in rows], dtype=np.int64)


def parts(path: Path) -> list[Path]:
    """The folder itself, or its train/ and test/ when these are all it has."""
    return [path / "train", path / "test"] if classes(path) == ["test", "train"] else [path]


def unshared(path: Path) -> list[str]:
    """The classes that not every part of the folder has."""
    per_part = [set(classes(part)) for part in parts(path)]
    return sorted(name for name in set.union(*per_part) if any(name not in names for names in per_part))


def listing(path: Path) -> tuple[list[Path], Labels]:
    """The pictures below the sub-folders of path, sorted by name, and their labels: the places of their classes."""
    per_class = [picture_files(path / name) for name in classes(path)]
    labels = np.repeat(np.arange(len(per_class), dtype=np.int64), [len(files) for files in per_class])
    return [file for files in per_class for file in files], labels


def classes(path: Path) -> list[str]:
    """The names of the sub-folders of path, sorted."""
    with reading(path):
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def picture_files(path: Path) -> list[Path]:
    """All pictures below path, sorted."""
    return sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def passed_over(path: Path) -> list[Path]:
    """The files below path that are no pictures, sorted."""
    return sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() not in SUFFIXES)
