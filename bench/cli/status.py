"""`bench status`: how far a grid is, wherever its cells run."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import (
    BudgetOption,
    KnobsOption,
    MethodsOption,
    ResultsOption,
    SuiteOption,
    TasksOption,
    option,
    split_list,
)
from bench.cli.output import print_table

if TYPE_CHECKING:
    from bench.runs.cell import Cell
    from bench.runs.progress import Progress
    from bench.suite.suite import Suite

SeedsOption = Annotated[
    str | None, option("--seeds", help="0-4 or 0,2,5 (default: those of the suite).")
]


def show_status(
    suite: SuiteOption = "demo",
    methods: MethodsOption = None,
    tasks: TasksOption = None,
    seeds: SeedsOption = None,
    budget: BudgetOption = "full",
    knobs: KnobsOption = None,
    results: ResultsOption = None,
) -> None:
    """Show how many cells are done and how far the others are.

    It reads the folder of the records and asks no scheduler. Where a process has a cell, it waits
    four seconds to see whether that process is alive.
    """
    from bench import paths
    from bench.cli.run import find_suite
    from bench.cli.screen import explain_labels
    from bench.report.page.text import format_count
    from bench.runs import plan, progress, records

    root = paths.results_root(results, smoke=budget == "smoke")
    cells = find_cells(find_suite(suite), methods, tasks, seeds, budget, knobs)
    states = plan.states(cells, records.read_all(root))
    found = progress.look((s.cell for s in states if not s.done), root)
    if begun := [p for p in found if p.condition != "waiting"]:
        show_begun(begun)
    tally = Counter(p.condition for p in found)
    done = f"{sum(s.done is not None for s in states)} of {format_count(len(states), 'cell')} done"
    typer.echo(", ".join([done, *(f"{tally[c]} {c}" for c in progress.CONDITIONS if tally[c])]))
    explain_labels(states)


def find_cells(
    suite: "Suite",
    methods: str | None,
    tasks: str | None,
    seeds: str | None,
    budget: str,
    knobs: list[str] | None,
) -> list["Cell"]:
    """The cells that options of these names ask for, as they were typed. Raises UsageError."""
    from bench.runs import plan
    from bench.suite import settings

    return plan.cells(
        suite, methods=split_list(methods), tasks=split_list(tasks), budget=budget,
        seeds=None if seeds is None else plan.seeds(seeds),
        override=settings.parse_settings(knobs or []),
    )  # fmt: skip


def show_begun(begun: list["Progress"]) -> None:
    """Each cell that is under way, and what its condition means."""
    from bench.runs import progress

    rows = (
        (p.cell, p.condition, f"{p.step:,}", f"{p.cell.recipe.iterations:,}", p.owner)
        for p in begun
    )
    names = ("cell", "condition", "iterations", "of", "by")
    print_table("under way", names, rows, right=("iterations", "of"))
    for condition in dict.fromkeys(p.condition for p in begun):
        typer.echo(f"{condition}: {progress.CONDITIONS[condition]}")
