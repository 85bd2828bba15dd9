"""`bench merge`: the records of two machines in one folder."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DRY_RUN, flag


def merge_folders(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FROM", help="A results folder; it stays as it is.", show_default=False
        ),
    ],
    into: Annotated[
        Path,
        typer.Argument(
            metavar="INTO", help="The results folder that is added to.", show_default=False
        ),
    ],
    dry_run: Annotated[
        bool, flag(*DRY_RUN, help="Say what would be added; write nothing.")
    ] = False,
) -> None:
    """Add the records of one results folder to another.

    Every record is checked against its seal first. Nothing is overwritten, and a record that is
    there already is not added again. Its artefacts go with it, each checked against its sha256.
    What is damaged is named and left; the exit code is then 1.
    """
    from bench.report.page.text import format_count
    from bench.runs.merge import merge

    tally: Counter[str] = Counter()
    for one in merge(source, into, write=not dry_run):
        tally[one.fate] += 1
        if one.fate == "damaged":
            typer.echo(f"left {one.path}: {one.reason}", err=True)
        tally["artefacts"] += one.artefacts
        tally["absent"] += one.absent
        tally["damaged artefacts"] += len(one.left)
        for sentence in one.left:
            typer.echo(f"left: {sentence}", err=True)
    done = "would be copied" if dry_run else "copied"
    what = [format_count(tally["copied"], "record")]
    what += [format_count(tally["artefacts"], "artefact")] if tally["artefacts"] else []
    parts = [f"{' and '.join(what)} {done} into {into}"]
    parts.append(f"{tally['there already']} there already")
    parts += [f"{tally[k]} {k} left in {source}" for k in ("unfinished", "damaged") if tally[k]]
    parts += [f"{n} damaged artefacts left"] if (n := tally["damaged artefacts"]) else []
    parts += [f"{format_count(tally['absent'], 'artefact')} in neither"] if tally["absent"] else []
    typer.echo(", ".join(parts))
    if tally["damaged"] or tally["damaged artefacts"]:
        raise typer.Exit(1)
