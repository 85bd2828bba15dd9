"""Intervals that hold at every number of seeds at once, so that seeds may be added until they tell.

A Student interval holds with its confidence at a number of seeds that was fixed before. Looked at
after every further seed, and stopped when it says something, it is wrong far more often. The
intervals here are a confidence sequence: the chance that any of them, at any number of seeds,
misses the true mean is at most 1 − confidence. So one may stop whenever one likes.

For normal values of unknown variance: the t test whose alternative is mean/deviation ~ N(0, g)
has the Bayes factor

    M_n = (1 + n·g)^(−1/2) · [(1 + t²/(n−1)) / (1 + t²/((n−1)(1 + n·g)))]^(n/2),

which is a martingale that begins at 1, and by Ville's inequality exceeds 1/α at any time with a
chance of at most α (Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian
means with unknown variance", Sequential Analysis 44, 2025; Hendriksen, de Heide and Grünwald,
Bayesian Analysis 16, 2021). The interval holds every mean whose M_n is below 1/α.
"""

from collections.abc import Iterable
from math import inf, sqrt

from bench.report.numbers.stats import Bar, Interval, Verdict, decide, student_quantile, summarize

SPREAD = 30.0
"""g: any value is valid. This one makes the intervals short at 3 to 20 seeds."""


def sequence_quantile(n: int, confidence: float) -> float:
    """Half the width of the interval at n values in standard errors; infinite where n are too few.

    Solves M_n = 1/(1 − confidence) for t.
    """
    growth = 1 + n * SPREAD
    ratio = (sqrt(growth) / (1 - confidence)) ** (2 / n)
    if n < 2 or ratio >= growth:
        return inf
    return sqrt((n - 1) * (ratio - 1) / (1 - ratio / growth))


def bound_mean(
    values: Iterable[float],
    reference: float = 0.0,
    confidence: float = 0.95,
    bar: Bar | None = None,
) -> Interval | None:
    """The interval of the mean minus a reference; None for fewer than two values.

    bar: the error of the reference. Then each of the two means may be missed with half the chance,
    and the widths of their intervals are added.
    """
    s = summarize(values)
    if s.mean is None or s.sd is None:
        return None
    each = (1 + confidence) / 2 if bar else confidence
    reach = sequence_quantile(s.n, each)
    half = inf if reach == inf else reach * s.sd / sqrt(s.n)
    if bar:
        half += student_quantile(bar.n - 1, each) * bar.se
    gap = s.mean - reference
    return gap - half, gap + half


def judge_sequence(
    values: Iterable[float],
    published: float,
    tolerance: float,
    confidence: float = 0.95,
    bar: Bar | None = None,
) -> Verdict:
    """The verdict of `judge`, by an interval that allows to look after every seed."""
    x = list(values)
    if not x:
        return Verdict("not measured", None, None)
    interval = bound_mean(x, published, confidence, bar)
    word = decide(interval, tolerance) if interval else "unresolved"
    return Verdict(word, summarize(x).mean - published, interval)  # type: ignore[operator]
