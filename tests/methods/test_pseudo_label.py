"""Pseudo-labels by hand: which samples count, what they are divided by, when they begin to."""

import numpy as np
import pytest
import torch
from helpers import at, tiny_batches, tiny_net
from scipy.special import log_softmax

from methods import Batch, get


def parts(p: float, **hyper: float) -> tuple[float, float, np.ndarray]:
    """The loss at progress p; CE(y_s); log softmax of the target's logits."""
    torch.manual_seed(0)
    net = tiny_net().double()
    s, t = tiny_batches(dtype=torch.float64)
    method = get("pseudo_label")(net, **hyper)
    (loss,) = method.step(net, s, t, at(p))
    log_s, log_t = (log_softmax(net.C(net.F(x)).detach().numpy(), axis=1) for x in (s.x, t.x))
    return loss.item(), -log_s[np.arange(len(s.y)), s.y].mean(), log_t


def test_the_sure_samples_are_summed_and_divided_by_all() -> None:
    _, _, log_t = parts(1.0)
    sure = np.sort(np.exp(log_t.max(1)))
    for n in range(len(sure) + 1):  # so many are sure
        tau = (0.0, *(sure[:-1] + sure[1:]) / 2, 1.0)[len(sure) - n]
        loss, L_y, _ = parts(1.0, tau=tau)
        kept = log_t.max(1)[np.exp(log_t.max(1)) > tau]
        assert len(kept) == n
        assert loss == pytest.approx(L_y - kept.sum() / len(log_t), rel=1e-12)


@pytest.mark.parametrize(
    ("p", "a"), [(0.0, 0), (0.2, 0), (0.3, 0), (0.45, 1), (0.6, 2), (0.8, 2), (1.0, 2)]
)
def test_the_source_alone_begins_and_the_weight_then_grows_to_its_end(p: float, a: float) -> None:
    loss, L_y, log_t = parts(p, tau=0.0, weight=2.0)
    assert loss == pytest.approx(L_y - a * log_t.max(1).mean(), rel=1e-12)


@pytest.mark.parametrize("stop", [0.3, 0.1])
@pytest.mark.parametrize(("p", "a"), [(0.0, 0), (0.2, 0), (0.3, 0), (0.31, 2), (1.0, 2)])
def test_without_a_span_to_grow_in_the_weight_jumps(stop: float, p: float, a: float) -> None:
    loss, L_y, log_t = parts(p, tau=0.0, weight=2.0, start=0.3, stop=stop)
    assert loss == pytest.approx(L_y - a * log_t.max(1).mean(), rel=1e-12)


def test_the_labels_of_the_moment_are_constants_and_the_samples_are_learnt() -> None:
    """The gradient is that of cross-entropy with the labels that the network gives."""
    torch.manual_seed(0)
    net = tiny_net().double()
    s, t = tiny_batches(dtype=torch.float64)
    (loss,) = get("pseudo_label")(net, tau=0.0).step(net, s, t, at(1.0))
    label = net.C(net.F(t.x)).argmax(1)
    (plain,) = get("source_only")(net).step(net, s, t, at(1.0))
    (taught,) = get("target_only")(net).step(net, s, Batch(t.x, label), at(1.0))
    for ours, a, b in zip(
        *(torch.autograd.grad(x, list(net.parameters())) for x in (loss, plain, taught)),
        strict=True,
    ):
        torch.testing.assert_close(ours, a + b)
