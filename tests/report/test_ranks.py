"""Rows ranked over tasks: Demšar's table and example, scipy, and simulation of the family error."""

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from bench.report.numbers.ranks import rank_rows

# Demšar 2006, table 5: q at 0.05 for 2 to 10 classifiers; printed to three digits
DEMSAR = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)


def rows(table):
    """row -> task -> value, of a table of rows × tasks."""
    return {
        f"r{i}": {f"t{j}": float(x) for j, x in enumerate(line)} for i, line in enumerate(table)
    }


@pytest.mark.parametrize(("k", "q"), list(enumerate(DEMSAR, 2)))
def test_critical_difference_is_demsars(k, q):
    table = np.random.default_rng(k).random((k, 14))
    assert rank_rows(rows(table)).critical == pytest.approx(q * (k * (k + 1) / 84) ** 0.5, rel=4e-4)


def test_ranks_by_hand():
    found = rank_rows(
        {"x": {"a": 9, "b": 9, "c": 1}, "y": {"a": 5, "b": 9, "d": 1}, "z": {"a": 7, "b": 1}}
    )
    assert found.tasks == ("a", "b"), "those that all rows have"
    assert found.mean == {"x": 1.25, "y": 2.25, "z": 2.5} and list(found.mean) == ["x", "y", "z"]
    lower = rank_rows({"x": {"a": 9.0}, "y": {"a": 5.0}}, lower=True)
    assert lower.mean == {"y": 1, "x": 2} and lower.p is None
    assert rank_rows({"x": {"a": 1.0}}) is None and rank_rows({}) is None
    assert rank_rows({"x": {"a": 1.0}, "y": {"b": 1.0}}) is None


def test_friedman_is_scipys():
    table = np.random.default_rng(0).random((4, 9)) + np.arange(4)[:, None] / 3
    assert rank_rows(rows(table)).p == pytest.approx(friedmanchisquare(*table).pvalue)
    assert rank_rows(rows(np.ones((3, 5)))).p == 1


def test_groups_hold_rows_whose_ranks_are_near():
    strong = np.array([[9.0] * 12, [8.9, 8.8] * 6, [1.0] * 12, [0.5, 0.6] * 6])
    found = rank_rows(rows(strong))
    assert found.mean == {"r0": 1, "r1": 2, "r2": 3, "r3": 4} and 1 < found.critical < 2
    assert found.groups == (("r0", "r1"), ("r1", "r2"), ("r2", "r3"))
    alike = rank_rows(rows(np.ones((3, 5))))
    assert alike.groups == (("r0", "r1", "r2"),)
    far = rank_rows(rows(np.arange(2)[:, None] * np.ones((2, 30))))
    assert far.groups == ()


def test_rows_that_are_alike_are_rarely_told_apart():
    """The largest of the differences of 4 equal rows over 12 tasks exceeds the critical one in 5 of 100."""
    rng = np.random.default_rng(2)
    ranks = rng.random((20_000, 4, 12)).argsort(axis=1).argsort(axis=1).mean(axis=2)
    critical = rank_rows(rows(rng.random((4, 12)))).critical
    share = np.mean(np.ptp(ranks, axis=1) >= critical)
    assert 0.03 < share < 0.06
