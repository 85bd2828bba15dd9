"""One cell -> one record file, and events while it comes about."""

import os
import re
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from bench import nets
from bench.engine import artefacts, checkpoint, env, lines
from bench.engine.checkpoint import Checkpoint, Saver, Stale
from bench.engine.clock import Clock
from bench.engine.events import Ended, Event, Measured, Progressed, Started, Unsaved
from bench.engine.interrupts import Interrupts
from bench.engine.lab import Lab
from bench.engine.lines import Outcome, Spell
from bench.engine.log import Log
from bench.engine.memory import OutOfMemory, free, keep_freed, within_memory
from bench.engine.task import Materials, Task
from bench.engine.training import Stops, Training, set_precision
from bench.engine.uda import UDA
from bench.errors import BenchError
from bench.runs import files, plan, records
from bench.runs.cell import Cell
from bench.runs.files import Busy, Place, Writer
from bench.runs.lines import Resume, Run

FOLDERS = re.compile(r"(?<![\w.:/\\])([A-Za-z]:)?[/\\]([^\s/\\'\":,;()]+[/\\])+")
"""The folders of an absolute path, not those of an address such as https://…"""


def run_cell(
    cell: Cell,
    lab: Lab,
    *,
    redo: bool = True,
    make_task: Callable[[Cell, Lab], Task] = UDA,
) -> Generator[Event, None, Ended]:
    """Train one cell and write its record; gives events while it does, the last one an Ended,
    which is also the generator's return value.

    redo: also when another process has finished the cell in the meantime.
    make_task: what is to be measured.

    What `lab.keep` names lies beside the record before its `end` is written; where it cannot be
    kept the run still counts, and the end says why.

    Raises BenchError, with nothing recorded, when data or weights are missing, and Busy when
    another process has the cell. Whatever goes wrong from then on ends the record as diverged or
    failed, with the reason; only a full disk still raises.
    """
    load = env.read_load()
    kept = lab.device.type == "cpu" and keep_freed()
    task = make_task(cell, lab)
    artefacts.check_kept(task, lab.keep)
    began = time.perf_counter()
    made_of = task.describe()

    def check_wanted() -> None:
        if not redo:
            _check_wanted(cell, made_of, lab.results)

    begin = Begin(cell, lab, made_of, began)

    def find_place() -> Place | None:
        begin.find(load, keeps_freed=kept)
        return begin.found.place if begin.found else None

    with files.create(lab.results, cell.folder, cell.stem, check_wanted, find_place) as out:
        out.line(begin.line)
        yield Started(cell, begin.step, begin.anew)
        outcome = yield from _attempt(cell, lab, task, out, begin)
        out.line(lines.make_end_line(cell, outcome, wall_s=begin.wall_s))
        begin.saver.end()
    free()
    ended = Ended(cell, outcome.status, outcome.reason, out.path, outcome.out_of_memory)
    yield ended
    return ended


class Begin:
    """Where a run begins: at its first iteration, or at a checkpoint."""

    def __init__(self, cell: Cell, lab: Lab, made_of: Materials, began: float) -> None:
        """began: when this process began it, by time.perf_counter."""
        self.cell, self.lab, self.made_of, self.began = cell, lab, made_of, began
        self.found: Checkpoint | None = None
        self.anew = ""  # why a checkpoint that is there is not gone on from

    def find(self, load: float, *, keeps_freed: bool) -> None:
        """Look for a checkpoint; to be called once the cell is ours."""
        cell, lab = self.cell, self.lab
        here = lines.make_run_line(cell, self.made_of, lab.device, load, keeps_freed=keeps_freed)
        path = files.locate_checkpoint(lab.results / cell.folder, cell.stem)
        if lab.fresh:
            path.unlink(missing_ok=True)  # else it would be gone on from if this one is killed soon
        try:
            self.found = checkpoint.read(path, here)
        except Stale as e:
            self.anew = str(e)
        self.line: Run | Resume = here
        self.saver = Saver(path, lab.checkpoint_every, self.began, here, here.env)
        if c := self.found:
            self.line = lines.make_resume_line(self.step, c.wall_s, here.env)
            spell = Spell(self.step, away=here.env.cpu != c.run.env.cpu)
            self.saver = replace(
                self.saver, began=self.began - c.wall_s, first=c.run, spells=(*c.spells, spell)
            )

    @property
    def step(self) -> int:
        """Iterations that are done."""
        return self.found.state.step if self.found else 0

    @property
    def wall_s(self) -> float:
        """How long the run took so far, in all its parts."""
        return time.perf_counter() - self.saver.began


