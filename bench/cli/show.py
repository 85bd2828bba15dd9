"""`bench show`: what one record holds."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import print_table
from bench.errors import BenchError, UsageError


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
    from bench.report.page.text import format_accuracy
    from bench.runs import records
    from bench.suite.schema import compact

    if not path.is_file():
        raise UsageError(f"no record {path}; `bench ls runs` names them")
    if (r := records.read(path)) is None:
        raise BenchError(
            f"{path} holds no readable run: it is empty, torn in its first line, "
            "or of another schema"
        )
    print_table(
        path.name,
        ("", ""),
        ((k, compact(v)) for k, v in r.run.items() if k not in ("kind", "schema")),
    )
    evals = (
        (e["step"], format_accuracy(r, "source", i), format_accuracy(r, "target", i))
        for i, e in enumerate(r.evals)
    )
    print_table("evaluations", ("step", "source %", "target %"), evals)
    print_table(
        f"end: {r.status}",
        ("", ""),
        ((k, compact(v)) for k, v in (r.end or {}).items() if k != "kind"),
    )
