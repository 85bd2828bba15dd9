"""Running many cells: the plan on the screen, a progress bar per cell, and what is left when it ends."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench.cli import listing
from bench.errors import BenchError
from bench.runs import plan, records
from bench.runs.plan import Cell, State
from bench.runs.records import Busy, Record

if TYPE_CHECKING:
    from bench.engine.loop import Window
    from bench.engine.run import Lab

FULL = "out of memory"


def duration(seconds: float) -> str:
    """75 -> '1 min 15 s'"""
    m, s = divmod(round(seconds), 60)
    h, m = divmod(m, 60)
    return " ".join(f"{n} {unit}" for n, unit in ((h, "h"), (m, "min"), (s, "s")) if n) or "0 s"


def show_plan(states: list[State], found: list[records.Record], console: Console, *, redo: bool = False) -> None:
    """Rows × tasks with the number of seeds in each state, then the sum and the forecast. redo: of what is done, too."""
    table = Table(title="plan: seeds done / asked (attempts with another recipe in brackets)")
    tasks = list(dict.fromkeys(s.cell.task for s in states))
    table.add_column("row")
    for task in tasks:
        table.add_column(task, justify="right")
    for row in dict.fromkeys(s.cell.row for s in states):
        mine = [[s for s in states if (s.cell.row, s.cell.task) == (row, task)] for task in tasks]
        table.add_row(row, *(_count(x) for x in mine))
    console.print(table)
    tally = Counter(s.label for s in states)
    parts = [f"{tally[k]} {k}" for k in ("done", "pending", "stale") if tally[k] or k != "stale"]
    todo = [s.cell for s in states if redo or not s.done]
    again = f", {len(todo)} to run" if redo else ""
    seconds = plan.forecast(todo, found)
    cost = "" if not todo else f"; about {duration(seconds)}" if seconds else "; no recorded time to forecast from"
    console.print(f"{len(states)} cells: {', '.join(parts)}{again}{cost}")
    if drawn := sum(bool(s.done and s.done.made_up) for s in states):
        console.print(f"{drawn} of the done cells saw made-up images, which no table of accuracies shows")


def _count(states: list[State]) -> str:
    stale = sum(s.stale for s in states)
    return f"{sum(s.done is not None for s in states)}/{len(states)}" + (f" ({stale})" if stale else "")


def run(
    cells: Iterable[Cell], results: Path, how: dict[str, Any], console: Console, *, keep_going: bool, redo: bool
) -> Counter[str]:
    """Run the cells one after the other; returns how many ended ok, diverged, failed, busy (elsewhere) or in an error.

    Anything but ok, busy and out of memory (the next cell may need less) ends the grid unless `keep_going`.
    redo: also cells that another process has just finished.
    Raises UsageError, with nothing run, for a device or a backbone that does not exist.
    """
    from bench.engine.run import Lab, device
    from bench.nets import backbones

    cells = list(cells)
    for name in {cell.recipe.backbone for cell in cells}:
        backbones.find(name)
    lab = Lab(how["data"], results, device(how["device"]), how["weights"], how["skip_unreadable"])
    tally: Counter[str] = Counter()
    for cell in cells:
        status = one(cell, lab, console, redo=redo)
        tally[status] += 1
        if status not in ("ok", "busy", FULL) and not keep_going:
            break
    if lab.stood_in:
        names = ", ".join(sorted(lab.stood_in))
        console.print(f"random images stood in for {names}: no readable data under {lab.data}", soft_wrap=True, highlight=False)
    return tally


def one(cell: Cell, lab: "Lab", console: Console, *, redo: bool) -> str:
    """Run a cell under a progress bar and print how it ended: ok, diverged, failed, out of memory, busy or error."""
    from bench.engine.run import run

    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
        TextColumn("loss {task.fields[loss]:.3f}  {task.fields[rate]:,.0f} images/s"), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task(str(cell), total=cell.recipe.iterations, loss=float("nan"), rate=0.0)

        def show(w: "Window") -> None:
            rate = 2e3 * cell.recipe.batch * len(w.lap.ms) / sum(w.lap.ms)
            bar.update(task, completed=w.step, loss=sum(w.loss) / len(w.loss), rate=rate)

        try:
            status, reason, path = run(cell, lab, show, redo=redo)
        except BenchError as e:
            status, reason, path = "busy" if isinstance(e, Busy) else "error", str(e), None
    record = records.read(path) if path else None
    console.print(_line(cell, status, reason, record), soft_wrap=True, highlight=False, markup=False)
    return FULL if record and record.end and record.end.get("out_of_memory") else status


def _line(cell: Cell, status: str, reason: str, record: Record | None) -> str:
    if status == "ok" and record and record.end:
        target, source = (listing.score(record, on) for on in ("target", "source"))
        speed = f"{record.end['ms']['p50']:.1f} ms/it, {duration(record.end['wall_s'])}"
        return f"{cell}: target {target} %, source {source} % ({speed})"
    return f"{cell}: {status}" + (f": {reason}" if reason else "")
