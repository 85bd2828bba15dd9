"""What seeds can show, how many a verdict needs, and seeds added until it is settled: against scipy and simulation."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import nct, norm, t, ttest_ind_from_stats

from bench.report.numbers.errorbars import read_bar
from bench.report.numbers.power import count_seeds, find_detectable, settling_chance
from bench.report.numbers.sequential import (
    SPREAD,
    bound_mean,
    judge_sequence,
    sequence_quantile,
)
from bench.report.numbers.stats import Bar, estimate_interval, estimate_welch, judge
from bench.suite.claims import Published


@pytest.mark.parametrize("n", [2, 3, 5, 20])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_detectable_gap_is_shown_eight_times_in_ten(n, confidence):
    gap = find_detectable(1.5, n, confidence)
    critical = t.ppf((1 + confidence) / 2, n - 1)
    assert nct.sf(critical, n - 1, gap / 1.5 * n**0.5) == pytest.approx(0.8, abs=1e-4)
    assert find_detectable(1.5, n, confidence, tolerance=2) == pytest.approx(gap + 2)
    assert find_detectable(1.5, 1) is None


def test_the_detectable_gap_by_simulation():
    gap = find_detectable(1.5, 4, tolerance=1.0)
    x = np.random.default_rng(1).normal(50 + gap, 1.5, (2000, 4))
    assert np.mean([judge(v, 50.0, 1.0).word == "differs" for v in x.tolist()]) == pytest.approx(
        0.8, abs=0.03
    )


@pytest.mark.parametrize(
    ("gap", "sd", "n", "bar"),
    [
        (2.0, 1.0, 5, None), (-2.5, 1.0, 3, None), (0.1, 0.5, 4, None), (0.0, 0.8, 9, None),
        (3.0, 1.0, 5, Bar(0.4, 3)), (0.1, 0.3, 6, Bar(0.1, 5)),
    ],
)  # fmt: skip
def test_the_chance_of_a_verdict_by_simulation(gap, sd, n, bar):
    x = np.random.default_rng(n).normal(50 + gap, sd, (1500, n)).tolist()
    words = [judge(v, 50.0, 1.0, 0.95, bar).word for v in x]
    settled = np.mean([word != "unresolved" for word in words])
    assert settling_chance(gap, sd, n, 1.0, 0.95, bar) == pytest.approx(settled, abs=0.04)


def test_the_chance_to_differ_is_that_of_the_noncentral_t():
    critical = t.ppf(0.975, 4)
    expected = nct.sf(critical, 4, (2.4 - 1) / 1.0 * 5**0.5)
    assert settling_chance(2.4, 1.0, 5, 1.0) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("gap", "sd", "n"), [(2.0, 1.0, 3), (0.2, 1.0, 3), (-1.9, 0.6, 2)])
def test_the_number_of_seeds_is_the_least_that_does(gap, sd, n):
    found = count_seeds(gap, sd, n, 1.0)
    chances = [settling_chance(gap, sd, m, 1.0) for m in range(n + 1, found + 1)]
    assert chances[-1] >= 0.8 and all(c < 0.8 for c in chances[:-1])


def test_no_number_of_seeds_can_be_told_at_the_edge():
    assert count_seeds(1.0, 1.0, 3, 1.0) is None
    assert count_seeds(1 + 0.99 / 3**0.5, 1.0, 3, 1.0) is None
    assert count_seeds(1 + 1.01 / 3**0.5, 1.0, 3, 1.0) is not None
    assert count_seeds(-1.5, 1.0, 3, 1.0) is None, "within a standard error on the other side, too"
    # the published figure's own error stays, however many seeds there are
    assert count_seeds(3.0, 1.0, 3, 1.0) is not None
    assert count_seeds(3.0, 1.0, 3, 1.0, bar=Bar(1.0, 3)) is None


@pytest.mark.parametrize(
    ("error", "se"), [("sd", 1.2 / 3**0.5), ("se", 1.2), ("ci95", 1.2 / t.ppf(0.975, 2))]
)
def test_what_an_error_bar_means(error, se):
    about = {"label": "x", "cite": "x", "where": "x", "values": {"A-B": "70.0±1.2", "B-A": "60"}}
    claim = Published(**about, error=error, n=3)
    bar = read_bar(claim, claim.values["A-B"])
    assert (bar.se, bar.n) == (pytest.approx(se), 3)
    assert read_bar(claim, claim.values["B-A"]) is None
    silent = Published(**about)
    assert read_bar(silent, silent.values["A-B"]) is None


@pytest.mark.parametrize("n", [2, 5])
def test_welchs_interval_is_scipys(n):
    ours = [71.0, 72.5, 70.1, 73.0][:n]
    sd = np.std(ours, ddof=1)
    lo, hi = estimate_welch(ours, 70.0, Bar(1.2 / 3**0.5, 3), 0.9)
    for gap, p in ((lo, 0.1), (hi, 0.1), (np.mean(ours) - 70 + 1.0, None)):
        theirs = ttest_ind_from_stats(
            np.mean(ours) - gap, sd, len(ours), 70.0, 1.2, 3, equal_var=False
        ).pvalue
        assert p is None or theirs == pytest.approx(p)
    exact = estimate_welch(ours, 70.0, Bar(0.0, 3), 0.9)
    assert exact == pytest.approx(estimate_interval(ours, 70.0, 0.9))
    assert estimate_welch(ours[:1], 70.0, Bar(1.0, 3)) is None
    assert estimate_welch([71.0] * 3, 70.0, Bar(0.0, 3)) == (1, 1)


def test_an_error_bar_makes_verdicts_careful():
    x = [72.0, 72.1, 71.9]
    assert judge(x, 70.0, 1.0).word == "differs"
    assert judge(x, 70.0, 1.0, bar=Bar(1.0, 3)).word == "unresolved"
    assert judge(x[:1], 70.0, 1.0, bar=Bar(1.0, 3)).word == "unresolved"


@pytest.mark.parametrize("n", [3, 5, 20])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_sequence_ends_where_the_bayes_factor_is_large(n, confidence):
    """The factor by its integral: noncentral t over the effect's normal distribution."""
    x = sequence_quantile(n, confidence)
    scale = SPREAD**0.5

    def density(effect):
        return nct.pdf(x, n - 1, effect * n**0.5) * norm.pdf(effect, scale=scale)

    peak = x / n**0.5
    marginal, _ = quad(density, -60, 60, points=[0, peak / 2, peak, 2 * peak], limit=400)
    assert marginal / t.pdf(x, n - 1) == pytest.approx(1 / (1 - confidence), rel=1e-2)


