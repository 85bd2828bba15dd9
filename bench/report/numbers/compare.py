"""Two rows, or one row of two results folders, compared over tasks × seeds.

Everything is taken over the runs that have a counterpart: the same task and the same seed on both
sides, as `stats.compare_pairs` takes them. All differences are b − a.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import mean
from typing import TYPE_CHECKING, Any

from bench.report.numbers.equivalence import weigh_equivalence
from bench.report.numbers.power import find_detectable
from bench.report.numbers.scores import AVERAGE
from bench.report.numbers.stats import Interval, estimate_interval, negligible, summarize

if TYPE_CHECKING:
    from numpy.typing import NDArray

Values = Mapping[str, Mapping[int, float]]  # task -> seed -> value
DRAWS = 2000  # of the bootstrap
TRIM = 0.25  # of the values that the interquartile mean leaves out at either end


@dataclass(frozen=True)
class Paired:
    """b − a at one task or on average, over the seeds that both have."""

    column: str  # the task, or AVERAGE
    n: int  # how many seeds these are
    a: float  # mean of a over these seeds
    b: float
    gap: float  # b − a
    interval: Interval | None  # Student's, of that mean; None for one seed
    p: float | None  # of the paired t test that the gap is zero, two-sided; None as `find_p` says
    holm: float | None  # the same after Holm's correction over the tasks; None on average
    equal: float | None  # p of two one-sided tests that the gap lies within the tolerance
    detectable: float | None  # the gap that so many seeds show with a chance of 0.8


@dataclass(frozen=True)
class Estimate:
    """A number with its interval from the bootstrap; no interval where a task has one seed."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Comparison:
    """All that is known about b against a."""

    confidence: float
    tolerance: float
    tasks: tuple[Paired, ...]  # those with a seed that both have
    average: Paired | None
    """Over all of these tasks, taken within each seed first; None for one task, and where no seed
    has all of them on both sides."""
    improvement: Estimate  # the chance that a run of b exceeds a run of a; ties count half
    quartile_a: Estimate  # the mean of the middle half of all values
    quartile_b: Estimate
    quartile_gap: Estimate
    wilcoxon: float | None  # p of the signed-rank test over the tasks' gaps; None for one task

    @property
    def main(self) -> Paired | None:
        """What the whole comparison comes to: the average, or the only task."""
        return self.average if len(self.tasks) > 1 else self.tasks[0]


def compare_rows(
    a: Values, b: Values, *, confidence: float = 0.95, tolerance: float = 1.0
) -> Comparison | None:
    """Compare b with a. None where no task has a seed that both have.

    The order of tasks is that of a.
    """
    shared = {t: sorted(a[t].keys() & b[t].keys()) for t in a if t in b}
    shared = {t: seeds for t, seeds in shared.items() if seeds}
    if not shared:
        return None

    def pair(column: str, left: Sequence[float], right: Sequence[float]) -> Paired:
        return _pair(column, left, right, confidence, tolerance)

    sides = [[[x[t][s] for s in some] for t, some in shared.items()] for x in (a, b)]
    tasks = [pair(*three) for three in zip(shared, *sides, strict=True)]
    complete = sorted(set.intersection(*map(set, shared.values())))
    average = None
    if len(shared) > 1 and complete:
        means = [[mean(x[t][s] for t in shared) for s in complete] for x in (a, b)]
        average = pair(AVERAGE, *means)
    corrected = iter(correct_holm([x.p for x in tasks if x.p is not None]))
    tasks = [x if x.p is None else replace(x, holm=next(corrected)) for x in tasks]
    wilcoxon = find_wilcoxon([x.gap for x in tasks]) if len(tasks) > 1 else None
    drawn = bootstrap(sides[0], sides[1], confidence)
    return Comparison(confidence, tolerance, tuple(tasks), average, *drawn, wilcoxon)


