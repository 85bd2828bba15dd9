"""`bench run`: train what is not yet recorded."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.complete import artefact_names
from bench.cli.options import (
    BudgetOption,
    DataOption,
    DevicesOption,
    DryRunOption,
    KnobsOption,
    MethodsOption,
    ResultsOption,
    SkipUnreadableOption,
    SuiteOption,
    TasksOption,
    WeightsOption,
    check_device,
    flag,
    option,
    split_list,
)
from bench.cli.output import console
from bench.cli.where import (
    AddressOption,
    CpusOption,
    GpusPerNodeOption,
    OnOption,
    ParallelismOption,
    PartitionOption,
    PerGpuOption,
    TimeOption,
    Where,
    WorkersOption,
)
from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    import torch

    from bench.cli.screen import Screen
    from bench.cli.settle import Settling
    from bench.engine.events import Listener
    from bench.engine.executor import Executor
    from bench.engine.lab import Lab
    from bench.execute.here import Here
    from bench.runs.cell import Cell
    from bench.runs.lines import ArtefactName
    from bench.runs.plan import CellState
    from bench.suite.suite import Suite

GOOD_ENDS = {"ok", "busy", "out of memory"}  # those after which further cells are started

SmokeOption = Annotated[
    bool,
    flag("--smoke", help="A few steps of every cell; random images stand in for missing data."),
]
RedoOption = Annotated[
    bool, flag("--redo", help="Run finished cells again; the newest result counts.")
]
KeepGoingOption = Annotated[
    bool, flag("--keep-going", "-k", help="Go on when a cell fails or diverges.")
]
SeedsOption = Annotated[
    str | None,
    option(
        "--seeds",
        help="0-4 or 0,2,5 (default: those of the suite; 0 with --smoke); auto: those of the "
        "suite, then one more at a time until every verdict is settled.",
    ),
]
MaxSeedsOption = Annotated[
    int | None,
    option("--max-seeds", min=1, max=10_000, help="With --seeds auto: the most (default: 20)."),
]
KeepOption = Annotated[
    str | None,
    option(
        "--keep",
        metavar="WHAT",
        help="Leave these beside each record, comma-separated: logits, features (of both test "
        "sets), maps (where the network looks), samples (that a generator makes), weights "
        "(default: nothing).",
        autocompletion=artefact_names,
    ),
]
CheckpointOption = Annotated[
    float,
    option(
        "--checkpoint-every",
        metavar="SECONDS",
        min=0,
        max=1e9,
        help="How often a cell's state is written beside its record; an interrupted cell writes "
        "it, too, and goes on there (default: 300; 0: never).",
    ),
]
FreshOption = Annotated[
    bool, flag("--fresh", help="Begin interrupted cells anew, not at their checkpoints.")
]
PrecisionOption = Annotated[
    Literal["fp32", "tf32", "bf16"] | None,
    option(help="Short for --set precision=...; bf16 is slow on a CPU that lacks it."),
]


def run_cells(
    suite: SuiteOption = "demo",
    methods: MethodsOption = None,
    tasks: TasksOption = None,
    seeds: SeedsOption = None,
    max_seeds: MaxSeedsOption = None,
    budget: BudgetOption = "full",
    smoke: SmokeOption = False,
    dry_run: DryRunOption = False,
    redo: RedoOption = False,
    skip_unreadable: SkipUnreadableOption = False,
    keep_going: KeepGoingOption = False,
    data: DataOption = None,
    weights: WeightsOption = None,
    device: DevicesOption = "auto",
    knobs: KnobsOption = None,
    precision: PrecisionOption = None,
    keep: KeepOption = None,
    checkpoint_every: CheckpointOption = 300.0,
    fresh: FreshOption = False,
    results: ResultsOption = None,
    on: OnOption = None,
    workers: WorkersOption = None,
    per_gpu: PerGpuOption = None,
    partition: PartitionOption = None,
    time: TimeOption = None,
    gpus_per_node: GpusPerNodeOption = None,
    cpus_per_task: CpusOption = None,
    array_parallelism: ParallelismOption = None,
    address: AddressOption = None,
) -> None:
    """Train every cell (row × task × seed) that is not yet recorded."""
    from bench import paths
    from bench.cli import screen, settle
    from bench.runs import artefacts, plan, records
    from bench.suite import settings

    check_device(device, several=True)
    where = Where(
        device, on or "here", workers, per_gpu, partition, time, gpus_per_node, cpus_per_task,
        array_parallelism, address,
    )  # fmt: skip
    wanted = artefacts.check_names(split_list(keep) or ())
    chosen = find_suite(suite)
    budget = "smoke" if smoke else budget
    smoke = budget == "smoke"  # however it was asked for
    knobs = [*(knobs or []), *([f"precision={precision}"] if precision else [])]
    named = choose_tasks(chosen, data, budget) if tasks is None else split_list(tasks)
    make_cells = partial(
        plan.cells, chosen, methods=split_list(methods), tasks=named, budget=budget,
        override=settings.parse_settings(knobs),
    )  # fmt: skip
    root = paths.results_root(results, smoke=smoke)
    settling = settle.prepare_settling(seeds, max_seeds, chosen, make_cells, root, budget)
    if settling and where.on == "slurm":
        raise UsageError("--seeds auto waits for results, and --on slurm does not: name the seeds")
    cells = make_cells(seeds=None if settling else choose_seeds(seeds, budget))
    todo = show_cells(cells, root, data, wanted, redo=redo, dry_run=dry_run)
    here = partial(
        run_here, data, root, weights, skip_unreadable=skip_unreadable,
        keep=wanted, checkpoint_every=checkpoint_every, fresh=fresh,
    )  # fmt: skip
    tally: Mapping[str, int] = {}
    added: list[Cell] = []
    if todo or settling:
        tally, added = train_cells(
            todo, settling, where, here, keep_going=keep_going, redo=redo, dry_run=dry_run
        )
    if dry_run:
        return
    options = f"--suite {suite}" + (f" --results {root}" if root != paths.results_root() else "")
    if where.on == "slurm" and todo:
        options += settings.write_budget(budget)
        typer.echo(f"to see how far they are: bench status {options}")
        return
    states = plan.states([*cells, *added], records.read_all(root))
    screen.show_result(tally, states)
    if settling:
        settle.tell_answers(settling)
    name_next_command(chosen, budget, options, paths.pages_root(root), changed=bool(knobs))
    check_ends(tally, [*todo, *added], states, wanted)


def choose_tasks(suite: "Suite", data: Path | None, budget: str) -> list[str] | None:
    """The tasks of a run that names none: all but the optional ones without data, which are named.

    None: all tasks. So it is in a smoke run, which makes do without data, and where no task has
    any, because then the check of the cells says what is missing.
    """
    from bench import paths
    from bench.data import counts
    from bench.datasets.sets import FOLDER

    root = paths.data_root(data)
    optional = () if budget == "smoke" else suite.optional_tasks
    absent = {task: name for task in optional if (name := counts.find_absent(suite, task, root))}
    if tasks := [task for task in suite.tasks if task not in absent]:
        for task, name in absent.items():
            given = suite.domains[name].set
            remedy = f" (bench data get {given})" if given != FOLDER.name else ""
            typer.echo(f"{task} is left out, because the images of {name} are not there{remedy}")
    return tasks or None


def choose_seeds(text: str | None, budget: str) -> list[int] | None:
    """The seeds that --seeds names. None: those of the suite, but for a smoke run, which has 0."""
    from bench.runs import plan

    if text is None:
        return [0] if budget == "smoke" else None
    return plan.seeds(text)


def check_ends(
    tally: Mapping[str, int],
    todo: Iterable["Cell"],
    states: Iterable["CellState"],
    wanted: tuple["ArtefactName", ...],
) -> None:
    """End the program with exit code 1 when a cell ended badly, or lacks what was to be kept of it.

    tally: how many cells ended how. todo: those that were to be trained. states: of all cells.
    """
    keys = {cell.key for cell in todo}
    trained = [s for s in states if s.cell.key in keys] if tally.get("ok") else []
    unkept = note_lacking(trained, wanted, "see the reason in `bench show`")
    if set(tally) - {"ok", "busy"} or unkept:
        raise typer.Exit(1)


def show_cells(
    cells: list["Cell"],
    root: Path,
    data: Path | None,
    wanted: tuple["ArtefactName", ...],
    *,
    redo: bool,
    dry_run: bool,
) -> list["Cell"]:
    """Show what is recorded of the cells, and how large their data are; returns those to train.

    root: folder of the records. data: as --data. wanted: what is to be kept of each. dry_run: leave
    the folder as it is.
    """
    from bench import paths
    from bench.cli import screen
    from bench.data import counts
    from bench.runs import plan, records
    from bench.runs.tidy import tidy

    found = records.read_all(root)
    states = plan.states(cells, found)
    if not (redo or dry_run):
        tidy(states, root)
    todo = [s.cell for s in states if redo or not s.done]
    if not all(c.budget == "smoke" for c in cells):  # which makes do with a few images, or random
        images = counts.count_plan(cells, paths.data_root(data))
        screen.show_images(images, console(), reasons=not todo)  # the check of todo tells them
    screen.show_plan(states, found, console(), redo=redo)
    if not redo:
        note_lacking(states, wanted, "add --redo to train it again and keep them")
    return todo


def train_cells(
    todo: list["Cell"],
    settling: "Settling | None",
    where: Where,
    here: Callable[..., "Here"],
    *,
    keep_going: bool = False,
    redo: bool = False,
    dry_run: bool = False,
) -> tuple[Mapping[str, int], list["Cell"]]:
    """Check and train cells, and more seeds of them while a question is open, on one screen.

    here: makes the executor of this process, from its device (`device=`) and what is to be told of
    events (`tell=`). dry_run: check alone. Returns how many cells ended how, and the cells of
    further seeds. Raises BenchError for what keeps a cell from running.
    """
    from bench.cli import screen

    with screen.Screen(console()) as drawing:
        executor = where.make_executor(lambda device: here(device=device, tell=drawing.draw))
        if where.on == "here":
            note_slow_bf16(todo, executor.lab.device)
        check_cells(executor, todo, go_on=keep_going and not dry_run)
        show_kept_size(todo, executor.lab)
        if dry_run:
            return {}, []
        tally = drawing.follow(executor.run(todo, keep_going=keep_going, redo=redo))
        return tally, add_seeds(settling, executor, drawing, keep_going=keep_going)


def add_seeds(
    settling: "Settling | None", executor: "Executor", drawing: "Screen", *, keep_going: bool
) -> list["Cell"]:
    """Run one seed more at a time of what is not settled; returns the cells that were run.

    After an end that stops the rest, nothing is added unless the user asked to keep going.
    """
    added: list[Cell] = []
    for todo in settling.next_cells() if settling else ():
        if not keep_going and set(drawing.tally) - GOOD_ENDS:
            break
        check_cells(executor, todo, go_on=keep_going)
        drawing.follow(executor.run(todo, keep_going=keep_going))
        added += todo
    return added


def run_here(
    data: Path | None,
    results: Path,
    weights: Path | None,
    *,
    device: str,
    tell: "Listener",
    skip_unreadable: bool = False,
    keep: tuple["ArtefactName", ...] = (),
    checkpoint_every: float = 300.0,
    fresh: bool = False,
) -> "Here":
    """The executor that runs cells in this process.

    tell: hears how far decoding and evaluating are. The others: see `Lab`. Raises UsageError for an
    absent device.
    """
    from bench import paths
    from bench.engine.lab import Lab, find_device
    from bench.execute.here import Here

    found = find_device(device)
    lab = Lab(
        paths.data_root(data), results, found, weights, skip_unreadable, tell, keep,
        checkpoint_every, fresh,
    )  # fmt: skip
    return Here(lab)


def check_cells(executor: "Executor", cells: list["Cell"], *, go_on: bool) -> None:
    """Raise BenchError for all that keeps any of the cells from running.

    go_on: what is missing is said in the end of the cells that need it, and not raised here; what
    the user asked for wrongly always is.
    """
    try:
        executor.check(cells)
    except UsageError:
        raise
    except BenchError:
        if not go_on:
            raise


def note_slow_bf16(cells: Iterable["Cell"], device: "torch.device") -> None:
    """Say so when a cell asks for bf16 on a processor that has no instructions for it."""
    from bench.engine.training import computes_bf16

    if any(c.recipe.precision == "bf16" for c in cells) and not computes_bf16(device):
        typer.secho(
            "note: this processor has no instructions for bfloat16: expect it to be ten times "
            "slower than --precision fp32",
            dim=True,
        )


def note_lacking(
    states: Iterable["CellState"], wanted: tuple["ArtefactName", ...], advice: str
) -> int:
    """Say so when recorded cells lack what is to be kept of them; how many do."""
    from bench.report.page.text import format_count
    from bench.runs import artefacts

    done = [s.done for s in states if s.done and s.done.status == "ok"]
    lacking = [names for r in done if (names := artefacts.find_lacking(r, wanted))]
    if lacking:
        named = ", ".join(n for n in wanted if any(n in names for names in lacking))
        cells = format_count(len(lacking), "recorded cell")
        typer.echo(f"without their {named}: {cells}; {advice}")
    return len(lacking)


def show_kept_size(cells: Iterable["Cell"], lab: "Lab") -> None:
    """Say how much disk and time it takes to keep what is to be kept of the cells."""
    from bench.engine.artefacts import estimate

    if not lab.keep:
        return
    sizes = [sum(made.values()) / 2**20 for made in estimate(cells, lab, lab.keep)]
    if not sizes:
        return
    low, high = f"{min(sizes):,.1f}", f"{max(sizes):,.1f}"
    each = low if low == high else f"{low} to {high}"
    longer = ", and about one evaluation longer each" if {*lab.keep} - {"weights"} else ""
    typer.echo(
        f"--keep {','.join(lab.keep)}: at most {each} MiB a cell, "
        f"{sum(sizes):,.1f} MiB in all{longer}"
    )


def find_suite(name: str) -> "Suite":
    """The suite of that name; what is wrong with its published figures is printed as a note."""
    from bench.suite import suites

    suite = suites.find(name)
    for warning in suite.warnings():
        typer.secho(f"note: {warning}", dim=True)
    return suite


def name_next_command(
    suite: "Suite", budget: str, options: str, pages: Path, *, changed: bool
) -> None:
    """Say which command shows the results.

    pages: the folder that it writes to. changed: whether --set changed the recipe.
    """
    from bench.suite.settings import write_budget

    if changed:
        typer.echo(
            "these runs are in no table of rows, because their recipe is not the suite's (--set). "
            f"What a single knob moved: bench explain {options}{write_budget(budget)} --row ROW; "
            f"to list them: bench ls runs {options}"
        )
    elif budget != "smoke":
        cost = suite.budget(budget).measures == "cost"
        file = Path(pages, f"{suite.name}{'-cost' if cost else ''}.md")
        typer.echo(f"table: bench tables {options}{' --cost' if cost else ''} -> {file}")
