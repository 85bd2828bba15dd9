"""Scores of predictions without labels: formulas by hand, extremes, and what may not matter."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import entr, softmax
from torch import Tensor

from bench.engine import scores

seeds = st.integers(0, 10_000)


def draw(seed: int, n: int = 40, classes: int = 5, scale: float = 3.0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(n, classes, generator=g, dtype=torch.float64)).softmax(1)


def sure(*classes: int, of: int) -> Tensor:
    """One-hot predictions."""
    return torch.eye(of, dtype=torch.float64)[list(classes)]


# by hand


def by_hand(p: np.ndarray) -> dict[str, float]:
    n = len(p)
    cos = [[p[i] @ p[j] / np.linalg.norm(p[i]) / np.linalg.norm(p[j]) for j in range(n)] for i in range(n)]  # fmt: skip
    snd = [entr(softmax([cos[i][j] / 0.05 for j in range(n) if j != i])).sum() for i in range(n)]
    return {
        "entropy": entr(p).sum(1).mean(),
        "im": entr(p.mean(0)).sum() - entr(p).sum(1).mean(),
        "snd": float(np.mean(snd)),
        "bnm": np.linalg.svd(p, compute_uv=False).sum() / math.sqrt(n * min(p.shape)),
    }


@given(seeds, st.sampled_from([(2, 7), (7, 2), (40, 5), (101, 3)]))
def test_the_scores_are_the_printed_formulas(seed: int, shape: tuple[int, int]) -> None:
    p = draw(seed, *shape)
    assert scores.score_target(p) == pytest.approx(by_hand(p.numpy()), abs=1e-7)


def test_neighbourhoods_are_the_same_however_many_rows_are_made_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    p = draw(1, 57)
    whole = scores.neighbourhood_density(p)
    for rows in (1, 10, 57, 1000):
        monkeypatch.setattr(scores, "ROWS", rows)
        assert scores.neighbourhood_density(p) == pytest.approx(whole, rel=1e-12)


# extremes


def test_sure_predictions_of_all_classes_alike_are_best() -> None:
    found = scores.score_target(sure(*range(4), *range(4), of=4))
    assert found["entropy"] == pytest.approx(0) and found["im"] == pytest.approx(math.log(4))
    assert found["bnm"] == pytest.approx(1)


def test_a_collapse_is_sure_and_found_out_by_all_scores_but_two() -> None:
    """One class for all images: the entropy is best, and the neighbourhoods are dense."""
    found = scores.score_target(sure(*[2] * 8, of=4))
    assert found["entropy"] == pytest.approx(0) and found["im"] == pytest.approx(0)
    assert found["bnm"] == pytest.approx(0.5) and found["snd"] == pytest.approx(math.log(7))


def test_even_predictions_know_nothing() -> None:
    found = scores.score_target(torch.full((6, 4), 0.25))
    assert found["entropy"] == pytest.approx(math.log(4)) and found["im"] == pytest.approx(0)
    assert found["bnm"] == pytest.approx(0.25)


def test_dense_neighbourhoods_are_those_of_few_clusters() -> None:
    """With k equal, sharp clusters of m images each image has m − 1 neighbours alike."""
    for m in (2, 5, 10):
        p = sure(*[k for k in range(10) for _ in range(m)], of=10)
        alike = scores.neighbourhood_density(p)
        rest, near = (10 * m - m) * math.exp(-20), m - 1
        weights = np.array([1.0] * near + [math.exp(-20)] * (10 * m - m)) / (near + rest)
        assert alike == pytest.approx(entr(weights).sum(), rel=1e-9, abs=1e-12)


def test_one_image_has_no_neighbourhood() -> None:
    assert scores.score_target(sure(1, of=3))["snd"] == 0


# what may not matter


@given(seeds)
def test_neither_the_order_of_images_nor_that_of_classes_matters(seed: int) -> None:
    p = draw(seed)
    g = torch.Generator().manual_seed(seed)
    mixed = p[torch.randperm(len(p), generator=g)][:, torch.randperm(5, generator=g)]
    assert scores.score_target(mixed) == pytest.approx(scores.score_target(p), rel=1e-9)


@given(seeds)
def test_every_image_twice_changes_no_score_but_that_of_neighbours(seed: int) -> None:
    p = draw(seed)
    once, twice = scores.score_target(p), scores.score_target(torch.cat([p, p]))
    assert twice.pop("snd") > once.pop("snd") and twice == pytest.approx(once, rel=1e-9)


def test_float32_is_good_enough_to_come_from() -> None:
    p = draw(3, 300, 10)
    assert scores.score_target(p.float()) == pytest.approx(scores.score_target(p), rel=1e-5)


def test_nothing_is_drawn_and_no_gradient_mode_is_left_changed() -> None:
    before = torch.get_rng_state()
    with torch.no_grad():
        scores.score_target(draw(0))
        scores.validate_embedded(*embedded(0))
        assert not torch.is_grad_enabled()
    assert torch.equal(before, torch.get_rng_state())


@given(st.integers(0, 300), st.integers(1, 50))
def test_the_images_that_stand_for_all_are_spread_evenly(n: int, most: int) -> None:
    chosen = scores.spread(n, most).tolist()
    assert len(chosen) == min(n, most) and chosen == sorted(set(chosen))
    if n:
        gaps = np.diff([*chosen, n])
        assert chosen[0] == 0 and gaps.max() - gaps.min() <= 1


def test_of_many_images_2000_evenly_spread_have_neighbours() -> None:
    p = draw(5, 4100)
    snd = scores.score_target(p)["snd"]
    chosen = [i * 4100 // 2000 for i in range(2000)]
    assert snd == pytest.approx(scores.neighbourhood_density(p[chosen]), rel=1e-12)


# deep embedded validation


def embedded(
    seed: int, n: int = 60, dim: int = 4, shift: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Source and target features, and mistakes that are the more frequent the nearer the target."""
    g = torch.Generator().manual_seed(seed)
    f_s, f_t = (torch.randn(n, dim, generator=g, dtype=torch.float64) for _ in "st")
    f_t[:, 0] += shift
    return f_s, f_t, torch.rand(n, generator=g) < (f_s[:, 0] - 0.5).sigmoid()


