"""What it costs to choose an evaluation without the target's labels."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import correlation, mean

from bench.report.numbers.scores import pick_evaluation, rank_evaluations, read_value
from bench.report.numbers.selection import SIGNS, Select
from bench.report.numbers.stats import Interval, Summary, estimate_interval, summarize
from bench.runs.records import Record
from bench.suite.suite import Suite

HONEST: tuple[Select, ...] = ("last", "best-on-source", *SIGNS)
"""The choices that need no label of the target."""


@dataclass(frozen=True)
class Choice:
    """What one way of choosing reached over all runs that were evaluated several times."""

    select: Select
    regret: Summary
    """Points that the best evaluation on the target lies above the chosen one."""
    interval: Interval | None  # of the mean regret; None for one run
    worst: float  # the largest regret
    correlation: float | None
    """Mean over the runs of the rank correlation between what is chosen by and the accuracy on the
    target; None where it is the same for all evaluations of each run."""


def judge_choices(suite: Suite, records: Iterable[Record]) -> list[Choice]:
    """Every choice, the one of least mean regret first.

    All are judged on the same runs: those that ended well, with several evaluations and every
    score. Empty without any.
    """
    runs = [r for r in records if r.status == "ok" and len(r.evals) > 1 and has_scores(r)]
    if not runs:
        return []
    found = [_judge(suite, runs, select) for select in HONEST]
    return sorted(found, key=lambda c: c.regret.mean or 0.0)


def has_scores(record: Record) -> bool:
    """Whether each evaluation has every score."""
    return all(SIGNS.keys() <= e.scores.keys() for e in record.evals)


def _judge(suite: Suite, runs: list[Record], select: Select) -> Choice:
    regrets, correlations = [], []
    for r in runs:
        chosen, best = (pick_evaluation(suite, r, by) for by in (select, "best-on-target"))
        assert chosen and best
        ours, most = (read_value(suite, e, "target") for e in (chosen, best))
        regrets.append(abs(most - ours))  # of a distance the best is the least
        by, on = (rank_evaluations(suite, r, s) for s in (select, "best-on-target"))
        assert by and on
        if len(set(by)) > 1 and len(set(on)) > 1:
            correlations.append(_rank_correlation(by, on))
    interval = estimate_interval(regrets, confidence=suite.confidence)
    correlation = mean(correlations) if correlations else None
    return Choice(select, summarize(regrets), interval, max(regrets), correlation)


def _rank_correlation(a: list[float], b: list[float]) -> float:
    """Spearman's; neither of the two is the same everywhere."""
    return correlation(_rank(a), _rank(b))


def _rank(values: list[float]) -> list[float]:
    """The place of each value among all, equal ones at the mean of theirs."""
    order = sorted(values)
    return [(bisect_left(order, x) + bisect_right(order, x)) / 2 for x in values]
