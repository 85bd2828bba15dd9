"""Which rows of a table stand out: the best, and all that are not shown to be worse."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

from bench.report.numbers.stats import compare_pairs

BySeed = Mapping[int, float]
FEWEST = 3
"""Seeds of a row that may be marked: of two the interval is so wide that hardly anything is ever
shown to be worse."""


@dataclass(frozen=True)
class Standout:
    """The rows of one column that a paper would set in bold or underline."""

    best: frozenset[str]  # the best mean, and whatever is not shown to be worse
    second: frozenset[str]  # the same among the rest


def find_standouts(
    scores: Mapping[str, BySeed], *, confidence: float = 0.95, lower: bool = False
) -> Standout:
    """Sort the rows of one column into best, second and the rest.

    scores: row -> seed -> value; rows with fewer seeds than FEWEST are in neither set. A row is
    shown to be worse than the best when the Student interval of their difference, seed by seed,
    excludes zero. lower: whether small values are good.

    A mark that the last row would get, too, tells nothing: nobody is best where no row is shown to
    be worse, and nobody second where that would be all the rest.
    """
    sign = -1 if lower else 1
    rows = {row: by_seed for row, by_seed in scores.items() if len(by_seed) >= FEWEST}
    best = _lead(rows, sign, confidence)
    rest = {row: by_seed for row, by_seed in rows.items() if row not in best}
    if not rest:
        return Standout(frozenset(), frozenset())
    second = _lead(rest, sign, confidence)
    return Standout(best, second if len(second) < len(rest) else frozenset())


def _lead(rows: Mapping[str, BySeed], sign: int, confidence: float) -> frozenset[str]:
    if not rows:
        return frozenset()
    top = max(rows, key=lambda row: sign * mean(rows[row].values()))
    return frozenset(
        row
        for row, by_seed in rows.items()
        if row == top or not _is_worse(by_seed, rows[top], sign, confidence)
    )


def _is_worse(a: BySeed, b: BySeed, sign: int, confidence: float) -> bool:
    """Whether a is shown to be worse than b; two rows without two seeds in common show nothing."""
    gain = compare_pairs(a, b, confidence)
    return gain is not None and gain.word == ("loss" if sign > 0 else "gain")
