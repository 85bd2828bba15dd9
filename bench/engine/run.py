"""One cell -> one record file, and events while it comes about."""

import os
import re
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

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
from bench.engine.tasks import make_task as task_of
from bench.engine.training import Stops, Training, set_precision
from bench.errors import BenchError, Diverged
from bench.runs import files, plan, records
from bench.runs.cell import Cell
from bench.runs.files import Writer
from bench.runs.lease import Busy, Lease, Lost
from bench.runs.lines import Env, Resume, Run

FOLDERS = re.compile(r"(?<![\w.:/\\])([A-Za-z]:)?[/\\]([^\s/\\'\":,;()]+[/\\])+")
"""The folders of an absolute path, not those of an address such as https://…"""


def run_cell(
    cell: Cell,
    lab: Lab,
    *,
    redo: bool = True,
    make_task: Callable[[Cell, Lab], Task] = task_of,
    lease: Lease | None = None,
) -> Generator[Event, None, Ended]:
    """Train one cell and write its record; gives events while it does, the last one an Ended,
    which is also the generator's return value.

    redo: also when another process has finished the cell in the meantime.
    make_task: what is to be measured.
    lease: the right to run it, to be taken; None: a new one.

    What `lab.keep` names lies beside the record before its `end` is written; where it cannot be
    kept the run still counts, and the end says why.

    Raises BenchError, with nothing recorded, when data or weights are missing, Held when another
    process has the cell, and Busy when it was run already or is taken over by another process.
    Whatever goes wrong from then on ends the record as diverged or failed, with the reason; Lost
    alone, and no end, where the record cannot be written: that says nothing of the training.
    """
    with lease or Lease(lab.results, cell.stem) as ours:
        load = env.read_load()
        kept = lab.device.type == "cpu" and keep_freed()
        machine = env.describe(lab.device, load, keeps_freed=kept, shared=lab.shared)
        _check_wanted(cell, lab, redo=redo)
        task = make_task(cell, lab)
        task.check_kept(lab.keep)
        began = time.perf_counter()
        made_of = task.describe()
        if not redo:
            _check_made_up(cell, made_of, lab.results)
        begin = Begin(cell, lab, made_of, began)
        begin.find(machine)
        place = begin.found.place if begin.found else None
        with files.create(lab.results / cell.folder, cell.stem, place, ours) as out:
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

    def find(self, machine: Env) -> None:
        """Look for a checkpoint; to be called once the cell is ours. machine: this one."""
        cell, lab = self.cell, self.lab
        here = lines.make_run_line(cell, self.made_of, machine)
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
            first = c.run.env
            away = (machine.cpu, machine.shared) != (first.cpu, first.shared)
            spell = Spell(self.step, away=away)
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


def _check_wanted(cell: Cell, lab: Lab, *, redo: bool) -> None:
    """Raise Busy when the cell was run in the meantime, BenchError when nobody can tell."""
    if redo and lab.known is None:
        return
    found = records.read_all(lab.results)
    for r in found:
        if r.unread and r.path.name.startswith(f"{cell.stem}-"):
            raise BenchError(
                f"{r.path} may hold the result of this cell, and {r.problem}: make it readable, or "
                "delete it to run the cell again"
            )
    (state,) = plan.states([cell], found)
    if state.done and not redo:
        raise Busy(f"already run as {state.done.path}")
    if lab.known is None:
        return
    for r in found:
        if r.complete and r.run and r.run.key == cell.key and str(r.path) not in lab.known:
            raise Busy(f"another worker has run it: {r.path} ({r.status})")


def _check_made_up(cell: Cell, made_of: Materials, results: Path) -> None:
    """Raise Busy when the cell was ever run on the same made-up images."""
    if not any(d.generated for d in made_of.data.values()):
        return
    (state,) = plan.states([cell], records.read_all(results))
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
    except LinAlgError as e:  # singular values of weights that run away
        reason = " ".join(str(e).split())
        return Outcome("diverged", f"a matrix could not be decomposed any more ({reason})"[:500])
    except (Busy, Lost):
        raise
    except Diverged as e:
        return Outcome("diverged", str(e))
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
    log, autocast = Log(out, Stops.of(r)), set_precision(r, lab.device)
    if c := begin.found:
        training.load(c.state)
        log.costs, log.peak, log.measured = c.costs, c.peak, c.measured
    with Interrupts() as interrupts:
        course = Course(cell, task, training, log, saver, Clock(lab.device), autocast, interrupts)
        try:
            if reason := (yield from course.go()):
                return Outcome("diverged", reason)
            parameters = training.digest()
            with autocast:
                kept, lost = artefacts.keep(lab.keep, training, task, out.path)
        except (KeyboardInterrupt, GeneratorExit):
            if interrupts.settled:
                saver.save(training, log)
            raise
    return Outcome(
        "ok", lost, costs=log.costs, placement=task.placement(), parameters=parameters,
        artefacts=kept,
    )  # fmt: skip


@dataclass(frozen=True)
class Course:
    """Trains a cell to its last iteration and measures it on the way."""

    cell: Cell
    task: Task
    training: Training
    log: Log
    saver: Saver
    clock: Clock
    autocast: AbstractContextManager[Any]  # of forwards
    interrupts: Interrupts  # what is half done when a signal comes is done first

    def go(self) -> Generator[Event, None, str]:
        """Returns why the training diverged, in a sentence; '' when it did not."""
        r, log, training, stops = self.cell.recipe, self.log, self.training, self.log.stops
        windows = training.run(
            self.task.batches, r.lr_at, self.clock,
            iterations=r.iterations, stops=stops.every, autocast=self.autocast,
            second_stage=r.second_stage,
            pause=self._pauses,
        )  # fmt: skip
        while log.measured < r.iterations:
            if training.step in stops.measured and log.measured < training.step:
                yield from self._measure()
                continue
            with self.interrupts.held():
                window = next(windows)
                log.add_window(window, self.clock.memory(), self.saver.spells)
            if window.whole and (first := window.diverged_at) is not None:
                return f"the loss was no longer finite at iteration {first}"
            if window.whole:
                if window.step <= stops.warmup:
                    self.clock.reset_peak()
                yield Progressed(self.cell, window)
            self.interrupts.check()
            log.out.check()
            if self.saver.due() and (why := self.saver.save(training, log)):
                yield Unsaved(self.cell, why)
        return ""

    def _pauses(self) -> bool:
        """Whether the training has to stop before its next stop, to be saved or given up."""
        return self.interrupts.pending is not None or self.saver.due() or self.log.out.doubtful

    def _measure(self) -> Generator[Event, None, None]:
        with self.autocast:
            found = self.training.measure(self.task.measure)
        with self.interrupts.held():
            self.log.add_eval(found)
        self.interrupts.check()
        yield Measured(self.cell, found)
        free()
        self.clock.reset_peak()  # what a measurement takes is not the method's


def without_folders(text: str) -> str:
    """A text with the last name of each absolute path alone: records are published."""
    text = re.sub(r'File ".*[/\\]', 'File "', text)
    for known in (Path.cwd(), Path.home()):  # whose names may hold spaces
        text = text.replace(f"{known}{os.sep}", "")
    return FOLDERS.sub("", text)
