"""Picture files -> arrays, decoded by Pillow in a pool of threads and kept in the cache."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from bench.data.cache import cached
from bench.data.files import Labels, Pixels, Split, damaged, parted, reading
from bench.data.sets import Both
from bench.errors import BenchError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm")
WORKERS = min(16, os.cpu_count() or 1)
Fit = Callable[[Pixels], Pixels]  # uint8 (N, C, any, any) -> (N, C, H, W)


def decode(source: Path | bytes) -> Pixels:
    """One picture, the right way up: uint8 (1, H, W) when it is grey, else (3, H, W). Raises whatever Pillow raises."""
    with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as picture:
        upright = ImageOps.exif_transpose(picture)
        pixels = np.array(upright if upright.mode == "L" else upright.convert("RGB"))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def rgb(path: Path) -> Pixels:
    """A picture file as uint8 (3, H, W). Raises BenchError naming the file when it cannot be read."""
    with reading(path):
        pixels = decode(path)
    return pixels if len(pixels) == 3 else np.repeat(pixels, 3, axis=0)


def decode_all(files: Sequence[Path], fit: Fit) -> Pixels:
    """Picture files in RGB, made equal in size by `fit`: uint8 (N, 3, H, W)."""

    def one(path: Path) -> Pixels:
        with reading(path):
            return fit(rgb(path)[None])

    with ThreadPoolExecutor(WORKERS) as pool:  # Pillow lets go of the interpreter lock while it decodes
        return np.concatenate(list(pool.map(one, files)))


def unreadable(files: Sequence[Path]) -> Iterator[str]:
    """What is wrong with each picture that cannot be read."""

    def problem(path: Path) -> str | None:
        try:
            rgb(path)
        except BenchError as e:
            return str(e)
        return None

    with ThreadPoolExecutor(WORKERS) as pool:
        yield from filter(None, pool.map(problem, files))


def listed(files: Sequence[Path]) -> Split:
    """MNIST-M: a text file with `name label` per line, and the folder of the 32x32 pictures it names."""
    labels, folder = files
    names, y = read_list(labels)
    if not names:
        raise damaged(labels, "it names no pictures")
    if missing := sorted(set(names) - names_in(folder)):
        raise BenchError(f"{folder} lacks {len(missing):,} of the images that {labels.name} lists: {missing[0]} first")
    pictures = [folder / name for name in names]
    return Split(cached(pictures, "32x32", lambda: decode_all(pictures, _of_32x32)), y)


def names_in(folder: Path) -> set[str]:
    with reading(folder):
        return set(os.listdir(folder))


def _of_32x32(x: Pixels) -> Pixels:
    if x.shape[2:] != (32, 32):
        raise ValueError(f"{x.shape[3]}x{x.shape[2]} pixels where 32x32 are published")
    return x


def read_list(path: Path) -> tuple[list[str], Labels]:
    """The names and labels of a file with `name label` per line."""
    with reading(path):
        rows = [line.rsplit(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines()]
        for number, row in enumerate(rows, start=1):
            if len(row) != 2 or not row[1].isdecimal():
                raise damaged(path, f"line {number} is not a name and a label: {' '.join(row)!r}")
        return [name for name, _ in rows], np.array([int(label) for _, label in rows], dtype=np.int64)


def folder(path: Path, fit: Fit, how: str) -> Both[Split]:
    """Train and test of a folder with one sub-folder of pictures per class, or with train/ and test/ of that kind.

    `how` names what `fit` does, for the cache. Raises BenchError when the folder is absent or empty, when train/ and
    test/ hold different classes, or when a picture cannot be read.
    """
    if not path.is_dir():
        raise BenchError(f"no folder {path}: put sub-folders of images there, one per class, or correct `path` in the suite")
    if odd := unshared(path):
        raise BenchError(f"{path} has classes in only one of train/ and test/ ({', '.join(odd)}): they must hold the same")
    splits = [_whole(part, fit, how) for part in parts(path)]
    return Both(*splits) if len(splits) == 2 else parted(*splits)


def _whole(path: Path, fit: Fit, how: str) -> Split:
    pictures, y = listing(path)
    if not pictures:
        raise BenchError(f"no images in {path}: put sub-folders of them there, one per class ({', '.join(SUFFIXES)})")
    return Split(cached(pictures, how, lambda: decode_all(pictures, fit)), y)


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
