"""`bench tables`"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli.options import AnySuite, Results, split
from bench.errors import BenchError, unknown

SUFFIX = {"md": ".md", "latex": ".tex", "html": ".html"}
Select = Literal["last", "best-on-source", "best-on-target"]


def print_tables(
    suite: AnySuite = None,
    formats: Annotated[
        str, typer.Option("--format", help="md, latex, html: one or several, comma-separated.")
    ] = "md,latex,html",
    select: Annotated[
        Select,
        typer.Option(
            help="Which evaluation of a run counts; best-on-target uses target labels, so it is an oracle."
        ),
    ] = "last",
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when a file is out of date.")
    ] = False,
    cost: Annotated[
        bool, typer.Option("--cost", help="Time and memory instead of accuracy.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for the rendered files.")] = Path(
        "tables/rendered"
    ),
    results: Results = None,
) -> None:
    """Print measured numbers beside the published ones, from the records alone, and write them to files."""
    kinds = split(formats) or [""]
    for kind in kinds:
        if kind not in SUFFIX:
            raise unknown("format", kind, SUFFIX)
    from bench import paths
    from bench.report.write import render
    from bench.runs import records
    from bench.suite import suites

    tag = "-cost" if cost else "" if select == "last" else f"-{select}"
    stale = []
    for name in [suite] if suite else suites.names():
        chosen = suites.find(name)
        found = records.read_all(paths.results_root(results) / chosen.name)
        for kind in kinds:
            text = (
                render.cost(chosen, found, kind)
                if cost
                else render.render(chosen, found, kind, select)
            )
            path = out / f"{chosen.name}{tag}{SUFFIX[kind]}"
            if not check:
                paths.write(path, text)
                sys.stdout.write(text + "\n" if kind == "md" else "")
            elif not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(str(path))
    if stale:
        raise BenchError(
            f"out of date: {', '.join(stale)}; run `bench tables` and commit what it writes"
        )
    if check:
        typer.echo("every rendered table matches the records")
