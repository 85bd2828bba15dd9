"""What the mathematics of the methods promises, whatever the numbers."""

import copy
from collections.abc import Callable
from itertools import product
from typing import Any, Literal

import pytest
import torch
from helpers import at, descend, tiny_batches, tiny_net
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bench.suite import suites
from methods import Batch, Method, Network, Progress, get
from methods._parts import gaussians, mmd, ramp, reverse, spectral


def made(name: str, seed: int = 0, **hyper: object) -> tuple[Network, Method]:
    torch.manual_seed(seed)
    net = tiny_net().double()
    return net, get(name)(net, **hyper).double()


def same_training(a: tuple[Network, Method], b: tuple[Network, Method]) -> bool:
    """Three steps of both from one state: equal losses and equal networks to rounding."""
    s, t = tiny_batches(dtype=torch.float64)
    a[1].D.load_state_dict(b[1].D.state_dict())
    a[0].load_state_dict(b[0].state_dict())
    for p in (0.1, 0.5, 0.9):
        torch.testing.assert_close(descend(a[1], a[0], s, t, p), descend(b[1], b[0], s, t, p))
    ours, theirs = a[0].state_dict(), b[0].state_dict()
    return all(torch.allclose(v, theirs[k], rtol=1e-10, atol=1e-13) for k, v in ours.items())


@given(
    seed=st.integers(0, 1000),
    heads=st.sampled_from([0, 3]),
    omega=st.sampled_from(["grad-cam", "uniform"]),
)
def test_the_positive_feature_keeps_the_energy(seed: int, heads: int, omega: str) -> None:
    net, method = made("toalign", seed, heads=heads, omega=omega)
    s, _ = tiny_batches(dtype=torch.float64)
    f = net.F(s.x)
    torch.testing.assert_close(method.positive(net, f, s.y).norm(dim=1), f.norm(dim=1))


def test_the_task_weight_of_linear_heads_is_the_row_of_the_true_class() -> None:
    net, method = made("toalign", heads=3, scale=1.0)
    net.C = nn.Linear(net.dim, net.classes).double()
    s, _ = tiny_batches(dtype=torch.float64)
    f = net.F(s.x)
    rows = (net.C.weight - sum(h.weight for h in method.H))[s.y]
    torch.testing.assert_close(method.positive(net, f, s.y), rows * f)


@pytest.mark.parametrize("twice", [True, False])
def test_one_forward_is_as_good_as_two(twice: bool) -> None:
    assert same_training(made("toalign"), made("toalign", twice=twice))


def test_hda_without_heuristics_is_dannp() -> None:
    hda, dannp = made("hda"), made("dannp")
    for h in hda[1].H:
        nn.init.zeros_(h.weight)
        h.requires_grad_(False)
    assert same_training(hda, dannp)


def test_gvb_without_bridges_is_dannp() -> None:
    (net, gvb), (plain, dannp) = made("gvb", mu_g=0.0, mu_d=0.0), made("dannp")
    plain.load_state_dict(net.state_dict())
    dannp.D = nn.Sequential(gvb.D, _First())
    s, t = tiny_batches(dtype=torch.float64)
    (a,), (b,) = gvb.step(net, s, t, at(0.4)), dannp.step(plain, s, t, at(0.4))
    torch.testing.assert_close(a, b)
    theirs = torch.autograd.grad(b, list(plain.parameters()))
    for x, y in zip(torch.autograd.grad(a, list(net.parameters())), theirs, strict=True):
        torch.testing.assert_close(x, y)


class _First(nn.Module):
    """(B, k) -> (B,)"""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0]


