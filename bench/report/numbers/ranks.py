"""Several rows ranked over several tasks: Friedman's test and Nemenyi's critical difference.

Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranks:
    """How rows rank over the tasks that all of them have."""

    mean: Mapping[str, float]  # row -> mean rank, the best (least) first; 1 is the best rank
    tasks: tuple[str, ...]  # those that all rows have
    p: float | None  # of Friedman's test that all rows rank alike; None for fewer than three rows
    critical: float  # mean ranks that differ by at least this are different (Nemenyi)
    groups: tuple[tuple[str, ...], ...]
    """The largest sets of rows, two at least, among which no two are that different."""


def rank_rows(
    values: Mapping[str, Mapping[str, float]], confidence: float = 0.95, *, lower: bool = False
) -> Ranks | None:
    """Rank rows at each task and compare their mean ranks.

    values: row -> task -> mean over seeds. Equal values share the mean of their ranks. lower:
    whether small values are good. None for fewer than two rows or without a task that all have.
    """
    shared = [set(by_task) for by_task in values.values()]
    tasks = sorted(set.intersection(*shared)) if len(shared) > 1 else []
    if not tasks:
        return None
    import numpy as np
    from scipy.stats import rankdata, studentized_range

    sign = 1 if lower else -1
    table = np.array([[sign * by_task[task] for task in tasks] for by_task in values.values()])
    means = rankdata(table, axis=0).mean(axis=1)
    k, n = table.shape
    quantile = studentized_range.ppf(confidence, k, np.inf) / sqrt(2)
    critical = float(quantile) * sqrt(k * (k + 1) / (6 * n))
    order = sorted(zip(values, map(float, means), strict=True), key=lambda pair: pair[1])
    ordered = dict(order)
    return Ranks(ordered, tuple(tasks), _friedman(table), critical, _group(ordered, critical))


def _friedman(table: "NDArray[Any]") -> float | None:
    """table: rows × tasks."""
    if len(table) < 3:
        return None
    if (table == table[0]).all():
        return 1.0
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*table).pvalue)


def _group(means: Mapping[str, float], critical: float) -> tuple[tuple[str, ...], ...]:
    rows, found = list(means), list[tuple[str, ...]]()
    for i, first in enumerate(rows):
        near = tuple(row for row in rows[i:] if means[row] - means[first] < critical)
        if len(near) > 1 and not (found and set(near) <= set(found[-1])):
            found.append(near)
    return tuple(found)