def _pair(
    column: str, a: Sequence[float], b: Sequence[float], confidence: float, tolerance: float
) -> Paired:
    differences = [y - x for x, y in zip(a, b, strict=True)]
    s = summarize(differences)
    return Paired(
        column=column,
        n=s.n,
        a=mean(a),
        b=mean(b),
        gap=mean(differences),
        interval=estimate_interval(differences, confidence=confidence),
        p=find_p(differences),
        holm=None,
        equal=weigh_equivalence(differences, 0.0, tolerance),
        detectable=None if s.sd is None else find_detectable(s.sd, s.n, confidence),
    )


def find_p(differences: Iterable[float]) -> float | None:
    """Student's two-sided test that the mean is zero.

    None for fewer than two values, and where all agree: they tell nothing about the spread.
    """
    s = summarize(differences)
    if s.mean is None or s.sd is None or negligible(s.sd):
        return None
    from scipy.special import stdtr

    t = s.mean / (s.sd / sqrt(s.n))
    return float(2 * stdtr(s.n - 1, -abs(t)))


def correct_holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction, in the order given (Scand. J. Statist. 6, 1979)."""
    found, least = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        least = max(least, min(1.0, (len(p) - rank) * p[i]))
        found[i] = least
    return found


def find_wilcoxon(gaps: Sequence[float]) -> float:
    """Wilcoxon's signed-rank test that the gaps lie about zero, two-sided.

    Gaps of zero are left out. Exact up to 50 without ties and up to 13 with them, else by the
    normal distribution.
    """
    import numpy as np
    from scipy.stats import PermutationMethod, wilcoxon

    x = np.round(np.asarray(gaps, float), 9)  # what is equal but for rounding is a tie
    x = x[x != 0]
    if not len(x):
        return 1.0
    if len(np.unique(np.abs(x))) == len(x) <= 50:
        return float(wilcoxon(x, method="exact").pvalue)
    if len(x) <= 13:
        return float(wilcoxon(x, method=PermutationMethod(n_resamples=2**13)).pvalue)
    return float(wilcoxon(x, method="asymptotic").pvalue)


def bootstrap(
    a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], confidence: float = 0.95
) -> tuple[Estimate, Estimate, Estimate, Estimate]:
    """Probability of improvement; interquartile means of a and b, and the second minus the first.

    a, b: for each task the values of its seeds, in the same order on both sides. As Agarwal et al.
    (NeurIPS 2021) define them; seeds are drawn anew within each task, the same for both sides, and
    the intervals are the percentiles of 2,000 draws. With few seeds such intervals are too narrow.
    The generator is seeded: the same values give the same intervals.
    """
    import numpy as np
    from scipy.stats import trim_mean

    generator = np.random.default_rng(0)
    wins, left, right = np.zeros(DRAWS + 1), [], []
    for x, y in zip(map(np.array, a), map(np.array, b), strict=True):
        n = len(x)
        drawn = generator.integers(n, size=(DRAWS, n))
        drawn = np.vstack([np.arange(n), drawn])  # the first line is the sample itself
        times = _count(drawn, n)
        better = (y[:, None] > x) + 0.5 * (y[:, None] == x)
        wins += ((times @ better) * times).sum(1) / n**2 / len(a)
        left.append(x[drawn])
        right.append(y[drawn])
    quartiles = [trim_mean(np.hstack(side), TRIM, axis=1) for side in (left, right)]
    some = all(len(x) > 1 for x in a)

    def estimate(draws: "NDArray[Any]") -> Estimate:
        tail = (1 - confidence) / 2
        lo, hi = np.quantile(draws[1:], (tail, 1 - tail))
        return Estimate(float(draws[0]), (float(lo), float(hi)) if some else None)

    first, second = quartiles
    return estimate(wins), estimate(first), estimate(second), estimate(second - first)


def _count(drawn: "NDArray[Any]", n: int) -> "NDArray[Any]":
    """How often each of n seeds is drawn in each line."""
    import numpy as np

    lines = len(drawn)
    every = drawn + n * np.arange(lines)[:, None]  # a number for each seed of each line
    return np.bincount(every.ravel(), minlength=lines * n).reshape(lines, n)
