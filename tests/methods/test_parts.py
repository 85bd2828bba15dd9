"""The pieces that methods share, against independent formulas and finite differences."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import entr, expit
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from methods._parts import (
    confusion,
    differentiate,
    domain_loss,
    entropy,
    entropy_weights,
    frozen,
    heuristics,
    outer,
    ramp,
    reverse,
    seen_twice,
    sides,
)

seeds = st.integers(0, 10_000)
sizes = st.integers(1, 9)


def draw(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def grad(y: Tensor, x: Tensor) -> Tensor:
    (g,) = torch.autograd.grad(y, x)
    return g


# reverse


@given(seeds, st.floats(-3, 3))
def test_reversal_is_the_identity_forward_and_minus_lambda_backward(seed: int, lam: float) -> None:
    x = draw(seed, 3, 2).requires_grad_()
    assert torch.equal(reverse(x, lam), x)
    torch.testing.assert_close(grad((reverse(x, lam) ** 3).sum(), x), -lam * grad((x**3).sum(), x))


def test_two_reversals_by_one_undo_each_other() -> None:
    x = draw(0, 3, 2).requires_grad_()
    assert torch.equal(grad((reverse(reverse(x, 1), 1) ** 2).sum(), x), grad((x**2).sum(), x))


def test_reversal_does_not_reach_what_comes_after_it() -> None:
    x, w = draw(0, 3, 2).requires_grad_(), draw(1, 2).requires_grad_()
    assert torch.equal(grad((reverse(x, 0.3) @ w).sum(), w), grad((x @ w).sum(), w))


def test_reversal_by_minus_one_has_the_gradient_of_its_loss() -> None:
    assert torch.autograd.gradcheck(
        lambda x: (reverse(x, -1) ** 3).sum(), draw(0, 4).requires_grad_()
    )


def test_reversal_keeps_the_input_as_it_is() -> None:
    """A view, not a copy, that leaves the input's own gradient alone."""
    x = draw(0, 4)
    assert reverse(x, 1.0).data_ptr() == x.data_ptr()
    assert not x.requires_grad


# ramp


@given(st.floats(0, 1), st.floats(0.1, 30))
def test_the_ramp_is_the_papers_formula(p: float, gamma: float) -> None:
    assert ramp(p, gamma) == pytest.approx(2 / (1 + math.exp(-gamma * p)) - 1, rel=1e-12, abs=1e-15)


@given(st.lists(st.floats(0, 1), min_size=2), st.floats(0.1, 30))
def test_the_ramp_starts_at_zero_never_falls_and_stays_below_one(
    ps: list[float], gamma: float
) -> None:
    values = [ramp(p, gamma) for p in sorted(ps)]
    assert ramp(0, gamma) == 0 and values == sorted(values) and values[-1] <= 1


def test_an_infinite_gamma_is_one_from_the_start() -> None:
    assert ramp(0.0, math.inf) == ramp(0.5, math.inf) == 1.0


# domain loss


@given(seeds, sizes, sizes)
def test_domain_loss_is_the_mean_binary_cross_entropy_of_two_equal_halves(
    seed: int, n: int, m: int
) -> None:
    u_s, u_t = draw(seed, n, scale=5), draw(seed + 1, m, scale=5)
    halves = [
        binary_cross_entropy_with_logits(u_s, torch.ones_like(u_s)),
        binary_cross_entropy_with_logits(u_t, torch.zeros_like(u_t)),
    ]
    torch.testing.assert_close(domain_loss(u_s, u_t), sum(halves) / 2)


@given(seeds, sizes, st.sampled_from([1e-8, 1e-3]))
def test_domain_loss_with_epsilon_is_the_printed_formula(seed: int, n: int, eps: float) -> None:
    u_s, u_t = draw(seed, n, scale=5), draw(seed + 1, n, scale=5)
    wanted = (
        -(np.log(expit(u_s.numpy()) + eps).mean() + np.log(expit(-u_t.numpy()) + eps).mean()) / 2
    )
    assert domain_loss(u_s, u_t, eps=eps).item() == pytest.approx(wanted, rel=1e-12)


