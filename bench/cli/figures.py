"""`bench figures`: the tables, drawn."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.complete import figure_names
from bench.cli.options import (
    BudgetOption,
    MethodsOption,
    ResultsOption,
    SelectOption,
    SuiteOption,
    TasksOption,
    option,
    split_known,
    split_list,
)
from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from bench.report.figures.request import Request

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...",
        help="forest, bars, curves, cost, pareto, ranks, profile, confusion, classes, tsne, "
        "responses, knowledge, scale, measures, losses, samples, grid (default: all that have "
        "something to show).",
        show_default=False,
        autocompletion=figure_names,
    ),
]
FormatsOption = Annotated[
    str, typer.Option("--format", help="png, svg, pdf, webp: one or several, comma-separated.")
]
OutOption = Annotated[
    Path | None,
    option(help="Folder of the figures (default: the folder `figures` beside the tables)."),
]


def draw_figures(
    names: NamesArgument = None,
    suite: SuiteOption = "demo",
    formats: FormatsOption = "png,svg,pdf",
    select: SelectOption = "last",
    budget: BudgetOption = "full",
    methods: MethodsOption = None,
    tasks: TasksOption = None,
    out: OutOption = None,
    results: ResultsOption = None,
) -> None:
    """Draw what the tables say, as SUITE-FIGURE.png and so on.

    Nothing but the records and the suite decides what a figure shows.
    """
    from bench import paths
    from bench.report.figures import FIGURES
    from bench.report.figures.request import Request
    from bench.report.figures.style import FORMATS
    from bench.runs import records
    from bench.suite import suites

    kinds = split_known(formats, "format", FORMATS)
    for name in names or ():
        if name not in FIGURES:
            raise unknown("figure", name, FIGURES)
    rows, places = (None if x is None else tuple(split_list(x) or ()) for x in (methods, tasks))
    root = paths.results_root(results, smoke=budget == "smoke")
    out = out or paths.pages_root(paths.results_root(results)) / "figures"
    found = tuple(records.read_all(root))
    request = Request(suites.find(suite), found, select, budget, rows, places)
    request.check_runs()
    _keep_to_ourselves()
    missing = write_figures(request, names or list(FIGURES), kinds, out)
    reasons = {str(e): e for e in missing.values()}
    if missing and names:
        raise type(next(iter(reasons.values())))("; ".join(reasons))
    for why in reasons:
        left = ", ".join(name for name, e in missing.items() if str(e) == why)
        typer.echo(f"left out {left}: {why}", err=True)
    if len(missing) == len(FIGURES):
        raise BenchError(f"no figure of {request.suite.name} has anything to show")


def write_figures(
    request: "Request", names: list[str], kinds: list[str], out: Path
) -> dict[str, BenchError]:
    """Write each figure in each format; returns, for those that cannot be drawn, why."""
    from bench import paths
    from bench.report.figures import draw_request
    from bench.report.figures.style import render_figure

    missing: dict[str, BenchError] = {}
    for name in names:
        try:
            figure = draw_request(name, request)
        except BenchError as e:
            missing[name] = e
            continue
        for kind in kinds:
            path = out / f"{request.suite.name}-{name}{request.tag}.{kind}"
            paths.write_bytes(path, render_figure(figure, kind))
            typer.echo(str(path))
    return missing


def _keep_to_ourselves() -> None:
    """Before matplotlib is imported: no display, none of the user's settings, our cache folder for
    its list of fonts. Where no folder can be written it makes a temporary one, without a word."""
    from bench import paths

    os.environ["MPLBACKEND"] = "agg"
    os.environ["MPLCONFIGDIR"] = str(paths.cache_root() / "matplotlib")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
