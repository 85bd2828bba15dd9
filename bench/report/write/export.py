"""Records as files for other programs: tidy tables, TensorBoard events, trackio, a JSON schema."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.paths import write_bytes
from bench.report.numbers.frame import tidy
from bench.runs import files
from bench.runs.lines import LINE, RUN, SCHEMA, Eval, Train
from bench.runs.records import Record

if TYPE_CHECKING:
    from pandas import DataFrame

NAMES = ("suite", "row", "task", "budget", "seed", "key")
Curve = tuple[str, int, float]  # what it is, iterations done, its value


def make_tables(records: Iterable[Record]) -> "dict[str, DataFrame]":
    """cells: a row a record. evaluations: a row an evaluation. iterations: a row a window of them.

    The first two have the columns of `tidy`; cells those of the last evaluation. iterations has
    the names of the run, step, n, warmup, loss, lr and flattened milliseconds and memory.
    """
    from pandas import DataFrame

    found = list(records)
    evaluations = tidy(found)
    # records without any evaluation have no column `last`, and one row each
    cells = evaluations[evaluations["last"].ne(False)] if "last" in evaluations else evaluations
    windows = DataFrame([row for r in found for row in _windows(r)])
    return {"cells": cells, "evaluations": evaluations, "iterations": windows}


def write_tables(tables: "Mapping[str, DataFrame]", folder: Path, fmt: str) -> list[Path]:
    """Each table as NAME.csv or NAME.parquet; returns their files. fmt: csv or parquet."""
    written = []
    for name, table in tables.items():
        path = folder / f"{name}.{fmt}"
        if fmt == "csv":
            write_bytes(path, table.to_csv(index=False).encode())
        else:
            write_bytes(path, _typed(table).to_parquet(index=False))
        written.append(path)
    return written


def _typed(table: "DataFrame") -> "DataFrame":
    """Columns whose values have several types, or are lists, as text: Parquet has one type each."""
    from pandas.api.types import is_object_dtype

    out = table.copy()
    for name in out.columns:
        if not is_object_dtype(out[name]):
            continue
        kinds = {type(v) for v in out[name] if v is not None and v == v}
        if len(kinds) > 1 or kinds & {list, tuple, dict}:
            out[name] = [None if v is None or v != v else str(v) for v in out[name]]
    return out


def _windows(record: Record) -> Iterator[dict[str, Any]]:
    names = {k: getattr(record.run, k, None) for k in NAMES} | {"path": str(record.path)}
    for line in files.read(record.path).train:
        spread = {f"{k}.{q}": v for k in ("ms", "wait_ms") for q, v in getattr(line, k).items()}
        facts = line.model_dump(exclude={"kind", "ms", "wait_ms", "memory"})
        yield names | facts | spread | {f"memory.{k}": v for k, v in line.memory.items()}


def read_curves(record: Record) -> Iterator[Curve]:
    """Loss, learning rate and time of every window, then everything of each evaluation."""
    content = files.read(record.path)
    for w in content.train:
        yield from _window_curves(w)
    for e in content.evals:
        yield from _eval_curves(e)


def _window_curves(w: Train) -> Iterator[Curve]:
    found = {"train/loss": w.loss, "train/lr": w.lr, "time/ms": w.ms["p50"]}
    found |= {f"memory/{name}": x for name, x in w.memory.items()}
    yield from ((name, w.step, x) for name, x in found.items() if x is not None)


def _eval_curves(e: Eval) -> Iterator[Curve]:
    for side in ("source", "target"):
        if counts := getattr(e, side):
            accuracy = 100 * sum(counts.correct) / max(1, sum(counts.total))
            yield f"accuracy/{side}", e.step, accuracy
    for group, values in (("values", e.values), ("scores", e.scores or {})):
        yield from ((f"{group}/{name}", e.step, x) for name, x in values.items())


def write_events(records: Iterable[Record], folder: Path) -> int:
    """A run of TensorBoard for each record that could be read, in folder/SUITE/ROW/TASK/NAME.

    Returns how many. Raises BenchError without the package tensorboard.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as e:
        raise _lacks("tensorboard") from e
    n = 0
    for record in _readable(records):
        place = folder.joinpath(*record.path.parts[-4:-1], record.path.stem)
        writer = EventFileWriter(str(place))
        for name, step, x in read_curves(record):
            value = Summary.Value(tag=name, simple_value=x)
            writer.add_event(Event(step=step, summary=Summary(value=[value])))
        writer.close()
        n += 1
    return n


def write_trackio(records: Iterable[Record], project: str) -> int:
    """A run of trackio for each record that could be read, in its own data folder.

    Returns how many. Raises BenchError without the package trackio.
    """
    try:
        import trackio
    except ImportError as e:
        raise _lacks("trackio") from e
    n = 0
    for record in _readable(records):
        assert record.run
        config = json.loads(json.dumps(record.run.recipe | record.run.hyper_all, default=str))
        trackio.init(project=project, name="/".join(record.path.parts[-4:]), config=config)
        at: dict[int, dict[str, float]] = {}
        for name, step, x in read_curves(record):
            at.setdefault(step, {})[name] = x
        for step in sorted(at):
            trackio.log(at[step], step=step)
        trackio.finish()
        n += 1
    return n


def _readable(records: Iterable[Record]) -> Iterator[Record]:
    return (r for r in records if r.run and not r.problem)


def _lacks(package: str) -> BenchError:
    return BenchError(f"{package} is not installed: pip install 'uda-bench[{package}]'")


def describe_records() -> str:
    """The JSON schema (draft 2020-12) of a line of a record, as text."""
    run, rest = RUN.json_schema(), LINE.json_schema()
    definitions = run.pop("$defs", {}) | rest.pop("$defs", {})
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of a record of uda-bench, schema {SCHEMA}",
        "description": "The first line of a file is a run, the last its end; a line is one object.",
        "oneOf": [run, *rest["oneOf"]],
        "$defs": definitions,
    }
    return json.dumps(schema, indent=1, ensure_ascii=False)
