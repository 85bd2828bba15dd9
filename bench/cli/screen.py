"""The drawing of a running grid: its plan, a progress bar for each cell, and how each one ended."""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench.engine.events import (
    Ended,
    Event,
    Orphaned,
    Progressed,
    Started,
    Submitted,
    Substituted,
    Unsaved,
    Working,
)
from bench.report.numbers.costs import name_processor
from bench.report.page.text import format_count
from bench.runs import forecast, records
from bench.runs.cell import Cell
from bench.runs.plan import CellState
from bench.runs.records import Evaluation, Record

if TYPE_CHECKING:
    from bench.data.counts import ImageCount

SHOWN = 4  # values of a cell that measures something else than accuracies
MINUTE = 60.0  # seconds between two lines about what goes on, where there is no terminal


class Screen:
    """Draws the events of a grid on a console: bars on a terminal, elsewhere a line a minute.

    To be used as a context manager: the bars are gone when the block is left.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.tally: Counter[str] = Counter()  # how many cells ended in which way
        self._bars: dict[str, TaskID] = {}  # by the key of a cell, or by the subject of a Working
        self._works: set[str] = set()  # the subjects that have a bar
        self._clock, self._printed = clock, clock()  # and when the last line was printed
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "Screen":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def follow(self, events: Generator[Event, None, object]) -> Counter[str]:
        """Draw each event as it comes; returns how many cells ended in which way."""
        with closing(events):  # interrupted, the cell that runs writes its checkpoint
            for event in events:
                self.draw(event)
        return self.tally

    def draw(self, event: Event | Working) -> None:
        match event:
            case Started(cell, step, anew):
                if step:
                    self._print(f"{cell}: goes on at iteration {step:,}")
                if anew:
                    self._print(f"{cell}: begins anew, not at its checkpoint: {anew}")
                self._show(cell.key, str(cell), step, cell.recipe.iterations, "iterations")
            case Unsaved(cell, reason):
                self._print(f"{cell}: {reason}")
            case Orphaned(cell, reason):
                self._remove(cell.key)
                self._print(f"{cell}: {reason}")
            case Progressed(cell, w):
                rate = 2e3 * cell.recipe.batch * len(w.lap.ms) / sum(w.lap.ms)  # images per second
                note = f"loss {w.mean_loss:.3f}, {rate:,.0f} images/s"
                total = cell.recipe.iterations
                self._show(cell.key, str(cell), w.step, total, "iterations", note)
            case Working(subject, done, total):
                self._works.add(subject)
                self._show(subject, subject, done, total, "images")
                if done >= total:
                    self._remove(subject)
            case Ended(cell):
                self._remove(cell.key)
                self._remove(*self._works)  # that of a cell that failed in the middle
                self.tally[event.label] += 1
                self._print(describe_end(event))
            case Submitted(n, where, logs):
                cells = format_count(n, "cell")
                self._print(f"{cells} handed over to {where}; its logs: {logs}")
            case Substituted(domains, data):
                names = ", ".join(domains)
                self._print(f"random images stood in for {names}: no readable data under {data}")

    def _show(self, key: str, what: str, done: int, total: int, unit: str, note: str = "") -> None:
        """Move a bar or, without a terminal, say it unless a line was printed a moment ago."""
        if not self.console.is_terminal:
            if self._clock() - self._printed >= MINUTE:
                rest = f", {note}" if note else ""
                self._print(f"{what}: {done:,} of {total:,} {unit}{rest}")
            return
        if key not in self._bars:
            self._bars[key] = self._progress.add_task(what, total=total, note=note)
        self._progress.update(self._bars[key], completed=done, note=note)

    def _remove(self, *keys: str) -> None:
        for key in keys:
            self._works.discard(key)
            if key in self._bars:
                self._progress.remove_task(self._bars.pop(key))

    def _print(self, text: str) -> None:
        # without markup: a path may hold what reads like it, as /data/[old] does
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)
        self._printed = self._clock()


def describe_end(ended: Ended) -> str:
    """The line that remains of a cell: what was measured and how fast, or what went wrong."""
    record = records.read_record(ended.path) if ended.path else None
    if ended.status != "ok" or record is None or record.end is None or record.end.ms is None:
        return f"{ended.cell}: {ended.status}" + (f": {ended.reason}" if ended.reason else "")
    speed = f"{record.end.ms['p50']:.1f} ms/it, {format_duration(record.end.wall_s)}"
    lost = f"; {ended.reason}" if ended.reason else ""
    return f"{ended.cell}: {describe_measured(record.evals[-1], SHOWN)} ({speed}){lost}"


def describe_measured(e: Evaluation, most: int | None = None) -> str:
    """'target 93.12 %, source 99.00 %', or the values of a task that measures something else:
    all, or so many."""
    if e.target and e.source:
        return f"target {e.target.accuracy:.2f} %, source {e.source.accuracy:.2f} %"
    return ", ".join(f"{name} {x:.4g}" for name, x in islice(e.values.items(), most))


def describe_target(e: Evaluation) -> str:
    """The accuracy on the target in %, '93.12', or the first value that was measured instead."""
    return f"{e.target.accuracy:.2f}" if e.target else describe_measured(e, 1)


def format_duration(seconds: float) -> str:
    """75 -> '1 min 15 s'"""
    m, s = divmod(round(seconds), 60)
    h, m = divmod(m, 60)
    parts = ((h, "h"), (m, "min"), (s, "s"))
    return " ".join(f"{n} {unit}" for n, unit in parts if n) or "0 s"


def name_processors(cells: Iterable[Cell], found: Iterable[Record]) -> str:
    """'NVIDIA H200 and AMD EPYC, 1 thread': whose times a forecast of these cells is made of."""
    like = forecast.find_like(cells, found)
    return " and ".join(dict.fromkeys(name_processor(r.run.env) for r in like if r.run))


def show_plan(
    states: list[CellState], found: list[Record], console: Console, *, redo: bool = False
) -> None:
    """Rows × tasks with the number of seeds in each state, then the sum and the forecast.

    found: the records that the forecast is made from. redo: cells that are done are run again.
    """
    # not the table's own title, which would be as narrow as a table of one task
    console.print("plan: seeds done / asked (attempts with another recipe or code in brackets)")
    table = Table()
    tasks = list(dict.fromkeys(s.cell.task for s in states))
    table.add_column("row")
    for task in tasks:
        table.add_column(task, justify="right")
    for row in dict.fromkeys(s.cell.row for s in states):
        mine = [[s for s in states if (s.cell.row, s.cell.task) == (row, task)] for task in tasks]
        table.add_row(row, *map(_count, mine))
    console.print(table)
    tally = Counter(s.label for s in states)
    always = ("done", "pending")
    labels = ("done", "made up", "pending", "stale")
    parts = [f"{tally[k]} {k}" for k in labels if tally[k] or k in always]
    todo = [s.cell for s in states if redo or not s.done]
    again = f", {len(todo)} to run" if redo else ""
    seconds = forecast.forecast(todo, found)
    cost = "; no recorded time to forecast from"
    if seconds:
        cost = f"; about {format_duration(seconds)}, by times of {name_processors(todo, found)}"
    cells = format_count(len(states), "cell")
    console.print(f"{cells}: {', '.join(parts)}{again}{cost if todo else ''}")
    explain_labels(states)


def show_images(
    counts: Iterable[tuple[str, "ImageCount | str"]], console: Console, *, reasons: bool = True
) -> None:
    """How many images of each domain are trained and tested on.

    reasons: below it why some could not be counted, once for all domains that share the reason.
    """
    table = Table(title="images")
    for name in ("domain", "trained on", "tested on"):
        table.add_column(name, justify="left" if name == "domain" else "right")
    unknown: dict[str, list[str]] = {}  # the domains by their reason
    for name, count in counts:
        if isinstance(count, str):
            unknown.setdefault(count, []).append(name)
            table.add_row(name, "unknown", "unknown")
        else:
            test = f"the same {count.test:,}" if count.same else f"{count.test:,}"
            table.add_row(name, f"{count.train:,}", test)
    if table.row_count:
        console.print(table)
    for reason, names in unknown.items() if reasons else ():
        sentence = f"{', '.join(dict.fromkeys(names))}: {reason}"
        console.print(sentence, soft_wrap=True, highlight=False, markup=False)


def show_result(tally: Mapping[str, int], states: list[CellState]) -> None:
    """How the cells of a command ended, and how many of its cells are left."""
    ran = ", ".join(f"{n} {status}" for status, n in tally.items()) or "nothing to do"
    left = sum(s.label in ("pending", "stale") for s in states)
    typer.echo(f"{ran}; {left} of {format_count(len(states), 'cell')} pending")
    explain_labels(states)


def explain_labels(states: list[CellState]) -> None:
    """One sentence for each reason why recorded cells do not count."""
    made_up = sum(s.label == "made up" for s in states)
    if made_up:
        typer.echo(
            f"{made_up} of the cells saw made-up images alone, which no table of accuracies shows: "
            "they are run again once there are others"
        )
    files = {a.record.path: a.detail for s in states for a in s.aside if a.why == "damaged"}
    for reason, n in sorted(Counter(files.values()).items()):
        first = min(path for path, why in files.items() if why == reason)
        more = f" and {n - 1} more do" if n > 1 else " does"
        typer.echo(f"{first}{more} not count: {reason}")
    if other := sum(s.label == "stale" and s.count("other recipe") > 0 for s in states):
        typer.echo(
            f"{other} of the cells are recorded with other settings only: they are run with these"
        )
    if other := sum(s.count("other code") > 0 and not s.done for s in states):
        typer.echo(
            f"{other} of the cells were run by other code than the newest records: "
            "they are run again"
        )


def _count(states: list[CellState]) -> str:
    """'2/3 (1)': two of three seeds are done, and one attempt was made with another recipe."""
    stale = sum(s.stale for s in states)
    return f"{sum(s.done is not None for s in states)}/{len(states)}" + (
        f" ({stale})" if stale else ""
    )
