"""`bench show`: what one record holds."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import print_table
from bench.errors import BenchError, UsageError, shorten


def show_record(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="RECORD", help="A .jsonl file under the results folder.", show_default=False
        ),
    ],
) -> None:
    """Print what one record holds.

    What was run, on what data and machine, and how it went.
    """
    from bench.cli.screen import describe_measured
    from bench.runs import files, records
    from bench.suite.schema import compact

    if not os.path.isfile(path):  # a name too long for a file is none, too
        raise UsageError(f"no record {shorten(str(path))}; `bench ls runs` names them")
    content = files.read(path)
    if content.run is None:
        raise BenchError(f"{path} cannot be read: {content.problem}")
    facts = content.run.model_dump(exclude={"kind", "schema_"}, exclude_none=True)
    print_table(path.name, ("", ""), ((k, compact(v)) for k, v in facts.items()))
    evals = records.read_record(path).evals
    print_table(
        "evaluations", ("step", "measured"), ((e.step, describe_measured(e)) for e in evals)
    )
    if content.end is None:
        typer.echo(content.problem or "unfinished: it is still running, or was interrupted")
        return
    ended = content.end.model_dump(exclude={"kind", "status"}, exclude_defaults=True)
    print_table(f"end: {content.end.status}", ("", ""), ((k, compact(v)) for k, v in ended.items()))
