"""The command line. Heavy imports (torch, pandas) happen inside the commands that need them."""

import re
import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import bench
from bench import paths
from bench.cli import listing
from bench.errors import BenchError, UsageError, unknown
from bench.runs import plan, records
from bench.suite import presets, settings, space, suites

if TYPE_CHECKING:
    from bench.execute.here import Here

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Reproduce unsupervised domain adaptation benchmarks: train a grid, keep records, print measured beside published.",
)
data_app = typer.Typer(no_args_is_help=True, help="Get, check and find the data sets.")
app.add_typer(data_app, name="data")
console = Console(width=None if sys.stdout.isatty() else 160)  # piped output is for files and other programs

KNOBS = "A recipe knob or hyper-parameter as KEY=VALUE: lr=0.01, lr_mult.F=0.1, hyper.lam=0.5; repeatable."
SUFFIX = {"md": ".md", "latex": ".tex", "html": ".html"}


class Precision(StrEnum):
    fp32, tf32, bf16 = "fp32", "tf32", "bf16"


class Select(StrEnum):
    last, best_on_source, best_on_target = "last", "best-on-source", "best-on-target"


class What(StrEnum):
    suites, presets, methods, tasks, runs = "suites", "presets", "methods", "tasks", "runs"


def option(*names: str, help: str, **more: Any) -> Any:
    """An option whose default, None, the help explains in words."""
    return typer.Option(*names, help=help, show_default=False, **more)


