"""Numbers about generated images: each beside an independent computation, each promise of its docstring."""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from bench.engine import samples
from bench.errors import BenchError

Compare = Callable[[Tensor, Tensor], float]
PAIRS: list[Compare] = [
    samples.frechet, samples.kernel, samples.precision,
    samples.recall, samples.density, samples.coverage,
]  # fmt: skip


def draw(n: int, dim: int = 4, seed: int = 0) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=chance, dtype=torch.float64)


def whiten(f: Tensor) -> Tensor:
    """Exactly of mean 0 and of the unit covariance, divisor n − 1."""
    f = f - f.mean(0)
    return f @ torch.linalg.inv(torch.linalg.cholesky(f.T.cov())).T


# distances of distributions


def test_frechet_is_the_closed_form_for_gaussians() -> None:
    """Of diagonal covariances: Σ (μ_r − μ_f)² + (σ_r − σ_f)²."""
    real, fake = whiten(draw(200)), whiten(draw(150, seed=1))
    scale, shift = torch.tensor([2.0, 0.5, 1, 3]), torch.tensor([1.0, 0, -2, 0.5])
    expected = float(shift.square().sum() + (scale - 1).square().sum())
    assert samples.frechet(real, fake * scale + shift) == pytest.approx(expected, rel=1e-6)


def test_frechet_is_what_scipys_root_of_the_product_gives() -> None:
    real, fake = draw(60), draw(50, seed=1) @ draw(4, seed=2) + 1
    s_r, s_f = np.cov(real.numpy().T), np.cov(fake.numpy().T)
    gap = (real.mean(0) - fake.mean(0)).square().sum()
    expected = float(gap) + np.trace(s_r + s_f - 2 * sqrtm(s_r @ s_f).real)
    assert samples.frechet(real, fake) == pytest.approx(expected, rel=1e-6)


def test_a_shift_has_the_squared_frechet_distance() -> None:
    f = draw(40, dim=8)
    assert samples.frechet(f, f + 3) == pytest.approx(8 * 9, rel=1e-6)
    assert samples.frechet(f, f) == pytest.approx(0, abs=1e-6)


def test_frechet_bears_features_that_never_change() -> None:
    """The product of singular covariances: a dead feature, and fewer samples than dimensions."""
    real, fake = draw(40, dim=8), draw(3, dim=8, seed=1)
    real[:, 0] = fake[:, 0] = 0
    assert math.isfinite(samples.frechet(real, fake))
    assert samples.frechet(real, real) == pytest.approx(0, abs=1e-5)


def test_kernel_is_the_unbiased_mean_of_all_pairs() -> None:
    real, fake = draw(7).numpy(), (draw(5, seed=1) + 0.5).numpy()

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 4 + 1) ** 3)

    def within(f: np.ndarray) -> float:
        pairs = [k(f[i], f[j]) for i, j in product(range(len(f)), repeat=2) if i != j]
        return sum(pairs) / len(pairs)

    between = sum(k(a, b) for a in real for b in fake) / 35
    expected = within(real) + within(fake) - 2 * between
    found = samples.kernel(torch.from_numpy(real), torch.from_numpy(fake))
    assert found == pytest.approx(expected, rel=1e-9)


def test_kernel_has_no_bias() -> None:
    """Over many draws of one distribution the mean is 0 to within its standard error."""
    found = torch.tensor(
        [samples.kernel(draw(10, 2, 2 * i), draw(10, 2, 2 * i + 1)) for i in range(300)]
    )
    assert abs(float(found.mean())) < 3 * float(found.std()) / math.sqrt(300)
    assert float(found.min()) < 0