def test_the_sequence_is_wider_than_students_interval_and_says_nothing_of_two():
    for n in range(3, 60):
        assert t.ppf(0.975, n - 1) < sequence_quantile(n, 0.95) < np.inf
    assert sequence_quantile(2, 0.95) == np.inf
    assert bound_mean([1.0], 0.0) is None and bound_mean([1.0, 1.0]) == (-np.inf, np.inf)
    assert bound_mean([2.0] * 3, 1.5) == (0.5, 0.5)
    assert judge_sequence([], 1.0, 1.0).word == "not measured"
    assert judge_sequence([9.0], 1.0, 1.0).word == "unresolved"


def look_after_each(gap, bar, reps=20_000, most=20):
    """For each look from 3 seeds on: the ends of the sequence's and of Student's interval."""
    rng = np.random.default_rng(7)
    x = rng.normal(gap, 1, (reps, most))
    published = rng.normal(0, bar.se, reps) if bar else np.zeros(reps)
    sds = bar.se * np.sqrt(rng.chisquare(bar.n - 1, reps) / (bar.n - 1)) if bar else None
    for n in range(3, most + 1):
        mean, se = x[:, :n].mean(1) - published, x[:, :n].std(1, ddof=1) / n**0.5
        each = 0.975 if bar else 0.95
        half = sequence_quantile(n, each) * se
        half = half + (t.ppf((1 + each) / 2, bar.n - 1) * sds if bar else 0)
        lo, hi = bound_mean(x[0, :n], published[0], 0.95, bar and Bar(sds[0], bar.n))
        assert (lo, hi) == pytest.approx((mean[0] - half[0], mean[0] + half[0]))
        yield mean, half, t.ppf(0.975, n - 1) * se


@pytest.mark.parametrize("bar", [None, Bar(0.5, 3)])
def test_seeds_may_be_added_until_it_is_settled(bar):
    """At any look the interval misses the true gap in at most 5 of 100 sequences; Student's far oftener."""
    missed, students = False, False
    for mean, half, student in look_after_each(0.0, bar):
        missed, students = missed | (abs(mean) > half), students | (abs(mean) > student)
    assert np.mean(missed) <= 0.05
    assert np.mean(students) > 0.1, "or the simulation shows nothing"


@pytest.mark.parametrize("gap", [0.0, 0.7, 1.0, 1.000001, 1.5])
def test_a_verdict_of_a_sequence_is_wrong_in_at_most_five_of_a_hundred(gap):
    """True gaps on both sides of the tolerance of 1 and at its edge; the first verdict counts."""
    truth = "match" if gap <= 1 else "differs"
    first = np.full(20_000, "unresolved")
    for mean, half, _ in look_after_each(gap, None):
        lo, hi = mean - half, mean + half
        match, differs = (lo >= -1) & (hi <= 1), (lo > 1) | (hi < -1)
        word = np.where(match, "match", np.where(differs, "differs", "unresolved"))
        first = np.where(first == "unresolved", word, first)
    wrong = ~np.isin(first, [truth, "unresolved"])
    assert wrong.mean() <= 0.05
