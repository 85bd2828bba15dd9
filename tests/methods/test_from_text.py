"""Methods of which no code is public: their equations by hand, and what they are without their terms."""

import math

import numpy as np
import pytest
import torch
from helpers import CLASSES, at, descend, state, tiny_batches, tiny_net
from scipy.special import entr, expit, log_softmax, softmax
from torch import Tensor, nn

from bench.suite import catalog
from methods import Method, Network, get

NAMES = ["tada", "gsda", "emix"]


def made(name: str, seed: int = 0, **hyper: object) -> tuple[Network, Method]:
    torch.manual_seed(seed)
    net = tiny_net().double()
    return net, get(name)(net, **hyper).double()


def loss(net: Network, method: Method, p: float = 0.5) -> Tensor:
    (found,) = method.step(net, *tiny_batches(dtype=torch.float64), at(p))
    return found  # type: ignore[return-value]


def features(net: Network) -> tuple[Tensor, Tensor]:
    s, t = tiny_batches(dtype=torch.float64)
    return net.features(s.x, t.x)


def numbers(x: Tensor) -> np.ndarray:
    return x.detach().numpy()


class Row(nn.Module):
    """A discriminator of one linear map: (B, n) -> (B,)"""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


@pytest.mark.parametrize("name", NAMES)
def test_a_method_without_code_says_where_it_comes_from(name: str) -> None:
    assert catalog.find_method(name).origin and catalog.find_method(name).proof == ("identity",)


OFF = {
    "tada": {"weight": 0.0, "ent": 0.0},
    "gsda": {"weight": 0.0, "alpha": 0.0},
    "emix": {"weight": 0.0, "mu": 0.0},
}


@pytest.mark.parametrize("name", NAMES)
def test_without_its_terms_it_learns_the_source_alone(name: str) -> None:
    (net, method), (plain, source) = made(name, **OFF[name]), made("source_only")
    net.maps = None
    method = get(name)(net, **OFF[name]).double()
    plain.load_state_dict(net.state_dict())
    s, t = tiny_batches(dtype=torch.float64)
    assert descend(method, net, s, t, 0.5) == descend(source, plain, s, t, 0.5)
    for k, v in state(plain).items():
        torch.testing.assert_close(state(net)[k], v)


# TADA


def test_tada_without_maps_and_entropy_is_dann() -> None:
    (net, _), (plain, dann) = made("tada"), made("dann")
    net.maps = None
    tada = get("tada")(net, ent=0.0).double()
    plain.load_state_dict(net.state_dict())
    dann.D.load_state_dict(tada.D.state_dict())
    s, t = tiny_batches(dtype=torch.float64)
    for p in (0.1, 0.5, 0.9):
        torch.testing.assert_close(descend(tada, net, s, t, p), descend(dann, plain, s, t, p))