@given(seeds, sizes, sizes)
def test_even_weights_change_nothing(seed: int, n: int, m: int) -> None:
    u_s, u_t = draw(seed, n), draw(seed + 1, m)
    even = domain_loss(u_s, u_t, torch.full_like(u_s, 1 / n), torch.full_like(u_t, 1 / m))
    torch.testing.assert_close(even, domain_loss(u_s, u_t))


@given(seeds, sizes, sizes)
def test_each_domain_is_weighed_by_its_own_weights(seed: int, n: int, m: int) -> None:
    u_s, u_t = draw(seed, n), draw(seed + 1, m)
    w_s, w_t = draw(seed + 2, n).softmax(0), draw(seed + 3, m).softmax(0)
    l_s, l_t = (
        binary_cross_entropy_with_logits(u, torch.full_like(u, label), weight=w, reduction="sum")
        for u, w, label in ((u_s, w_s, 1.0), (u_t, w_t, 0.0))
    )
    torch.testing.assert_close(domain_loss(u_s, u_t, w_s, w_t), (l_s + l_t) / 2)


@given(seeds, sizes, sizes)
def test_exchanging_the_domains_and_the_sign_of_the_logits_changes_nothing(
    seed: int, n: int, m: int
) -> None:
    u_s, u_t = draw(seed, n), draw(seed + 1, m)
    torch.testing.assert_close(domain_loss(u_s, u_t), domain_loss(-u_t, -u_s))


@given(seeds, st.integers(2, 9), st.sampled_from([0.0, 1e-8]))
def test_the_order_of_the_samples_does_not_matter(seed: int, n: int, eps: float) -> None:
    u_s, u_t, w = draw(seed, n), draw(seed + 1, n), draw(seed + 2, n).softmax(0)
    torch.testing.assert_close(
        domain_loss(u_s, u_t, w, None, eps),
        domain_loss(u_s.flip(0), u_t.flip(0), w.flip(0), None, eps),
    )


def test_an_undecided_discriminator_costs_log_two() -> None:
    assert domain_loss(torch.zeros(4), torch.zeros(3)).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("eps", [0.0, 1e-8])
def test_domain_loss_stays_finite_where_float32_saturates(eps: float) -> None:
    u = torch.tensor([-200.0, -30.0, 30.0, 200.0], requires_grad=True)
    loss = domain_loss(u, u, eps=eps)
    assert loss.isfinite() and grad(loss, u).isfinite().all()


@pytest.mark.parametrize("eps", [0.0, 1e-8, 0.1])
def test_domain_loss_has_the_gradient_of_finite_differences(eps: float) -> None:
    given: list[Any] = [draw(k, 4).requires_grad_() for k in range(4)]
    given[2:] = [w.detach().softmax(0).requires_grad_() for w in given[2:]]
    assert torch.autograd.gradcheck(lambda *x: domain_loss(*x, eps), given)


# entropy and its weights


@given(seeds, sizes, st.integers(2, 6))
def test_entropy_is_that_of_the_softmax(seed: int, n: int, classes: int) -> None:
    z = draw(seed, n, classes, scale=3)
    torch.testing.assert_close(
        entropy(z, eps=0.0), torch.from_numpy(entr(z.softmax(1).numpy()).sum(1))
    )


def test_entropy_with_epsilon_stays_finite_for_a_sure_prediction() -> None:
    z = torch.tensor([[1e4, 0.0, 0.0]], requires_grad=True)
    h = entropy(z)
    assert h.item() == pytest.approx(0, abs=1e-4) and grad(h.sum(), z).isfinite().all()


def test_entropy_is_largest_when_nothing_is_known() -> None:
    assert entropy(torch.zeros(1, 7), eps=0.0).item() == pytest.approx(math.log(7))


@given(seeds, sizes, st.floats(0, 1))
def test_weights_are_positive_and_sum_to_one(seed: int, n: int, lam: float) -> None:
    w = entropy_weights(draw(seed, n, 4, scale=3), lam)
    assert (w > 0).all() and w.sum().item() == pytest.approx(1, rel=1e-12)


