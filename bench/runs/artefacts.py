"""What a run leaves beside its record when it is asked to: arrays and weights, each with a sha256.

Beside `s0-KEY-1.jsonl` lie `s0-KEY-1.logits.parquet` and the others of FILES. The sealed `end` of
the record names them, so that nothing but the bytes that the run wrote is ever taken for them. Each
is read and written as a whole.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bench.errors import BenchError, UsageError, unknown
from bench.paths import replacing, special_kind
from bench.runs.lines import Artefact, ArtefactName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.runs.records import Record

FILES: Mapping[ArtefactName, str] = {
    "logits": "logits.parquet", "features": "features.parquet",
    "maps": "maps.safetensors", "samples": "samples.safetensors",
    "weights": "weights.safetensors",
}  # fmt: skip
"""What follows the record's name in that of an artefact's file."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """What a trained network makes of N test images: those of the source, then the target's."""

    side: "NDArray[np.str_]"  # (N,), "source" or "target"
    image: "NDArray[np.int64]"  # (N,), the place in the test set of that side
    label: "NDArray[np.int64]"  # (N,), the true class
    prediction: "NDArray[np.int64]"  # (N,), the class that the evaluation counted
    values: "NDArray[np.float32]"  # (N, classes) logits, or (N, dim) features

    def write(self, file: BinaryIO) -> None:
        """Write them as Parquet: the fields are the columns, `values` a list of float32 a row."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        flat = pa.array(self.values.reshape(-1), pa.float32())
        columns = {
            "side": pa.array(self.side.tolist(), pa.string()),
            "image": pa.array(self.image, pa.int64()),
            "label": pa.array(self.label, pa.int64()),
            "prediction": pa.array(self.prediction, pa.int64()),
            "values": pa.FixedSizeListArray.from_arrays(flat, self.values.shape[1]),
        }
        # float32 of a network hardly ever repeat, so a dictionary of them would only cost time
        pq.write_table(pa.table(columns), file, compression="zstd", use_dictionary=["side"])


def check_names(names: Iterable[str]) -> tuple[ArtefactName, ...]:
    """The names of artefacts, each once. Raises UsageError, with the nearest name, for others."""
    asked = list(names)
    for name in asked:
        if name not in FILES:
            raise unknown("artefact", name, FILES)
    return tuple(name for name in FILES if name in asked)


def locate(record: Path, file: str) -> Path:
    """Where an artefact of a record lies. file: the end of its name, as the record has it."""
    return record.with_name(f"{record.stem}.{file}")


def store(record: Path, name: ArtefactName, write: Callable[[BinaryIO], object]) -> Artefact:
    """Write an artefact; it has its name only when all of it is on disk.

    record: the file of the record, which this process is writing. write: writes the content.
    Raises BenchError when the disk takes no more.
    """
    path = locate(record, FILES[name])
    try:
        _remove_parts(record)
        with replacing(path) as file:
            write(file)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            digest = file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise BenchError(f"cannot write {path.name} ({e.strerror or e})") from e
    return Artefact(file=FILES[name], sha256=digest, bytes=size)


def _remove_parts(record: Path) -> None:
    """Remove what killed processes left of this cell, whose lock is ours."""
    for part in record.parent.glob(f"{record.stem.rpartition('-')[0]}-*.part"):
        part.unlink(missing_ok=True)


def load(record: Path, artefact: Artefact) -> bytes:
    """The bytes of an artefact. Raises BenchError unless they are those that the run wrote."""
    path = locate(record, artefact.file)
    if kind := special_kind(path):
        raise BenchError(f"{path} is {kind}, not a file")  # opening it could wait for ever
    try:
        raw = path.read_bytes()
    except FileNotFoundError as e:
        raise BenchError(
            f"{path} is not there: copy it beside its record, or run the cell again with "
            "--keep and --redo"
        ) from e
    except OSError as e:
        raise BenchError(f"{path} cannot be read ({e.strerror})") from e
    if sha256(raw).hexdigest() != artefact.sha256:
        raise BenchError(
            f"{path} is damaged: its sha256 is not the one in its record; put an intact copy "
            "there, or run the cell again with --keep and --redo"
        )
    return raw


def find_problem(record: Path, artefact: Artefact) -> str:
    """What is wrong with an artefact, in a sentence; '' when it is intact. Reads all of it."""
    try:
        load(record, artefact)
    except BenchError as e:
        return str(e)
    return ""


def read_artefact(record: "Record", name: ArtefactName) -> bytes:
    """The bytes of a record's artefact. Raises BenchError, in a sentence, when the record is no
    whole one, kept none of that name, or the file is absent or damaged."""
    if record.end is None:
        problem = record.problem or "unfinished: it is still running, or was interrupted"
        raise BenchError(f"{record.path} is no whole record: {problem}")
    if name not in record.end.artefacts:
        raise UsageError(
            f"{record.path} kept no {name}: run its cell again with --keep {name} --redo"
        )
    return load(record.path, record.end.artefacts[name])


def find_lacking(record: "Record", names: Iterable[ArtefactName]) -> list[ArtefactName]:
    """Those of the names that a record did not keep, or whose file is gone or of another size.

    No file is read.
    """
    kept = record.end.artefacts if record.end else {}
    return [n for n in names if n not in kept or not _is_there(record.path, kept[n])]


def _is_there(record: Path, artefact: Artefact) -> bool:
    try:
        return locate(record, artefact.file).stat().st_size == artefact.bytes
    except OSError:
        return False


def read_arrays(record: "Record", name: ArtefactName) -> Arrays:
    """The kept "logits" or "features" of a record.

    Raises BenchError, in a sentence, as `read_artefact` does; UsageError for another name.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if name not in ("logits", "features"):
        raise UsageError(f"{name} are no rows of logits or features of images")
    raw = read_artefact(record, name)
    try:
        table = pq.read_table(pa.BufferReader(raw))
        image, label, prediction = (
            table[k].to_numpy().astype(np.int64) for k in ("image", "label", "prediction")
        )
        values = table["values"].combine_chunks()
        return Arrays(
            side=np.array(table["side"].to_pylist(), dtype=np.str_),
            image=image,
            label=label,
            prediction=prediction,
            values=values.flatten().to_numpy().reshape(len(values), values.type.list_size),
        )
    except (pa.ArrowException, OSError, KeyError, ValueError, AttributeError) as e:
        path = locate(record.path, FILES[name])
        raise BenchError(f"{path} holds no {name} that this program can read") from e
