"""Two rows compared: against scipy, brute force and simulation; and that the sentences are true."""

import itertools
import re

import numpy as np
import pytest
from fakes import toy
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm, trim_mean, ttest_1samp, ttest_rel

from bench.report.numbers.compare import (
    bootstrap,
    compare_rows,
    correct_holm,
    find_p,
    find_wilcoxon,
)
from bench.report.numbers.equivalence import weigh_equivalence
from bench.report.numbers.stats import judge
from bench.report.page.comparison import Sides, describe_comparison, describe_distribution
from bench.suite.suite import Metric

TOY = toy()
SIDES = Sides(TOY, "plain", "dann")
percent = st.floats(0, 100).map(lambda x: round(x, 2))
several = st.lists(percent, min_size=2, max_size=8)


def seeds(*values):
    return dict(enumerate(values))


def test_pairs_are_those_of_one_task_and_one_seed():
    a = {"A-B": {0: 50.0, 1: 52.0, 5: 0.0}, "B-A": {0: 40.0, 1: 44.0}, "C": {0: 1.0}}
    b = {"A-B": {1: 60.0, 0: 55.0, 7: 99.0}, "B-A": {1: 43.0, 0: 42.0}, "D": {0: 1.0}}
    c = compare_rows(a, b)
    first, second = c.tasks
    assert (first.column, first.n, first.a, first.b, first.gap) == ("A-B", 2, 51, 57.5, 6.5)
    theirs = ttest_rel([55, 60], [50, 52])
    assert first.p == pytest.approx(theirs.pvalue)
    assert first.interval == pytest.approx(theirs.confidence_interval(0.95))
    assert second.gap == 0.5
    # seed 0: (5 + 2)/2, seed 1: (8 − 1)/2
    assert (c.average.n, c.average.gap, c.average.interval) == (2, 3.5, (3.5, 3.5))
    assert c.average.p is None and c.main is c.average, "two equal differences have no spread"


def test_there_is_no_average_without_a_seed_that_has_all_tasks():
    a = {"A-B": seeds(1.0, 2.0), "B-A": {2: 1.0, 3: 2.0}}
    c = compare_rows(a, a)
    assert c.average is None and c.main is None and len(c.tasks) == 2
    assert compare_rows({"A-B": {0: 1.0}}, {"A-B": {1: 1.0}}) is None
    assert compare_rows({"A-B": {0: 1.0}}, {"B-A": {0: 1.0}}) is None
    one = compare_rows({"A-B": {0: 1.0}}, {"A-B": {0: 2.0}})
    assert one.average is None and one.main.gap == 1 and one.main.p is None


@pytest.mark.slow
@given(several)
def test_p_is_scipys(x):
    if np.std(x) > 0.01:
        assert find_p(x) == pytest.approx(ttest_1samp(x, 0).pvalue, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("x", [[2.0], [2.0, 2.0], [0.0, 0.0], [2 / 6, 3 / 6 - 1 / 6]])
def test_values_that_all_agree_have_no_p(x):
    assert find_p(x) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p):
    corrected = correct_holm(p)
    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[i] * (len(p) - rank) > level:
                break
            rejected.add(i)
        assert {i for i, x in enumerate(corrected) if x <= level} == rejected


def test_holm_keeps_the_family_error():
    """Of 12 tasks 6 have no gain: any of those is called one in at most 5 of 100 comparisons."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(2000, 12)) + np.repeat([0, 3], 6)
    wrong = [min(correct_holm(list(p))[:6]) < 0.05 for p in 2 * norm.sf(abs(z))]
    assert 0.01 < np.mean(wrong) < 0.06


def signed_ranks(x):
    """The exact p-value of Wilcoxon's test: every sign of every rank."""
    from scipy.stats import rankdata

    x = np.array([v for v in x if v])
    ranks = rankdata(abs(x))
    center = ranks.sum() / 2
    ours = abs(ranks[x > 0].sum() - center)
    signs = itertools.product((0, 1), repeat=len(x))
    return np.mean([abs(np.dot(s, ranks) - center) >= ours - 1e-9 for s in signs])


