"""Which runs of a request kept something that a figure is made of."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from bench.errors import UsageError
from bench.report.figures.request import Request
from bench.report.page.text import format_count
from bench.runs.cell import Cell
from bench.runs.lines import Artefact, ArtefactName
from bench.runs.records import Record
from bench.suite.suite import Row

Found = Mapping[str, Sequence[tuple[int, Record]]]
"""Row id -> (seed, record) of the runs that kept it, by seed."""


def list_kept(record: Record) -> Mapping[ArtefactName, Artefact]:
    """What a run left beside its record, by name; nothing where it has not ended."""
    return record.end.artefacts if record.end else {}


def find_kept(request: Request, name: ArtefactName) -> tuple[str, Found]:
    """The first task of which several rows kept it (else one), and their runs.

    Raises UsageError without any.
    """
    by_task = _sort_runs((cell, r) for cell, r in request.runs() if name in list_kept(r))
    if not by_task:
        raise UsageError(
            f"no run of {request.suite.name} at the budget {request.budget!r} kept its {name}: "
            f"`{request.command} --keep {name} --redo` keeps them"
        )
    task = choose_task(request, by_task)
    return task, by_task[task]


def choose_task(request: Request, by_task: Mapping[str, Collection[str]]) -> str:
    """The first task of which several rows have something to show, else the first of one row.

    by_task: the ids of these rows.
    """
    tasks = (t for t in request.suite.tasks if t in by_task)
    return max(tasks, key=lambda t: min(2, len(by_task[t])))


def find_runs(request: Request) -> tuple[str, Found]:
    """The task to draw, and of each row the runs that ended well. There is one at least."""
    by_task = _sort_runs(request.runs())
    task = choose_task(request, by_task)
    return task, by_task[task]


def _sort_runs(runs: Iterable[tuple[Cell, Record]]) -> dict[str, Found]:
    """The runs of each row, by task."""
    by_task: dict[str, dict[str, list[tuple[int, Record]]]] = {}
    for cell, r in runs:
        by_task.setdefault(cell.task, {}).setdefault(cell.row, []).append((cell.seed, r))
    return {
        task: {row: sorted(found, key=lambda x: x[0]) for row, found in rows.items()}
        for task, rows in by_task.items()
    }


def choose_rows(request: Request, found: Found, most: int) -> list[Row]:
    """The rows to draw, at most so many: the baseline, then the others in the suite's order."""
    rows = [row for row in request.rows if row.id in found]
    rows.sort(key=lambda row: row.id != request.suite.baseline)
    return rows[:most]


def name_others(request: Request, found: Found, shown: Sequence[Row]) -> str:
    """What a caption says of rows and tasks that are not drawn; '' without any."""
    further = len(found) - len(shown)
    rest = f"{format_count(further, 'further row')}: choose with --methods."
    more = f" {rest}" if further > 0 else ""
    return more + " --tasks chooses another task." * (len(request.suite.tasks) > 1)