Suite = Annotated[str, typer.Option("--suite", "-s", help="A suite's name or a .toml file.", autocompletion=suites.names)]
AnySuite = Annotated[str | None, option("--suite", "-s", help="One suite (default: all).", autocompletion=suites.names)]
Results = Annotated[Path | None, option("--results", help="Folder of the run records (default: ./results).")]
Data = Annotated[Path | None, option("--data", help="Folder of the data sets (default: $BENCH_DATA or the user's data folder).")]
Budget = Annotated[str, typer.Option(help="'full' is the suite as written; others are those it names.")]
SkipUnreadable = Annotated[bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be decoded.")]
Weights = Annotated[Path | None, option("--weights", help="Pretrained weights for the recipe, .pth or .safetensors.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda:N.")]
Set = Annotated[str, typer.Argument(metavar="SET", help="A data set, such as mnist.", show_default=False)]


def split(text: str | None) -> list[str] | None:
    """'a, b' -> ['a', 'b']; None (all of them) when not given."""
    return None if text is None else [x.strip() for x in text.split(",") if x.strip()]


def print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bench {bench.__version__}")
        raise typer.Exit


def check_device(name: str) -> None:
    """Whether there is such a device is seen when it is used; this needs no torch."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UsageError(f"unknown device {name!r}; use auto, cpu or cuda:N")


def here(data: Path | None, results: Path, weights: Path | None, device: str, skip_unreadable: bool) -> "Here":
    """The executor that runs cells in this process. Raises UsageError when there is no such device."""
    from bench.engine.lab import Lab, find_device
    from bench.execute.here import Here

    return Here(Lab(paths.data_root(data), results, find_device(device), weights, skip_unreadable))


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit; after any command too.", callback=print_version, is_eager=True
        ),
    ] = False,
) -> None: ...


@app.command("run")
def run_command(
    suite: Suite = "demo",
    methods: Annotated[str | None, option(help="Row ids, comma-separated (default: all of the suite).")] = None,
    tasks: Annotated[str | None, option(help="Tasks such as MNIST-USPS, comma-separated (default: all).")] = None,
    seeds: Annotated[str | None, option(help="0-4 or 0,2,5 (default: the suite's; 0 with --smoke).")] = None,
    budget: Budget = "full",
    smoke: Annotated[bool, typer.Option("--smoke", help="A few steps of every cell, on random images if need be.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show the plan and its cost; write nothing.")] = False,
    redo: Annotated[bool, typer.Option("--redo", help="Run finished cells again; the newest result counts.")] = False,
    skip_unreadable: SkipUnreadable = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", "-k", help="Go on when a cell fails or diverges.")] = False,
    data: Data = None,
    weights: Weights = None,
    device: Device = "auto",
    knobs: Annotated[list[str] | None, option("--set", help=KNOBS)] = None,
    precision: Annotated[Precision | None, option(help="The same as --set precision=...")] = None,
    results: Results = None,
) -> None:
    """Train every cell (row × task × seed) of a suite that has no complete record yet."""
    from bench.cli import screen

    check_device(device)
    chosen = suites.find(suite)
    for warning in chosen.warnings():
        console.print(f"note: {warning}", style="dim", soft_wrap=True, highlight=False, markup=False)
    cells = plan.cells(
        chosen,
        methods=split(methods),
        tasks=split(tasks),
        seeds=plan.seeds("0" if seeds is None else seeds) if seeds is not None or smoke else None,
        budget="smoke" if smoke else budget,
        override=settings.parse([*(knobs or []), *([f"precision={precision}"] if precision else [])]),
    )
    root = paths.results_root(results, smoke=smoke)
    found = records.read_all(root / chosen.name)
    states = plan.states(cells, found)
    screen.show_plan(states, found, console, redo=redo)
    todo = [s.cell for s in states if redo or not s.done]
    if dry_run:
        return
    tally: Counter[str] = Counter()
    if todo:
        executor = here(data, root, weights, device, skip_unreadable)
        tally = screen.draw(executor.run(todo, keep_going=keep_going, redo=redo), console)
    left = sum(not s.done for s in plan.states(cells, records.read_all(root / chosen.name)))
    ran = ", ".join(f"{n} {status}" for status, n in tally.items()) or "nothing to do"
    console.print(f"{ran}; {left} of {len(cells)} cells pending", highlight=False)
    where = f" --results {root}" if results or smoke else ""
    if knobs or precision:
        told = f"what --set changes is a recipe of its own, in no table: bench ls runs --suite {suite}{where}"
        console.print(told, highlight=False, soft_wrap=True)
    elif not smoke:
        for_cost = chosen.budget(budget).measures == "cost"
        ask, tag = (" --cost", "-cost") if for_cost else ("", "")
        told = f"table: bench tables --suite {suite}{ask}{where} -> tables/rendered/{chosen.name}{tag}.md"
        console.print(told, highlight=False, soft_wrap=True)
    if set(tally) - {"ok", "busy"}:
        raise typer.Exit(1)


@app.command("tune")
def tune_command(
    suite: Suite,
    on: Annotated[str, typer.Option(help="Tasks to choose on, such as P-C,P-S; none of a domain on which the suite reports.")],
    trials: Annotated[int, typer.Option(min=1, help="Sets of values to try for each row, those on record included.")] = 20,
    methods: Annotated[str | None, option(help="Row ids, comma-separated (default: all that search something).")] = None,
    seeds: Annotated[str, typer.Option(help="0-4 or 0,2,5; a trial runs each of them.")] = "0",
    budget: Budget = "full",
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what is searched and done; write nothing.")] = False,
    skip_unreadable: SkipUnreadable = False,
    data: Data = None,
    weights: Weights = None,
    device: Device = "auto",
    knobs: Annotated[list[str] | None, option("--set", help=f"For every trial: {KNOBS}")] = None,
    results: Results = None,
) -> None:
    """Choose hyper-parameters without the labels of the suite's targets, and write the best as a row of the suite.

    What is tried, the table `search` of the suite's file says. Every run is a record under results/tuning, so resuming is
    running again.
    """
    from bench.cli import search
    from bench.tuning import row, tune

    check_device(device)
    chosen, names = suites.find(suite), split(methods)
    override = settings.parse(knobs or [])
    plan.cells(chosen, methods=names, budget=budget, override=override)  # refuses what the suite has not
    plans = tune.searches(chosen, names, split(on) or [], plan.seeds(seeds), budget, override, skip=row.written(chosen))
    for s in plans:
        row.check(chosen, s.row)
    root = paths.results_root(results) / space.TRIALS
    if dry_run:
        return search.show_plan(plans, root, trials, console)
    executor = here(data, root, weights, device, skip_unreadable)
    for s in plans:
        search.draw(tune.run(s, executor, root, trials), console)
        tried = tune.best_first(s, root)
        search.show_trials(s, tried, console)
        best = row.choose(s, tried)
        chosen = row.write(chosen, best)
        where = f"row {best.id} of {row.place(chosen)}"
        console.print(f"{where}: bench run --suite {suite} --methods {best.id}", highlight=False, soft_wrap=True)


@app.command("tables")
def tables_command(
    suite: AnySuite = None,
    formats: Annotated[str, typer.Option("--format", help="md, latex, html: any of them, comma-separated.")] = "md,latex,html",
    select: Annotated[Select, typer.Option(help="Which evaluation counts; best-on-target is an oracle.")] = Select.last,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when a file is out of date.")] = False,
    cost: Annotated[bool, typer.Option("--cost", help="Time and memory instead of accuracy.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the rendered files.")] = Path("tables/rendered"),
    results: Results = None,
) -> None:
    """Print measured numbers beside the published ones, from the records alone, and write them as files."""
    from bench.report.write import render

    kinds = split(formats) or [""]
    for kind in kinds:
        if kind not in SUFFIX:
            raise unknown("format", kind, SUFFIX)
    stale = []
    for name in [suite] if suite else suites.names():
        chosen = suites.find(name)
        found = records.read_all(paths.results_root(results) / chosen.name)
        for kind in kinds:
            text = render.cost(chosen, found, kind) if cost else render.render(chosen, found, kind, select.value)
            tag = "-cost" if cost else "" if select is Select.last else f"-{select.value}"
            path = out / f"{chosen.name}{tag}{SUFFIX[kind]}"
            if not check:
                paths.write(path, text)
                sys.stdout.write(text + "\n" if kind == "md" else "")
            elif not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(str(path))
    if stale:
        raise BenchError(f"out of date: {', '.join(stale)}; run `bench tables` and commit what it writes")
    if check:
        console.print("every rendered table matches the records")


@app.command("ls")
def ls_command(
    what: Annotated[What, typer.Argument(help="What to list.")] = What.suites, suite: AnySuite = None, results: Results = None
) -> None:
    """List suites, presets, methods, tasks or recorded runs."""
    chosen = [suites.find(n) for n in ([suite] if suite else suites.names())]
    match what:
        case What.suites:
            listing.list_suites(console, chosen)
        case What.presets:
            listing.list_presets(console, [presets.find(n) for n in presets.names()])
        case What.methods:
            listing.list_methods(console)
        case What.tasks:
            listing.list_tasks(console, chosen)
        case What.runs:
            listing.list_runs(console, chosen, paths.results_root(results))


@app.command("diff")
def diff_command(
    a: Annotated[str, typer.Argument(metavar="A", help="A preset, a suite or SUITE:ROW.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.", show_default=False)],
) -> None:
    """Show the recipe knobs in which two protocols differ, side by side."""
    from bench.suite.diff import diff

    if found := diff(a, b):
        listing.list_knobs(console, a, b, found)
    else:
        console.print(f"{a} and {b} do not differ in any knob", highlight=False, markup=False)


@app.command("show")
def show_command(
    record: Annotated[Path, typer.Argument(help="A .jsonl file under the results folder.", show_default=False)],
) -> None:
    """Print what one record holds: what was run, on what, how it went."""
    if not record.is_file():
        raise UsageError(f"no record {record}; `bench ls runs` names them")
    if (found := records.read(record)) is None:
        raise BenchError(f"{record} holds no readable run: it is empty, torn in its first line, or of another schema")
    listing.show_record(console, found)


@app.command("doctor")
def doctor_command(data: Data = None) -> None:
    """Show what this installation is: Python, torch, GPU, memory, data found, which `bench` is imported."""
    listing.show_installation(console, paths.data_root(data))


@data_app.command("get")
def data_get(
    name: Set,
    data: Data = None,
    photos: Annotated[Path | None, option(help="A folder of photographs, to make MNIST-M from MNIST.")] = None,
) -> None:
    """Download a data set, resuming what was begun, and check it."""
    from bench.data import get
    from bench.datasets import sets

    with listing.downloads(console) as progress:
        folder = get.get(name, paths.data_root(data), photos=photos, progress=progress)
    facts = sets.find(name)
    about = "; ".join(filter(None, [facts.title, f"licence: {facts.licence}" if facts.licence else "", facts.notes]))
    console.print(f"{name}: {folder}\n{about}", highlight=False, soft_wrap=True, markup=False)


@data_app.command("doctor")
def data_doctor(name: Set, data: Data = None) -> None:
    """Check a data set's files and counts against the published ones; exit 1 when something is wrong."""
    from bench.data import doctor

    findings = doctor.doctor(name, paths.data_root(data))
    for f in findings:
        style = {"error": "red", "warn": "yellow"}.get(f.level, "")
        console.print(f"{f.level:5} {f.text}", style=style, highlight=False, soft_wrap=True, markup=False)
    if any(f.level == "error" for f in findings):
        raise typer.Exit(1)


@data_app.command("generate")
def data_generate(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="pacs or officehome.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data folder to make it in.", show_default=False)],
    scale: Annotated[float, typer.Option(help="Images per published image, at least one of each class.")] = 0.01,
    seed: Annotated[int, typer.Option(help="Another seed makes other images.")] = 0,
) -> None:
    """Make a folder of synthetic images in the layout of a published set, to try things without it."""
    from bench.data import generator

    made = generator.generate(kind, folder, scale=scale, seed=seed)
    console.print(f"{made}: synthetic images, never a result", highlight=False, soft_wrap=True)


@data_app.command("where")
def data_where(name: Set, data: Data = None) -> None:
    """Print the folder where a data set was found; exit 1 when it is nowhere."""
    from bench.data import doctor
    from bench.datasets import sets

    root = paths.data_root(data)
    if (found := doctor.where(name, root)) is None:
        raise BenchError(f"{name} is not under {root}; expected:\n{sets.find(name).layout}")
    typer.echo(found)


def main() -> None:
    """Entry point: one sentence and an exit code for everything that a user can get wrong."""
    if "--version" in sys.argv[1:]:
        sys.argv[1:] = ["--version"]
    try:
        app()
    except BenchError as e:
        typer.echo(f"bench: {e}", err=True)
        sys.exit(e.exit_code)
    except SystemExit as e:
        if e.code == 130:  # what typer makes of Ctrl-C
            typer.echo("bench: interrupted; what was finished is recorded, run the same command to go on", err=True)
        raise


if __name__ == "__main__":
    main()
