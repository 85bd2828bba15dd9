"""`bench tune`: choose hyper-parameters."""

from typing import Annotated

import typer

from bench.cli.options import (
    BudgetOption,
    DataOption,
    DeviceOption,
    DryRunOption,
    KnobsOption,
    MethodsOption,
    ResultsOption,
    SkipUnreadableOption,
    SuiteOption,
    WeightsOption,
    check_device,
    split_list,
)
from bench.cli.output import console
from bench.cli.run import run_here

TasksOnOption = Annotated[
    str,
    typer.Option(
        "--on",
        help="Tasks to choose on, such as P-C,P-S; no domain of them may be a target of the suite.",
    ),
]
TrialsOption = Annotated[
    int,
    typer.Option(
        min=1, max=100_000, help="Sets of values to try for each row; those already recorded count."
    ),
]
SeedsPerTrialOption = Annotated[
    str, typer.Option("--seeds", help="0-4 or 0,2,5; a trial runs each of them.")
]


def tune_rows(
    suite: SuiteOption,
    on: TasksOnOption,
    trials: TrialsOption = 20,
    methods: MethodsOption = None,
    seeds: SeedsPerTrialOption = "0",
    budget: BudgetOption = "full",
    dry_run: DryRunOption = False,
    skip_unreadable: SkipUnreadableOption = False,
    data: DataOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    knobs: KnobsOption = None,
    results: ResultsOption = None,
) -> None:
    """Choose hyper-parameters without the labels of the targets.

    The best values become a row of the suite. The table `search` of the suite's file says which
    values are tried. Every run is recorded under results/tuning: to go on after an interruption,
    repeat the command.
    """
    from bench import paths
    from bench.cli import screen, search_screen
    from bench.runs import plan
    from bench.suite import search, settings, suites
    from bench.tuning import row, tune

    check_device(device)
    chosen, names = suites.find(suite), split_list(methods)
    tasks = split_list(on) or []
    override = settings.parse_settings(knobs or [])
    # raises for a row or a budget that the suite does not have
    plan.cells(chosen, methods=names, budget=budget, override=override)
    skip = row.written(chosen)
    plans = tune.searches(chosen, names, tasks, plan.seeds(seeds), budget, override, skip=skip)
    for s in plans:
        row.check_row(chosen, s.row)
    root = paths.results_root(results) / search.TRIALS
    if dry_run:
        return search_screen.show_search_plan(plans, root, trials, console())
    drawing = screen.Screen(console())
    executor = run_here(
        data, root, weights, device=device, tell=drawing.draw, skip_unreadable=skip_unreadable
    )
    for s in plans:
        with drawing:
            search_screen.draw_search(tune.run_search(s, executor, root, trials), drawing)
        tried = tune.best_first(s, root)
        search_screen.show_trials(s, tried)
        best = row.choose(s, tried)
        chosen = row.write_row(chosen, best)
        command = f"bench run --suite {suite} --methods {best.id}"
        typer.echo(f"row {best.id} of {row.place(chosen)}: {command}")