@given(seeds, st.integers(2, 9))
def test_surer_samples_weigh_more(seed: int, n: int) -> None:
    z = draw(seed, n, 4, scale=3)
    assert torch.equal(entropy(z).argsort(), entropy_weights(z, 1.0).argsort(descending=True))


def test_adding_a_constant_to_the_logits_of_a_sample_changes_no_weight() -> None:
    z = draw(0, 5, 4)
    torch.testing.assert_close(
        entropy_weights(z + draw(1, 5, 1, scale=9), 1.0), entropy_weights(z, 1.0)
    )


@given(seeds, st.floats(0, 1))
def test_the_gradient_of_the_weights_is_reversed_and_passes_the_numerator_alone(
    seed: int, lam: float
) -> None:
    z, u = draw(seed, 5, 4).requires_grad_(), draw(seed + 1, 5)
    mass = torch.exp(-entropy(z)).sum().detach()
    plain = (torch.exp(-entropy(z)) / mass * u).sum()
    torch.testing.assert_close(grad((entropy_weights(z, lam) * u).sum(), z), -lam * grad(plain, z))


def test_entropy_has_the_gradient_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(entropy, draw(0, 3, 4).requires_grad_())


# sides and frozen


def test_both_sides_pass_a_module_in_one_forward() -> None:
    s, t = draw(0, 4, 3), 5 + draw(1, 2, 3)
    norm = nn.BatchNorm1d(3).double()
    both = torch.cat(sides(norm, s, t))
    assert [len(x) for x in sides(norm, s, t)] == [4, 2]
    linear = nn.Linear(3, 2).double()
    for ours, x in zip(sides(linear, s, t), (s, t), strict=True):
        torch.testing.assert_close(ours, linear(x))
    torch.testing.assert_close(
        both.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_a_frozen_module_gives_its_value_and_lets_gradients_through_to_the_input_only() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x = draw(0, 5, 3).requires_grad_()
    assert torch.equal(frozen(module, x), module(x))
    assert torch.equal(grad(frozen(module, x).sum(), x), grad(module(x).sum(), x))
    frozen(module, x).sum().backward()
    assert all(q.grad is None and q.requires_grad for q in module.parameters())


# differentiate


def test_a_loss_whose_gradient_was_taken_hands_it_on() -> None:
    w, v, unused = (draw(i, 3).requires_grad_() for i in range(3))

    def loss() -> Tensor:
        return (w**3 @ v).sin()

    known, grads = differentiate(loss(), [w, v, unused])
    (5 * known + (w * v).sum()).backward()
    assert known.item() == loss().item()
    torch.testing.assert_close(grads, (grad(loss(), w), grad(loss(), v), None))
    torch.testing.assert_close(w.grad, 5 * grad(loss(), w) + v)
    torch.testing.assert_close(v.grad, 5 * grad(loss(), v) + w)
    assert unused.grad is None


def test_the_graph_of_a_loss_is_kept_on_request_alone() -> None:
    w = draw(0, 3).requires_grad_()
    kept, freed = (w**3).sum(), (w**3).sum()
    differentiate(kept, [w], keep_graph=True)
    assert torch.equal(grad(kept, w), 3 * w**2)
    differentiate(freed, [w])
    with pytest.raises(RuntimeError, match="second time"):
        grad(freed, w)


# seen_twice


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
def test_what_is_seen_twice_leaves_the_statistics_of_two_forwards(momentum: float | None) -> None:
    once, twice = (nn.Sequential(nn.BatchNorm1d(3, momentum=momentum)).double() for _ in range(2))
    for seed in range(3):
        x = draw(seed, 5, 3, scale=seed + 1.0).requires_grad_()
        twice(x), twice(x)
        with seen_twice(once):
            y = once(x)
        y.sum().backward()  # the statistics that were moved must not spoil the gradient
        for k, v in twice.state_dict().items():
            torch.testing.assert_close(once.state_dict()[k], v)
    assert once[0].momentum == momentum


def test_what_is_frozen_is_not_moved_by_being_seen_twice() -> None:
    norm = nn.BatchNorm1d(3).eval()
    with seen_twice(norm):
        norm(torch.ones(4, 3))
    assert norm.num_batches_tracked == 0 and torch.equal(norm.running_mean, torch.zeros(3))


def test_the_momentum_comes_back_when_the_forward_fails() -> None:
    norm = nn.BatchNorm1d(3)
    with pytest.raises(ZeroDivisionError), seen_twice(norm):
        raise ZeroDivisionError
    assert norm.momentum == 0.1


# in bfloat16


def test_a_sure_discriminator_keeps_its_loss_and_gradient_in_bfloat16() -> None:
    """There σ(9) is 1: the loss would be 0 and D would learn no more."""
    u = torch.full((4,), 9.0, dtype=torch.bfloat16, requires_grad=True)
    for eps in (0.0, 1e-8):
        loss = domain_loss(u, -u, eps=eps)
        assert loss.item() == pytest.approx(math.log1p(math.exp(-9)), rel=1e-3)
        assert (grad(loss, u) < 0).all()


def test_the_entropy_of_bfloat16_logits_is_that_of_the_same_numbers() -> None:
    z = draw(0, 6, 5, scale=3).to(torch.bfloat16)
    torch.testing.assert_close(entropy(z).double(), entropy(z.double()), rtol=1e-5, atol=1e-6)


# HDA's heads


def test_heuristics_start_with_widths_of_their_own_and_no_bias() -> None:
    """Kaiming's deviation is √(2/(1 + a²)/dim) for negative slope a."""
    torch.manual_seed(0)
    heads = heuristics(400, 100, 3)
    for a, head in enumerate(heads):
        assert head.weight.std().item() == pytest.approx(math.sqrt(2 / (1 + a**2) / 400), rel=0.02)
        assert not head.bias.any() and head(torch.ones(2, 400)).shape == (2, 100)
    assert len(heads) == 3 and len(heuristics(4, 3, 0)) == 0


# products and confusion of predictions


def test_the_outer_product_goes_class_by_class_and_holds_the_predictions_constant() -> None:
    f, z = draw(0, 2, 3).requires_grad_(), draw(1, 2, 4).requires_grad_()
    product = outer(f, z)
    assert torch.equal(product[1, 3:6], z.softmax(1)[1, 1] * f[1])
    (found,) = torch.autograd.grad(product.sum(), z, allow_unused=True)
    assert found is None


def test_class_confusion_by_hand() -> None:
    """Two images: one says class 0 by 0.8, one is torn. M row by row, over its sum."""
    p = np.array([[0.8, 0.2], [0.5, 0.5]])
    logits = torch.from_numpy(2 * np.log(p)).requires_grad_()
    w = 1 + np.exp((p * np.log(p + 1e-5)).sum(1))
    w *= 2 / w.sum()
    M = np.array([[(w * p[:, i] * p[:, j]).sum() for j in range(2)] for i in range(2)])
    wanted = (M[0, 1] / M[0].sum() + M[1, 0] / M[1].sum()) / 2
    loss = confusion(logits, 2.0)
    assert loss.item() == pytest.approx(wanted, rel=1e-12)
    assert confusion(torch.eye(3) * 1000, 1.0).item() == 0, "sure of different classes"


def test_the_weights_of_class_confusion_are_constants() -> None:
    """Its gradient is that of the same formula with the weights as numbers."""
    z = draw(0, 4, 3).requires_grad_()
    w = 1 + torch.exp(-entropy(z / 2.5)).detach()

    def by_hand(z: Tensor) -> Tensor:
        p = (z / 2.5).softmax(1)
        M = torch.einsum("bi,b,bj->ij", p, 4 * w / w.sum(), p)
        return 1 - (M.diagonal() / M.sum(1)).mean()

    torch.testing.assert_close(grad(confusion(z, 2.5), z), grad(by_hand(z), z))
