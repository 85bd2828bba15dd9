"""`bench diff`: two protocols, two records or two results folders side by side."""

import os
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli.complete import diff_names
from bench.cli.options import ResultsOption
from bench.cli.output import print_table
from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    from bench.runs.records import Record

Kind = Literal["protocol", "record", "results folder"]


def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A preset, a suite or SUITE:ROW; a record, by file or name; or a results folder.",
            show_default=False,
            autocompletion=diff_names,
        ),
    ],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B",
            help="Another of the same kind.",
            show_default=False,
            autocompletion=diff_names,
        ),
    ],
    results: ResultsOption = None,
) -> None:
    """Show where two protocols, two records or two results folders differ, side by side.

    Of records: what was run, by what and where, and what it came to. Of folders: the cells that
    only one of them has, and those with other scores.
    """
    from bench import paths

    kinds = find_kind(a), find_kind(b)
    if kinds[0] != kinds[1]:
        raise UsageError(f"{a} is a {kinds[0]}, {b} a {kinds[1]}: give two of a kind")
    match kinds[0]:
        case "record":
            compare_records(a, b, paths.results_root(results))
        case "results folder":
            compare_folders(Path(a), Path(b))
        case "protocol":
            compare_protocols(a, b)


def find_kind(text: str) -> Kind:
    """What an argument names; a name of the program goes before a folder of that name."""
    from bench.runs.files import NAME
    from bench.suite import presets, suites

    if text.partition(":")[0] in (*presets.preset_names(), *suites.names()):
        return "protocol"
    if Path(text).is_dir():
        return "results folder"
    if text.endswith(".jsonl") or NAME.fullmatch(f"{text}.jsonl"):
        return "record"
    if os.sep in text and not Path(text.partition(":")[0]).exists():
        raise UsageError(f"there is no {text}")
    return "protocol"


def compare_protocols(a: str, b: str) -> None:
    """Print the knobs in which two protocols differ."""
    from bench.suite.diff import diff

    if found := diff(a, b):
        print_table(f"{a} and {b}", ("knob", a, b), _texts(found))
    else:
        typer.echo(f"{a} and {b} do not differ in any knob")


def compare_records(a: str, b: str, root: Path) -> None:
    """Print what two records differ in, then what both came to."""
    from bench.runs import compare, files, records

    paths = [records.find_record(text, root) for text in (a, b)]
    left, right = map(files.read, paths)
    for path, content in zip(paths, (left, right), strict=True):
        if content.run is None:
            raise BenchError(f"{path} cannot be read: {content.problem}")
    assert left.run and right.run
    names = [path.stem for path in paths]
    if found := compare.compare_runs(left.run, right.run):
        print_table("what was run", ("", *names), _texts(found))
    else:
        typer.echo("the same was run on the same machine")
    print_table("what it came to", ("", *names), _texts(compare.compare_outcomes(left, right)))


def _texts(found: Iterable[tuple[str, Any, Any]]) -> Iterable[tuple[str, str, str]]:
    from bench.suite.schema import compact

    for name, *sides in found:
        left, right = ("none" if v is None else compact(v) for v in sides)
        yield name, left, right


def compare_folders(a: Path, b: Path) -> None:
    """Print the cells that only one folder has a result of, and those with other scores."""
    from bench.report.page.text import format_count
    from bench.runs import compare, records

    found = compare.compare_folders(records.read_all(a), records.read_all(b))
    places = [{_place(r) for r in only} for only in (found.only_a, found.only_b)]
    for folder, only, others in ((a, found.only_a, places[1]), (b, found.only_b, places[0])):
        if only:
            print_table(f"only in {folder}", CELL, group_cells(only, others))
    if found.differ:
        rows = ((*_place(x)[:4], str(_place(x)[4]), _score(x), _score(y)) for x, y in found.differ)
        columns = (*CELL[:4], "seed", str(a), str(b))
        print_table("in both, with other scores", columns, rows, right=columns[4:])
    same = f"{format_count(found.same, 'cell')} alike in both"
    counts = (f"{len(found.only_a)} only in {a}", f"{len(found.only_b)} only in {b}")
    typer.echo(f"{same}, {len(found.differ)} with other scores, {', '.join(counts)}")
    for folder, n in zip((a, b), found.no_result, strict=True):
        if n:
            typer.echo(f"{folder}: {format_count(n, 'file')} left out, damaged or without an end")


CELL = ("suite", "row", "task", "budget", "seeds", "")
Place = tuple[str, str, str, str, int]


def _place(r: "Record") -> Place:
    assert r.run
    return r.run.suite, r.run.row, r.run.task, r.run.budget, r.run.seed


def group_cells(only: Iterable["Record"], others: set[Place]) -> Iterable[tuple[str, ...]]:
    """A line for each row, task and budget, with its seeds. others: places that the other folder
    has, too, with another recipe."""
    for names, some in groupby(sorted(map(_place, only)), key=lambda place: place[:4]):
        here = list(some)
        twice = [place for place in here if place in others]
        remark = "the other folder has another recipe" if twice else ""
        yield *names, ", ".join(str(place[4]) for place in here), remark


def _score(r: "Record") -> str:
    from bench.cli.screen import describe_target

    return describe_target(r.evals[-1]) if r.status == "ok" and r.evals else r.status
