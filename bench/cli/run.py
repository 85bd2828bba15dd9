"""`bench run`"""

from typing import Annotated, Literal

import typer

from bench.cli.options import (
    Budget,
    Data,
    Device,
    Results,
    SkipUnreadable,
    Suite,
    Weights,
    check_device,
    option,
    split,
)
from bench.cli.output import console

Precision = Literal["fp32", "tf32", "bf16"]


def run_cells(
    suite: Suite = "demo",
    methods: Annotated[
        str | None, option(help="Row ids, comma-separated (default: every row of the suite).")
    ] = None,
    tasks: Annotated[
        str | None, option(help="Tasks such as MNIST-USPS, comma-separated (default: every task).")
    ] = None,
    seeds: Annotated[
        str | None,
        option(help="0-4 or 0,2,5 (default: as many as the suite says; 0 with --smoke)."),
    ] = None,
    budget: Budget = "full",
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke",
            help="A few steps of every cell; random images stand in for missing data sets.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show the plan and its cost; write nothing.")
    ] = False,
    redo: Annotated[
        bool, typer.Option("--redo", help="Run finished cells again; the newest result counts.")
    ] = False,
    skip_unreadable: SkipUnreadable = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", "-k", help="Go on when a cell fails or diverges.")
    ] = False,
    data: Data = None,
    weights: Weights = None,
    device: Device = "auto",
    knobs: Annotated[
        list[str] | None,
        option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a knob of the recipe, such as lr=0.01 or lr_mult.F=0.1; repeatable.",
        ),
    ] = None,
    precision: Annotated[Precision | None, option(help="Short for --set precision=...")] = None,
    results: Results = None,
) -> None:
    """Train every cell (row × task × seed) of a suite that has no complete record yet."""
    from bench import paths
    from bench.execute import grid
    from bench.runs import plan, records
    from bench.suite import settings, suites

    check_device(device)
    chosen = suites.find(suite)
    for warning in chosen.warnings():
        typer.secho(f"note: {warning}", dim=True)
    cells = plan.cells(
        chosen,
        methods=split(methods),
        tasks=split(tasks),
        seeds=plan.seeds("0" if seeds is None else seeds) if seeds is not None or smoke else None,
        budget="smoke" if smoke else budget,
        override=settings.parse(
            [*(knobs or []), *([f"precision={precision}"] if precision else [])]
        ),
    )
    root = paths.results_root(results, smoke=smoke)
    found = records.read_all(root / chosen.name)
    states = plan.states(cells, found)
    grid.show_plan(states, found, console(), redo=redo)
    if dry_run:
        return
    todo = [s.cell for s in states if redo or not s.done]
    how = {
        "data": paths.data_root(data),
        "weights": weights,
        "device": device,
        "skip_unreadable": skip_unreadable,
    }
    tally = grid.run(todo, root, how, console(), keep_going=keep_going, redo=redo) if todo else {}
    left = sum(not s.done for s in plan.states(cells, records.read_all(root / chosen.name)))
    ran = ", ".join(f"{n} {status}" for status, n in tally.items()) or "nothing to do"
    typer.echo(f"{ran}; {left} of {len(cells)} cells pending")
    options = f"--suite {suite}" + (f" --results {root}" if results or smoke else "")
    if knobs or precision:
        typer.echo(
            f"no table shows these runs, because --set changed their recipe; to list them: bench ls runs {options}"
        )
    elif not smoke:
        cost = chosen.budget(budget).measures == "cost"
        ask, tag = (" --cost", "-cost") if cost else ("", "")
        typer.echo(f"table: bench tables {options}{ask} -> tables/rendered/{chosen.name}{tag}.md")
    if set(tally) - {"ok", "busy"}:
        raise typer.Exit(1)
