"""How far the cells of a grid are that are not finished: by records, checkpoints and leases."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.runs import files
from bench.runs.cell import Cell
from bench.runs.lease import BEAT, Lease

Condition = Literal["running", "silent", "interrupted", "begun", "waiting"]
CONDITIONS: dict[Condition, str] = {
    "running": "a process trains it",
    "silent": "the process that has it gives no sign of life: the next `bench run` takes it over",
    "interrupted": "nobody has it; the next `bench run` goes on at its checkpoint",
    "begun": "nobody has it, and it left no checkpoint: the next `bench run` begins it anew",
    "waiting": "nobody has begun it",
}
"""What each condition means, in a sentence."""


@dataclass(frozen=True)
class Progress:
    """A cell that is not finished."""

    cell: Cell
    condition: Condition
    step: int  # iterations that its record tells of
    owner: str = ""  # the process that has it


def look(cells: Iterable[Cell], root: Path) -> list[Progress]:
    """How far unfinished cells are. Where one is taken this takes a few seconds: nobody's clock
    tells whether a process is alive, only whether it gives a sign."""
    cells = list(cells)
    leases = {cell.stem: Lease(root, cell.stem) for cell in cells}
    owners = {stem: lease.find_owner() for stem, lease in leases.items()}
    if any(owners.values()):
        time.sleep(BEAT + 1)
        owners = {stem: owner and leases[stem].find_owner() for stem, owner in owners.items()}
    return [
        _look_at(cell, root / cell.folder, owners[cell.stem], leases[cell.stem].shows_life())
        for cell in cells
    ]


def _look_at(cell: Cell, folder: Path, owner: str, alive: bool) -> Progress:
    step = _read_step(cell, folder)
    if owner:
        return Progress(cell, "running" if alive else "silent", step or 0, owner)
    if files.locate_checkpoint(folder, cell.stem).exists():
        return Progress(cell, "interrupted", step or 0)
    return Progress(cell, "waiting" if step is None else "begun", step or 0)


def _read_step(cell: Cell, folder: Path) -> int | None:
    """The last iteration that the newest unfinished record tells of; None where there is none."""
    for path in reversed(files.list_attempts(folder, cell.stem)):
        content = files.read(path)
        if content.run and not content.end and not content.problem:
            steps = [x.step for x in content.train] + [x.step for x in content.evals]
            return max(steps, default=0)
    return None
