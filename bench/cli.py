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
    help="Reproduce unsupervised domain adaptation benchmarks: train a grid, keep records, print measured beside published.",
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
    str,
    typer.Option(
        "--suite",
        "-s",
        help="A suite's name (`bench ls suites`) or a .toml file.",
        autocompletion=lambda: suites.names(),
    ),
]
ResultsOption = Annotated[
    Path | None, typer.Option("--results", help="Folder of the run records (default: ./results).", show_default=False)
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the data sets (default: $BENCH_DATA or the user's data folder).", show_default=False),
]


def print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bench {bench.__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit; after any command too.", callback=print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


@app.command("run")
def run_command(
    suite: SuiteOption = "demo",
    methods: Annotated[
        str | None, typer.Option(help="Row ids, comma-separated (default: all of the suite).", show_default=False)
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Tasks such as MNIST-USPS, comma-separated (default: all).", show_default=False)
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="0-4 or 0,2,5 (default: the suite's).", show_default=False)] = None,
    budget: Annotated[str, typer.Option(help="A reduced budget that the suite names; 'full' is the suite as written.")] = "full",
    smoke: Annotated[
        bool,
        typer.Option("--smoke", help="A few steps of every cell, on synthetic images where data is missing; never a result."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", "-n", help="Show what is done, pending and stale, and the forecast; write nothing."),
    ] = False,
    redo: Annotated[
        bool, typer.Option("--redo", help="Run cells again that already have a result; the newest result counts.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", "-k", help="Go on with the grid when a cell fails or diverges.")
    ] = False,
    data: DataOption = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="A .pth or .safetensors file with the pretrained weights that the recipe asks for.", show_default=False
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:N.")] = "auto",
    precision: Annotated[
        Precision | None,
        typer.Option(help="Arithmetic, other than the recipe's; such cells are kept apart.", show_default=False),
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Train every cell (row × task × seed) of a suite that has no complete record yet."""
    from bench import grid

    chosen = suites.find(suite)
    for warning in chosen.warnings():
        console.print(f"note: {warning}", style="dim", soft_wrap=True)
    if smoke and seeds is None:
        seeds = "0"
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
        console.print(f"table: bench tables --suite {suite} (tables/rendered/{chosen.name}.md)", highlight=False)
    if any(status not in ("ok", "busy") for status in tally):
        raise typer.Exit(1)


@app.command("tables")
def tables_command(
    suite: Annotated[
        str | None,
        typer.Option("--suite", "-s", help="One suite (default: all).", show_default=False, autocompletion=suites.names),
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="md, latex, html: any of them, comma-separated.")] = "md,latex,html",
    select: Annotated[
        Select, typer.Option(help="Which evaluation counts. best-on-target is an oracle: target labels chose it.")
    ] = Select.last,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when a file is out of date.")] = False,
    cost: Annotated[bool, typer.Option("--cost", help="Time and memory instead of accuracy.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the rendered files.")] = Path("tables/rendered"),
    results: ResultsOption = None,
) -> None:
    """Print measured numbers beside the published ones, from the records alone, and write them as files."""
    from bench import render

    kinds = split(formats) or []
    for kind in kinds:
        if kind not in render.SUFFIX:
            raise unknown("format", kind, render.SUFFIX)
    stale = []
    for name in [suite] if suite else suites.names():
        chosen = suites.find(name)
        found = records.read_all(paths.results_root(results), chosen.name)
        for kind in kinds:
            text = render.cost(chosen, found, kind) if cost else render.render(chosen, found, kind, select.value)
            tag = "-cost" if cost else "" if select is Select.last else f"-{select.value}"
            path = out / f"{chosen.name}{tag}{render.SUFFIX[kind]}"
            if check:
                stale += [path] if not path.is_file() or path.read_text(encoding="utf-8") != text else []
                continue
            if kind == "md":
                sys.stdout.write(text + "\n")
            write(path, text)
    if check:
        for path in stale:
            typer.echo(f"out of date: {path}", err=True)
        if stale:
            raise BenchError("rendered tables do not match the records; run `bench tables` and commit the result")
        console.print("all rendered tables match the records")


def write(path: Path, text: str) -> None:
    """Write a text file whole. Raises BenchError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as e:
        raise BenchError(f"cannot write {path} ({e.strerror}); choose another folder with --out") from e


def show(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print one rich table."""
    table = Table(title=title)
    for c in columns:
        table.add_column(c, overflow="fold")
    for row in rows:
        table.add_row(*("" if x is None else str(x) for x in row))
    console.print(table, soft_wrap=not console.is_terminal)


@app.command("ls")
def ls_command(
    what: Annotated[What, typer.Argument(help="What to list.")] = What.suites,
    suite: Annotated[
        str | None,
        typer.Option(
            "--suite",
            "-s",
            help="Tasks or runs of one suite (default: all).",
            show_default=False,
            autocompletion=suites.names,
        ),
    ] = None,
    results: ResultsOption = None,
) -> None:
    """List suites, methods, tasks or recorded runs."""
    chosen = [suites.find(n) for n in ([suite] if suite else suites.names())]
    match what:
        case What.suites:
            show(
                "suites",
                ("name", "title", "rows", "tasks", "published"),
                ((s.name, s.title, len(s.rows), len(s.tasks), len(s.published)) for s in chosen),
            )
        case What.methods:
            known = catalog.methods().values()
            show(
                "methods",
                ("name", "what it does", "hyper-parameters"),
                ((e.name, e.doc.split("\n")[0], " ".join(f"{k}={v}" for k, v in e.hyper.items())) for e in known),
            )
        case What.tasks:
            show(
                "tasks",
                ("suite", "task", "rows"),
                ((s.name, t, " ".join(r.id for r in s.rows)) for s in chosen for t in s.tasks),
            )
        case What.runs:
            root = paths.results_root(results)
            rows = (
                (
                    r.run["budget"],
                    r.run["row"],
                    r.run["task"],
                    r.run["seed"],
                    r.status,
                    score(r),
                    r.path.relative_to(root),
                )
                for s in chosen
                for r in records.read_all(root, s.name)
            )
            show("runs", ("budget", "row", "task", "seed", "status", "target %", "record"), rows)


def score(r: records.Record) -> str:
    """Target accuracy of the last evaluation, %."""
    last = r.evals[-1]["target"] if r.evals else None
    return f"{100 * sum(last['correct']) / sum(last['total']):.2f}" if last else "-"


@app.command("show")
def show_command(
    record: Annotated[Path, typer.Argument(help="A .jsonl file under the results folder.", show_default=False)],
) -> None:
    """Print what one record holds: what was run, on what, how it went."""
    if not record.is_file():
        raise UsageError(f"no record {record}; `bench ls runs` names them")
    r = records.read(record)
    if r is None:
        raise BenchError(f"{record} holds no readable run: it is empty, torn in its first line, or of another schema")
    facts = {k: v for k, v in r.run.items() if k not in ("kind", "schema")}
    show(str(record), ("", ""), ((k, compact(v)) for k, v in facts.items()))
    evals = (
        (e["step"], *(f"{100 * sum(e[k]['correct']) / sum(e[k]['total']):.2f}" for k in ("source", "target"))) for e in r.evals
    )
    show("evaluations", ("step", "source %", "target %"), evals)
    show(f"end: {r.status}", ("", ""), ((k, compact(v)) for k, v in (r.end or {}).items() if k != "kind"))


def compact(v: Any) -> str:
    """A nested value on one line: 'lr 0.01, batch 32'"""
    if isinstance(v, dict):
        return ", ".join(f"{k} {compact(x) if not isinstance(x, dict) else '(' + compact(x) + ')'}" for k, x in v.items())
    return ", ".join(map(compact, v)) if isinstance(v, list) else str(v)


@data_app.command("get")
def data_get(
    name: Annotated[str, typer.Argument(metavar="SET", help="A data set, such as mnist.", show_default=False)],
    data: DataOption = None,
    photos: Annotated[
        Path | None, typer.Option(help="A folder of photographs, to make MNIST-M from MNIST.", show_default=False)
    ] = None,
) -> None:
    """Download a data set, resuming what was begun, and check it."""
    from bench.data import get

    console.print(f"{name}: {get.get(name, paths.data_root(data), photos=photos)}", highlight=False)


@data_app.command("doctor")
def data_doctor(name: Annotated[str, typer.Argument(metavar="SET", show_default=False)], data: DataOption = None) -> None:
    """Check a data set's files and counts against the published ones; exit 1 when something is wrong."""
    from bench.data import doctor

    findings = doctor.doctor(name, paths.data_root(data))
    for f in findings:
        console.print(
            f"{f.level:5} {f.text}",
            style={"error": "red", "warn": "yellow"}.get(f.level, ""),
            highlight=False,
            soft_wrap=True,
        )
    if any(f.level == "error" for f in findings):
        raise typer.Exit(1)


@data_app.command("where")
def data_where(name: Annotated[str, typer.Argument(metavar="SET", show_default=False)], data: DataOption = None) -> None:
    """Print the folder where a data set was found; exit 1 when it is nowhere."""
    from bench.data import doctor, sets

    root = paths.data_root(data)
    found = doctor.where(name, root)
    if found is None:
        raise BenchError(f"{name} is not under {root}; expected:\n{sets.find(name).layout}")
    typer.echo(found)


@app.command("doctor")
def doctor_command(data: DataOption = None) -> None:
    """Show what this installation is: Python, torch, GPU, memory, data found, which `bench` is imported."""
    import os
    import platform

    import torch

    from bench import env
    from bench.data import doctor, sets

    rows: list[tuple[str, object]] = [
        ("bench", f"{bench.__version__} from {Path(bench.__file__).parent}"),
        ("code", compact(env.git() or "not a checkout")),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        ("cpu", f"{env.cpu()}, {os.cpu_count()} cores, {env.memory_gib():.1f} GiB"),
    ]
    for i in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(i)
        rows.append((f"cuda:{i}", f"{gpu.name}, {gpu.total_memory / 2**30:.1f} GiB, driver {env.driver()}"))
    if not torch.cuda.is_available():
        rows.append(("gpu", "none that torch can use; runs go to the CPU"))
    root = paths.data_root(data)
    rows.append(("data folder", root))
    rows += [(f"  {name}", doctor.where(name, root) or f"not found: bench data get {name}") for name in sets.names()]
    rows.append(("suites", ", ".join(suites.names())))
    show("bench doctor", ("", ""), rows)


def main() -> None:
    """Entry point: one sentence and an exit code for everything that a user can get wrong."""
    if "--version" in sys.argv[1:]:
        sys.argv[1:] = ["--version"]
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