def attended(f: np.ndarray, rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """h of maps f, and the discriminators' logits, region by region."""
    h, u = np.empty_like(f), np.empty((len(f), len(rows)))
    for k, row in enumerate(rows):
        i, j = divmod(k, f.shape[3])
        u[:, k] = f[:, :, i, j] @ row
        d = expit(u[:, k])
        w = 1 - (entr(d) + entr(1 - d))
        h[:, :, i, j] = (1 + w[:, None]) * f[:, :, i, j]
    return h, u


def test_tadas_attention_and_losses_are_the_printed_formulas() -> None:
    net, method = made("tada", ent=0.3, weight=0.7, lam=2.0)
    s, t = tiny_batches(dtype=torch.float64)
    rows = [torch.randn(3, dtype=torch.float64) for _ in range(4)]
    method.D_k = nn.ModuleList(map(Row, rows))
    (h_s, u_s), (h_t, u_t) = (attended(numbers(b.x), list(map(numbers, rows))) for b in (s, t))
    # what comes after the maps sees h in place of f, also at test time
    torch.testing.assert_close(
        method.predict(net, s.x), net.C(net.F(torch.tensor(h_s))), rtol=1e-4, atol=1e-4
    )
    f_s, f_t = (net.F(torch.tensor(h)) for h in (h_s, h_t))
    d_s, d_t = (numbers(method.D(f)) for f in (f_s, f_t))
    y_s, y_t = (numbers(net.C(f)) for f in (f_s, f_t))

    def domain(u_s: np.ndarray, u_t: np.ndarray) -> float:
        return float(np.log1p(np.exp(-u_s)).mean() + np.log1p(np.exp(u_t)).mean()) / 2

    d = expit(np.concatenate([d_s, d_t]))
    m = 1 + entr(d) + entr(1 - d)
    L_h = (m * entr(softmax(np.concatenate([y_s, y_t]), 1)).sum(1)).mean()
    L_y = -log_softmax(y_s, 1)[np.arange(len(s.x)), s.y].mean()
    wanted = L_y + 0.3 * L_h + 0.7 * (domain(d_s, d_t) + domain(u_s, u_t))
    # the entropy of the code has its 1e-5 inside the logarithm
    assert loss(net, method).item() == pytest.approx(wanted, abs=1e-4)


def test_tada_weighs_what_tells_the_domains_apart_and_no_gradient_passes_the_weights() -> None:
    _, method = made("tada")
    f = torch.ones(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    logits = [50.0, 0.0, -50.0, 0.9]
    method.D_k = nn.ModuleList(Row(torch.full((3,), u / 3, dtype=torch.float64)) for u in logits)
    h = method.attend(f, 1.0, found := [])
    assert found[0].tolist() == [pytest.approx(logits)] * 2
    leaning = 2 - entr(expit(0.9)) - entr(expit(-0.9))
    wanted = torch.tensor([2.0, 2 - math.log(2), 2.0, leaning], dtype=torch.float64)
    torch.testing.assert_close(h.flatten(2), wanted.expand(2, 3, 4), atol=1e-4, rtol=0)
    (grad,) = torch.autograd.grad(h.sum(), f)
    torch.testing.assert_close(grad, h.detach())


def test_tadas_features_flee_the_discriminators_of_regions() -> None:
    """Of that loss the maps get −λ times its gradient; the discriminators get it as it is."""
    _, method = made("tada")
    s, _ = tiny_batches(dtype=torch.float64)
    f = s.x.clone().requires_grad_()
    found: list[list[Tensor]] = []
    for lam in (0.5, -1.0):
        method.attend(f, lam, logits := [])
        found.append(list(torch.autograd.grad(logits[0].sum(), [f, *method.D_k.parameters()])))
    (flees, *learns), (plain, *same) = found
    torch.testing.assert_close(flees, -0.5 * plain)
    for a, b in zip(learns, same, strict=True):
        torch.testing.assert_close(a, b)


# GSDA


def weights(net: Network, method: Method) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    s, _ = tiny_batches(dtype=torch.float64)
    f_s, f_t = features(net)
    p_s = nn.functional.one_hot(s.y, CLASSES).double()
    return f_s, f_t, method.shares(p_s), method.shares(net.C(f_t).detach().softmax(1))


def test_gsdas_levels_agree_where_their_discriminators_do() -> None:
    """Groups and classes each share all images out: alike discriminators have L_dom in sum."""
    net, method = made("gsda", groups=2)
    for D in method.D[1:]:
        D.load_state_dict(method.D[0].state_dict())
    dom, *rest = method.losses(*weights(net, method))
    torch.testing.assert_close(sum(rest[:2]), dom)
    torch.testing.assert_close(sum(rest[2:]), dom)
    assert method.synchrony(*weights(net, method)).item() == pytest.approx(0, abs=1e-12)


def test_gsdas_groups_part_the_classes() -> None:
    for seed in range(5):
        _, method = made("gsda", seed, groups=2)
        assert method.member.sum(1).tolist() == [1] * CLASSES
        assert sorted(method.member.sum(0).tolist()) == [1, 2]


def test_gsdas_synchrony_is_the_printed_formula() -> None:
    """With linear discriminators u = a·f: ∂L/∂f_i = w_i·(σ(u_i) − d_i)·a/2 by hand."""
    net, method = made("gsda", groups=2)
    rows = [torch.randn(6, dtype=torch.float64) for _ in method.D]
    method.D = nn.ModuleList(map(Row, rows))
    f_s, f_t, w_s, w_t = weights(net, method)
    n = []
    for j, a in enumerate(map(numbers, rows)):
        s = numbers(w_s)[:, j] * np.abs(expit(numbers(f_s) @ a) - 1)
        t = numbers(w_t)[:, j] * expit(numbers(f_t) @ a)
        n.append((s.sum() + t.sum()) * np.linalg.norm(a) / 2)
    groups = [np.flatnonzero(row) for row in method.member.T.numpy()]
    steps = [abs(n[1 + q] - sum(n[3 + k] for k in ks)) for q, ks in enumerate(groups)]
    wanted = abs(n[0] - n[1] - n[2]) + sum(steps) / 2
    assert method.synchrony(f_s, f_t, w_s, w_t).item() == pytest.approx(wanted, rel=1e-10)


def test_gsdas_synchrony_is_not_reversed() -> None:
    """What β adds to the gradients of features and discriminators is that of L_syn itself."""
    net, method = made("gsda", beta=0.0, lam=3.0)
    params = [*net.F.parameters(), *method.D.parameters()]

    def grads(y: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(y, params))

    without = grads(loss(net, method))
    method.beta = 2.0
    syn = grads(method.synchrony(*weights(net, method)))
    for a, b, g in zip(grads(loss(net, method)), without, syn, strict=True):
        torch.testing.assert_close(a, b + 2 * g)


# E-MixNet


def test_emixs_discrepancy_is_the_printed_formula() -> None:
    net, method = made("emix", margin=3.0)
    f_s, f_t = features(net)
    y_s, y_t = net.C(f_s), net.C(f_t)
    a_s, a_t = (softmax(numbers(method.adversary(f)), 1) for f in (f_s, f_t))
    of_s, of_t = (a[np.arange(len(a)), numbers(y).argmax(1)] for a, y in ((a_s, y_s), (a_t, y_t)))
    wanted = -np.log(1 - of_t).mean() - 3 * np.log(of_s).mean()
    assert method.discrepancy(f_s, f_t, y_s, y_t).item() == pytest.approx(wanted, rel=1e-10)


def test_emix_pairs_each_source_image_with_the_farthest_target_image() -> None:
    net, method = made("emix")
    f_s, f_t = features(net)
    distance = np.linalg.norm(numbers(f_s)[:, None] - numbers(f_t)[None], axis=2)
    assert method.partners(f_s, f_t).tolist() == distance.argmax(1).tolist()
    method.pairs = "random"
    drawn = torch.stack([method.partners(f_s, f_t) for _ in range(200)])
    assert drawn.shape == (200, len(f_s)) and set(drawn.flatten().tolist()) == set(range(len(f_t)))


@pytest.mark.parametrize("r", [0.0, 0.3, 1.0])
def test_emixs_combined_risk_is_the_printed_formula(
    r: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, method = made("emix", weight=0.0, mu=0.5)
    s, t = tiny_batches(dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *shape, **about: torch.full(shape, r, **about))
    f_s, f_t = features(net)
    y_s, y_t = net.C(f_s), net.C(f_t)
    total = -log_softmax(numbers(y_s), 1)[np.arange(len(s.x)), s.y].mean()
    for i, j in enumerate(method.partners(f_s, f_t).tolist()):
        mixed = r * s.x[i] + (1 - r) * t.x[j]
        p = softmax(numbers(net.C(net.F(mixed[None])))[0])
        y = r * np.eye(CLASSES)[s.y[i]] + (1 - r) * np.eye(CLASSES)[y_t[j].argmax()]
        total += 0.5 * ((p - y) ** 2).sum() / len(s.x)
    assert loss(net, method).item() == pytest.approx(total, rel=1e-10)
