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
from torch.nn.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    one_hot,
)

from bench.suite import suites
from methods import Batch, Method, Network, Progress, get
from methods._parts import confusion, entropy, gaussians, mmd, ramp, reverse, spectral
from methods.alda import corrected, error, trust
from methods.daln import nuclear


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
        ("alda", {}),
        ("daln", {}),
        ("sdat", {"rho": 0.0}),
        ("mdd", {}),
        ("afn", {}),
        ("coral", {}),
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


# ALDA, SymNets, DALN, SDAT


@pytest.mark.parametrize("classes", [2, 4])
def test_aldas_error_is_the_binary_cross_entropy_of_the_corrected_label(classes: int) -> None:
    """Class by class, with the matrix of the paper: column ŷ of it is the corrected label."""
    g = torch.Generator().manual_seed(0)
    d = torch.randn(6, classes, generator=g, dtype=torch.float64)
    logits = torch.randn(6, classes, generator=g, dtype=torch.float64)
    y = torch.arange(6) % classes
    guess = logits.argmax(1)
    assert 0 < (guess == y).sum() < 6

    xi = d.sigmoid()
    matrix = torch.empty(6, classes, classes, dtype=torch.float64)
    for b, k, guessed in product(range(6), range(classes), range(classes)):
        rest = (1 - xi[b, guessed]) / (classes - 1)
        matrix[b, k, guessed] = xi[b, k] if k == guessed else rest
    c = matrix[torch.arange(6), :, guess]
    torch.testing.assert_close(c.sum(1), torch.ones(6, dtype=torch.float64))

    v = trust(d, logits)
    torch.testing.assert_close(corrected(v, logits), c)
    on_source = one_hot(y, classes).double()
    on_target = (1 - one_hot(guess, classes).double()) / (classes - 1)
    for right, wanted in ((guess == y, on_source), (torch.tensor(False), on_target)):
        by_hand = binary_cross_entropy(c, wanted, reduction="none").sum(1)
        torch.testing.assert_close(error(v, right, classes), by_hand)


def test_without_a_sure_target_image_alda_learns_from_the_source_and_stays_finite() -> None:
    s, t = tiny_batches(dtype=torch.float64)
    found = []
    for shift in (0.0, 1.0):
        net, method = made("alda", threshold=1.0)
        found.append(descend(method, net, s, Batch(t.x + shift, None), 0.5))
        assert all(q.isfinite().all() for m in (net, method) for q in m.parameters())
    assert found[0] == found[1]


def test_aldas_regularization_reaches_d_alone() -> None:
    """Of the source's labels F and C see the cross-entropy alone, where every ŷ is wrong."""
    gradients = []
    for k in (1, 2):
        net, method = made("alda")
        s, t = tiny_batches(dtype=torch.float64)
        guess = net.C(net.F(s.x)).argmax(1)
        y = (guess + k) % net.classes
        (loss,) = method.step(net, Batch(s.x, y), t, at(0.5))
        rest = loss - cross_entropy(net.C(net.F(s.x)), y)
        gradients.append(torch.autograd.grad(rest, [*net.parameters(), *method.parameters()]))
    n = len([*net.parameters()])
    for a, b in zip(gradients[0][:n], gradients[1][:n], strict=True):
        torch.testing.assert_close(a, b)
    assert any(
        not torch.allclose(a, b) for a, b in zip(gradients[0][n:], gradients[1][n:], strict=True)
    )


def test_symnets_whose_classifiers_are_alike_cannot_tell_the_domains_apart() -> None:
    """Then q_s = q_t = p/2: every mass is log ½, and H is that of p."""
    net, method = made("symnets")
    method.C_t.load_state_dict(net.C.state_dict())
    s, t = tiny_batches(dtype=torch.float64)
    (loss,) = method.step(net, s, t, at(0.3))
    y_s, y_t = net.C(net.F(s.x)), net.C(net.F(t.x))
    log2 = torch.tensor(2.0, dtype=torch.float64).log()
    confused = log2 + entropy(y_t, eps=0.0).mean()
    torch.testing.assert_close(loss, 3 * cross_entropy(y_s, s.y) + 3 * log2 + ramp(0.3) * confused)
    assert torch.equal(method.predict(net, s.x), y_s)


