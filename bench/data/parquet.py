"""Parquet files as the Hugging Face Hub serves them: columns `image` (encoded pictures) and `label`."""

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bench.data.cache import cached
from bench.data.files import Labels, Pixels, Split, damaged, joined, reading
from bench.data.pictures import decode

if TYPE_CHECKING:
    import pyarrow


def parquet(files: Sequence[Path]) -> Split:
    """A split in one file or several, the pictures plain bytes or the Hub's {bytes, path}."""
    parts = [_part(path) for path in files]
    with reading(files[0].parent):  # images of different sizes do not join
        return joined(parts)


def _part(path: Path) -> Split:
    table = _table(path)
    with reading(path):
        labels = table["label"].to_numpy().astype(np.int64)
    return Split(cached([path], "parquet", lambda: _decode(path, table)), labels)


def _table(path: Path) -> "pyarrow.Table":
    import pyarrow.parquet as pq

    with reading(path):
        columns = pq.read_schema(path).names
        if not {"image", "label"} <= set(columns):
            raise damaged(path, f"its columns are {', '.join(columns)}, not image and label")
        return pq.read_table(path, columns=["image", "label"])


def _decode(path: Path, table: "pyarrow.Table") -> Pixels:
    with reading(path):
        images = table["image"].to_pylist()
        return np.stack([decode(image["bytes"] if isinstance(image, dict) else image) for image in images])


def write(path: Path, x: Pixels, y: Labels) -> None:
    """Stores RGB images in the same form, as png; the file appears whole or not at all."""
    import pyarrow
    import pyarrow.parquet as pq

    table = pyarrow.table({"image": [_png(pixels) for pixels in x], "label": y})
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    pq.write_table(table, aside)
    os.replace(aside, path)


def _png(pixels: Pixels) -> bytes:
    encoded = BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(encoded, "png")
    return encoded.getvalue()
