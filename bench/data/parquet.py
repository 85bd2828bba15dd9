"""Parquet files as the Hugging Face Hub serves them -> arrays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.data.cache import cached
from bench.data.files import Split, damaged, reading
from bench.data.pictures import decode


def parquet(files: Sequence[Path]) -> Split:
    """Columns `image` (encoded pictures, plain or as {bytes, path}) and `label`, over one or several files."""
    parts = [cached([path], "parquet", lambda path=path: _read(path)) for path in files]
    return Split(np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]))


def _read(path: Path) -> Split:
    import pyarrow.parquet as pq

    with reading(path):
        columns = pq.read_schema(path).names
        if not {"image", "label"} <= set(columns):
            raise damaged(path, f"its columns are {', '.join(columns)}, not image and label")
        table = pq.read_table(path, columns=["image", "label"])
        images = [row["bytes"] if isinstance(row, dict) else row for row in table["image"].to_pylist()]
        return Split(np.stack([decode(image, mode=None) for image in images]), table["label"].to_numpy().astype(np.int64))
