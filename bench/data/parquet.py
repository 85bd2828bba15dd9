"""Parquet files of encoded pictures, as the Hugging Face Hub serves them.

Their columns are `image` (plain bytes or {bytes, path}), `label` and, where a set has several
domains, `domain`.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.data.files import Labels, damaged, parsing

if TYPE_CHECKING:
    import pyarrow


def read_labels(path: Path) -> Labels:
    """The numeric label of each row, int64 (N,). Raises BenchError."""
    table = _read_columns(path, "label", required=("image", "label"))
    with parsing(path):
        return table["label"].to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def read_names(path: Path) -> Iterator[tuple[str, str]]:
    """The names of the domain and the class of each row. Raises BenchError."""
    table = _read_columns(path, "domain", "label", required=("domain", "label"))
    with parsing(path):
        yield from zip(_name(table, "domain"), _name(table, "label"), strict=True)


def _read_columns(path: Path, *wanted: str, required: tuple[str, ...]) -> "pyarrow.Table":
    """Some columns of a file that must have the required ones."""
    import pyarrow.parquet as pq

    with parsing(path):
        columns = pq.read_schema(path).names
        if not set(required) <= set(columns):
            here, needed = ", ".join(columns), " and ".join(required)
            raise damaged(path, f"its columns are {here}, not {needed}")
        return pq.read_table(path, columns=list(wanted))


def _name(table: "pyarrow.Table", column: str) -> list[str]:
    """The values of a column as names: for numbers, those that the Hub keeps in the metadata."""
    metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    names = metadata.get("info", {}).get("features", {}).get(column, {}).get("names")
    values = table[column].to_pylist()
    return [names[value] for value in values] if names else [str(value) for value in values]


def read_pictures(path: Path, rows: Sequence[int]) -> Iterator[bytes]:
    """The encoded pictures of some rows, which must be in ascending order. Raises BenchError.

    A few rows are read at a time: a row group can hold hundreds of megabytes.
    """
    import pyarrow.parquet as pq

    with parsing(path), pq.ParquetFile(path, buffer_size=1 << 20) as file:
        sizes = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        starts, wanted = np.cumsum([0, *sizes]), np.asarray(rows)
        for group in np.unique(np.searchsorted(starts, wanted, side="right") - 1).tolist():
            start = int(starts[group])
            for batch in file.iter_batches(16, row_groups=[group], columns=["image"]):
                first, end = np.searchsorted(wanted, [start, start + len(batch)])
                for row in wanted[first:end].tolist():
                    image = batch["image"][row - start].as_py()
                    yield image["bytes"] if isinstance(image, dict) else image
                start += len(batch)
                if start > rows[-1]:
                    break


def write_parquet(path: Path, pictures: Sequence[bytes], y: Labels) -> None:
    """Writes encoded pictures and their labels; the file appears whole or not at all."""
    import pyarrow
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    pq.write_table(pyarrow.table({"image": pictures, "label": y}), aside)
    os.replace(aside, path)
