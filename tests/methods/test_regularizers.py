"""Kernels, class confusion, singular values and smoothed labels, against formulas by hand."""

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from helpers import ended, write_pictures, write_suite
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from bench.engine.lab import Lab
from bench.runs import plan
from bench.suite import suites
from methods import get
from methods._parts import (
    confusion,
    domain_loss,
    gaussians,
    mmd,
    singular_values,
    spectral,
)

seeds = st.integers(0, 10_000)


def draw(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=g, dtype=torch.float64)


def grad(y: Tensor, x: Tensor) -> Tensor:
    (g,) = torch.autograd.grad(y, x)
    return g


# smoothed labels


@given(seeds, st.floats(0.0, 1.0))
def test_smoothed_labels_are_the_targets_of_the_cross_entropy(seed: int, smooth: float) -> None:
    u_s, u_t, w = draw(seed, 5, scale=5), draw(seed + 1, 4, scale=5), draw(seed, 5).softmax(0)
    l_s = binary_cross_entropy_with_logits(
        u_s, torch.full_like(u_s, 1 - smooth), weight=w, reduction="sum"
    )
    l_t = binary_cross_entropy_with_logits(u_t, torch.full_like(u_t, smooth))
    torch.testing.assert_close(domain_loss(u_s, u_t, w, smooth=smooth), (l_s + l_t) / 2)


@pytest.mark.parametrize("eps", [0.0, 1e-8])
def test_labels_that_are_smoothed_wholly_are_exchanged(eps: float) -> None:
    u_s, u_t = draw(0, 5), draw(1, 4)
    plain = domain_loss(u_s, u_t, eps=eps)
    assert torch.equal(domain_loss(u_s, u_t, eps=eps, smooth=0.0), plain)
    torch.testing.assert_close(domain_loss(-u_s, -u_t, eps=eps, smooth=1.0), plain)


# class confusion


def confused(z: np.ndarray, T: float) -> float:
    """As Jin et al. write it: a matrix of classes, its rows normalized, all but its diagonal."""
    p = softmax(z / T, axis=1)
    w = 1 + np.exp((p * np.log(p + 1e-5)).sum(1))
    w = len(z) * w / w.sum()
    M = np.einsum("n,ni,nj->ij", w, p, p)
    M /= M.sum(1, keepdims=True)
    return float((M.sum() - np.trace(M)) / len(M))


@given(seeds, st.integers(1, 6), st.integers(2, 5), st.sampled_from([1.0, 2.5]))
def test_class_confusion_is_what_the_matrix_has_beside_its_diagonal(
    seed: int, n: int, classes: int, T: float
) -> None:
    z = draw(seed, n, classes, scale=4)
    assert confusion(z, T).item() == pytest.approx(confused(z.numpy(), T), rel=1e-10, abs=1e-12)


def test_sure_predictions_are_not_confused_and_even_ones_are_as_much_as_can_be() -> None:
    assert confusion(40 * torch.eye(3), 1.0).item() == pytest.approx(0, abs=1e-6)
    assert confusion(torch.zeros(4, 3), 1.0).item() == pytest.approx(2 / 3)


def test_a_class_without_any_probability_leaves_the_confusion_finite() -> None:
    z = torch.tensor([[0.0, 1.0, -300.0], [1.0, 0.0, -300.0]], requires_grad=True)
    loss = confusion(z, 1.0)
    assert z.softmax(1)[:, 2].eq(0).all(), "it has none in float32"
    assert loss.item() == pytest.approx(confusion(z.clamp(min=-30), 1.0).item())
    assert grad(loss, z).isfinite().all()