def test_symnets_classifiers_are_blind_to_what_f_is_taught_and_f_to_what_they_are() -> None:
    """λ and H are F's alone; the domains' own masses are the classifiers' alone."""
    s, t = tiny_batches(dtype=torch.float64)
    net, method = made("symnets")
    heads = [*net.C.parameters(), *method.C_t.parameters()]
    found = []
    for p in (0.2, 0.8):
        (loss,) = method.step(net, s, t, at(p))
        found.append(torch.autograd.grad(loss, [*heads, *net.F.parameters()]))
    same = [torch.equal(a, b) for a, b in zip(*found, strict=True)]
    assert all(same[: len(heads)]) and not any(same[len(heads) :])
    x = t.x.clone().requires_grad_()  # λ = 0: of the target F learns nothing
    (loss,) = method.step(net, s, Batch(x, None), at(0.0))
    (slope,) = torch.autograd.grad(loss, x)
    assert not slope.any()


def test_symnets_lambda_may_stay_for_an_epoch() -> None:
    s, t = tiny_batches(dtype=torch.float64)

    def loss(p: float, **hyper: Any) -> float:
        net, method = made("symnets", **hyper)
        return next(method.step(net, s, t, at(p))).item()

    assert loss(0.29, epochs=10) == loss(0.2, epochs=10) == loss(0.2) != loss(0.29)
    assert loss(0.29, epochs=100) == loss(0.29), "0.29 · 100 rounds to a little less than 29"


def test_the_nuclear_norm_is_large_for_sure_predictions_of_many_classes() -> None:
    eye = torch.eye(3, dtype=torch.float64)
    assert nuclear(1000 * eye).item() == pytest.approx(3)
    assert nuclear(1000 * eye[[0, 0, 0]]).item() == pytest.approx(3**0.5)
    assert nuclear(0 * eye).item() == pytest.approx(1), "each a third: one singular value of 1"


def test_daln_is_a_game_about_the_nuclear_norms() -> None:
    """C's gradient is that of −(‖P_s‖/B_s − ‖P_t‖/B_t), F's λ times the opposite; MCC is added."""
    s, t = tiny_batches(dtype=torch.float64)
    net, method = made("daln", confusion=0.5)
    (loss,) = method.step(net, s, t, at(0.4))
    y_s, y_t = net.C(net.F(s.x)), net.C(net.F(t.x))
    n_s, n_t = (torch.linalg.matrix_norm(y.softmax(1), "nuc") / len(y) for y in (y_s, y_t))
    plain, game = cross_entropy(y_s, s.y) + confusion(y_t, 2.5) / 2, n_t - n_s
    torch.testing.assert_close(loss, plain + game)
    for part, factor in ((net.C, 1.0), (net.F, -ramp(0.4))):
        of = [
            torch.autograd.grad(x, [*part.parameters()], retain_graph=True)
            for x in (loss, plain, game)
        ]
        for a, b, c in zip(*of, strict=True):
            torch.testing.assert_close(a, b + factor * c)


def test_sdat_that_takes_no_step_ahead_is_cdan() -> None:
    assert same_training(made("sdat", rho=0.0), made("cdan"))


@pytest.mark.parametrize("mcc", [0.0, 1.0])
def test_sdats_gradient_is_that_of_the_worst_weights_at_distance_rho(mcc: float) -> None:
    """θ + ε made by hand, as weights of a copy of the network."""
    net, method = made("sdat", rho=0.3, confusion=mcc)
    s, t = tiny_batches(dtype=torch.float64)
    (loss,) = method.step(net, s, t, at(0.4))
    ours = torch.autograd.grad(loss, [*net.parameters(), *method.parameters()])

    def task(n: Network) -> Tensor:
        return cross_entropy(n.C(n.F(s.x)), s.y) + mcc * confusion(n.C(n.F(t.x)), 2.0)

    slopes = torch.autograd.grad(task(net), [*net.parameters()])
    norm = torch.cat([g.flatten() for g in slopes]).norm()
    worst = copy.deepcopy(net)
    with torch.no_grad():
        for q, g in zip(worst.parameters(), slopes, strict=True):
            q += 0.3 * g / norm
    _, cdan = made("cdan", weight=1.0)
    cdan.D = method.D
    (aligned,) = cdan.step(worst, s, t, at(0.4))
    aligned = aligned - cross_entropy(worst.C(worst.F(s.x)), s.y) + task(worst)
    theirs = torch.autograd.grad(aligned, [*worst.parameters(), *method.parameters()])
    torch.testing.assert_close(loss, aligned)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(("joint", "forwards"), [(True, 2), (False, 4)])
def test_in_a_step_of_sdat_running_statistics_move_twice(joint: bool, forwards: int) -> None:
    net, method = made("sdat")
    net.F, net.joint = (
        nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 6)).double(),
        joint,
    )
    descend(method, net, *tiny_batches(dtype=torch.float64), 0.5)
    assert net.F[1].num_batches_tracked == forwards
