"""What a few seeds can tell: mean, sample deviation, Student interval, verdict. Percent in, percentage points out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev
from typing import Literal

from scipy.special import (
    stdtrit,
)  # Student's quantile; scipy.stats has it too, and takes a second to import

Interval = tuple[float, float]
Word = Literal["match", "differs", "unresolved", "not measured"]


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (divisor n − 1) of n values; None where n is too small for one."""

    n: int
    mean: float | None
    sd: float | None


def summarise(values: Iterable[float]) -> Summary:
    """n, mean and sample sd. `statistics` adds exactly, so the order of the seeds cannot change a digit."""
    x = list(values)
    return Summary(len(x), mean(x) if x else None, stdev(x) if len(x) > 1 else None)


def interval(
    values: Iterable[float], reference: float = 0.0, confidence: float = 0.95
) -> Interval | None:
    """Student interval of the mean minus an exact reference; None for fewer than two values.

    x̄ − reference ± t((1 + confidence)/2, n − 1)·s/√n: of zero width when all values agree.
    """
    s = summarise(values)
    if s.mean is None or s.sd is None:
        return None
    from scipy.special import stdtrit  # half a second; scipy.stats would take two

    half = float(stdtrit(s.n - 1, (1 + confidence) / 2)) * s.sd / sqrt(s.n)
    return s.mean - reference - half, s.mean - reference + half


@dataclass(frozen=True)
class Verdict:
    """What the seeds say about a claim. gap: our mean − published; interval: of that gap, None below two seeds."""

    word: Word
    gap: float | None
    interval: Interval | None


def verdict(
    values: Iterable[float], published: float, tolerance: float, confidence: float = 0.95
) -> Verdict:
    """match: the interval lies within ±tolerance; differs: it lies wholly outside; unresolved: anything else.

    The published figure counts as exact: what its error bar means is rarely stated. One seed is always unresolved.
    """
    x = list(values)
    if not x:
        return Verdict("not measured", None, None)
    gap, within = mean(x) - published, interval(x, published, confidence)
    if within is None:
        return Verdict("unresolved", gap, None)
    lo, hi = within
    word: Word = "unresolved"
    if -tolerance <= lo and hi <= tolerance:
        word = "match"
    elif lo > tolerance or hi < -tolerance:
        word = "differs"
    return Verdict(word, gap, within)


@dataclass(frozen=True)
class Gain:
    """The mean over n seeds of one row − another. interval: None below two seeds."""

    n: int
    gap: float
    interval: Interval | None

    @property
    def word(self) -> Literal["gain", "loss", "not shown"]:
        """A gain or a loss only when the interval excludes zero."""
        lo, hi = self.interval or (0.0, 0.0)
        return "gain" if lo > 0 else "loss" if hi < 0 else "not shown"


def paired(a: Mapping[int, float], b: Mapping[int, float], confidence: float = 0.95) -> Gain | None:
    """a − b by seed, over the seeds that both have; None when they share none.

    Runs of one seed share their sample order, so the difference varies less than either.
    """
    differences = [a[seed] - b[seed] for seed in a.keys() & b.keys()]
    if not differences:
        return None
    return Gain(len(differences), mean(differences), interval(differences, confidence=confidence))