@pytest.mark.parametrize("turn", ["cls", "aln"])
def test_metaaligns_gradient_is_that_of_a_at_theta_and_of_b_at_theta_prime(turn: str) -> None:
    """θ′ made by hand, as weights of a copy of the network."""
    net, method = made("metaalign", turn=turn)
    s, t = tiny_batches(dtype=torch.float64)
    p, params = at(0.4), list(net.parameters())
    (loss,) = method.step(net, s, t, p)
    ours = torch.autograd.grad(loss, params)

    L = {
        "cls": lambda n: method.cls(n, s, {})[0],
        "aln": lambda n: method.aln(n, s, t, p, {})[0],
    }
    first, second = (turn, "aln" if turn == "cls" else "cls")
    at_theta = torch.autograd.grad(L[first](net), params)
    moved = copy.deepcopy(net)
    eta = 0.1 * (1 + 10 * p) ** -0.75
    heads = {id(q) for q in moved.C.parameters()}
    with torch.no_grad():
        for q, g in zip(moved.parameters(), at_theta, strict=True):
            q -= eta * (10 if id(q) in heads else 1) * g
    at_prime = torch.autograd.grad(L[second](moved), list(moved.parameters()))
    for x, a, b in zip(ours, at_theta, at_prime, strict=True):
        torch.testing.assert_close(x, a + b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("turn", ["cls", "aln"])
@pytest.mark.parametrize("bridges", [True, False])
def test_metaalign_that_works_its_first_gradient_out_once_has_the_gradients_of_twice(
    turn: str, bridges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(loss: Tensor, x: list[Tensor], *, keep_graph: bool = False) -> Any:
        return loss, torch.autograd.grad(loss, x, retain_graph=True, allow_unused=True)

    def gradients() -> list[Tensor | None]:
        net, method = made("metaalign", turn=turn, bridges=bridges)
        (loss,) = method.step(net, *tiny_batches(dtype=torch.float64), at(0.4))
        loss.backward()
        return [loss.detach(), *(q.grad for m in (net, method) for q in m.parameters())]

    once = gradients()
    monkeypatch.setattr("methods.metaalign.differentiate", twice)
    for a, b in zip(once, gradients(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_metaalign_takes_turns() -> None:
    s, t = tiny_batches(dtype=torch.float64)
    net, both = made("metaalign")
    for it, turn in enumerate(["cls", "aln", "cls"]):
        _, one = made("metaalign", turn=turn)
        (a,), (b,) = both.step(net, s, t, Progress(it, 10)), one.step(net, s, t, Progress(it, 10))
        assert a.item() == b.item()


def test_uniform_task_weights_make_toalign_dannp() -> None:
    assert same_training(made("toalign", omega="uniform"), made("dannp"))


@pytest.mark.parametrize("heads", [0, 3])
def test_grad_cam_plus_plus_is_what_its_derivatives_of_the_maps_say(heads: int) -> None:
    """Y = e^ŷ_k differentiated three times at every pixel of the maps A of which f is the mean."""
    net, method = made("toalign", omega="grad-cam++", heads=heads)
    net.C = nn.Linear(net.dim, net.classes).double()
    A = torch.rand(3, net.dim, 2, 4, dtype=torch.float64)
    k = torch.tensor([0, 2, 1])
    wanted = torch.empty(3, net.dim, dtype=torch.float64)
    for b, m in product(range(3), range(net.dim)):

        def Y(pixels: torch.Tensor, b: int = b, m: int = m) -> torch.Tensor:
            maps = A[b].index_copy(0, torch.tensor([m]), pixels.view(1, 2, 4))
            return method.logits(net, maps.mean((1, 2))[None])[0][0, k[b]].exp()

        here = A[b, m].flatten()
        first, second, third = (
            torch.stack([_derivative(Y, here, i, n) for i in range(8)]) for n in (1, 2, 3)
        )
        alpha = second / (2 * second + here.sum() * third)
        wanted[b, m] = (alpha * first.relu()).sum()
    f = A.mean((2, 3))
    factor = method.logits(net, f)[0].gather(1, k[:, None]).exp()
    torch.testing.assert_close(factor * method.task_weights(net, f, k), wanted)


def _derivative(
    Y: Callable[[torch.Tensor], torch.Tensor], at: torch.Tensor, i: int, order: int
) -> torch.Tensor:
    """∂ⁿY/∂xᵢⁿ"""
    x = at[i].clone().requires_grad_()
    y = Y(torch.cat([at[:i], x[None], at[i + 1 :]]))
    for _ in range(order):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
    return y.detach()


def test_where_nothing_speaks_for_the_class_the_positive_feature_is_zero() -> None:
    net, method = made("toalign", omega="grad-cam++")
    net.C = nn.Linear(net.dim, net.classes).double()
    nn.init.constant_(net.C.weight, -1.0)
    f = torch.rand(2, net.dim, dtype=torch.float64, requires_grad=True)
    positive = method.positive(net, f, torch.tensor([0, 1]))
    positive.sum().backward()
    assert not positive.any() and f.grad is not None and f.grad.isfinite().all()


def test_dannp_is_dann_that_reads_predictions() -> None:
    """On a network whose F ends in C and softmax, DANN has the loss of DANNP."""
    net, dannp = made("dannp", entropy=False, eps=0.0)
    s, t = tiny_batches(dtype=torch.float64)
    wrapped = Network(
        nn.Sequential(net.F, net.C, nn.Softmax(1)),
        _Log(),
        dim=net.classes,
        classes=net.classes,
        discriminator=lambda n: dannp.D,
    )
    dann = get("dann")(wrapped)
    (a,), (b,) = dannp.step(net, s, t, 0.7), dann.step(wrapped, s, t, 0.7)
    torch.testing.assert_close(a, b)
    wanted = torch.autograd.grad(a, list(net.parameters()))
    for ours, theirs in zip(torch.autograd.grad(b, list(net.parameters())), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("row", ["dann", "dann-0.5", "dann-ramp"])
def test_the_homeworks_three_backward_passes_are_one_summed_loss(row: str) -> None:
    """Source through G_y, source through G_d, target through G_d: their gradients are added up."""
    net, method = made("dann", **suites.find("pacs").by_id[row].hyper)
    s, t = tiny_batches(dtype=torch.float64)
    params = [*net.parameters(), *method.parameters()]
    (loss,) = method.step(net, s, t, at(0.3))
    summed = torch.autograd.grad(loss, params)

    alpha = method.lam * ramp(0.3, method.gamma)
    cross_entropy(net.C(net.F(s.x)), s.y).backward()
    for x, domain in ((s.x, 1.0), (t.x, 0.0)):
        u = method.D(reverse(net.F(x), alpha))
        binary_cross_entropy_with_logits(u, torch.full_like(u, domain)).backward()
    for q, gradient in zip(params, summed, strict=True):
        torch.testing.assert_close(q.grad, gradient)


@pytest.mark.parametrize(("name", "blind"), [("source_only", "target"), ("target_only", "source")])
def test_a_bound_never_sees_the_other_domain(name: str, blind: str) -> None:
    """Not even by the statistics of a batch norm, where both domains share a forward."""
    found = []
    for shift in (0.0, 5.0):
        torch.manual_seed(0)
        F = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12))
        net = Network(
            F, nn.Linear(12, 3), dim=12, classes=3, discriminator=nn.Linear, joint=True
        ).double()
        s, t = tiny_batches(dtype=torch.float64)
        t = Batch(t.x + shift * (blind == "target"), torch.arange(len(t.x)) % 3)
        s = Batch(s.x + shift * (blind == "source"), s.y)
        found.append((descend(get(name)(net), net, s, t, 0.5), net.state_dict()))
    (a, x), (b, y) = found
    assert a == b and all(torch.equal(v, y[k]) for k, v in x.items())


class _Log(nn.Module):
    """Probabilities -> logits with the same softmax."""

    def forward(self, p: torch.Tensor) -> torch.Tensor:
        return p.log()


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("dannp", {}),
        ("hda", {"mu": 0.0}),
        ("toalign", {}),
        ("cdan", {}),
        ("mcc", {}),
        ("bnm", {}),
        ("bsp", {"bsp": 0.0}),
        ("dan", {}),
        ("jan", {}),
    ],
)
def test_without_alignment_only_the_source_is_learnt(name: str, off: dict[str, float]) -> None:
    (net, method), (plain, source) = made(name, weight=0.0, **off), made("source_only")
    for h in getattr(method, "H", ()):
        nn.init.zeros_(h.weight)
    plain.load_state_dict(net.state_dict())
    s, t = tiny_batches(dtype=torch.float64)
    assert descend(method, net, s, t, 0.5) == descend(source, plain, s, t, 0.5)
    for k, v in plain.state_dict().items():
        torch.testing.assert_close(net.state_dict()[k], v)


# discrepancies and regularizers


def losses(*made: tuple[Network, Method], p: float = 0.4) -> list[Tensor]:
    """What each yields on the same batches, with the network and D of the first."""
    (net, first), *others = made
    for other, method in others:
        other.load_state_dict(net.state_dict())
        if hasattr(method, "D") and hasattr(first, "D"):
            method.D.load_state_dict(first.D.state_dict())
    batches = tiny_batches(dtype=torch.float64)
    return [loss for net, m in made for loss in m.step(net, *batches, at(p))]


def test_without_penalty_bsp_is_dann() -> None:
    a, b = losses(made("bsp", bsp=0.0), made("dann"))
    assert torch.equal(a, b)
    assert same_training(made("bsp", bsp=0.0, smooth=0.2), made("dann", smooth=0.2))


@pytest.mark.parametrize("entropy", ["none", "domain", "batch"])
def test_what_is_added_to_cdan_is_the_loss_of_the_other_method(entropy: str) -> None:
    base = {"entropy": entropy}
    plain, zero, bsp, mcc, both = losses(
        made("cdan", **base),
        made("cdan", **base, bsp=0.0, mcc=0.0, smooth=0.0),
        made("cdan", **base, bsp=0.3),
        made("cdan", **base, mcc=0.7, temperature=2.0),
        made("cdan", **base, mcc=0.7, temperature=2.0, bsp=0.3),
    )
    assert torch.equal(plain, zero)
    torch.testing.assert_close(both - plain, (bsp - plain) + (mcc - plain))

    net, _ = made("cdan")
    s, t = tiny_batches(dtype=torch.float64)
    torch.testing.assert_close(bsp - plain, 0.3 * spectral(net.F(s.x), net.F(t.x)))
    alone, confused = losses(made("source_only"), made("mcc", weight=0.7, temperature=2.0))
    torch.testing.assert_close(mcc - plain, confused - alone)


def test_cdan_without_alignment_is_mcc() -> None:
    a, b = losses(made("cdan", weight=0.0, mcc=1.0), made("mcc"))
    assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["dann", "dannp", "cdan", "bsp"])
