"""`bench report`: one HTML page of everything that was measured."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import AnySuiteOption, ResultsOption, option
from bench.cli.tables import SelectOption
from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    from bench.runs.records import Record
    from bench.suite.suite import Suite

FileOption = Annotated[
    Path | None,
    option(
        "--out",
        metavar="FILE",
        help="The page (default: report.html in the folder of the rendered tables).",
    ),
]


def write_report(
    suite: AnySuiteOption = None,
    results: ResultsOption = None,
    out: FileOption = None,
    select: SelectOption = "last",
) -> None:
    """Write one HTML page of all suites that have records, or of one suite.

    It needs no network. Its numbers are those of `bench tables`; each cell opens its seeds, curves,
    cost, recipe and environment, and the commands that repeat it.
    """
    from bench import paths
    from bench.report.page.report import compose_report
    from bench.report.page.text import format_count
    from bench.report.write import report
    from bench.runs import records

    root = paths.results_root(results)
    path = out or paths.pages_root(root) / "report.html"
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give a file, such as {path / 'report.html'}")
    found = records.read_all(root)
    chosen = find_suites(suite, found, root)
    made = compose_report(
        chosen, found, select, results=str(results or ""), strangers=suite is None
    )
    text = report.write_report(made)
    paths.replace_text(path, text)
    size = f"{len(text.encode()) / 1e6:.2f} MB"
    counts = (format_count(len(made.suites), "suite"), format_count(len(found), "record"))
    typer.echo(f"written to {path} ({size}: {', '.join(counts)})")


def find_suites(name: str | None, found: Iterable["Record"], root: Path) -> dict[str, "Suite"]:
    """The suite of that name; else each that has records. By what --suite has to be to name it.

    Raises BenchError where there is nothing to show.
    """
    from bench.runs.standing import suite_of
    from bench.suite import suites

    recorded = {suite_of(r) for r in found}
    if name is None:
        if not recorded:
            raise BenchError(f"no record lies under {root}: run `bench run --suite demo` first")
        return {n: suites.find(n) for n in suites.names() if n in recorded}
    chosen = suites.find(name)
    if chosen.name not in recorded:
        raise BenchError(
            f"no record of the suite {chosen.name} lies under {root}: "
            f"run `bench run --suite {name}` first"
        )
    return {name: chosen}
