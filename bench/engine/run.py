"""One cell -> one record file, and events while it comes about."""

import os
import re
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import torch

from bench import nets
from bench.engine import artefacts, env, lines
from bench.engine.clock import Clock
from bench.engine.events import Ended, Event, Measured, Progressed, Started
from bench.engine.lab import Lab
from bench.engine.lines import Costs, Outcome
from bench.engine.memory import OutOfMemory, free, keep_freed, within_memory
from bench.engine.task import Materials, Task
from bench.engine.training import Stops, Training, set_precision
from bench.engine.uda import UDA
from bench.errors import BenchError
from bench.runs import files, plan, records
from bench.runs.cell import Cell
from bench.runs.files import Busy, Writer

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

    with files.create(lab.results, cell.folder, cell.stem, check_wanted) as out:
        out.line(lines.make_run_line(cell, made_of, lab.device, load, keeps_freed=kept))
        yield Started(cell)
        outcome = yield from _attempt(cell, lab, task, out)
        out.line(lines.make_end_line(cell, outcome, wall_s=time.perf_counter() - began))
    free()
    ended = Ended(cell, outcome.status, outcome.reason, out.path, outcome.out_of_memory)
    yield ended
    return ended


def _check_wanted(cell: Cell, made_of: Materials, results: Path) -> None:
    """Raise Busy when the cell was run in the meantime, or ever on the same made-up images."""
    (state,) = plan.states([cell], records.read_all(results))
    if state.done:
        raise Busy(f"already run as {state.done.path}")
    for r in (a.record for a in state.aside if a.why == "generated"):
        if r.run and r.run.data == made_of.data:
            raise Busy("already run on these made-up images; --redo runs it again")


def _attempt(cell: Cell, lab: Lab, task: Task, out: Writer) -> Generator[Event, None, Outcome]:
    """Train the cell; whatever goes wrong is its outcome."""
    try:
        with closing(task), within_memory(lab.device, cell.row, cell.recipe):
            return (yield from _train(cell, lab, task, out))
    except OutOfMemory as e:
        return Outcome("failed", str(e), out_of_memory=True)
    except BenchError as e:  # weights of another network, a batch larger than the data
        return Outcome("failed", without_folders(str(e)))
    except Exception as e:
        reason = " ".join(f"{type(e).__name__}: {e}".split())
        trace = without_folders(traceback.format_exc())[-4000:]
        return Outcome("failed", without_folders(reason)[:500], trace=trace)


def _train(cell: Cell, lab: Lab, task: Task, out: Writer) -> Generator[Event, None, Outcome]:
    r = cell.recipe
    torch.manual_seed(cell.seed)
    net, method = task.build()
    training = Training(net, method, nets.optimizer(net, method, r))
    task.open()
    stops, clock, costs = Stops.of(r), Clock(lab.device), Costs()
    autocast = set_precision(r, lab.device)
    for window in training.run(
        task.batches, r.lr_at, clock,
        iterations=r.iterations, stops=stops.every, autocast=autocast, second_stage=r.second_stage,
    ):  # fmt: skip
        memory, warmup = clock.memory(), window.step <= stops.warmup
        out.line(lines.make_train_line(window, memory, warmup=warmup))
        if (first := window.diverged_at) is not None:
            reason = f"the loss was no longer finite at iteration {first}"
            return Outcome("diverged", reason)
        if warmup:
            clock.reset_peak()
        else:
            costs.add(window.lap, memory)
        yield Progressed(cell, window)
        if window.step in stops.measured:
            with autocast:
                found = training.measure(task.measure)
            out.line(found)
            yield Measured(cell, found)
            free()
            clock.reset_peak()  # what a measurement takes is not the method's
    parameters = training.digest()
    with autocast:
        kept, lost = artefacts.keep(lab.keep, training, task, out.path)
    return Outcome(
        "ok", lost, costs=costs, placement=task.placement(), parameters=parameters, artefacts=kept
    )


def without_folders(text: str) -> str:
    """A text with the last name of each absolute path alone: records are published."""
    text = re.sub(r'File ".*[/\\]', 'File "', text)
    for known in (Path.cwd(), Path.home()):  # whose names may hold spaces
        text = text.replace(f"{known}{os.sep}", "")
    return FOLDERS.sub("", text)
