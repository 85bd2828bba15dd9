"""The executor that runs cells in this process, one after the other."""

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass

from bench.engine.events import Ended, Event, Substituted
from bench.engine.lab import Lab
from bench.engine.run import run_cell
from bench.engine.task import Task
from bench.engine.tasks import check_backbones, find_checks, make_task
from bench.errors import BenchError, UsageError
from bench.runs import files
from bench.runs.cell import Cell
from bench.runs.lease import BEAT, Busy, Held, Lease


@dataclass(frozen=True)
class Here:
    """An Executor. Its cells share the device and the data of one lab."""

    lab: Lab
    make_task: Callable[[Cell, Lab], Task] = make_task  # what is to be measured

    def check(self, cells: Iterable[Cell]) -> None:
        """See Executor.check."""
        found: dict[str, BenchError] = {}
        own: Callable[[Cell, Lab], object] = lambda cell, lab: self.make_task(cell, lab).close()  # noqa: E731
        for cell in cells:
            for check in find_checks(cell) if self.make_task is make_task else (own,):
                try:
                    check(cell, self.lab)
                except BenchError as e:
                    found.setdefault(str(e), e)
        if not found:
            return
        kind = UsageError if any(isinstance(e, UsageError) for e in found.values()) else BenchError
        if len(found) == 1:
            raise kind(next(iter(found)))
        raise kind("\n- ".join([f"{len(found)} things are missing or wrong:", *found]))

    def drop_checkpoints(self, cells: Iterable[Cell]) -> None:
        """Let interrupted cells begin anew; those that another process has stay as they are."""
        for cell in cells:
            path = files.locate_checkpoint(self.lab.results / cell.folder, cell.stem)
            if not path.exists():
                continue
            lease = Lease(self.lab.results, cell.stem)
            with suppress(Held):
                lease.take_or_wait()
                path.unlink(missing_ok=True)
                lease.give_back()

    def run(
        self, cells: Iterable[Cell], *, keep_going: bool = False, redo: bool = False
    ) -> Generator[Event, None, None]:
        """See Executor.run. Ends with a Substituted when random images stood in for domains.

        Cells that another process has are left to it, and looked at again when all others are
        done: one whose process gives no sign of life is taken over.
        """
        cells = list(cells)
        check_backbones(cells)
        held: list[tuple[Cell, Lease]] = []
        for cell in cells:
            lease = Lease(self.lab.results, cell.stem)
            ended = yield from self._one(cell, lease, redo=redo)
            if ended is None:
                held.append((cell, lease))
            elif ended.stops_the_rest and not keep_going:
                break
        else:
            yield from self._watch(held, keep_going=keep_going, redo=redo)
        if self.lab.stood_in:
            yield Substituted(tuple(sorted(self.lab.stood_in)), self.lab.data)

    def _watch(
        self, held: list[tuple[Cell, Lease]], *, keep_going: bool, redo: bool
    ) -> Generator[Event, None, None]:
        """Leave each cell to the process that has it, or take it over once that one is dead."""
        while held:
            cell, lease = held.pop(0)
            if lease.shows_life():
                yield Ended(cell, "busy", lease.describe_holder())
                continue
            ended = yield from self._one(cell, lease, redo=redo)
            if ended is None:
                held.append((cell, lease))
                time.sleep(BEAT / 10)
            elif ended.stops_the_rest and not keep_going:
                break

    def _one(self, cell: Cell, lease: Lease, *, redo: bool) -> Generator[Event, None, Ended | None]:
        """Run one cell; what it raises becomes its Ended. Returns the Ended, too, or None, with no
        event, when another process has the cell."""
        try:
            return (
                yield from run_cell(
                    cell, self.lab, redo=redo, make_task=self.make_task, lease=lease
                )
            )
        except Held:
            return None
        except BenchError as e:
            ended = Ended(cell, "busy" if isinstance(e, Busy) else "error", str(e))
        except OSError as e:
            place = f" ({e.filename})" if e.filename else ""
            ended = Ended(cell, "error", f"the system refuses: {e.strerror}{place}")
        yield ended
        return ended
