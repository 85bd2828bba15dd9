"""`bench plan`: what a grid will take on more GPUs than there are here."""

from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.complete import artefact_names
from bench.cli.options import (
    BudgetOption,
    DataOption,
    KnobsOption,
    MethodsOption,
    ResultsOption,
    SuiteOption,
    TasksOption,
    option,
    split_list,
)
from bench.cli.output import print_table
from bench.cli.status import SeedsOption, find_cells
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.runs.cell import Cell
    from bench.runs.lines import ArtefactName
    from bench.runs.records import Record

GpusOption = Annotated[
    int,
    typer.Option("--gpus", min=1, max=100_000, help="How many GPUs; a CPU counts as one."),
]
KeepOption = Annotated[
    str | None,
    option(
        "--keep",
        metavar="WHAT",
        help="What each cell is to leave, as with `bench run`.",
        autocompletion=artefact_names,
    ),
]


def forecast_grid(
    suite: SuiteOption = "demo",
    methods: MethodsOption = None,
    tasks: TasksOption = None,
    seeds: SeedsOption = None,
    budget: BudgetOption = "full",
    gpus: GpusOption = 8,
    keep: KeepOption = None,
    knobs: KnobsOption = None,
    data: DataOption = None,
    results: ResultsOption = None,
) -> None:
    """Forecast wall time, GPU-hours and disk of what is not yet recorded.

    Times are medians of recorded runs of each row, those on GPUs where there are any. Cells are
    packed the longest first, one on each GPU.
    """
    from bench import paths
    from bench.cli.run import find_suite
    from bench.runs import artefacts, plan, records
    from bench.suite.settings import write_budget

    wanted = artefacts.check_names(split_list(keep) or ())
    root = paths.results_root(results, smoke=budget == "smoke")
    cells = find_cells(find_suite(suite), methods, tasks, seeds, budget, knobs)
    found = records.read_all(root)
    todo = [s.cell for s in plan.states(cells, found) if not s.done]
    if not todo:
        typer.echo(f"all {len(cells)} cells are recorded")
        return
    like = [r for r in found if r.run and r.run.suite == todo[0].suite]
    show_times(todo, like, gpus, f"bench run --suite {suite}{write_budget(budget)}")
    show_disk(todo, like, gpus, data, root, wanted)


def show_times(todo: list["Cell"], found: list["Record"], gpus: int, command: str) -> None:
    """Wall time on up to so many GPUs. found: records of the suite. command: runs such cells.

    Raises BenchError where no record tells how long a cell takes.
    """
    from bench.cli.screen import format_duration, name_processors
    from bench.execute.schedule import simulate
    from bench.report.page.text import format_count
    from bench.runs.forecast import Durations

    ended = [r for r in found if r.status == "ok"]
    on_gpu = [r for r in ended if r.run and r.run.env.device == "cuda"]
    durations = Durations.read(on_gpu or ended)
    seconds = [x for cell in todo if (x := durations.of(cell)) is not None]
    if len(seconds) < len(todo):
        raise BenchError(
            "no cell of this suite and budget is recorded, so that nothing tells how long one "
            f"takes: run one with `{command} --methods … --tasks … --seeds 0`"
        )
    rows = []
    for n in sorted({*(2**k for k in range(20) if 2**k < min(gpus, len(todo))), gpus}):
        s = simulate(seconds, n)
        rows.append((f"{n:,}", format_duration(s.wall_s), f"{100 * s.busy:.0f} %"))
    print_table("wall time", ("GPUs", "until the last cell ends", "busy"), rows, right=("GPUs",))
    known = sum((c.suite, c.row, c.budget) in durations.of_row for c in todo)
    typer.echo(
        f"{format_count(len(todo), 'cell')}, {sum(seconds) / 3600:,.1f} GPU-hours, the longest "
        f"{format_duration(max(seconds))}; times of {name_processors(todo, on_gpu or ended)}"
        + ("" if on_gpu else ", not of a GPU")
    )
    if known < len(todo):
        typer.echo(f"{len(todo) - known} of the cells are of rows never run: as long as the others")


def show_disk(
    todo: list["Cell"], found: list["Record"], gpus: int, data: Path | None, root: Path,
    wanted: tuple["ArtefactName", ...],
) -> None:  # fmt: skip
    """How much disk it takes while it runs, and afterwards."""
    import torch

    from bench import paths
    from bench.engine.artefacts import estimate
    from bench.engine.lab import Lab

    sizes = [r.path.stat().st_size for r in found if r.complete]
    lab = Lab(paths.data_root(data), root, torch.device("cpu"))
    kept = list(estimate(todo, lab, [*wanted, "weights"]))
    mib = 2**20
    parts = [f"records {len(todo) * mean(sizes) / mib:,.1f} MiB"]
    if kept:
        # parameters and their momenta; Adam has two of these
        factor = 3 if any(c.recipe.optimizer == "adam" for c in todo) else 2
        most = sorted((factor * k["weights"] for k in kept), reverse=True)[:gpus]
        parts.append(f"checkpoints up to {sum(most) / mib:,.1f} MiB while it runs")
        if wanted:
            stays = sum(k.get(name, 0) for k in kept for name in wanted)
            parts.append(f"--keep {','.join(wanted)} at most {stays / mib:,.1f} MiB")
    else:
        parts.append("checkpoints and what is kept: not known without the data")
    typer.echo(f"disk: {'; '.join(parts)}")
