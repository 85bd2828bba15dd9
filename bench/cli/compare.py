"""`bench compare`: whether one row is better than another, or the rows of two results folders."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.complete import compared_names
from bench.cli.options import BudgetOption, ResultsOption, SelectOption, SuiteOption
from bench.cli.output import print_table
from bench.errors import BenchError, UsageError, unknown
from bench.report.numbers.selection import Select

if TYPE_CHECKING:
    from bench.report.numbers.compare import Comparison, Values
    from bench.report.page.comparison import Sides
    from bench.runs.ledger import Ledger
    from bench.suite.suite import Suite


def compare_rows(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A row of the suite, or a results folder.",
            show_default=False,
            autocompletion=compared_names,
        ),
    ],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B",
            help="Another of the same kind.",
            show_default=False,
            autocompletion=compared_names,
        ),
    ],
    suite: SuiteOption = "demo",
    budget: BudgetOption = "full",
    select: SelectOption = "last",
    results: ResultsOption = None,
) -> None:
    """Say whether row B is better than row A, by how much, and how sure that is.

    Of two results folders: whether each row in B is better than the same row in A. Runs are
    compared in pairs, of the same task and the same seed.
    """
    from bench import paths
    from bench.suite import suites

    chosen = suites.find(suite)
    check_kinds(chosen, a, b)
    if a in chosen.by_id:
        root = paths.results_root(results)
        found = [compare_two(chosen, settle(chosen, root, budget), a, b, select, budget, root)]
    elif results is not None:
        raise UsageError("--results is for two rows; two folders are compared with each other")
    else:
        found = list(compare_folders(chosen, Path(a), Path(b), select, budget))
    show_comparisons(found)


def check_kinds(suite: "Suite", a: str, b: str) -> None:
    """Raise UsageError unless both are rows of the suite, or both folders; a row's name goes
    before a folder's."""
    kinds = [
        "row" if x in suite.by_id else "results folder" if Path(x).is_dir() else "" for x in (a, b)
    ]
    for name, kind in zip((a, b), kinds, strict=True):
        if not kind:
            raise unknown(f"row of {suite.name} (or results folder)", name, suite.by_id)
    if kinds[0] != kinds[1]:
        raise UsageError(f"{a} is a {kinds[0]}, {b} a {kinds[1]}: give two of a kind")
    if a == b:
        raise UsageError(f"{a} is named twice: name two that can differ")


def settle(suite: "Suite", root: Path, budget: str) -> "Ledger":
    """Which records of a folder count for the suite."""
    from bench.runs import plan, records

    return plan.settle_suite(suite, records.read_all(root), budget)


def read_values(suite: "Suite", ledger: "Ledger", row: str, select: Select) -> "Values":
    """What the runs of a row came to; only tasks that have a value."""
    from bench.report.numbers.scores import score_row

    scores = score_row(suite, ledger, row, select, "target")
    return {task: scores[task].by_seed for task in suite.tasks if scores[task].by_seed}


def show_lost(suite: "Suite", sides: Iterable[tuple[str, "Ledger", str]], select: Select) -> None:
    """Say which runs have no value and so no pair, and which collapsed and count all the same.

    sides: what to call each, its records, its row.
    """
    from bench.report.numbers.scores import score_row
    from bench.report.page.text import format_column

    for label, ledger, row in sides:
        scores = score_row(suite, ledger, row, select, "target")
        for task in suite.tasks:
            place = f"{label}, {format_column(suite, task)}"
            for seed, why in sorted(scores[task].lost.items()):
                typer.echo(f"left out: {place}, seed {seed}: {why}")
            for seed in sorted(scores[task].collapsed):
                typer.echo(f"collapsed, and counted: {place}, seed {seed}")


def compare_two(
    suite: "Suite", ledger: "Ledger", a: str, b: str, select: Select, budget: str, root: Path
) -> tuple["Comparison", "Sides"]:
    """Compare two rows. Raises BenchError where there is nothing to compare."""
    from bench.report.numbers.compare import compare_rows
    from bench.report.page.comparison import Sides

    sides = [read_values(suite, ledger, row, select) for row in (a, b)]
    show_lost(suite, [(suite.by_id[row].label, ledger, row) for row in (a, b)], select)
    for row, values in zip((a, b), sides, strict=True):
        if not values:
            raise BenchError(explain_nothing(suite, ledger, row, (a, b), budget, root))
    found = compare_rows(*sides, confidence=suite.confidence, tolerance=suite.tolerance)
    if found is None:
        raise BenchError(explain_no_pairs(a, b, *sides))
    labels = [suite.by_id[row].label for row in (a, b)]
    if labels[0] == labels[1]:
        labels = [a, b]
    return found, Sides(suite, *labels)


