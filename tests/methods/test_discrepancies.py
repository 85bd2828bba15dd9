"""What must hold of MDD, MCD, SWD, AFN and Deep CORAL, whatever the numbers."""

import math
from itertools import permutations

import pytest
import torch
from helpers import at, descend, state, tiny_batches, tiny_net
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from methods import Batch, Method, Network, get
from methods._parts import fresh, log_otherwise, ramp, two_heads
from methods.coral import covariance


def made(name: str, *, joint: bool = False, **hyper: object) -> tuple[Network, Method]:
    torch.manual_seed(0)
    net = tiny_net(joint=joint).double()
    return net, get(name)(net, **hyper).double()


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def batches() -> tuple[Batch, Batch]:
    return tiny_batches(dtype=torch.float64)


# second heads


def test_a_fresh_head_has_the_shape_of_the_classifier_and_weights_of_its_own() -> None:
    C = nn.Sequential(
        nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 3)
    )
    with torch.no_grad():
        for q in C.parameters():
            q.fill_(2.0)
    before = state(C)
    other = fresh(C)
    assert all(torch.equal(v, state(C)[k]) for k, v in before.items())
    assert [type(m) for m in other] == [type(m) for m in C]
    assert [q.shape for q in other.parameters()] == [q.shape for q in C.parameters()]
    assert not any(
        torch.equal(a, b) for a, b in zip(other.parameters(), C.parameters(), strict=True)
    )
    assert torch.equal(other[1].weight, torch.ones(4))


@pytest.mark.parametrize("joint", [True, False])
def test_the_batch_norm_of_two_heads_sees_what_the_networks_sees(joint: bool) -> None:
    F = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12))
    C, C2 = (nn.Sequential(nn.Linear(12, 3), nn.BatchNorm1d(3)) for _ in range(2))
    net = Network(F, C, dim=12, classes=3, discriminator=nn.Linear, joint=joint).double()
    s, t = batches()
    pairs = two_heads(net, C2.double(), s.x, t.x)
    assert [[len(y) for y in pair] for pair in pairs] == [[5, 5], [4, 4]]
    for head in zip(*pairs, strict=True):
        seen = [torch.cat(head)] if joint else head
        for y in seen:
            torch.testing.assert_close(y.mean(0), torch.zeros_like(y[0]), atol=1e-12, rtol=0)


# MDD


@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_the_log_of_one_minus_p_is_that_of_the_formula(eps: float) -> None:
    a, label = 3 * draw(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    q = 1 - a.softmax(1).gather(1, label[:, None])[:, 0]
    torch.testing.assert_close(log_otherwise(a, label, eps), (q + eps).clamp(max=1).log())


def test_a_sure_adversary_has_a_finite_loss_and_a_gradient() -> None:
    a = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)  # 1 − p is 0 in float32
    found = log_otherwise(a, torch.tensor([0]))
    found.sum().backward()
    assert found.item() == pytest.approx(math.log(2) - 200)
    torch.testing.assert_close(a.grad, torch.tensor([[-1.0, 0.5, 0.5]]))


def test_mdds_adversary_is_not_reversed_and_the_network_is() -> None:
    """The gradient is that of CE and of the disparity D apart: A has that of D, F −λ times that."""
    net, mdd = made("mdd", margin=3.0)
    s, t = batches()
    (loss,) = mdd.step(net, s, t, at(0.02))
    lam = 0.1 * ramp(0.02, 100.0)
    L_y = cross_entropy(net.C(net.F(s.x)), s.y)
    f_s, f_t = net.F(s.x), net.F(t.x)
    right = 1 - mdd.A(f_t).softmax(1).gather(1, net.C(f_t).argmax(1, keepdim=True))
    D = 3 * cross_entropy(mdd.A(f_s), net.C(f_s).argmax(1)) - right.log().mean()
    torch.testing.assert_close(loss, L_y + D)
    for module, of_y, of_D in ((net.F, 1, -lam), (net.C, 1, 0), (mdd.A, 0, 1)):
        for q in module.parameters():
            ours, y, d = (
                torch.autograd.grad(
                    x, q, retain_graph=True, materialize_grads=True, allow_unused=True
                )[0]
                for x in (loss, L_y, D)
            )
            torch.testing.assert_close(ours, of_y * y + of_D * d)


