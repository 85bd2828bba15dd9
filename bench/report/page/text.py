"""Numbers as the short texts of a table's cells and of the sentences below it."""

from collections.abc import Mapping

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
    """'MNIST-USPS' -> 'MNIST→USPS'; the average -> 'Average'."""
    return "Average" if column == AVERAGE else "→".join(suite.endpoints(column))


def format_count(n: int, word: str) -> str:
    """(1, 'seed') -> '1 seed'; (3, 'seed') -> '3 seeds'."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


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
