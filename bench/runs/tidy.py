"""What is left of cells that have ended, by processes that were killed in that moment."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bench.errors import BenchError
from bench.runs import files
from bench.runs.lease import Lease
from bench.runs.plan import CellState


def tidy(states: Iterable[CellState], root: Path) -> None:
    """Remove checkpoints, drafts and leases of cells that are done, unless a process has the cell.

    Those of a cell that was begun again and interrupted stay. What cannot be removed does no harm.
    """
    for state in states:
        cell = state.cell
        folder, lease = root / cell.folder, Lease(root, cell.stem)
        left = lease.path.exists() or files.list_leftovers(folder, cell.stem)
        if state.done is None or not left:
            continue
        with suppress(BenchError, OSError), lease:
            if files.find_newest(folder, cell.stem) == state.done.path:
                files.drop_leftovers(folder, cell.stem)
