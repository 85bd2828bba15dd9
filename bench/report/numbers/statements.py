"""What the seeds say about the sentences of a paper: whether an inequality holds."""

from dataclasses import dataclass
from typing import Literal

from bench.report.numbers.measures import NOTHING, Board, Reading
from bench.report.numbers.stats import Gain, compare_pairs
from bench.suite.claims import Statement

Ruling = Literal["holds", "does not hold", "unresolved", "not measured"]


@dataclass(frozen=True)
class Judged:
    """A statement with what was measured, over the seeds that have both values."""

    statement: Statement
    first: Reading  # of the row that it is about
    second: Reading  # of the row, or of the measure, that this is compared with
    gain: Gain | None = None  # first − second, seed by seed; None without a seed that has both
    lost: bool = False  # whether a run of either row diverged, or has no such value

    @property
    def ruling(self) -> Ruling:
        """holds: the interval of the difference lies wholly on the claimed side of 0.

        does not hold: wholly on the other side. unresolved: neither, and always so

        - for one seed, or where the differences of all seeds are equal, as those of whole epochs
          can be: they tell nothing about the spread;
        - where a value of either side is a lower bound: the true one may be larger, and so the
          interval another one;
        - where a run diverged or has no such value, as one that makes a single class has none of
          what decides the class: the seeds that are left do not speak for it.
        """
        if self.gain is None:
            return "not measured"
        shown, bounded = self.gain.word, self.first.least or self.second.least
        if shown == "not shown" or bounded or self.lost:
            return "unresolved"
        claimed = "gain" if self.statement.is_ == "higher" else "loss"
        return "holds" if shown == claimed else "does not hold"


def judge_statements(board: Board) -> tuple[Judged, ...]:
    """The statements about the rows that a board shows, in the suite's order."""
    shown = {row.id for row in board.rows}
    return tuple(judge_statement(board, s) for s in board.suite.statements if s.row in shown)


def judge_statement(board: Board, statement: Statement) -> Judged:
    """Whether one statement holds at the task and the budget of a board."""
    measure, row = name_other_side(board, statement)
    a, b = board.read(statement.measure, statement.row), board.read(measure, row)
    seeds = a.by_seed.keys() & b.by_seed.keys()
    if not seeds:
        return Judged(statement, NOTHING, NOTHING)
    gain = compare_pairs(a.by_seed, b.by_seed, board.suite.confidence)
    lost = any(
        board.has_lost(*side) for side in ((statement.measure, statement.row), (measure, row))
    )
    return Judged(statement, a.at(seeds), b.at(seeds), gain, lost)


def name_other_side(board: Board, statement: Statement) -> tuple[str, str]:
    """The measure and the row that a statement compares with."""
    if statement.than in board.suite.by_id:
        return statement.measure, statement.than
    return statement.than, statement.row