def _check_wanted(cell: Cell, made_of: Materials, results: Path) -> None:
    """Raise Busy when the cell was run in the meantime, or ever on the same made-up images."""
    (state,) = plan.states([cell], records.read_all(results))
    if state.done:
        raise Busy(f"already run as {state.done.path}")
    for r in (a.record for a in state.aside if a.why == "generated"):
        if r.run and r.run.data == made_of.data:
            raise Busy("already run on these made-up images; --redo runs it again")


def _attempt(
    cell: Cell, lab: Lab, task: Task, out: Writer, begin: Begin
) -> Generator[Event, None, Outcome]:
    """Train the cell; whatever goes wrong is its outcome."""
    try:
        with closing(task), within_memory(lab.device, cell.row, cell.recipe):
            return (yield from _train(cell, lab, task, out, begin))
    except OutOfMemory as e:
        return Outcome("failed", str(e), out_of_memory=True)
    except BenchError as e:  # weights of another network, a batch larger than the data
        return Outcome("failed", without_folders(str(e)))
    except Exception as e:
        reason = " ".join(f"{type(e).__name__}: {e}".split())
        trace = without_folders(traceback.format_exc())[-4000:]
        return Outcome("failed", without_folders(reason)[:500], trace=trace)


def _train(
    cell: Cell, lab: Lab, task: Task, out: Writer, begin: Begin
) -> Generator[Event, None, Outcome]:
    r, saver = cell.recipe, begin.saver
    torch.manual_seed(cell.seed)
    net, method = task.build()
    training = Training(net, method, nets.optimizer(net, method, r))
    task.open()
    stops, clock = Stops.of(r), Clock(lab.device)
    autocast = set_precision(r, lab.device)
    log = Log(out, stops)
    if begin.found:
        training.load(begin.found.state)
        log.costs, log.peak, log.measured = (
            begin.found.costs,
            begin.found.peak,
            begin.found.measured,
        )
    with Interrupts() as interrupts:
        windows = training.run(
            task.batches, r.lr_at, clock,
            iterations=r.iterations, stops=stops.every, autocast=autocast,
            second_stage=r.second_stage,
            pause=lambda: interrupts.pending is not None or saver.due(),
        )  # fmt: skip
        try:
            while log.measured < r.iterations:
                if training.step in stops.measured and log.measured < training.step:
                    with autocast:
                        found = training.measure(task.measure)
                    with interrupts.held():
                        log.add_eval(found)
                    yield Measured(cell, found)
                    free()
                    clock.reset_peak()  # what a measurement takes is not the method's
                    continue
                with interrupts.held():
                    window = next(windows)
                    log.add_window(window, clock.memory(), saver.spells)
                if window.whole and (first := window.diverged_at) is not None:
                    reason = f"the loss was no longer finite at iteration {first}"
                    return Outcome("diverged", reason)
                if window.whole:
                    if window.step <= stops.warmup:
                        clock.reset_peak()
                    yield Progressed(cell, window)
                if interrupts.pending is not None or saver.due():
                    if why := saver.save(training, log):
                        yield Unsaved(cell, why)
                    interrupts.check()
            parameters = training.digest()
            with autocast:
                kept, lost = artefacts.keep(lab.keep, training, task, out.path)
        except (KeyboardInterrupt, GeneratorExit):
            if interrupts.settled and interrupts.pending is None:
                saver.save(training, log)
            raise
    return Outcome(
        "ok", lost, costs=log.costs, placement=task.placement(), parameters=parameters,
        artefacts=kept,
    )  # fmt: skip


def without_folders(text: str) -> str:
    """A text with the last name of each absolute path alone: records are published."""
    text = re.sub(r'File ".*[/\\]', 'File "', text)
    for known in (Path.cwd(), Path.home()):  # whose names may hold spaces
        text = text.replace(f"{known}{os.sep}", "")
    return FOLDERS.sub("", text)