@pytest.mark.parametrize(
    "gaps",
    [
        (1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
        (1.0, -2.0, 3.5, 4.0, -0.5, 6.0, 7.0),
        (1.0, 1.0, -1.0, 4.0, 0.0, 6.0, 6.0, -3.0),
        (0.3, 0.1 + 0.2, -0.3, 4.0, 5.0),
        (2.0, -1.0),
    ],
)
def test_wilcoxon_by_every_sign(gaps):
    assert find_wilcoxon(gaps) == pytest.approx(signed_ranks([round(x, 6) for x in gaps]))


def test_wilcoxon_of_no_gap_at_all():
    assert find_wilcoxon([0.0, 0.0]) == 1


def test_improvement_and_interquartile_mean_are_scipys():
    a = [[50.0, 60.0, 70.0, 80.0, 60.0], [10.0, 20.0, 90.0]]
    b = [[60.0, 61.0, 75.0, 70.0, 99.0], [20.0, 5.0, 95.0]]
    improvement, left, right, gap = bootstrap(a, b)
    wins = [mannwhitneyu(y, x).statistic / len(x) / len(y) for x, y in zip(a, b, strict=True)]
    assert improvement.value == pytest.approx(np.mean(wins))
    assert left.value == pytest.approx(trim_mean(np.concatenate(a), 0.25))
    assert right.value == pytest.approx(trim_mean(np.concatenate(b), 0.25))
    assert gap.value == pytest.approx(right.value - left.value)
    assert bootstrap(a, b) == (improvement, left, right, gap), "the generator is seeded"


def test_bootstrap_draws_within_each_task():
    # tasks differ, seeds do not: drawing within tasks changes nothing
    a, b = [[50.0] * 4, [90.0] * 4], [[60.0] * 4, [80.0] * 4]
    improvement, left, right, gap = bootstrap(a, b)
    assert improvement.interval == (0.5, 0.5)
    assert left.interval == right.interval == (70, 70) and gap.interval == (0, 0)
    assert bootstrap([[1.0], [1.0, 2.0]], [[1.0], [1.0, 2.0]])[0].interval is None


def test_bootstrap_draws_both_sides_of_a_seed_together():
    a = [list(np.arange(40.0))]
    *_, gap = bootstrap(a, [[x + 3 for x in a[0]]])
    assert gap.interval == pytest.approx((3, 3))


@pytest.mark.slow
def test_bootstrap_covers_with_twenty_seeds_and_hardly_with_three():
    """Two rows that truly differ by 1: the interquartile gap, and the chance that one exceeds the other."""
    rng = np.random.default_rng(5)
    chance = norm.cdf(1 / 2**0.5)

    def coverage(n, times=200):
        hits = np.zeros(2)
        for _ in range(times):
            a, b = rng.normal(0, 1, (1, n)), rng.normal(1, 1, (1, n))
            improvement, *_, gap = bootstrap(a.tolist(), b.tolist())
            for k, (x, truth) in enumerate(((improvement, chance), (gap, 1))):
                hits[k] += x.interval[0] <= truth <= x.interval[1]
        return hits / times

    assert all(0.89 <= x <= 0.99 for x in coverage(20))
    assert max(coverage(3)) < 0.88, "which the command says"


@given(several, percent, st.floats(0.1, 5), st.sampled_from([0.9, 0.95, 0.99]))
def test_a_match_is_two_one_sided_tests(x, published, tolerance, confidence):
    if np.std(x) < 0.01:
        return
    above = ttest_1samp(x, published - tolerance, alternative="greater").pvalue
    below = ttest_1samp(x, published + tolerance, alternative="less").pvalue
    p = weigh_equivalence(x, published, tolerance)
    assert p == pytest.approx(max(above, below), rel=1e-6, abs=1e-12)
    level = (1 - confidence) / 2
    if abs(p - level) > 1e-9:
        matches = judge(x, published, tolerance, confidence).word == "match"
        assert matches == (p <= level)


@pytest.mark.parametrize("x", [[51.0] * 3, [51.5] * 3, [50.0] * 2, [51.5]])
def test_values_that_all_agree_show_no_equivalence(x):
    assert weigh_equivalence(x, 50.0, 1.0) is None


@pytest.mark.parametrize("n", [3, 5, 10])
def test_a_gap_at_the_edge_is_called_a_match_by_few(n):
    """At most 2.5 of 100 at 95 %, and as many where the spread is small beside the tolerance."""
    x = np.random.default_rng(n).normal(50 + 1, 0.1, (2000, n))
    share = np.mean([judge(values, 50.0, 1.0).word == "match" for values in x.tolist()])
    assert 0.012 < share < 0.036


def test_one_task_in_a_sentence():
    def say(a, b, sides=SIDES):
        return describe_comparison(compare_rows({"A-B": seeds(*a)}, {"A-B": seeds(*b)}), sides)

    base = (50.0, 51.0, 52.0)
    assert say(base, (60.0, 63.0, 62.0)) == (
        "dann is better than plain on A→B: +10.7 points [7.8, 13.5] over 3 seeds, "
        "p = 0.0039 (paired t)."
    )
    assert say((60.0, 63.0, 62.0), base).startswith("dann is worse than plain on A→B: −10.7 points")
    assert say(base, (50.0, 55.0, 49.0)).startswith(
        "No difference between dann and plain is shown on A→B: +0.3 points [−8.4, 9.1] over 3"
    )
    assert say(base, (50.1, 51.0, 52.0)).endswith(
        ", and they match within ±1 points (two one-sided tests)."
    )
    assert say(base, (50.4, 51.5, 52.5)).endswith(
        "+0.5 points [0.3, 0.6] over 3 seeds, p = 0.0051 (paired t), which lies within ±1 points."
    )
    assert say(base[:1], (60.0,)) == (
        "Whether dann is better than plain on A→B cannot be told from one seed: +10.0 points."
    )
    lower = TOY.model_copy(update={"metric": Metric(name="d", title="d", better="lower")})
    assert say(base, (60.0, 63.0, 62.0), Sides(lower, "plain", "dann")).startswith(
        "dann is worse than plain on A→B: d, lower is better, +10.7 [7.8, 13.5] over 3 seeds"
    )


def test_two_tasks_in_a_sentence():
    a = {"A-B": seeds(50.0, 51.0, 52.0), "B-A": seeds(40.0, 42.0, 41.0)}
    b = {"A-B": seeds(60.0, 63.0, 62.0), "B-A": seeds(41.0, 41.5, 40.0)}
    text = describe_comparison(compare_rows(a, b), SIDES)
    assert text == (
        "dann is better than plain on average over 2 tasks: +5.2 points [3.6, 6.9] over 3 seeds, "
        "p = 0.0052 (paired t); task by task, after Holm's correction, dann is better on "
        "A→B (+10.7 [7.8, 13.5], p = 0.0078) and no difference is shown on "
        "B→A (−0.2 [−2.8, 2.4], p = 0.81)."
    )
    noise = {"A-B": seeds(0.1, -0.1, 0.0), "B-A": seeds(-0.2, 0.1, 0.0)}
    near = {task: {s: x + noise[task][s] for s, x in a[task].items()} for task in a}
    same = describe_comparison(compare_rows(a, near), SIDES)
    assert "no single task shows a difference, either" in same and "match within" in same
    itself = describe_comparison(compare_rows(a, a), SIDES)
    assert itself == "dann and plain have equal values at all 3 seeds on average over 2 tasks."
    up = {"A-B": {s: x + 2 for s, x in a["A-B"].items()}}
    assert describe_comparison(compare_rows(a, up), SIDES) == (
        "Whether dann is better than plain on A→B cannot be told from 3 seeds that all give one "
        "difference: +2.0 points."
    )
    c = compare_rows(
        {"A-B": {0: 1.0, 1: 2.0}, "B-A": {5: 1.0}}, {"A-B": seeds(2.0, 4.0), "B-A": {5: 1.0}}
    )
    assert describe_comparison(c, SIDES).startswith(
        "dann and plain share no seed that has all 2 tasks, so there is no average; after Holm's "
        "correction no single task shows a difference."
    )
    # every task a little better: shown on average, and by no task after Holm's correction
    rng = np.random.default_rng(1)
    a = {task: seeds(*rng.normal(50, 1, 4)) for task in ("A-B", "B-A")}
    b = {
        task: {
            s: x + 1 + (s % 2 * 2 - 1) * (1 if task == "A-B" else -1) for s, x in a[task].items()
        }
        for task in a
    }
    text = describe_comparison(compare_rows(a, b), SIDES)
    assert text.endswith("; after Holm's correction no single task shows a difference."), text
    b["B-A"] = {0: a["B-A"][0] + 1}
    b["A-B"] = {s: x + 9 + s / 9 for s, x in a["A-B"].items()}
    text = describe_comparison(compare_rows(a, b), SIDES)
    assert text.startswith(
        "Whether dann is better than plain on average over 2 tasks cannot be told"
    )
    assert text.endswith(" and one seed tells nothing on B→A."), text


@pytest.mark.slow
def test_many_tasks_are_counted():
    tasks = [f"{x}-{y}" for x, y in itertools.permutations("ABCD", 2)]
    domains = dict.fromkeys("ABCD", TOY.domains["A"])
    sides = Sides(TOY.model_copy(update={"domains": domains}), "plain", "dann")
    a = {t: seeds(50.0, 50.5, 51.0) for t in tasks}
    b = {t: seeds(60.0 + i / 9, 60.4, 61.0) for i, t in enumerate(tasks)}
    b[tasks[3]] = seeds(40.0, 40.1, 41.0)
    c = compare_rows(a, b)
    text = describe_comparison(c, sides)
    assert "on average over 12 tasks" in text and "dann is better on 11 of 12 tasks" in text
    assert re.search(r"dann is worse on B→A \(−10\.1 \[−1\d\.\d, −\d\.\d\], p = 0\.0\d+\)\.$", text)
    *_, last = describe_distribution(c, sides)
    assert last.startswith("Wilcoxon's signed-rank test over the 12 tasks: p = ")
    b[tasks[3]] = b[tasks[0]]
    assert "dann is better on all 12 tasks." in describe_comparison(compare_rows(a, b), sides)


def test_one_seed_has_no_distribution():
    c = compare_rows({"A-B": seeds(1.0)}, {"A-B": seeds(2.0)})
    assert list(describe_distribution(c, SIDES)) == []
