"""`bench explain`: what is known about the gap between a row and what is published about it."""

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import BudgetOption, ResultsOption, SuiteOption, option
from bench.cli.output import print_table
from bench.errors import unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.report.numbers.ablation import Ablation, Wanted
    from bench.report.numbers.aggregate import Table
    from bench.suite.suite import Suite

RowOption = Annotated[str, option("--row", "-r", help="Id of a row of the suite.")]


def explain_row(
    row: RowOption,
    suite: SuiteOption = "demo",
    budget: BudgetOption = "full",
    results: ResultsOption = None,
) -> None:
    """Say what is known about the gap between a row and what is published about it.

    The verdict on each figure or sentence of the papers, what differs from their protocol, which
    single knobs were varied and what each moved, and the commands that would measure the rest.
    """
    from bench import paths
    from bench.report.numbers.ablation import find_ablations, list_wanted
    from bench.report.numbers.aggregate import build_table
    from bench.runs import records
    from bench.suite import suites
    from bench.suite.settings import write_budget

    chosen = suites.find(suite)
    if row not in chosen.by_id:
        raise unknown("row", row, chosen.by_id)
    root = paths.results_root(results)
    found = records.read_all(root)
    tables = [build_table(chosen, found, budget=budget, on=side) for side in ("target", "source")]
    if chosen.statements:
        for sentence in describe_rulings(tables[0], row):
            typer.echo(sentence)
    if chosen.published or not chosen.statements:
        for sentence in describe_gaps(tables, row):
            typer.echo(sentence)
    if chosen.differences:
        typer.echo("\nKnown to differ from the papers:")
        for text in chosen.differences:
            typer.echo(f"- {text}")
    ablations = find_ablations(chosen, found, row, budget)
    typer.echo("")
    print_ablations(chosen, ablations)
    where = f" --results {results}" if results else ""
    begin = f"bench run --suite {suite} --methods {row}{write_budget(budget)}"
    wanted = list(list_wanted(chosen, chosen.by_id[row], ablations, chosen.seeds))
    if wanted:
        typer.echo("What the papers leave open and was not measured:")
    for why, some in groupby(wanted, key=lambda one: one.why):
        typer.echo(f"- {why}")
        for one in some:
            typer.echo(f"    {write_command(begin, one)}{where}")
    if not chosen.unstated:
        typer.echo(
            "The suite names nothing that its papers leave open; [[unstated]] in its file does "
            f"(knob, values, why). Any knob can be tried: {begin} --set KNOB=VALUE{where}"
        )


def describe_gaps(tables: "Iterable[Table]", row: str) -> "Iterator[str]":
    """A sentence for each published figure of a row. tables: of the target, then of the source."""
    from bench.report.page.text import format_column, format_difference

    groups = [(t, g) for t in tables for g in t.groups if g.row and g.row.id == row]
    label = groups[0][0].suite.by_id[row].label
    if not any(group.claims for _, group in groups):
        yield f"{label}: nothing is published about this row."
    for table, claim in ((t, claim) for t, group in groups for claim in group.claims):
        for column, figure in claim.figures.items():
            verdict, place = claim.verdicts.get(column), format_column(table.suite, column)
            place += ", on the source" * (table.on == "source")
            gap = "not measured"
            if verdict and verdict.gap is not None:
                gap = f"ours − published {format_difference(verdict)}: {verdict.word}"
            yield f"{label}, {place}: {claim.claim.label} has {figure.printed}; {gap}."


def describe_rulings(table: "Table", row: str) -> "Iterator[str]":
    """A sentence for each statement that names a row, at each task that was run."""
    from bench.report.numbers.measures import build_board
    from bench.report.numbers.statements import judge_statements
    from bench.report.page.text import format_column

    suite, label = table.suite, table.suite.by_id[row].label
    if not any(row in (s.row, s.than) for s in suite.statements):
        yield f"{label}: no statement is about this row."
    elif not table.ledger.ran(row):
        yield f"{label}: not measured."
    for task in suite.tasks:
        board = build_board(suite, table.ledger, table.budget, task, suite.rows, table.select)
        for j in judge_statements(board) if board.runs(row) else ():
            if row in (j.statement.row, j.statement.than):
                yield f"{format_column(suite, task)}: “{j.statement.says}”: {j.ruling}."


def print_ablations(suite: "Suite", ablations: "list[Ablation]") -> None:
    """A line for each knob that was varied alone."""
    from bench.report.page.text import format_column, format_gain
    from bench.suite.schema import compact

    if not ablations:
        typer.echo("No recorded run differs from this row in a single knob.\n")
        return
    rows = (
        (
            format_column(suite, a.task),
            f"{a.knob}={compact(a.value)}",
            compact(a.stated),
            f"{a.reached.mean:.2f}" + (f" ± {a.reached.sd:.2f}" if a.reached.sd else ""),
            format_gain(a.moved),
        )
        for a in ablations
    )
    reached, moved = ("reached %", "moved, points (seeds)")
    if suite.metric:
        reached, moved = (suite.metric.title, "moved (seeds)")
    columns = ("task", "varied alone", "the row has", reached, moved)
    print_table("single knobs that were varied", columns, rows, right=columns[3:])


def write_command(begin: str, wanted: "Wanted") -> str:
    """The command that runs what is wanted."""
    import shlex

    from bench.runs.plan import write_seeds
    from bench.suite.settings import nest, write_settings

    (setting,) = write_settings(nest(wanted.knob, wanted.value))
    return f"{begin} --seeds {write_seeds(wanted.seeds)} --set {shlex.quote(setting)}"
