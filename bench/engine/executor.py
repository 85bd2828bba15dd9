"""Where cells run: the protocol. `bench.execute` holds what implements it, and it stands below both
`execute` and `tuning`, so that the tuner can take any executor without knowing one."""

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Protocol

from bench.engine.events import Event
from bench.runs.cell import Cell

if TYPE_CHECKING:
    from bench.engine.lab import Lab


class Executor(Protocol):
    """Takes cells, gives events. Which cells are done is what the records say, not an executor."""

    @property
    def lab(self) -> "Lab":
        """That of this process, which has the settings of the command."""
        ...

    def check(self, cells: Iterable[Cell]) -> None:
        """Raise BenchError with all that keeps any of these cells from running: a backbone, data,
        classes or weights that are missing, or parts that do not go together.

        It downloads weights that are not at hand. Raises UsageError when part of it is the user's.
        """

    def run(
        self, cells: Iterable[Cell], *, keep_going: bool = False, redo: bool = False
    ) -> Generator[Event, None, None]:
        """Run the cells and give what happens as it happens; each that is begun ends in an Ended.
        Closing the generator ends what runs and begins nothing more.

        keep_going: start the next cell whatever became of the last one (see Ended.stops_the_rest).
        redo: also run a cell that another process has just finished.
        Raises UsageError, with nothing run, when a cell names a backbone that does not exist.
        """
        ...
