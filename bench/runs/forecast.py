"""How long cells will take, judged by the records of others like them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.runs.cell import Cell
from bench.runs.records import Record


@dataclass(frozen=True)
class Durations:
    """Medians over recorded runs, in seconds."""

    of_row: Mapping[tuple[str, str, str], float]  # by suite, row and budget
    of_suite: Mapping[tuple[str, str], float]  # by suite and budget: for a row that was never run

    @classmethod
    def read(cls, found: Iterable[Record]) -> "Durations":
        """Those of the records that ended well."""
        walls = {
            row: [r.end.wall_s for r in own if r.end] for row, own in _group_by_row(found).items()
        }
        near: dict[tuple[str, str], list[float]] = {}
        for (suite, _, budget), own in walls.items():
            near.setdefault((suite, budget), []).extend(own)
        return cls(
            {k: median(own) for k, own in walls.items()},
            {k: median(own) for k, own in near.items()},
        )

    def of(self, cell: Cell) -> float | None:
        """What a cell will take; None when nothing like it was run."""
        near = self.of_suite.get((cell.suite, cell.budget))
        return self.of_row.get((cell.suite, cell.row, cell.budget), near)


def forecast(pending: Iterable[Cell], found: Iterable[Record]) -> float | None:
    """Seconds that cells will take one after the other; None when nothing like one was run."""
    durations, total = Durations.read(found), 0.0
    for cell in pending:
        seconds = durations.of(cell)
        if seconds is None:
            return None
        total += seconds
    return total


def find_like(cells: Iterable[Cell], found: Iterable[Record]) -> list[Record]:
    """The records whose times the forecast of these cells is made from."""
    rows, asked = _group_by_row(found), {(c.suite, c.row, c.budget) for c in cells}
    new = {(suite, budget) for suite, _, budget in asked - rows.keys()}  # rows never run
    used = (own for row, own in rows.items() if row in asked or (row[0], row[2]) in new)
    return [r for own in used for r in own]


def _group_by_row(found: Iterable[Record]) -> dict[tuple[str, str, str], list[Record]]:
    """The records that ended well, by suite, row and budget."""
    rows: dict[tuple[str, str, str], list[Record]] = {}
    for r in found:
        if r.run and r.end and r.status == "ok":
            rows.setdefault((r.run.suite, r.run.row, r.run.budget), []).append(r)
    return rows


def order_longest_first(cells: Sequence[Cell], found: Iterable[Record]) -> list[Cell]:
    """The cells with those in front that will take longest, so that several workers end together.

    Cells of unknown length come first, by their iterations. Cells alike stay in their order.
    """
    durations = Durations.read(found)

    def length(cell: Cell) -> tuple[float, int]:
        seconds = durations.of(cell)
        return (float("inf") if seconds is None else seconds), cell.recipe.iterations

    return sorted(cells, key=length, reverse=True)
