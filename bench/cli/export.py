"""`bench export`: records for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import AnySuiteOption, ResultsOption, flag, split_known
from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    from bench.runs.records import Record

FORMATS = ("csv", "parquet", "tensorboard", "trackio")
FormatsOption = Annotated[
    str,
    typer.Option("--format", help="csv, parquet, tensorboard, trackio: one or several of them."),
]
SchemaOption = Annotated[
    bool, flag("--schema", help="Print the JSON schema of a record's lines, and write nothing.")
]


def export_records(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where to write; it is made if it is missing.", show_default=False),
    ] = None,
    formats: FormatsOption = "csv,parquet",
    suite: AnySuiteOption = None,
    schema: SchemaOption = False,
    results: ResultsOption = None,
) -> None:
    """Write records as tidy tables: cells, evaluations and iterations; or as runs for
    TensorBoard or trackio.

    Every record is written, whether tables count it or not: the columns status and problem tell.
    """
    from bench import paths
    from bench.report.page.text import format_count
    from bench.report.write import export
    from bench.runs import records
    from bench.suite.suites import name_of

    if schema:
        typer.echo(export.describe_records())
        return
    if folder is None:
        raise UsageError("name a folder to write to, or give --schema")
    kinds = split_known(formats, "format", FORMATS)
    root = paths.results_root(results)
    name = suite and name_of(suite)
    found = [r for r in records.read_all(root) if name is None or _is_of(r, name)]
    if not found:
        of = f" of {name}" if name else ""
        raise BenchError(f"no records{of} under {root}: `bench run` makes them")
    tables = export.make_tables(found) if {"csv", "parquet"} & set(kinds) else {}
    for kind in kinds:
        if kind == "tensorboard":
            n = export.write_events(found, folder / kind)
            typer.echo(f"{format_count(n, 'run')}: tensorboard --logdir {folder / kind}")
        elif kind == "trackio":
            n = export.write_trackio(found, name or "bench")
            typer.echo(f"{format_count(n, 'run')}: trackio show --project {name or 'bench'}")
        else:
            for path in export.write_tables(tables, folder, kind):
                rows = format_count(len(tables[path.stem]), "row")
                typer.echo(f"{path}: {rows}")


def _is_of(record: "Record", suite: str) -> bool:
    return record.run is not None and record.run.suite == suite