def brute(real: Tensor, fake: Tensor, k: int) -> tuple[float, float, float]:
    """Precision, density and coverage by loops."""
    radius = [sorted(math.dist(a, b) for b in real)[k] for a in real.tolist()]  # [0] is itself
    inside = [
        [math.dist(a, b) <= r for b in fake.tolist()]
        for a, r in zip(real.tolist(), radius, strict=True)
    ]
    n = len(fake)
    precision = sum(any(row[j] for row in inside) for j in range(n)) / n
    return precision, sum(map(sum, inside)) / k / n, sum(map(any, inside)) / len(real)


def test_neighbourhoods_are_those_of_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "ROWS", 7)  # several parts, the last one smaller
    real, fake = draw(40, dim=3), 1.5 * draw(30, dim=3, seed=1) + 0.3
    for k in (1, 3, 5):
        precision, density, coverage = brute(real, fake, k)
        assert 0 < precision < 1 and 0 < coverage < 1
        assert samples.precision(real, fake, k) == precision
        assert samples.recall(real, fake, k) == brute(fake, real, k)[0]
        assert samples.density(real, fake, k) == pytest.approx(density, rel=1e-12)
        assert samples.coverage(real, fake, k) == coverage


def test_the_papers_numbers_of_neighbours() -> None:
    real, fake = draw(40), draw(40, seed=1)
    assert samples.precision(real, fake) == samples.precision(real, fake, 3)
    assert samples.recall(real, fake) == samples.recall(real, fake, 3)
    assert samples.density(real, fake) == samples.density(real, fake, 5)
    assert samples.coverage(real, fake) == samples.coverage(real, fake, 5)


def test_equal_sets_are_near_and_distant_ones_are_not() -> None:
    f = draw(30)
    for number in (samples.precision, samples.recall, samples.coverage):
        assert number(f, f) == 1
        assert number(f, f + 100) == 0
    assert samples.density(f, f + 100) == 0
    assert samples.density(f, f) == pytest.approx(6 / 5)  # each ball holds its centre, too


def test_two_draws_of_one_distribution_have_a_density_of_about_1() -> None:
    assert samples.density(draw(800, 2), draw(800, 2, seed=1)) == pytest.approx(1, abs=0.07)


def test_one_image_over_and_over_is_precise_and_covers_nothing() -> None:
    """Balls without a radius, too: those around samples with k equals."""
    real = draw(100)
    fake = real[:1].repeat(50, 1)
    assert samples.precision(real, fake) == 1
    assert samples.recall(real, fake) == 1 / 100
    assert samples.coverage(real, fake) < 0.2
    assert samples.recall(fake, fake) == 1


