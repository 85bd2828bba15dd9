"""The command line. Heavy imports (torch, pandas) happen inside the commands that need them."""

import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import bench
from bench import catalog, paths, plan, records, suites
from bench.errors import BenchError, UsageError, unknown

app = typer.Typer(
    name="bench", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
    help="Reproduce unsupervised domain adaptation benchmarks: train the grid, keep the records, print measured beside published.",
)  # fmt: skip
data_app = typer.Typer(no_args_is_help=True, help="Get, check and find the data sets.")
app.add_typer(data_app, name="data")
console = Console()


def split(text: str | None) -> list[str] | None:
    """'a, b' -> ['a', 'b']; None (all of them) when not given."""
    return None if text is None else [x.strip() for x in text.split(",") if x.strip()]


class Precision(StrEnum):
    fp32, tf32, bf16 = "fp32", "tf32", "bf16"


class Select(StrEnum):
    last, best_on_source, best_on_target = "last", "best-on-source", "best-on-target"


class What(StrEnum):
    suites, methods, tasks, runs = "suites", "methods", "tasks", "runs"


SuiteOption = Annotated[
    str, typer.Option("--suite", "-s", help="A suite's name (`bench ls suites`) or a .toml file.", autocompletion=lambda: suites.names())
]
ResultsOption = Annotated[Path | None, typer.Option("--results", help="Folder of the run records [default: ./results].", show_default=False)]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of the data sets [default: $BENCH_DATA or the user's data folder].", show_default=False)
]


@app.callback()
def main_options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"bench {bench.__version__}")
        raise typer.Exit


@app.command("run")
def run_command(
    suite: SuiteOption = "demo",
    methods: Annotated[str | None, typer.Option(help="Row ids, comma-separated [default: all of the suite].", show_default=False)] = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks such as MNIST-USPS, comma-separated [default: all].", show_default=False)] = None,
    seeds: Annotated[str | None, typer.Option(help="0-4 or 0,2,5 [default: the suite's].", show_default=False)] = None,
    budget: Annotated[str, typer.Option(help="A reduced budget that the suite names; 'full' is the suite as written.")] = "full",
    smoke: Annotated[bool, typer.Option("--smoke", help="A few steps of every cell, on synthetic images where data is missing; never a result.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what is done, pending and stale, and the forecast; write nothing.")] = False,
    redo: Annotated[bool, typer.Option("--redo", help="Run cells again that already have a result; the newest result counts.")] = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", "-k", help="Go on with the grid when a cell fails or diverges.")] = False,
    data: DataOption = None,
    weights: Annotated[Path | None, typer.Option(help="A .pth or .safetensors file with the pretrained weights that the recipe asks for.", show_default=False)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:N.")] = "auto",
    precision: Annotated[Precision | None, typer.Option(help="Arithmetic, other than the recipe's; such cells are kept apart.", show_default=False)] = None,
    results: ResultsOption = None,
) -> None:
    """Train every cell (row × task × seed) of a suite that has no complete record yet."""
    from bench import grid

    chosen = suites.find(suite)
    for warning in chosen.warnings():
        console.print(f"note: {warning}", style="dim", soft_wrap=True)
    cells = plan.cells(
        chosen, methods=split(methods), tasks=split(tasks), seeds=None if seeds is None else plan.seeds(seeds),
        budget="smoke" if smoke else budget, override={"precision": precision.value} if precision else None,
    )  # fmt: skip
    root = paths.results_root(results)
    found = records.read_all(root, chosen.name)
    states = plan.states(cells, found)
    grid.show_plan(states, found, console)
    if dry_run:
        return
    todo = [s.cell for s in states if redo or not s.done]
    tally = {}
    if todo:
        from bench.run import device as find_device

        options: dict[str, object] = {"data": paths.data_root(data), "weights": weights, "device": find_device(device)}
        tally = grid.run(todo, root, options, console, keep_going)
    left = sum(not s.done for s in plan.states(cells, records.read_all(root, chosen.name)))
    ran = ", ".join(f"{n} {status}" for status, n in tally.items()) or "nothing to do"
    console.print(f"{ran}; {left} of {len(cells)} cells pending", highlight=False)
    if not smoke:
        console.print(f"table: bench tables --suite {suite}", highlight=False)
    if any(status not in ("ok", "busy") for status in tally):
        raise typer.Exit(1)


def main() -> None:
    """Entry point: one sentence and an exit code for everything that a user can get wrong."""
    try:
        app(standalone_mode=True)
    except BenchError as e:
        typer.echo(f"bench: {e}", err=True)
        sys.exit(e.exit_code)
    except KeyboardInterrupt:
        typer.echo("bench: interrupted; what was finished is recorded, run the same command to go on", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