# singular values


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 4)])
def test_where_the_decomposition_does_not_converge_the_values_come_from_the_gram_matrix(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(x: Tensor) -> Tensor:
        raise torch.linalg.LinAlgError("the algorithm failed to converge")

    x = draw(0, *shape).requires_grad_()
    values, weights = singular_values(x), torch.arange(1, min(shape) + 1)
    np.testing.assert_allclose(values.detach(), np.linalg.svd(x.detach())[1])
    wanted = grad((weights * values).sum(), x)
    monkeypatch.setattr(torch.linalg, "svdvals", fails)
    other = singular_values(x)
    torch.testing.assert_close(other, values)
    torch.testing.assert_close(grad((weights * other).sum(), x), wanted)
    assert singular_values(torch.zeros(2, 3)).isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_matrix_that_is_not_finite_has_no_singular_values(bad: float) -> None:
    x = draw(0, 3, 4)
    x[1, 2] = bad
    assert singular_values(x).isnan().all()


def test_half_precision_is_decomposed_in_float32() -> None:
    x = draw(0, 3, 4).to(torch.bfloat16)
    torch.testing.assert_close(singular_values(x), singular_values(x.float()))


def test_the_spectral_penalty_pulls_along_the_first_singular_vectors() -> None:
    f_s, f_t = draw(0, 4, 6).requires_grad_(), draw(1, 3, 6).requires_grad_()
    loss = spectral(f_s, f_t)
    found = torch.autograd.grad(loss, (f_s, f_t))
    wanted = 0.0
    for f, ours in zip((f_s, f_t), found, strict=True):
        U, S, V = np.linalg.svd(f.detach().numpy(), full_matrices=False)
        wanted += S[0] ** 2
        np.testing.assert_allclose(ours, 2 * S[0] * np.outer(U[:, 0], V[0]))
    assert loss.item() == pytest.approx(wanted)


# BNM


@pytest.mark.parametrize("norm", ["nuclear", "columns", "frobenius"])
@pytest.mark.parametrize(
    ("labels", "classes", "wanted"),
    [([0, 1, 2], 3, 1.0), ([0, 1, 2], 5, 1.0), ([2, 2, 2], 3, math.sqrt(3) / 3)],
)
def test_predictions_that_are_sure_have_the_norms_of_their_classes(
    norm: str, labels: list[int], classes: int, wanted: float
) -> None:
    """One-hot columns are orthogonal: the singular values are the roots of the classes' counts."""
    P = one_hot(torch.tensor(labels), classes).double()
    if norm == "frobenius":
        wanted = 1.0  # whatever the classes: it sees how sure they are, not how many
    bnm: Any = get("bnm")(None, norm=norm)
    assert bnm.of(P).item() == pytest.approx(wanted)


# kernels


Estimate = Literal["linear", "unbiased", "biased"]


def mean_embeddings(k: np.ndarray, n: int, estimate: Estimate) -> float:
    """The distance pair by pair."""
    s, t = range(n), range(n, len(k))
    if estimate == "linear":
        m = min(len(s), len(t))
        pairs = [(i, (i + 1) % m) for i in range(m)]
        return float(
            np.mean([k[i, j] + k[n + i, n + j] - k[i, n + j] - k[j, n + i] for i, j in pairs])
        )
    within = [
        np.mean([k[i, j] for i in a for j in a if i != j or estimate == "biased"]) for a in (s, t)
    ]
    return float(sum(within) - 2 * np.mean([k[i, j] for i in s for j in t]))


@given(
    seeds, st.integers(2, 5), st.integers(2, 5), st.sampled_from(["linear", "unbiased", "biased"])
)
def test_the_discrepancy_is_that_of_its_pairs(
    seed: int, n: int, m: int, estimate: Estimate
) -> None:
    x = draw(seed, n + m, 3)
    K = x @ x.T
    wanted = mean_embeddings(K.numpy(), n, estimate)
    assert mmd(K, n, estimate).item() == pytest.approx(wanted, rel=1e-10, abs=1e-12)


def test_a_domain_does_not_differ_from_itself() -> None:
    x = draw(0, 4, 3)
    K = gaussians(torch.cat([x, x]), 5)
    assert mmd(K, 4, "biased").item() == pytest.approx(0, abs=1e-14)


@given(seeds, st.integers(1, 6), st.booleans())
def test_the_kernel_is_a_sum_of_gaussians_whose_widths_double(
    seed: int, kernels: int, distinct: bool
) -> None:
    x = draw(seed, 4, 3)
    d = ((x[:, None] - x[None]) ** 2).sum(2).numpy()
    m = d.sum() / (12 if distinct else 16)
    wanted = sum(np.exp(-d / (2 * alpha * m)) for alpha in 2.0 ** np.arange(-3, kernels - 3))
    np.testing.assert_allclose(gaussians(x, kernels, distinct=distinct), wanted)


def test_features_that_are_all_alike_have_no_gradient_and_no_nan() -> None:
    x = torch.ones(4, 3, requires_grad=True)
    K = gaussians(x, 5)
    assert (K == 5).all() and not grad(K.sum(), x).any()


# trainings that burst


@pytest.mark.parametrize("method", ["bnm", "bsp", "dan", "jan", "mcc"])
def test_a_training_that_bursts_ends_as_diverged(method: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / "data", "A", "B", each=5)
    rows = {"only": {"method": method}}
    suite = suites.load(write_suite(tmp_path, rows=rows, lr=1e25))
    (cell,) = plan.cells(suite)
    end = ended(cell, Lab(tmp_path / "data", tmp_path / "results", torch.device("cpu")))
    assert end.status == "diverged", end.reason
