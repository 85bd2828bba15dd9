"""Parquet files of encoded pictures, as the Hugging Face Hub serves them.

Their columns are `image` (plain bytes or {bytes, path}), `label` and, where a set has several
domains, `domain`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.data.files import Labels, damaged, parsing, to_labels
from bench.paths import replacing

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

ROWS = 1 << 21  # of a file: ten times as many as the largest set has in all of its files


def read_labels(path: Path) -> Labels:
    """The numeric label of each row, int64 (N,). Raises BenchError."""
    table = _read_columns(path, "label", required=("image", "label"))
    with parsing(path):
        return to_labels(table["label"].to_numpy())


def read_names(path: Path) -> Iterator[tuple[str, str]]:
    """The names of the domain and the class of each row. Raises BenchError."""
    table = _read_columns(path, "domain", "label", required=("domain", "label"))
    with parsing(path):
        yield from zip(_name(table, "domain"), _name(table, "label"), strict=True)


def _read_columns(path: Path, *wanted: str, required: tuple[str, ...]) -> "pyarrow.Table":
    """Some columns of a file that must have the required ones."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with parsing(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        if not set(required) <= set(schema.names):
            here, needed = ", ".join(schema.names), " and ".join(required)
            raise damaged(path, f"its columns are {here}, not {needed}")
        empty = schema.empty_table().select(list(wanted))
        table = pa.Table.from_batches(_read_batches(path, file, wanted), empty.schema)
        return table.replace_schema_metadata(schema.metadata)


def _read_batches(
    path: Path, file: "pyarrow.parquet.ParquetFile", columns: Sequence[str]
) -> Iterator["pyarrow.RecordBatch"]:
    """The rows of some columns. Raises BenchError where there are too many (ten bytes may stand for
    billions that are alike), or fewer than the file says: `read_pictures` counts on that."""
    sizes = _sizes(file)
    if sum(sizes) > ROWS:
        raise damaged(path, f"it has {sum(sizes):,} rows, more than any published one")
    for group, size in enumerate(sizes):
        left = size
        for batch in file.iter_batches(row_groups=[group], columns=list(columns)):
            left -= len(batch)
            yield batch
        if left:
            raise damaged(path, "its row groups are of other sizes than it says")


def _sizes(file: "pyarrow.parquet.ParquetFile") -> list[int]:
    """How many rows each row group has, as the file says."""
    return [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]


def _name(table: "pyarrow.Table", column: str) -> list[str]:
    """The values of a column as names: for numbers, those that the Hub keeps in the metadata."""
    metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    names = metadata.get("info", {}).get("features", {}).get(column, {}).get("names")
    values = table[column].to_pylist()
    named = dict(enumerate(names or ()))  # which has no name for -1
    return [named[value] for value in values] if names else [str(value) for value in values]


def read_pictures(path: Path, rows: Sequence[int]) -> Iterator[bytes]:
    """The encoded pictures of some rows, which must be in ascending order. Raises BenchError.

    A few rows are read at a time: a row group can hold hundreds of megabytes.
    """
    import pyarrow.parquet as pq

    done = 0
    with parsing(path), pq.ParquetFile(path, buffer_size=1 << 20) as file:
        starts, wanted = np.cumsum([0, *_sizes(file)]), np.asarray(rows)
        for group in np.unique(np.searchsorted(starts, wanted, side="right") - 1).tolist():
            start = int(starts[group])
            for batch in file.iter_batches(16, row_groups=[group], columns=["image"]):
                first, end = np.searchsorted(wanted, [start, start + len(batch)])
                for row in wanted[first:end].tolist():
                    image = batch["image"][row - start].as_py()
                    encoded = image["bytes"] if isinstance(image, dict) else image
                    # anything else is no picture; a text would be taken for the name of a file
                    yield encoded if isinstance(encoded, bytes) else b""
                    done += 1
                start += len(batch)
                if start > rows[-1]:
                    break
    if done != len(rows):  # the next file's pictures would get this one's labels
        raise damaged(path, f"it holds {done:,} of the {len(rows):,} pictures that it lists")


def write_parquet(path: Path, pictures: Sequence[bytes], y: Labels) -> None:
    """Writes encoded pictures and their labels; the file appears whole or not at all."""
    import pyarrow
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        pq.write_table(pyarrow.table({"image": pictures, "label": y}), file)
