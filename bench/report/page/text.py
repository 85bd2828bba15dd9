"""Numbers as the short texts of a table's cells and of the sentences below it."""

from collections.abc import Mapping

from bench.report.numbers.scores import AVERAGE, On, Score, Select, percent_correct
from bench.report.numbers.stats import Gain, Interval, Verdict
from bench.runs.records import Record
from bench.suite.suites import Suite

DASH = "—"
SELECTED: Mapping[Select, str] = {
    "last": "last step", "best-on-source": "best on source", "best-on-target": "best on target ‡",
}  # fmt: skip


def arrow(suite: Suite, column: str) -> str:
    """'MNIST-USPS' -> 'MNIST→USPS'."""
    return "Average" if column == AVERAGE else "→".join(suite.endpoints(column))


def many(n: int, word: str) -> str:
    """'1 seed', '3 seeds'."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def signed(x: float) -> str:
    """'+8.3' or '−1.1': percentage points."""
    return f"{x:+z.1f}".replace("-", "−")


def difference(d: Verdict | Gain | None) -> str:
    """'−1.1 [−2.1, −0.1]', or '−1.1' where one seed gives no interval."""
    if d is None or d.gap is None:
        return DASH
    return signed(d.gap) + ("" if d.interval is None else span(d.interval))


def span(interval: Interval) -> str:
    lo, hi = (f"{x:z.1f}".replace("-", "−") for x in interval)
    return f" [{lo}, {hi}]"


def accuracy(score: Score) -> str:
    """'93.12 ± 0.41 (3) + 1 diverged †': mean, sample sd, seeds; seeds that have no number; the mark of a collapse."""
    s = score.summary
    parts = (
        []
        if s.mean is None
        else [f"{s.mean:.2f}" + ("" if s.sd is None else f" ± {s.sd:.2f}") + f" ({s.n})"]
    )
    ends = list(score.lost.values())
    parts += [
        f"{ends.count(status)} {status}" for status in ("diverged", "failed") if status in ends
    ]
    return (" + ".join(parts) or "not measured") + (" †" if score.collapsed else "")


def accuracy_at(record: Record, on: On, index: int = -1) -> str:
    """'93.12', the accuracy in % at one of a record's evaluations; '-' where it has none."""
    return f"{percent_correct(record.evals[index][on]):.2f}" if record.evals else "-"
