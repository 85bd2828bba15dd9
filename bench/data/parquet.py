"""Parquet files as the Hugging Face Hub serves them: columns `image` (encoded pictures), `label`, sometimes `domain`."""

import json
import os
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bench.data.cache import cached
from bench.data.files import Labels, Pixels, Split, damaged, joined, reading
from bench.data.listing import Listing, Picture
from bench.data.pictures import decode
from bench.datasets.sets import folded

if TYPE_CHECKING:
    import pyarrow


def parquet(files: Sequence[Path]) -> Split:
    """A split in one file or several, the pictures plain bytes or the Hub's {bytes, path}."""
    parts = [_part(path) for path in files]
    with reading(files[0].parent):  # images of different sizes do not join
        return joined(parts)


def _part(path: Path) -> Split:
    table = _table(path, "image", "label")
    with reading(path):
        labels = table["label"].to_numpy().astype(np.int64)
    return Split(cached([path], "parquet", lambda: _decode(path, table)), labels)


def _table(path: Path, *wanted: str) -> "pyarrow.Table":
    import pyarrow.parquet as pq

    with reading(path):
        columns = pq.read_schema(path).names
        if not set(wanted) <= set(columns):
            raise damaged(path, f"its columns are {', '.join(columns)}, not {' and '.join(wanted)}")
        return pq.read_table(path, columns=list(wanted))


def _decode(path: Path, table: "pyarrow.Table") -> Pixels:
    with reading(path):
        return np.stack([decode(_bytes(image)) for image in table["image"].to_pylist()])


def rows(files: Sequence[Path], domain: str) -> Listing:
    """The rows of one domain, their labels from the names of the classes, which the files must state."""
    found = [(Picture(path, i), label) for path in files for i, label in enumerate(_labels(path, domain)) if label is not None]
    names = sorted({label for _, label in found})
    y = np.array([names.index(label) for _, label in found], dtype=np.int64)
    return Listing(files[0].parent, [picture for picture, _ in found], y, tuple(names))


def _labels(path: Path, domain: str) -> list[str | None]:
    """The class of each row, None for the rows of other domains."""
    table = _table(path, "domain", "label")
    with reading(path):
        columns = (_names(table, column) for column in ("domain", "label"))
        return [label if folded(of) == folded(domain) else None for of, label in zip(*columns, strict=True)]


def _names(table: "pyarrow.Table", column: str) -> list[str]:
    """The values of a column; numbers become the names that the Hub keeps for them in the file's metadata."""
    about = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    names = about.get("info", {}).get("features", {}).get(column, {}).get("names")
    values = table[column].to_pylist()
    return [names[value] for value in values] if names else [str(value) for value in values]


def encoded(pictures: Sequence[Picture]) -> Iterator[Path | bytes]:
    """What Pillow can open of each picture; the rows of a Parquet file must be in their order."""
    for path, group in groupby(pictures, key=lambda picture: picture.path):
        wanted = [picture.row for picture in group if picture.row is not None]
        yield from _rows(path, wanted) if wanted else [path]


def _rows(path: Path, wanted: Sequence[int]) -> Iterator[bytes]:
    """Some rows of a file, read a few at a time: its row groups can hold hundreds of megabytes."""
    import pyarrow.parquet as pq

    with reading(path), pq.ParquetFile(path, buffer_size=1 << 20) as file:
        starts = np.cumsum([0, *(file.metadata.row_group(g).num_rows for g in range(file.num_row_groups))])
        for group in np.unique(np.searchsorted(starts, wanted, side="right") - 1).tolist():
            at = int(starts[group])
            for batch in file.iter_batches(16, row_groups=[group], columns=["image"]):
                for row in wanted:
                    if at <= row < at + len(batch):
                        yield _bytes(batch["image"][row - at].as_py())
                at += len(batch)
                if at > wanted[-1]:
                    break


def _bytes(image: bytes | dict[str, bytes]) -> bytes:
    return image["bytes"] if isinstance(image, dict) else image


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