# MCD and SWD


@pytest.mark.parametrize("name", ["mcd", "swd"])
@pytest.mark.parametrize("joint", [True, False])
def test_each_step_moves_its_own_part(name: str, joint: bool) -> None:
    net, method = made(name, joint=joint, k=2)
    parts = {"F": net.F, "C": net.C, "C2": method.C2}
    moved, forwards = [], []
    net.F.register_forward_hook(lambda module, x, y: forwards.append(len(y)))
    before = {k: state(m) for k, m in parts.items()}
    for out in method.step(net, *batches(), at(0.5)):
        loss, only = out if isinstance(out, tuple) else (out, None)
        params = [*net.parameters(), *method.parameters()] if only is None else only.parameters()
        params = list(params)
        for q, g in zip(params, torch.autograd.grad(loss, params), strict=True):
            q.data -= 0.1 * g
        now = {k: state(m) for k, m in parts.items()}
        moved.append(
            {k for k in parts if any(not torch.equal(v, before[k][n]) for n, v in now[k].items())}
        )
        before = now
    assert moved == [{"F", "C", "C2"}, {"C", "C2"}, {"F"}, {"F"}]
    assert forwards == ([9, 9, 9, 9] if joint else [5, 5, 4, 4, 4])


def test_mcds_discrepancy_of_three_classes_by_hand() -> None:
    _, mcd = made("mcd")
    p1, p2 = torch.tensor([[0.5, 0.25, 0.25]]), torch.tensor([[0.25, 0.25, 0.5]])
    assert mcd.discrepancy((p1.log(), p2.log())).item() == pytest.approx(0.5 / 3)


def test_mcds_balance_is_least_where_all_classes_are_predicted_alike() -> None:
    _, mcd = made("mcd", balance=1.0)
    y, label = torch.zeros(3, 3, dtype=torch.float64), torch.tensor([0, 1, 2])
    sure = 9 * torch.eye(3, dtype=torch.float64)  # one image each
    even, same = (mcd.learn(label, (y, y), (v, v)).item() for v in (sure, sure[:1].expand(3, 3)))
    assert even == pytest.approx(4 * math.log(3), abs=1e-5) and same > even + 1


@pytest.mark.parametrize("joint", [True, False])
def test_swd_with_mcds_discrepancy_is_mcd(joint: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get("swd"), "discrepancy", get("mcd").discrepancy)
    (net, mcd), (net2, swd) = made("mcd", joint=joint, k=3), made("swd", joint=joint, k=3)
    for p in (0.1, 0.5):
        assert descend(mcd, net, *batches(), p) == descend(swd, net2, *batches(), p)
    assert all(torch.equal(v, state(net2, swd)[k]) for k, v in state(net, mcd).items())


@pytest.mark.parametrize("name", ["mcd", "swd"])
def test_the_heads_predict_together_as_they_would_by_their_sum(name: str) -> None:
    net, method = made(name)
    x = batches()[0].x
    both = net.C(net.F(x)) + method.C2(net.F(x))
    torch.testing.assert_close(2 * method.predict(net, x), both)


def test_swd_compares_the_predictions_of_a_batch_and_not_image_by_image() -> None:
    _, swd = made("swd")
    _, mcd = made("mcd")
    y = draw(5, 3)
    assert swd.discrepancy((y, y.flip(0))).item() == pytest.approx(0, abs=1e-30)
    assert mcd.discrepancy((y, y.flip(0))).item() > 0.01


def test_swd_along_a_direction_is_the_cheapest_way_to_pair_the_images() -> None:
    _, swd = made("swd", directions=1)
    y1, y2 = draw(4, 3), draw(5, 3)[:4] ** 2
    torch.manual_seed(3)
    ours = swd.discrepancy((y1, y2))
    torch.manual_seed(3)
    theta = torch.randn(3, 1, dtype=torch.float64)
    u1, u2 = ((y.softmax(1) @ theta / theta.norm())[:, 0] for y in (y1, y2))
    costs = [(u1[list(order)] - u2).square().mean() for order in permutations(range(4))]
    torch.testing.assert_close(ours, torch.stack(costs).min())


