"""Statistics against hand computation, scipy's own intervals, and the invariances they promise."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import stdtrit
from scipy.stats import ttest_1samp

from bench.report.numbers.stats import (
    compare_pairs,
    estimate_interval,
    judge,
    student_quantile,
    summarize,
)

percent = st.floats(0, 100).map(lambda x: round(x, 2))
several = st.lists(percent, min_size=2, max_size=8)


def test_summary_of_a_textbook_sample():
    s = summarize([2, 4, 4, 4, 5, 5, 7, 9])
    assert (s.n, s.mean) == (8, 5)
    assert s.sd == pytest.approx(math.sqrt(32 / 7))  # divisor n − 1; the population's would be 2


def test_one_value_has_a_mean_and_no_deviation_and_none_has_neither():
    assert summarize([93.1]) == summarize(iter([93.1]))
    assert (summarize([93.1]).mean, summarize([93.1]).sd) == (93.1, None)
    assert (summarize([]).n, summarize([]).mean, summarize([]).sd) == (0, None, None)


def test_interval_by_hand():
    # t(0.975, 2) = 4.3027 and s = 1: 2 ± 4.3027/√3
    assert estimate_interval([1, 2, 3]) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)
    # t(0.95, 1) = 6.3138 and s = √2: 2 − 0.5 ± 6.3138
    assert estimate_interval([1, 3], 0.5, 0.90) == pytest.approx(
        (1.5 - 6.3138, 1.5 + 6.3138), abs=1e-4
    )


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("freedom", range(1, 31))
def test_quantiles_are_scipys(freedom, confidence):
    expected = pytest.approx(stdtrit(freedom, (1 + confidence) / 2), rel=1e-14)
    assert student_quantile(freedom, confidence) == expected


@given(several, percent, st.floats(0.5, 0.99))
def test_interval_is_scipys(x, reference, confidence):
    assume(summarize(x).sd > 0.01)
    theirs = ttest_1samp(x, reference).confidence_interval(confidence)
    assert estimate_interval(x, reference, confidence) == pytest.approx(
        (theirs.low - reference, theirs.high - reference), abs=1e-7
    )


def test_no_interval_below_two_values_and_a_point_where_all_agree():
    assert estimate_interval([]) is None and estimate_interval([93.1]) is None
    assert estimate_interval([93.1] * 3, 93.0) == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize(
    ("values", "tolerance", "word"),
    [
        ([], 1, "not measured"),
        ([50.0], 1, "unresolved"),
        ([90.0], 1, "unresolved"),
        ([50.0, 50.1, 49.9], 1, "match"),
        ([50.9, 50.9, 50.9], 1, "unresolved"),
        ([51.5, 51.5, 51.5], 1, "unresolved"),
        ([21.92, 21.92, 21.92 + 1e-12], 1, "unresolved"),
        ([50.89, 50.9, 50.91], 1, "match"),
        ([51.49, 51.5, 51.51], 1, "differs"),
        ([48.49, 48.5, 48.51], 1, "differs"),
        ([50.9, 51.0, 51.1], 1, "unresolved"),
        ([45.0, 55.0], 1, "unresolved"),
        ([60.0, 60.1, 59.9], 1, "differs"),
        ([40.0, 40.1, 39.9], 1, "differs"),
        ([60.0, 60.1, 59.9], 15, "match"),
    ],
)
def test_verdict(values, tolerance, word):
    assert judge(values, 50.0, tolerance).word == word


@pytest.mark.parametrize("gap", [1.0, -1.0])
def test_an_interval_that_ends_at_the_tolerance_lies_within_it(gap):
    near = [50.0 + gap * x for x in (0.5, 0.6, 0.7)]
    farthest = max(map(abs, judge(near, 50.0, 1.0).interval))
    assert judge(near, 50.0, farthest).word == "match"
    assert judge(near, 50.0, farthest - 1e-9).word == "unresolved"


@pytest.mark.parametrize("sign", [1, -1])
def test_an_interval_that_begins_at_the_tolerance_does_not_lie_outside(sign):
    far = [50.0 + sign * x for x in (5.0, 6.0, 7.0)]
    nearest = min(map(abs, judge(far, 50.0, 1.0).interval))
    assert judge(far, 50.0, nearest).word == "unresolved"
    assert judge(far, 50.0, nearest - 1e-9).word == "differs"


@given(several, percent, st.floats(0.1, 5))
def test_verdict_follows_from_its_interval_and_not_from_the_order(x, published, tolerance):
    v = judge(x, published, tolerance)
    lo, hi = v.interval
    assert lo <= v.gap <= hi or math.isclose(lo, hi, abs_tol=1e-9)
    inside, outside = -tolerance <= lo and hi <= tolerance, lo > tolerance or hi < -tolerance
    word = "match" if inside else "differs" if outside else "unresolved"
    assert v.word == ("unresolved" if len(set(x)) == 1 else word)
    assert judge(reversed(x), published, tolerance) == v


def test_paired_compares_seed_by_seed_and_only_the_shared_ones():
    ours, base = {0: 80.0, 1: 90.0, 2: 85.0, 7: 1.0}, {2: 80.0, 1: 84.0, 0: 76.0, 9: 99.0}
    gain = compare_pairs(ours, base)
    assert (gain.n, gain.gap, gain.word) == (3, 5.0, "gain")
    assert gain.interval == pytest.approx(estimate_interval([4, 6, 5]))
    assert compare_pairs(base, ours).word == "loss"


def test_a_gain_needs_two_seeds_and_an_interval_that_excludes_zero():
    assert compare_pairs({0: 99.0}, {0: 1.0}).word == "not shown"
    assert compare_pairs({0: 51.0, 1: 49.0}, {0: 50.0, 1: 50.0}).word == "not shown"
    assert compare_pairs({0: 51.0}, {1: 50.0}) is None
    near = {0: 50.3, 1: 49.9, 2: 50.1}, dict.fromkeys(range(3), 50.0)
    assert compare_pairs(*near).word == compare_pairs(*near[::-1]).word == "not shown"
    same = {0: 50.0, 1: 60.0}
    assert compare_pairs(same, same).word == "not shown", "an interval that is zero alone"
    above = {seed: x + 10 for seed, x in same.items()}
    assert compare_pairs(above, same).word == "not shown", "two equal differences have no spread"


def test_confidence_widens_every_interval_alike():
    ours, base = {0: 60.0, 1: 70.0, 2: 65.0}, {0: 50.0, 1: 52.0, 2: 51.0}
    assert compare_pairs(ours, base, 0.9).interval == estimate_interval([10, 18, 14], 0, 0.9)
    assert judge(ours.values(), 50.0, 1.0, 0.9).interval == estimate_interval(
        ours.values(), 50.0, 0.9
    )