def test_labels_smoothed_by_a_half_tell_no_domains_apart(name: str) -> None:
    """D's best answer is ½ for all, and the loss keeps its value when the domains change places."""
    plain, zero, half = losses(made(name), made(name, smooth=0.0), made(name, smooth=0.5))
    assert torch.equal(plain, zero) and not torch.equal(plain, half)
    net, method = made(name, smooth=0.5)
    for q in method.D.parameters():
        nn.init.zeros_(q)
    s, t = tiny_batches(dtype=torch.float64)
    (loss,) = method.step(net, s, t, at(0.4))
    for g in torch.autograd.grad(loss, list(method.D.parameters())):
        torch.testing.assert_close(g, torch.zeros_like(g))


@pytest.mark.parametrize("estimate", ["linear", "unbiased", "biased"])
def test_dan_tells_the_domains_apart_where_their_batches_have_two_sizes(
    estimate: Literal["linear", "unbiased", "biased"],
) -> None:
    plain, dan = losses(made("source_only"), made("dan", estimate=estimate))
    net, _ = made("dan")
    s, t = tiny_batches(dtype=torch.float64)
    assert len(s.x) != len(t.x)
    K = gaussians(torch.cat([net.F(s.x), net.F(t.x)]), 5, distinct=estimate == "biased")
    torch.testing.assert_close(dan - plain, mmd(K, len(s.x), estimate))


def test_jan_with_predictions_all_alike_is_dan() -> None:
    """A width σ that is infinite makes their kernel 1."""
    for estimate in ("linear", "unbiased"):
        jan, dan = losses(
            made("jan", sigma=1e200, estimate=estimate), made("dan", estimate=estimate)
        )
        assert torch.equal(jan, dan)


def test_jans_layers_begin_as_the_identity_and_learn_against_the_network() -> None:
    (net, plain), (other, method) = made("jan"), made("jan", adversarial=True)
    a, b = losses((net, plain), (other, method))
    torch.testing.assert_close(a, b)
    ours = torch.autograd.grad(b, [*other.parameters(), *method.parameters()])
    theirs = torch.autograd.grad(a, list(net.parameters()))
    for x, y in zip(ours[: len(theirs)], theirs, strict=True):
        torch.testing.assert_close(x, y)

    with torch.no_grad():  # a step against the gradient makes the loss larger
        for q, g in zip(method.parameters(), ours[len(theirs) :], strict=True):
            q -= 0.01 * g
    (after,) = method.step(other, *tiny_batches(dtype=torch.float64), at(0.4))
    assert after > b
