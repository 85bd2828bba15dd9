"""How much a number of seeds can show, and how many a verdict needs."""

from bisect import bisect_left
from math import sqrt

from bench.report.numbers.stats import Bar, student_quantile

POWER = 0.8  # the chance with which something is to be shown
MOST = 1000  # seeds; a number beyond it is not foretold
STEPS = 400  # points at which the distribution of the sample deviation is taken


def find_detectable(
    sd: float, n: int, confidence: float = 0.95, tolerance: float = 0.0, power: float = POWER
) -> float | None:
    """The least true gap that n seeds show, with this chance, to lie beyond the tolerance.

    sd: deviation of what is compared: of the paired differences of two rows (tolerance 0), or of
    the values of a row beside an exact published figure. By the noncentral t distribution: the end
    of the interval nearer to zero lies beyond the tolerance. None for fewer than two seeds.
    """
    if n < 2:
        return None
    from scipy.special import nctdtrinc

    shift = nctdtrinc(n - 1, 1 - power, student_quantile(n - 1, confidence))
    return tolerance + float(shift) * sd / sqrt(n)


def settling_chance(
    gap: float,
    sd: float,
    n: int,
    tolerance: float,
    confidence: float = 0.95,
    bar: Bar | None = None,
) -> float:
    """The chance that n ≥ 2 seeds give `match` or `differs` when gap and sd are the true ones.

    The mean over the distribution of the sample deviation, which is independent of the mean's.
    bar: the error of the published figure, which stays as it is.
    """
    import numpy as np
    from scipy.special import chdtri, ndtr, stdtrit

    quantiles = (np.arange(STEPS) + 0.5) / STEPS
    ours = sd**2 * chdtri(n - 1, quantiles) / (n - 1) / n  # squared standard errors
    theirs, freedom = (bar.se**2 if bar else 0.0), np.full(STEPS, n - 1.0)
    if bar:
        below = ours**2 / (n - 1) + theirs**2 / (bar.n - 1)
        freedom = (ours + theirs) ** 2 / below
    half = stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(ours + theirs)
    se = sd / sqrt(n)
    beyond = ndtr((gap - tolerance - half) / se) + ndtr((-gap - tolerance - half) / se)
    within = ndtr((tolerance - half - gap) / se) - ndtr((half - tolerance - gap) / se)
    return float(np.mean(beyond + np.maximum(within, 0)))


def count_seeds(
    gap: float,
    sd: float,
    n: int,
    tolerance: float,
    confidence: float = 0.95,
    bar: Bar | None = None,
) -> int | None:
    """The least number of seeds that settles a verdict with a chance of 0.8.

    gap, sd, n: of the seeds at hand. Supposes that gap and deviation stay as they are. None where
    the gap lies within its standard error of the edge of the tolerance, so that nothing can be
    foretold, and where 1,000 seeds would not do.
    """
    se = sqrt(sd**2 / n + (bar.se**2 if bar else 0.0))
    if sd == 0 or abs(abs(gap) - tolerance) <= se:
        return None
    found = bisect_left(
        range(MOST + 1),
        POWER,
        lo=n + 1,
        key=lambda m: settling_chance(gap, sd, m, tolerance, confidence, bar),
    )
    return found if found <= MOST else None
