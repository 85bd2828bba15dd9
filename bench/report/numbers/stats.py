"""What a few seeds can tell: mean, sample deviation, Student interval, verdict.

Accuracies are in percent, differences in percentage points.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev
from typing import Literal

Interval = tuple[float, float]  # lower end, upper end
# The 97.5 % quantile of Student's t for 1, 2, … 9 degrees of freedom, as scipy.special.stdtrit
# gives it (a test compares them). Importing scipy would double the time of a table in Markdown.
T95 = (
    12.706204736174694, 4.302652729749462, 3.1824463052837078, 2.7764451051977934,
    2.5705818356363146, 2.4469118511449786, 2.364624251592784, 2.306004135204166,
    2.262157162798205,
)  # fmt: skip
Word = Literal["match", "differs", "unresolved", "not measured"]
Shown = Literal["gain", "loss", "not shown"]


@dataclass(frozen=True)
class Summary:
    """Mean and spread of a few values."""

    n: int  # how many values
    mean: float | None  # None for no value
    sd: float | None  # sample standard deviation, divisor n − 1; None for fewer than two values


def summarize(values: Iterable[float]) -> Summary:
    """Number, mean and sample deviation of the values.

    `statistics` adds exactly, so the order of the seeds cannot change a digit.
    """
    x = list(values)
    return Summary(len(x), mean(x) if x else None, stdev(x) if len(x) > 1 else None)


def estimate_interval(
    values: Iterable[float], reference: float = 0.0, confidence: float = 0.95
) -> Interval | None:
    """Student interval of the mean minus an exact reference; None for fewer than two values.

    x̄ − reference ± t((1 + confidence)/2, n − 1)·s/√n, which has no width when all values agree.
    """
    s = summarize(values)
    if s.mean is None or s.sd is None:
        return None
    half = student_quantile(s.n - 1, confidence) * s.sd / sqrt(s.n)
    return s.mean - reference - half, s.mean - reference + half


def student_quantile(freedom: float, confidence: float) -> float:
    """Half the width of a Student interval in standard errors: t((1 + confidence)/2, freedom).

    freedom: degrees of freedom, of a single sample one less than the number of values.
    """
    if confidence == 0.95 and isinstance(freedom, int) and freedom <= len(T95):
        return T95[freedom - 1]
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


@dataclass(frozen=True)
class Bar:
    """The error bar of a published mean."""

    se: float  # its standard error
    n: int  # how many runs the mean is of, at least 2


def estimate_welch(
    values: Iterable[float], published: float, bar: Bar, confidence: float = 0.95
) -> Interval | None:
    """Welch's interval of the mean minus a published mean; None for fewer than two values.

    Degrees of freedom by Welch (1947) and Satterthwaite (1946).
    """
    s = summarize(values)
    if s.mean is None or s.sd is None:
        return None
    ours, theirs, gap = s.sd**2 / s.n, bar.se**2, s.mean - published
    if ours + theirs == 0:
        return gap, gap
    freedom = (ours + theirs) ** 2 / (ours**2 / (s.n - 1) + theirs**2 / (bar.n - 1))
    half = student_quantile(freedom, confidence) * sqrt(ours + theirs)
    return gap - half, gap + half


@dataclass(frozen=True)
class Verdict:
    """What the seeds say about a published figure."""

    word: Word
    gap: float | None  # our mean − the published figure; None without a seed
    interval: Interval | None  # of that gap; None for fewer than two seeds


def judge(
    values: Iterable[float],
    published: float,
    tolerance: float,
    confidence: float = 0.95,
    bar: Bar | None = None,
) -> Verdict:
    """Compare one value for each seed with a published figure.

    "match": the interval of the gap lies within ±tolerance, which is two one-sided tests at half of
    1 − confidence each (see `equivalence`). "differs": it lies wholly outside. "unresolved":
    anything else, and always so for a single seed and where all seeds agree (see `negligible`).
    bar: the error bar of the figure where its meaning is stated, and then the interval is Welch's;
    without it the figure counts as exact.
    """
    x = list(values)
    if not x:
        return Verdict("not measured", None, None)
    gap, interval = mean(x) - published, estimate_interval(x, published, confidence)
    if bar:
        interval = estimate_welch(x, published, bar, confidence)
    return Verdict("unresolved" if interval is None else decide(interval, tolerance), gap, interval)


def negligible(width: float) -> bool:
    """Whether a deviation, or the width of an interval, is 0 but for rounding.

    Then all values agree, as those of runs that collapse into one class do, or whole numbers of
    epochs. They tell nothing about the spread, so nothing may be decided by them.
    """
    return abs(width) < 1e-9


def decide(interval: Interval, tolerance: float) -> Word:
    """The verdict that an interval of the gap gives."""
    lo, hi = interval
    if negligible(hi - lo):
        return "unresolved"
    if -tolerance <= lo and hi <= tolerance:
        return "match"
    if lo > tolerance or hi < -tolerance:
        return "differs"
    return "unresolved"


@dataclass(frozen=True)
class Gain:
    """How much one row lies above another."""

    n: int  # seeds that both rows have
    gap: float  # mean difference over those seeds
    interval: Interval | None  # of that mean; None for one seed

    @property
    def word(self) -> Shown:
        """A gain or a loss only when the interval excludes zero, and has a width."""
        lo, hi = self.interval or (0.0, 0.0)
        if negligible(hi - lo):
            return "not shown"
        return "gain" if lo > 0 else "loss" if hi < 0 else "not shown"


def compare_pairs(
    a: Mapping[int, float], b: Mapping[int, float], confidence: float = 0.95
) -> Gain | None:
    """a − b seed by seed, over the seeds that both have; None when they share none.

    Runs of one seed see their samples in the same order. What that order does to both cancels out,
    so the difference often varies less than the values do, but nothing promises it.
    """
    differences = [a[seed] - b[seed] for seed in a.keys() & b.keys()]
    if not differences:
        return None
    interval = estimate_interval(differences, confidence=confidence)
    return Gain(len(differences), mean(differences), interval)
