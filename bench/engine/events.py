"""What a run tells while it goes on. Whoever runs cells gives these; a screen draws them.

Nothing here imports torch, so that a command can name the events before it needs them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.runs.cell import Cell
from bench.runs.lines import Eval

if TYPE_CHECKING:
    from bench.engine.loop import Window

CellStatus = Literal["ok", "diverged", "failed", "busy", "error"]


@dataclass(frozen=True)
class Started:
    """The record of a cell is open and its training begins, or goes on."""

    cell: Cell
    step: int = 0  # iterations that an interrupted run had done
    anew: str = ""  # why it does not go on from the checkpoint that there is, in a sentence


@dataclass(frozen=True)
class Unsaved:
    """A checkpoint of a cell could not be written; it trains on without."""

    cell: Cell
    reason: str  # in a sentence


@dataclass(frozen=True)
class Progressed:
    """A cell has trained for one more window of iterations."""

    cell: Cell
    window: "Window"  # the iterations since the last window


@dataclass(frozen=True)
class Measured:
    """The task of a cell has measured its network."""

    cell: Cell
    found: Eval  # the line of its record


@dataclass(frozen=True)
class Orphaned:
    """The process that trained a cell died; another takes the cell up."""

    cell: Cell
    reason: str  # in a sentence


@dataclass(frozen=True)
class Ended:
    """Nothing more happens to this cell."""

    cell: Cell
    status: CellStatus  # busy: another process has the cell; error: it could not even be begun
    reason: str = ""  # one sentence, empty when all went well
    path: Path | None = None  # the record; None where none was begun
    out_of_memory: bool = False  # it failed for want of memory: the next cell may need less

    @property
    def label(self) -> str:
        """The status as a tally names it."""
        return "out of memory" if self.out_of_memory else self.status

    @property
    def stops_the_rest(self) -> bool:
        """Whether the cells after it are not worth starting unless the user asked to keep going."""
        return not self.out_of_memory and self.status not in ("ok", "busy")


@dataclass(frozen=True)
class Submitted:
    """Cells were handed over to a scheduler, which runs them some time."""

    cells: int  # how many
    where: str  # to what, such as "SLURM's job array 12, 4 workers"
    logs: Path  # the folder of what the workers print


@dataclass(frozen=True)
class Substituted:
    """Random images took the place of domains that could not be read, as a smoke run allows."""

    domains: tuple[str, ...]  # their names, sorted
    data: Path  # the folder in which they were sought


@dataclass(frozen=True)
class Working:
    """Images are decoded or evaluated.

    That happens within a call, which cannot give events meanwhile: it tells them to a listener.
    """

    subject: str  # what is done, such as "decoding photo"; the same until it is done
    done: int  # images so far
    total: int  # images in all


Listener = Callable[[Working], None]


def ignore(event: Working) -> None:
    """The listener where nobody listens."""


Event = Started | Progressed | Unsaved | Measured | Orphaned | Ended | Submitted | Substituted