@pytest.mark.parametrize("number", PAIRS, ids=lambda f: f.__name__)
def test_neither_the_order_nor_the_type_nor_a_batch_matters(
    number: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = draw(60), draw(50, seed=1) + 0.2
    before = torch.get_rng_state()
    found = number(real, fake)
    assert torch.equal(before, torch.get_rng_state())
    assert number(real.flip(0), fake.flip(0)) == pytest.approx(found, rel=1e-9)
    assert number(real.float(), fake.float().requires_grad_()) == pytest.approx(found, rel=1e-4)
    monkeypatch.setattr(samples, "ROWS", 11)
    assert number(real, fake) == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("number", PAIRS, ids=lambda f: f.__name__)
def test_features_that_cannot_be_compared_are_refused(number: Compare) -> None:
    f, bad = draw(20), draw(20)
    for value in (math.nan, math.inf):
        bad[3, 1] = value
        for pair in ((f, bad), (bad, f)):
            with pytest.raises(BenchError, match="nan or infinite values"):
                number(*pair)
    with pytest.raises(BenchError, match="4 dimensions do not compare with generated ones of 3"):
        number(f, f[:, :3])
    with pytest.raises(BenchError, match="rows are needed"):
        number(f, f[:0])
    with pytest.raises(BenchError, match="rows are needed"):
        number(f[0], f)


def test_too_few_samples_are_refused() -> None:
    f = draw(20)
    for number in (samples.frechet, samples.kernel):
        with pytest.raises(BenchError, match="at least 2"):
            number(f, f[:1])
    for number in (samples.precision, samples.density, samples.coverage):
        with pytest.raises(BenchError, match=r"3 samples are too few: of each, [35] neighbours"):
            number(f[:3], f)
    with pytest.raises(BenchError, match="3 samples are too few"):
        samples.recall(f, f[:3])


# the judge's word


def take_for(classes: list[int], sure: float = 20.0) -> Tensor:
    return sure * torch.eye(10)[classes]


def test_consistency_is_the_share_that_was_asked_for() -> None:
    logits = take_for([3, 1, 4, 1])
    assert samples.consistency(logits, torch.tensor([3, 1, 4, 1])) == 1
    assert samples.consistency(logits, torch.tensor([3, 1, 5, 9])) == 0.5
    with pytest.raises(BenchError, match="4 samples do not fit"):
        samples.consistency(logits, torch.tensor([3]))


def test_a_digit_is_clear_from_95_percent_on() -> None:
    rows = [[p, *[(1 - p) / 9] * 9] for p in (0.9, 0.9499, 0.9501, 0.99)]
    assert samples.recognizable(torch.tensor(rows).log()) == 0.5


def test_a_mode_is_a_class_of_one_sample_in_a_hundred() -> None:
    assert samples.modes(take_for([0] * 693 + [1] * 7), 10) == 2  # 0.01·700 is more than 7
    assert samples.modes(take_for([0] * 694 + [1] * 6), 10) == 1
    assert samples.modes(take_for([*range(10)] * 3), 10) == 10
    with pytest.raises(BenchError, match="tells 10 classes, and not 3"):
        samples.modes(take_for([0]), 3)


def test_no_number_is_made_of_logits_that_are_nan() -> None:
    bad = take_for([0, 1])
    bad[1, 1] = math.nan
    for number in (
        lambda: samples.consistency(bad, torch.tensor([0, 1])),
        lambda: samples.recognizable(bad),
        lambda: samples.modes(bad, 10),
        lambda: samples.diversity(bad, torch.tensor([0, 0])),
    ):
        with pytest.raises(BenchError, match="nan or infinite"):
            number()


def test_diversity_is_the_mean_distance_of_pairs_of_a_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samples, "ROWS", 4)
    f, y = draw(23), torch.arange(23) % 3
    y[22] = 9  # alone in its class: it does not count
    means = []
    for label in range(3):
        rows = f[y == label].tolist()
        apart = [math.dist(a, b) for i, a in enumerate(rows) for b in rows[:i]]
        means.append(sum(apart) / len(apart))
    assert samples.diversity(f, y) == pytest.approx(sum(means) / 3, rel=1e-12)
    assert samples.diversity(5 * f.flip(0), y.flip(0)) == pytest.approx(5 * sum(means) / 3)


def test_diversity_is_relative_to_real_samples_of_the_same_classes() -> None:
    f, y = draw(40), torch.arange(40) % 4
    real = f * (1 + 9.0 * (y == 3))[:, None]  # class 3 varies ten times as much
    some = y != 3
    assert samples.relative_diversity(real, y, real, y) == 1
    assert samples.relative_diversity(0.5 * real[some], y[some], real, y) == pytest.approx(0.5)
    assert samples.relative_diversity(torch.zeros(40, 4), y, real, y) == 0
    both = samples.diversity(2 * f, y) / samples.diversity(real, y)
    assert samples.relative_diversity(2 * f, y, real, y) == pytest.approx(both)


def test_a_diversity_that_cannot_be_told_is_refused() -> None:
    f, y = draw(4), torch.arange(4)
    with pytest.raises(BenchError, match="no class has two samples"):
        samples.diversity(f, y)
    with pytest.raises(BenchError, match="4 samples do not fit"):
        samples.diversity(f, y[:3])
    same = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(BenchError, match="no two real samples of class 0"):
        samples.relative_diversity(f, same, f, same + 1)
    with pytest.raises(BenchError, match="all alike"):
        samples.relative_diversity(f, same, torch.zeros(4, 4), same)


