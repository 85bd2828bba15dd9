"""`bench convert`: records of an older schema to today's."""

from typing import Annotated

import typer

from bench.cli.options import DRY_RUN, ResultsOption, flag
from bench.errors import BenchError


def convert_records(
    results: ResultsOption = None,
    dry_run: Annotated[bool, flag(*DRY_RUN, help="Name these records; write nothing.")] = False,
) -> None:
    """Bring records of the oldest format, schema 1, up to date. Nothing measured is lost.

    Each record is replaced by one that says the same, sealed and with a key of its content. In a
    checkout with its history, the code of the commit that made a record is run for its probe: the
    losses of a few fixed steps, which tell what code does.
    """
    from bench import paths
    from bench.engine.history import History
    from bench.runs.convert import convert, outdated

    root = paths.results_root(results)
    found = outdated(root)
    if dry_run:
        for path in found:
            typer.echo(path)
        typer.echo(f"{len(found)} records of schema 1 under {root}")
        return
    left = 0
    with History() as history:
        for path in found:
            try:
                convert(path, root, history.probe)
            except BenchError as e:
                left += 1
                typer.echo(str(e), err=True)
    typer.echo(f"{len(found) - left} of {len(found)} records of schema 1 converted under {root}")
    if left:
        raise typer.Exit(1)