def weigh(f_s: np.ndarray, f_t: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Densities of the target over those of the source at x, by scipy's optimizer."""
    f = np.concatenate([f_s, f_t])
    mean, scale = f.mean(0), f.std(0)
    scale[scale == 0] = 1
    f, x = ((a - mean) / scale / math.sqrt(f.shape[1]) for a in (f, x))
    d = np.array([1.0] * len(f_s) + [0.0] * len(f_t))

    def objective(theta: np.ndarray) -> float:
        u = f @ theta[1:] + theta[0]
        likelihood = np.where(d == 1, -np.logaddexp(0, -u), -np.logaddexp(0, u))
        return float(-likelihood.sum() + theta[1:] @ theta[1:] / 2)

    theta = minimize(objective, np.zeros(f.shape[1] + 1), tol=1e-10).x
    return np.exp(-(x @ theta[1:] + theta[0])) * len(f_s) / len(f_t)


def dev_by_hand(f_s: Tensor, f_t: Tensor, wrong: Tensor) -> float:
    s, t, e = f_s.numpy(), f_t.numpy(), wrong.numpy().astype(float)
    w = np.empty(len(s))
    w[::2], w[1::2] = weigh(s[1::2], t[1::2], s[::2]), weigh(s[::2], t[::2], s[1::2])
    covariance = np.cov(w * e, w)
    return float((w * e).mean() - covariance[0, 1] / covariance[1, 1] * (w.mean() - 1))


@pytest.mark.parametrize(("n", "dim"), [(60, 4), (61, 4), (41, 60)])
def test_the_validated_error_is_the_printed_formula(n: int, dim: int) -> None:
    for seed in range(3):
        found = embedded(seed, n, dim)
        assert scores.validate_embedded(*found) == pytest.approx(dev_by_hand(*found), abs=2e-4)


def test_the_validated_error_is_nearer_the_targets_than_the_sources_is() -> None:
    f_s, f_t, wrong = embedded(0, 4000)
    of_target = (f_t[:, 0] - 0.5).sigmoid().mean()
    found = scores.validate_embedded(f_s, f_t, wrong)
    assert abs(found - of_target) < 0.03 < 0.1 < abs(wrong.double().mean() - of_target)


def test_domains_of_two_sizes_are_weighed_alike() -> None:
    """With three times as many target images, weights are 1 on average all the same."""
    f_s, f_t, wrong = embedded(5, 4000, shift=0.5)
    few, many = (scores.validate_embedded(f_s[:n], f_t, wrong[:n]) for n in (1200, 4000))
    assert few == pytest.approx(many, abs=0.03)


def test_without_a_shift_the_validated_error_is_that_of_the_source() -> None:
    f_s, f_t, wrong = embedded(1, 4000, shift=0.0)
    assert scores.validate_embedded(f_s, f_t, wrong) == pytest.approx(
        wrong.double().mean().item(), abs=0.02
    )


@pytest.mark.parametrize(("share", "error"), [(0.0, 0.0), (1.0, 1.0)])
def test_a_network_that_is_always_right_or_never_is_told_so(share: float, error: float) -> None:
    """Whatever the weights are: their noise is taken away."""
    f_s, f_t, _ = embedded(2)
    wrong = torch.full((len(f_s),), bool(share))
    assert scores.validate_embedded(f_s, f_t, wrong) == pytest.approx(error, abs=1e-9)


def test_features_that_tell_the_domains_apart_leave_a_number() -> None:
    f_s, f_t, wrong = embedded(3, shift=100.0)
    assert math.isfinite(scores.validate_embedded(f_s, f_t, wrong))


def test_features_that_never_change_leave_the_sources_error() -> None:
    f_s, f_t, wrong = torch.ones(10, 3), torch.ones(12, 3), torch.arange(10) < 4
    assert scores.validate_embedded(f_s, f_t, wrong) == pytest.approx(0.4, abs=1e-5)


def test_a_handful_of_images_is_no_error() -> None:
    f_s, f_t, wrong = embedded(4, 5)
    for n_s, n_t in ((1, 1), (2, 1), (1, 5), (2, 2), (3, 2)):
        found = scores.validate_embedded(f_s[:n_s], f_t[:n_t], wrong[:n_s])
        assert math.isfinite(found) == (min(n_s, n_t) > 1)