# noise and class

Z, Y = torch.meshgrid(torch.arange(6.0), torch.arange(10.0), indexing="ij")


def test_grids_that_are_of_noise_alone_or_class_alone() -> None:
    assert samples.explained(Z) == pytest.approx((1, 0), abs=1e-12)
    assert samples.explained(Y.square()) == pytest.approx((0, 1), abs=1e-12)


def test_a_sum_is_shared_by_the_two_as_their_variances_are() -> None:
    # variances of 0 … n−1: (n² − 1)/12
    z, y = 35 / 12, 99 / 12
    expected = (4 * z / (4 * z + y), y / (4 * z + y))
    assert samples.explained(2 * Z + Y + 7) == pytest.approx(expected, abs=1e-12)


def test_what_both_decide_only_together_lowers_both_shares() -> None:
    product = (Z - 2.5) * (Y - 4.5)  # without a mean of any row or column
    rest = 1 / (5 * 9)  # mean square, of a sum of squares of 1
    expected = (-5 * rest / (1 + rest), -9 * rest / (1 + rest))
    found = samples.explained(product)
    assert found == pytest.approx(expected, abs=1e-12)
    assert found.z > -1 / 9 and found.y > -1 / 5


def test_the_shares_are_those_of_loops_over_all_pixels() -> None:
    v = draw(5 * 10, dim=12).view(5, 10, 1, 3, 4) + Y[:5, :, None, None, None]
    sums = np.zeros(3)
    for at in product(range(1), range(3), range(4)):
        x = v[(..., *at)].numpy()
        for i, j in product(range(5), range(10)):
            row, column = x[i].mean() - x.mean(), x[:, j].mean() - x.mean()
            sums += np.square([row, column, x[i, j] - x.mean() - row - column])
    mean_square = sums[2] / (4 * 9)
    expected = (sums[:2] - np.array([4, 9]) * mean_square) / (sums.sum() + mean_square)
    assert samples.explained(v) == pytest.approx(tuple(expected), rel=1e-9)


def test_where_nothing_is_decided_neither_gets_a_share_however_many_there_are() -> None:
    """100 noise vectors and 10 classes: plain shares would be 0.099 and 0.009."""
    found = torch.tensor(
        [samples.explained(draw(1000, dim=1, seed=s).view(100, 10)) for s in range(60)]
    )
    assert (found.mean(0).abs() < 3 * found.std(0) / 60**0.5).all() and found.mean(
        0
    ).abs().max() < 0.01


def test_nothing_is_explained_of_what_does_not_vary() -> None:
    assert all(map(math.isnan, samples.explained(torch.full((3, 10), 0.1))))


def test_what_is_no_grid_is_refused() -> None:
    for shape in ((3,), (1, 10), (3, 1), (0, 10)):
        with pytest.raises(BenchError, match="no two noise vectors and classes"):
            samples.explained(torch.zeros(shape))
    with pytest.raises(BenchError, match="nan or infinite"):
        samples.explained(torch.full((2, 10), math.nan))


# strokes


def bar(width: float, length: float, slant: float = 0.0, turn: float = 0.0) -> Tensor:
    """An upright bar (1, 1, 32, 32) in [−1, 1], sheared to the right, or turned, by degrees.

    Each pixel is the mean of 16×16 points.
    """
    size, a = 32, math.radians(turn)
    fine = torch.linspace(-size / 2, size / 2, 16 * size + 1)[:-1] + 1 / 32
    down, right = torch.meshgrid(fine, fine, indexing="ij")
    right = right + math.tan(math.radians(slant)) * down
    down, right = down * math.cos(a) - right * math.sin(a), right * math.cos(a) + down * math.sin(a)
    ink = ((right.abs() < width / 2) & (down.abs() < length / 2)).float()
    return torch.nn.functional.avg_pool2d(ink[None, None], 16) * 2 - 1


