"""What the seeds say about the sentences of a paper: whether an inequality holds."""

from dataclasses import dataclass
from statistics import mean
from typing import Literal

from bench.report.numbers.measures import Board
from bench.report.numbers.stats import Gain, compare_pairs
from bench.suite.claims import Statement

Ruling = Literal["holds", "does not hold", "unresolved", "not measured"]


@dataclass(frozen=True)
class Judged:
    """A statement with what was measured, over the seeds that have both values."""

    statement: Statement
    first: float | None  # mean of the row that it is about; None without such a seed
    second: float | None  # mean of the row, or of the measure, that this is compared with
    gain: Gain | None  # first − second, seed by seed

    @property
    def ruling(self) -> Ruling:
        """holds: the interval of the difference lies wholly on the claimed side of 0.

        does not hold: wholly on the other side. unresolved: neither, and always so for one seed, or
        where the differences of all seeds are equal, as those of whole epochs can be.
        """
        if self.gain is None:
            return "not measured"
        if self.gain.word == "not shown" or len(set(self.gain.interval or ())) == 1:
            return "unresolved"
        claimed = "gain" if self.statement.is_ == "higher" else "loss"
        return "holds" if self.gain.word == claimed else "does not hold"


def judge_statements(board: Board) -> tuple[Judged, ...]:
    """The statements about the rows that a board shows, in the suite's order."""
    shown = {row.id for row in board.rows}
    return tuple(judge_statement(board, s) for s in board.suite.statements if s.row in shown)


def judge_statement(board: Board, statement: Statement) -> Judged:
    """Whether one statement holds at the task and the budget of a board."""
    measure, row = name_other_side(board, statement)
    a = board.read(statement.measure, statement.row).by_seed
    b = board.read(measure, row).by_seed
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        return Judged(statement, None, None, None)
    gain = compare_pairs(a, b, board.suite.confidence)
    return Judged(statement, mean(a[s] for s in seeds), mean(b[s] for s in seeds), gain)


def name_other_side(board: Board, statement: Statement) -> tuple[str, str]:
    """The measure and the row that a statement compares with."""
    if statement.than in board.suite.by_id:
        return statement.measure, statement.than
    return statement.than, statement.row