def test_swd_of_one_image_is_a_third_of_the_squared_distance() -> None:
    """The mean of (θ·v)² over all directions of three dimensions is |v|²/3."""
    _, swd = made("swd", directions=100_000)
    y1, y2 = draw(2, 3).split(1)
    wanted = (y1.softmax(1) - y2.softmax(1)).square().sum() / 3
    torch.testing.assert_close(swd.discrepancy((y1, y2)), wanted, rtol=0.02, atol=0)


# AFN and Deep CORAL


def test_the_stepwise_norm_has_one_value_and_makes_every_feature_longer() -> None:
    _, afn = made("afn", step_length=0.7)
    f = draw(4, 6).requires_grad_()
    L = afn.L_n(f)
    (gradient,) = torch.autograd.grad(L, f)
    assert L.item() == pytest.approx(0.49)
    torch.testing.assert_close(gradient, -2 * 0.7 / 4 * f / f.norm(dim=1, keepdim=True))


def test_the_hard_norm_pulls_the_mean_length_to_the_radius() -> None:
    _, afn = made("afn", norm="hard", radius=7.0)
    f = torch.tensor([[3.0, 4.0], [0.0, 1.0]])  # of length 5 and 1
    assert afn.L_n(f).item() == 16.0


@pytest.mark.parametrize("norm", ["stepwise", "hard"])
def test_a_feature_of_length_0_has_a_finite_gradient(norm: str) -> None:
    _, afn = made("afn", norm=norm)
    f = torch.zeros(2, 3, requires_grad=True)
    afn.L_n(f).backward()
    assert torch.equal(f.grad, torch.zeros(2, 3))


def test_afn_adds_the_entropy_of_the_target_alone() -> None:
    (net, plain), (_, sure) = made("afn"), made("afn", entropy=0.3)
    s, t = batches()
    (a,), (b,) = plain.step(net, s, t, at(0.5)), sure.step(net, s, t, at(0.5))
    p = net.C(net.F(t.x)).softmax(1)
    torch.testing.assert_close(b - a, -0.3 * (p * p.log()).sum(1).mean())


def test_the_entropy_of_a_certain_prediction_is_finite() -> None:
    net, afn = made("afn", entropy=0.1)
    net, afn = net.float(), afn.float()
    nn.init.constant_(net.C.bias, 0.0)
    with torch.no_grad():
        net.C.bias[0] = 500.0
    (loss,) = afn.step(net, *tiny_batches(), at(0.5))
    loss.backward()
    assert loss.isfinite() and all(q.grad.isfinite().all() for q in net.parameters())


def test_covariances_are_torchs_and_those_of_the_papers_formula() -> None:
    x = draw(5, 3)
    n, m = len(x), x.sum(0)
    torch.testing.assert_close(covariance(x), torch.cov(x.T))
    torch.testing.assert_close(covariance(x), (x.T @ x - torch.outer(m, m) / n) / (n - 1))


@pytest.mark.parametrize("of", ["features", "logits"])
def test_deep_coral_by_hand(of: str) -> None:
    net, coral = made("coral", weight=2.0, of=of)
    s, t = batches()
    (loss,) = coral.step(net, s, t, at(0.5))
    f_s, f_t = net.F(s.x), net.F(t.x)
    u_s, u_t = (f_s, f_t) if of == "features" else (net.C(f_s), net.C(f_t))
    d = u_s.shape[1]
    distance = (torch.cov(u_s.T) - torch.cov(u_t.T)).norm() ** 2 / (4 * d**2)
    torch.testing.assert_close(loss, cross_entropy(net.C(f_s), s.y) + 2 * distance)


def test_deep_coral_does_not_see_where_the_means_are() -> None:
    x = draw(5, 3)
    torch.testing.assert_close(covariance(x + 10), covariance(x))
