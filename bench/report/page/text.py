"""Numbers as the short texts of a table's cells and of the sentences below it."""

from collections.abc import Collection, Iterable, Mapping
from math import floor, log10

from bench.report.numbers.measures import Reading
from bench.report.numbers.scores import AVERAGE, Score
from bench.report.numbers.selection import Select
from bench.report.numbers.stats import Gain, Interval, Verdict
from bench.suite.suite import Suite

DASH = "—"  # a cell that has nothing to say
SELECTED: Mapping[Select, str] = {
    "last": "last step", "best-on-source": "best on source", "best-on-target": "best on target ‡",
    "entropy": "least entropy", "im": "most mutual information",
    "snd": "densest neighbourhoods (SND)", "bnm": "largest nuclear norm",
    "dev": "least embedded risk (DEV)",
}  # fmt: skip


def format_column(suite: Suite, column: str) -> str:
    """'MNIST-USPS' -> 'MNIST→USPS'; a task of one domain stays; the average -> 'Average'."""
    if column == AVERAGE:
        return "Average"
    return "→".join(dict.fromkeys(suite.endpoints(column)))


def format_budget(budget: str) -> str:
    """'full budget', 'budget cpu'"""
    return "full budget" if budget == "full" else f"budget {budget}"


def format_count(n: int, word: str) -> str:
    """(1, 'seed') -> '1 seed'; (3, 'seed') -> '3 seeds'."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def format_counts(ns: Collection[int], word: str) -> str:
    """({3}, 'seed') -> '3 seeds'; ({1, 5}, 'seed') -> '1 to 5 seeds'. At least one number."""
    few, many = min(ns), max(ns)
    return format_count(many, word) if few == many else f"{few} to {many} {word}s"


def format_points(x: float) -> str:
    """'+8.3' or '−1.1': signed percentage points."""
    return f"{x:+z.1f}".replace("-", "−")


def format_difference(d: Verdict | Gain | None) -> str:
    """'−1.1 [−2.1, −0.1]'; '−1.1' without an interval; a dash where there is no difference."""
    if d is None or d.gap is None:
        return DASH
    return format_points(d.gap) + ("" if d.interval is None else format_interval(d.interval))


def format_gain(gain: Gain | None) -> str:
    """'+8.3 [6.1, 10.5] (3)', with the number of seeds; a dash where there is no gain."""
    return DASH if gain is None else f"{format_difference(gain)} ({gain.n})"


def format_interval(interval: Interval) -> str:
    """' [−2.1, −0.1]', with the space before it."""
    lo, hi = (f"{x:z.1f}".replace("-", "−") for x in interval)
    return f" [{lo}, {hi}]"


def format_score(score: Score) -> str:
    """'93.12 ± 0.41 (3) + 1 diverged †'

    Mean, sample deviation, number of seeds; seeds that have no accuracy; † when a seed collapsed.
    """
    s = score.summary
    spread = "" if s.sd is None else f" ± {s.sd:.2f}"
    parts = [] if s.mean is None else [f"{s.mean:.2f}{spread} ({s.n})"]
    ends = list(score.lost.values())
    words = ("diverged", "failed", "without scores")
    parts += [f"{ends.count(word)} {word}" for word in words if word in ends]
    return (" + ".join(parts) or "not measured") + (" †" if score.collapsed else "")


FINEST = 6  # decimals, as records have them


def count_decimals(values: Iterable[float]) -> int:
    """How many decimals show four digits of the largest of some values, of one below 1 three."""
    largest = max((abs(x) for x in values), default=0.0)
    whole = floor(log10(largest)) + 1 if largest else 1  # digits before the point, or below it
    return min(FINEST, max(0, (4 if whole > 0 else 3) - whole))


def format_number(x: float, decimals: int, *, signed: bool = False) -> str:
    """'12.34', or '+12.34' where it is signed; with a true minus."""
    text = f"{x:+z,.{decimals}f}" if signed else f"{x:z,.{decimals}f}"
    return text.replace("-", "−")


def format_reading(reading: Reading, decimals: int) -> str:
    """'12.34 ± 0.41 (3)': mean, sample deviation, number of seeds; a dash without any.

    '≥ 12.34' where the value of a seed is a lower bound.
    """
    s = reading.summary
    if s.mean is None:
        return DASH
    spread = "" if s.sd is None else f" ± {format_number(s.sd, decimals)}"
    return "≥ " * bool(reading.least) + f"{format_number(s.mean, decimals)}{spread} ({s.n})"


def format_measured_gain(gain: Gain, decimals: int) -> str:
    """'−1.10 [−2.14, −0.06] (5)' of values that are no percentage points."""
    interval = ""
    if gain.interval:
        lo, hi = (format_number(x, decimals) for x in gain.interval)
        interval = f" [{lo}, {hi}]"
    return f"{format_number(gain.gap, decimals, signed=True)}{interval} ({gain.n})"
