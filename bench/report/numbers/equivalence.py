"""Equivalence by two one-sided tests (TOST; Schuirmann 1987).

The verdict `match` is this test. The Student interval at `confidence` lies within ±tolerance just
when both one-sided t tests, that the gap lies above −tolerance and that it lies below +tolerance,
reject at (1 − confidence)/2. So a gap at the edge of the tolerance or beyond it is called a match
at most so often: 2.5 % at 95 %.
"""

from collections.abc import Iterable
from math import sqrt

from bench.report.numbers.stats import negligible, summarize


def weigh_equivalence(values: Iterable[float], reference: float, tolerance: float) -> float | None:
    """The larger p-value of the two one-sided tests.

    None for fewer than two values, and where all agree: they tell nothing about the spread.

    values: one for each seed, or the differences of two rows. The mean counts as equal to the
    reference within ±tolerance when p is at most (1 − confidence)/2.
    """
    s = summarize(values)
    if s.mean is None or s.sd is None or negligible(s.sd):
        return None
    room = tolerance - abs(s.mean - reference)  # from the mean to the nearer edge
    t = room / (s.sd / sqrt(s.n))
    from scipy.special import stdtr

    return float(stdtr(s.n - 1, -t))
