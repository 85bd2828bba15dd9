"""`bench tune`"""

from typing import Annotated

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


def tune_rows(
    suite: Suite,
    on: Annotated[
        str,
        typer.Option(
            help="Tasks to choose on, such as P-C,P-S; none may touch a domain on which the suite reports."
        ),
    ],
    trials: Annotated[
        int,
        typer.Option(
            min=1, help="Sets of values to try for each row; trials already on record count."
        ),
    ] = 20,
    methods: Annotated[
        str | None,
        option(help="Row ids, comma-separated (default: every row with something to tune)."),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="0-4 or 0,2,5; every trial runs each of these seeds.")
    ] = "0",
    budget: Budget = "full",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", "-n", help="Show what would be tried and what is done; write nothing."
        ),
    ] = False,
    skip_unreadable: SkipUnreadable = False,
    data: Data = None,
    weights: Weights = None,
    device: Device = "auto",
    knobs: Annotated[
        list[str] | None,
        option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a knob of every trial's recipe, such as lr=0.01; repeatable.",
        ),
    ] = None,
    results: Results = None,
) -> None:
    """Choose hyper-parameters without the labels of the suite's targets, and write the best as a row of the suite.

    The table [search] of the suite's file says which values are tried. Every run is recorded under results/tuning; repeat
    the command to go on after an interruption.
    """
    from bench import paths
    from bench.runs import plan
    from bench.suite import settings, space, suites
    from bench.tuning import row, tune

    check_device(device)
    chosen, names = suites.find(suite), split(methods)
    override = settings.parse(knobs or [])
    plan.cells(
        chosen, methods=names, budget=budget, override=override
    )  # raises for a row or a budget that does not exist
    plans = tune.searches(
        chosen, names, split(on) or [], plan.seeds(seeds), budget, override, but=row.written(chosen)
    )
    for s in plans:
        row.check(chosen, s.row)
    root = paths.results_root(results) / space.TRIALS
    if dry_run:
        return tune.show_plan(plans, root, trials, console())
    from bench.engine.run import Lab
    from bench.engine.run import device as find_device

    lab = Lab(paths.data_root(data), root, find_device(device), weights, skip_unreadable)
    for s in plans:
        tried = tune.run(s, lab, trials, console())
        tune.show_trials(s, tried, console())
        best = row.chosen(s, tried)
        chosen = row.write(chosen, best)
        typer.echo(
            f"row {best.id} of {row.place(chosen)}: bench run --suite {suite} --methods {best.id}"
        )