@pytest.mark.parametrize("width", [2, 3, 4, 6])
def test_the_thickness_of_a_bar_is_its_width(width: int) -> None:
    """But for its ends: the volume under the roof w²l/4 − w³/12, divided by the area, times four."""
    found = float(samples.thickness(bar(width, 26)))
    assert found == pytest.approx(width - width**2 / (3 * 26), rel=0.02)


def test_a_bar_of_any_place_turn_and_brightness_is_as_thick() -> None:
    upright = float(samples.thickness(bar(4, 24)))
    for other in (bar(4, 24).transpose(2, 3), bar(4, 24).roll(5, 3), 0.1 * bar(4, 24) - 0.3):
        assert float(samples.thickness(other)) == pytest.approx(upright, rel=1e-9)
    for turn in (10, 20, 30, 45, 60):  # the steps of a slanted edge bring it a bit nearer
        turned = float(samples.thickness(bar(4, 24, turn=turn)))
        assert 0.94 * upright < turned <= upright


def test_a_bar_of_parts_of_pixels_lies_between() -> None:
    thin, middle, thick = (float(samples.thickness(bar(w, 26))) for w in (3, 3.5, 4))
    assert thin < middle < thick


def test_ink_to_the_very_border_has_its_edge_there() -> None:
    x = -torch.ones(1, 1, 8, 8)
    x[..., :2] = 1
    assert float(samples.thickness(x)) == pytest.approx(2 - 4 / 24, rel=0.05)


@pytest.mark.parametrize("angle", [-40.0, -10.0, 0.0, 5.0, 30.0])
def test_the_slant_of_a_sheared_bar_is_its_angle(angle: float) -> None:
    assert float(samples.slant(bar(3, 18, angle))) == pytest.approx(angle, abs=0.2)


def test_to_the_right_is_positive_and_a_mirror_changes_the_sign() -> None:
    slash = -torch.ones(1, 1, 9, 9)
    for i in range(9):
        slash[0, 0, i, 8 - i] = 1  # like /
    assert float(samples.slant(slash)) == pytest.approx(45)
    assert float(samples.slant(slash.flip(3))) == pytest.approx(-45)


def test_neither_place_nor_brightness_changes_the_slant() -> None:
    x = bar(3, 16, 20)
    for other in (x.roll((4, -3), (2, 3)), 0.2 * x + 0.5):
        torch.testing.assert_close(samples.slant(other), samples.slant(x), rtol=1e-5, atol=0)


def test_each_image_is_measured_by_itself() -> None:
    each = [bar(2, 20, 10), bar(5, 20, -20), bar(4, 26)]
    for measure in (samples.thickness, samples.slant):
        together = measure(torch.cat(each))
        assert together.shape == (3,) and together.dtype == torch.float64
        assert together.tolist() == pytest.approx([float(measure(x)) for x in each])


def test_an_image_without_ink_has_neither() -> None:
    for level in (-1.0, 0.1, 1.0):
        blank = torch.full((2, 1, 32, 32), level)
        assert samples.thickness(blank).tolist() == samples.slant(blank).tolist() == [0, 0]
    row = -torch.ones(1, 1, 32, 32)
    row[..., 13, 3:20] = torch.linspace(0, 1, 17)
    assert samples.slant(row).tolist() == [0]


@pytest.mark.parametrize("measure", [samples.thickness, samples.slant])
def test_what_is_no_grey_image_is_refused(measure: Callable[[Tensor], Tensor]) -> None:
    for shape in ((2, 3, 32, 32), (32, 32)):
        with pytest.raises(BenchError, match="grey images"):
            measure(torch.zeros(shape))
    with pytest.raises(BenchError, match="nan or infinite"):
        measure(torch.full((1, 1, 8, 8), math.inf))
