"""`bench report`: one HTML page of everything that was measured."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import AnySuiteOption, ResultsOption, SelectOption, flag, option
from bench.errors import BenchError, UsageError
from bench.report.numbers.selection import Select

if TYPE_CHECKING:
    from bench.report.page.report import Drawing
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
PlainOption = Annotated[
    bool, flag("--no-figures", help="Leave the figures out: a smaller page, sooner written.")
]
DRAWN = ("forest", "bars", "curves", "ranks", "measures", "losses")  # of each budget
DRAWN_OF_COSTS = ("cost",)  # of those that measure costs alone, too


def write_report(
    suite: AnySuiteOption = None,
    results: ResultsOption = None,
    out: FileOption = None,
    select: SelectOption = "last",
    plain: PlainOption = False,
) -> None:
    """Write one HTML page of all suites that have records, or of one suite.

    It needs no network. Its numbers are those of `bench tables`; a click on one shows its seeds,
    curves, cost, recipe and environment, and the commands that repeat it.
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
        chosen, found, select, results=str(results or ""), strangers=suite is None,
        figures=lambda s, own: [] if plain else list(draw_figures(s, own, select)),
    )  # fmt: skip
    text = report.write_report(made)
    paths.write_text(path, text)
    size = f"{len(text.encode()) / 1e6:.2f} MB"
    counts = (format_count(len(made.suites), "suite"), format_count(len(found), "record"))
    typer.echo(f"written to {path} ({size}: {', '.join(counts)})")


def draw_figures(suite: "Suite", found: "Sequence[Record]", select: Select) -> "Iterator[Drawing]":
    """What of a suite there is to draw, budget by budget."""
    from bench.report.figures import FIGURES, draw_request
    from bench.report.figures.request import Request
    from bench.report.figures.style import render_figure
    from bench.report.page.report import Drawing

    for budget in ("full", *suite.budgets):
        accuracies = suite.budget(budget).measures == "accuracy"
        request = Request(suite, tuple(found), select, budget, None, None)
        for name in (*(DRAWN if accuracies else ()), *DRAWN_OF_COSTS):
            try:
                drawn = draw_request(name, request)
            except BenchError:  # nothing to show, which the tables say already
                continue
            about = FIGURES[name].about
            title = about if budget == "full" else f"{about}; budget {budget}"
            yield Drawing(title[0].upper() + title[1:], render_figure(drawn, "svg"))


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