def explain_nothing(
    suite: "Suite", ledger: "Ledger", row: str, pair: tuple[str, str], budget: str, root: Path
) -> str:
    """Why a row has no value. pair: the rows to compare, of which it is one."""
    from bench.suite.settings import write_budget

    if not ledger.ran(row):
        ledgers = {b: settle(suite, root, b) for b in suite.accuracy_budgets if b != budget}
        ran = [f"`--budget {b}`" for b, other in ledgers.items() if all(map(other.ran, pair))]
        instead = f" compare the two by {' or '.join(ran)}, or" if ran else ""
        return (
            f"no run of {row} in {root} counts for the suite {suite.name} (budget {budget}):"
            f"{instead} train it with `bench run --suite {suite.name} --methods {row}"
            f"{write_budget(budget)}`; "
            f"`bench ls runs --suite {suite.name}` says which runs there are"
        )
    ends = sorted({r.status for cell, r in ledger.counted if cell.row == row})
    if "ok" in ends:
        return f"the runs of {row} have no such scores: choose another --select"
    return f"no run of {row} has a value, all {' or '.join(ends)}: there is nothing to compare"


def explain_no_pairs(a: str, b: str, left: "Values", right: "Values") -> str:
    """Why two sides with values have no pair."""
    both = [task for task in left if task in right]
    if not both:
        return (
            f"{a} and {b} have no task in common: {a} has {', '.join(left)}, "
            f"{b} has {', '.join(right)}"
        )
    seeds = [", ".join(map(str, sorted({s for t in both for s in x[t]}))) for x in (left, right)]
    return (
        f"{a} and {b} share no seed at any task, and pairs need the same seed: {a} has {seeds[0]}, "
        f"{b} has {seeds[1]}"
    )


def compare_folders(
    suite: "Suite", a: Path, b: Path, select: Select, budget: str
) -> Iterator[tuple["Comparison", "Sides"]]:
    """Compare each row of two folders with itself; what cannot be compared is printed as a note.

    Raises BenchError where no row can.
    """
    from bench.report.numbers.compare import compare_rows
    from bench.report.page.comparison import Sides

    ledgers = [settle(suite, folder, budget) for folder in (a, b)]
    left_out, compared = [], 0
    for row in suite.rows:
        sides = [read_values(suite, ledger, row.id, select) for ledger in ledgers]
        found = compare_rows(*sides, confidence=suite.confidence, tolerance=suite.tolerance)
        if found:
            compared += 1
            names = [f"{row.label} in {folder}" for folder in (a, b)]
            some = [(*two, row.id) for two in zip(names, ledgers, strict=True)]
            show_lost(suite, some, select)
            yield found, Sides(suite, *names)
        elif any(sides):
            left_out.append(row.id)
    if not compared:
        raise BenchError(
            f"{a} and {b} share no row, task and seed of the suite {suite.name} (budget {budget}): "
            "there is nothing to compare"
        )
    if left_out:
        typer.echo(f"without a seed at a task in both folders: {', '.join(left_out)}\n")


def show_comparisons(found: list[tuple["Comparison", "Sides"]]) -> None:
    """For each comparison its sentence, a table, and what the bootstrap says."""
    from bench.report.page import comparison

    for i, (c, sides) in enumerate(found):
        typer.echo("\n" * bool(i) + comparison.describe_comparison(c, sides) + "\n")
        title = (
            f"A: {sides.a}, B: {sides.b}; {100 * c.confidence:.3g} % Student intervals; a gap as "
            "large as `shown from` would be shown 8 times in 10"
        )
        numbers = comparison.HEAD[1:]
        lines = comparison.tabulate_comparison(c, sides)
        print_table(title, comparison.HEAD, lines, right=numbers)
        for sentence in comparison.describe_distribution(c, sides):
            typer.echo(sentence)
