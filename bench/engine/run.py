"""One cell -> one record file, and events while it comes about."""

import re
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import closing

import torch

from bench import nets
from bench.engine import lines
from bench.engine.clock import Clock
from bench.engine.events import Ended, Event, Measured, Progressed, Started
from bench.engine.lab import Lab
from bench.engine.lines import Costs, Outcome
from bench.engine.memory import OutOfMemory, free, within_memory
from bench.engine.task import Task
from bench.engine.training import Stops, Training, set_precision
from bench.engine.uda import UDA
from bench.errors import BenchError
from bench.runs import plan, records
from bench.runs.plan import Cell
from bench.runs.records import Writer


def run(
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

    Raises BenchError, with nothing recorded, when data or weights are missing, and Busy when
    another process has the cell. Whatever goes wrong from then on ends the record as diverged or
    failed, with the reason; only a full disk still raises.
    """
    task = make_task(cell, lab)
    began = time.perf_counter()
    folder = lab.results / cell.folder

    def is_wanted() -> bool:
        return redo or not plan.states([cell], records.read_all(folder))[0].done

    with records.create(folder, cell.stem, is_wanted) as out:
        lines.write_run(out, cell, task.describe(), lab.device)
        yield Started(cell)
        outcome = yield from _attempt(cell, lab, task, out)
        lines.write_end(out, cell, outcome, wall_s=time.perf_counter() - began)
    free()
    ended = Ended(cell, outcome.status, outcome.reason, out.path, outcome.out_of_memory)
    yield ended
    return ended


def _attempt(cell: Cell, lab: Lab, task: Task, out: Writer) -> Generator[Event, None, Outcome]:
    """Train the cell; whatever goes wrong is its outcome."""
    try:
        with closing(task), within_memory(lab.device, cell.row, cell.recipe):
            return (yield from _train(cell, lab, task, out))
    except OutOfMemory as e:
        return Outcome("failed", str(e), out_of_memory=True)
    except BenchError as e:  # weights of another network, a batch larger than the data
        return Outcome("failed", str(e))
    except Exception as e:
        reason = " ".join(f"{type(e).__name__}: {e}".split())[:500]
        return Outcome("failed", reason, trace=_trace())


def _train(cell: Cell, lab: Lab, task: Task, out: Writer) -> Generator[Event, None, Outcome]:
    r = cell.recipe
    torch.manual_seed(cell.seed)
    net, method = task.build()
    training = Training(net, method, nets.optimiser(net, method, r))
    task.open()
    stops, clock, costs = Stops.of(r), Clock(lab.device), Costs()
    autocast = set_precision(r, lab.device)
    for window in training.run(
        task.batches, r.lr_at, clock,
        iterations=r.iterations, stops=stops.every, autocast=autocast,
    ):  # fmt: skip
        memory, warmup = clock.memory(), window.step <= stops.warmup
        lines.write_window(out, window, memory, warmup=warmup)
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
                fields = training.measure(task.measure)
            lines.write_measurement(out, window.step, fields)
            yield Measured(cell, window.step, fields)
            free()
            clock.reset_peak()  # what a measurement takes is not the method's
    return Outcome("ok", costs=costs, placement=task.placement())


def _trace() -> str:
    """The traceback being handled, without this machine's folders: records are published."""
    return re.sub(r'File ".*[/\\]', 'File "', traceback.format_exc())[-4000:]
