"""Methods of two stages, of a memory, of a strong view, of statistics: their steps by hand."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import CLASSES, at, descend, state, tiny_batches, tiny_net
from scipy.special import log_softmax, softmax
from torch import Tensor, nn

from bench import nets
from bench.suite.recipe import Recipe
from methods import Batch, Method, Network, Progress, get
from methods._parts import evaluation, unrecorded

S, T = tiny_batches(dtype=torch.float64)


def made(name: str, *, norm: bool = False, **hyper: Any) -> tuple[Network, Method]:
    """norm: with a backbone that begins with a batch norm of the pixels."""
    torch.manual_seed(0)
    net = tiny_net()
    if norm:
        net.F = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 6), nn.Tanh())
    net = net.double()
    return net, get(name)(net, **hyper).double()


def loss_of(name: str, p: Progress, **hyper: Any) -> float:
    net, method = made(name, **hyper)
    out = next(iter(method.step(net, S, T, p)))
    return (out[0] if isinstance(out, tuple) else out).item()


def logits(net: Network, x: Tensor) -> np.ndarray:
    found: np.ndarray = net.C(net.F(x)).detach().numpy()
    return found


def cross_entropy(y: np.ndarray, label: Any) -> np.ndarray:
    found: np.ndarray = -log_softmax(y, axis=1)[np.arange(len(y)), np.asarray(label)]
    return found


def pixels(x: Tensor) -> Tensor:
    """The mean of each pixel."""
    return x.flatten(1).mean(0)


def averaged(*means: Tensor) -> Tensor:
    """What a running mean of momentum 0.1 has become of 0 after these batches, one by one."""
    running = torch.zeros_like(means[0])
    for mean in means:
        running = 0.9 * running + 0.1 * mean
    return running


# what the target adds is nothing, or the source is alone in a first stage


@pytest.mark.parametrize(
    ("name", "first", "off"),
    [
        ("entmin", False, {"weight": 0.0}),
        ("fixmatch", False, {"weight": 0.0}),
        ("fixmatch", False, {"tau": 1.0}),
        ("atdoc", False, {"weight": 0.0, "smooth": 0.0}),
        ("atdoc", False, {"by": "centroids", "weight": 0.0, "smooth": 0.0}),
        ("adabn", False, {}),
        ("shot", True, {"smooth": 0.0}),
        ("adda", True, {}),
    ],
)
def test_it_is_the_source_alone(name: str, first: bool, off: dict[str, Any]) -> None:
    (net, method), (plain, source) = made(name, **off), made("source_only")
    for p in (at(0.0, first=first), at(0.5, first=first)):
        assert descend(method, net, S, T, p) == descend(source, plain, S, T, p)
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in net.state_dict().items())


def test_label_smoothing_leaves_a_share_for_every_class() -> None:
    net, _ = made("source_only")
    log_p = log_softmax(logits(net, S.x), axis=1)
    wanted = np.full((len(S.y), CLASSES), 0.1 / CLASSES)
    wanted[np.arange(len(S.y)), S.y] += 0.9
    smooth = -(wanted * log_p).sum(1).mean()
    assert loss_of("source_only", at(0.5), smooth=0.1) == pytest.approx(smooth, rel=1e-12)
    assert loss_of("shot", at(0.5, first=True)) == pytest.approx(smooth, rel=1e-12)
    assert loss_of("atdoc", at(0.5), weight=0.0) == pytest.approx(smooth, rel=1e-12)


# entropy


def test_the_entropy_of_the_target_is_added() -> None:
    net, _ = made("entmin")
    p = softmax(logits(net, T.x), axis=1)
    wanted = (
        cross_entropy(logits(net, S.x), S.y).mean() - 0.25 * (p * np.log(p + 1e-5)).sum(1).mean()
    )
    assert loss_of("entmin", at(0.5), weight=0.25) == pytest.approx(wanted, rel=1e-12)


# statistics of the target


def test_adabn_normalizes_tests_by_the_target_alone() -> None:
    net, method = made("adabn", norm=True)
    other = replace(T, x=T.x.flip(0) + 1)
    for t in (T, other):
        descend(method, net, S, t, 0.5)
    norm = net.F[1]
    torch.testing.assert_close(norm.running_mean, averaged(pixels(T.x), pixels(other.x)))
    assert norm.num_batches_tracked == 2 and norm.track_running_stats


def test_adabn_takes_its_statistics_at_the_weights_that_tests_use() -> None:
    net, method = made("adabn")
    net.C = nn.Sequential(
        nn.Linear(6, 4), nn.BatchNorm1d(4, momentum=1.0), nn.Linear(4, 3)
    ).double()
    descend(method, net, S, T, 0.5, lr=1.0)
    torch.testing.assert_close(net.C[1].running_mean, net.C[0](net.F(T.x)).mean(0))


def test_what_is_not_recorded_does_not_count_in_a_mean_of_all_batches() -> None:
    norm = nn.BatchNorm1d(2, momentum=None).double()
    a, b = torch.randn(2, 3, 2, dtype=torch.float64)
    with unrecorded(norm):
        torch.testing.assert_close(norm(a).mean(0), torch.zeros(2, dtype=torch.float64))
    norm(b)
    torch.testing.assert_close(norm.running_mean, b.mean(0))


def test_after_an_evaluation_every_module_is_in_the_mode_that_it_was_in() -> None:
    net = nn.Sequential(nn.Dropout(), nn.Dropout().eval(), nn.Linear(2, 2))
    with evaluation(net):
        assert not any(m.training for m in net.modules())
        assert not net(torch.ones(1, 2)).requires_grad
    assert [m.training for m in net.modules()] == [True, True, False, True]


# a strong view


@pytest.mark.parametrize("sure", [0, 2, 4])
def test_fixmatch_teaches_the_strong_view_what_the_plain_one_says(sure: int) -> None:
    net, _ = made("fixmatch")
    p = softmax(logits(net, T.x), axis=1)
    edges = np.sort(p.max(1))[::-1]
    tau = (1.0, *(edges[:-1] + edges[1:]) / 2, 0.0)[sure]
    kept = p.max(1) > tau
    assert kept.sum() == sure
    taught = (cross_entropy(logits(net, T.strong), p.argmax(1)) * kept).sum() / len(p)
    wanted = cross_entropy(logits(net, S.x), S.y).mean() + 3 * taught
    assert loss_of("fixmatch", at(0.5), tau=tau, weight=3.0) == pytest.approx(wanted, rel=1e-12)


def test_fixmatch_predicts_in_training_mode_before_the_others_pass() -> None:
    net, method = made("fixmatch", norm=True)
    descend(method, net, S, T, 0.5)
    wanted = averaged(pixels(T.x), pixels(S.x), pixels(T.strong))
    torch.testing.assert_close(net.F[1].running_mean, wanted)


# ATDOC's memory


def test_atdoc_remembers_what_the_new_weights_make_of_the_batch() -> None:
    net, method = made("atdoc", norm=True)
    before = state(method)
    descend(method, net, S, T, 0.5)
    with evaluation(net):
        f, p = net.F(T.x), net.C(net.F(T.x)).softmax(1)
    torch.testing.assert_close(method.f[T.i], f / f.norm(dim=1, keepdim=True))
    torch.testing.assert_close(method.q[T.i], p**2 / (p**2).sum(0))
    for name, buffer in (("0.f", method.f), ("0.q", method.q)):
        assert torch.equal(buffer[len(T.i) :], before[name][len(T.i) :])
    torch.testing.assert_close(
        net.F[1].running_mean, averaged(pixels(S.x), pixels(T.x)), msg="no third time"
    )


def test_atdocs_neighbors_vote_and_the_image_itself_does_not() -> None:
    """Image 1 and three others; the farthest has no vote."""
    _, method = made("atdoc", k=2)
    method.f.zero_(), method.q.zero_()
    method.f[:5, :2] = torch.tensor([[0.9, 0], [1, 0], [0.8, 0.1], [0.1, 1], [0, 1]])
    method.q[:5] = torch.eye(3)[[0, 1, 0, 2, 2]].double() * torch.tensor(
        [[0.4], [9], [0.2], [9], [9]]
    )
    c, label = method.labels(torch.tensor([[2.0, 0, 0, 0, 0, 0]]).double(), torch.tensor([1]))
    assert label.tolist() == [0] and c.item() == pytest.approx(0.3)


def test_atdocs_sure_labels_weigh_more_and_the_target_counts_with_progress() -> None:
    net, method = made("atdoc", weight=2.0, lead=0.25, smooth=0.0)
    method.q.copy_(torch.rand(method.q.shape) ** 4)
    with torch.no_grad():
        c, label = method.labels(net.F(T.x), T.i)
    assert len(set(c.tolist())) > 1
    each = cross_entropy(logits(net, T.x), label)
    wanted = cross_entropy(logits(net, S.x), S.y).mean() + 2 * 0.75 * np.average(each, weights=c)
    loss = next(iter(method.step(net, S, T, at(0.5))))
    assert loss.item() == pytest.approx(wanted, rel=1e-12)


def test_atdocs_centroids_move_to_the_images_so_predicted_and_shrink_without_any() -> None:
    net, method = made("atdoc", by="centroids", momentum=0.25)
    net.C.bias.data[0] -= 100  # nothing is predicted as class 0
    before = method.f.clone()
    descend(method, net, S, T, 0.5, lr=0.0)
    f, guess = net.F(T.x), net.C(net.F(T.x)).argmax(1)
    torch.testing.assert_close(method.f[0], 0.75 * before[0])
    k = int(guess[0])
    torch.testing.assert_close(method.f[k], 0.75 * before[k] + 0.25 * f[guess == k].mean(0))
    near = nn.functional.cosine_similarity(f[:, None], method.f[None], dim=2)
    c, label = method.labels(f, T.i)
    assert torch.equal(label, near.argmax(1)) and c.tolist() == [1.0] * len(f)


# the second stage of SHOT and ADDA


@pytest.mark.parametrize("name", ["shot", "adda"])
def test_in_the_second_stage_the_classifier_stays_and_the_backbone_learns(name: str) -> None:
    net, method = made(name)
    C, F = state(net.C), state(net.F)
    for p in (0.0, 0.5):
        descend(method, net, S, T, p)
    assert all(torch.equal(v, C[k]) for k, v in state(net.C).items())
    assert not any(torch.equal(v, F[k]) for k, v in state(net.F).items())


def test_shot_sees_no_source_in_its_second_stage() -> None:
    found = []
    for s in (S, replace(S, x=S.x + 1, y=S.y.flip(0))):
        net, method = made("shot", norm=True)
        found.append((descend(method, net, s, T, 0.0), state(net)))
    (a, x), (b, y) = found
    assert a == b and all(torch.equal(v, y[k]) for k, v in x.items())


def labelled(net: Network) -> Tensor:
    """SHOT's pseudo-labels by loops over images and classes."""
    with evaluation(net):
        f = torch.cat([net.F(b.x) for b in T.whole()])
        p = net.C(f).softmax(1).numpy()
    f = np.hstack([f.numpy(), np.ones((len(f), 1))])
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    weights, label = p, p.argmax(1)
    for _ in range(2):
        classes = np.unique(label)
        centers = [weights[:, k] @ f for k in classes]
        cosines = [[x @ c / np.linalg.norm(c) for c in centers] for x in f]
        label = classes[np.argmax(cosines, 1)]
        weights = np.eye(CLASSES)[label]
    return torch.from_numpy(label)


@pytest.mark.parametrize("seed", range(4))
def test_shots_labels_are_those_of_the_nearest_centers(seed: int) -> None:
    net, method = made("shot", norm=True)
    torch.manual_seed(seed)
    nn.init.normal_(net.C.weight, std=3)
    nn.init.normal_(net.C.bias, std=1)
    wanted, before = labelled(net), net.F[1].running_mean.clone()
    assert torch.equal(method.labels(net, T), wanted)
    assert torch.equal(net.F[1].running_mean, before) and net.training


def test_shot_makes_its_labels_when_a_stage_or_a_pass_begins() -> None:
    """Ten target images in batches of four: a pass is two iterations."""
    net, method = made("shot")
    assert net.n_t // len(T.x) == 2
    made_at: list[int] = []

    class Whole:
        def __call__(self) -> Iterator[Batch]:
            made_at.append(it)
            return T.whole()

    t = replace(T, whole=Whole())
    for it in range(9):
        descend(method, net, S, t, Progress(it, 9, 3))
    assert made_at == [3, 4, 6, 8]


def test_shot_wants_sure_predictions_of_all_classes_and_its_labels() -> None:
    net, _ = made("shot")
    y = logits(net, T.x)
    p = softmax(y, axis=1)
    mean, label = p.mean(0), labelled(net)[T.i]
    wanted = -(p * np.log(p + 1e-5)).sum(1).mean() + (mean * np.log(mean + 1e-5)).sum()
    wanted += 0.7 * cross_entropy(y, label).mean()
    assert loss_of("shot", at(0.0), beta=0.7) == pytest.approx(wanted, rel=1e-12)


def test_adda_keeps_the_backbone_of_the_first_stage() -> None:
    net, method = made("adda", norm=True)
    descend(method, net, S, T, at(0.5, first=True))
    wanted = deepcopy(net.F.state_dict())
    for p in (0.0, 0.5):
        method.train()
        descend(method, net, S, T, p)
    kept = method.F_s.state_dict()
    assert all(torch.equal(v, kept[k]) for k, v in wanted.items())
    assert not torch.equal(net.F[1].running_mean, kept["1.running_mean"])


def test_what_adda_keeps_is_not_trained() -> None:
    net, method = made("adda")
    recipe = Recipe(backbone="any", size=2, iterations=4, batch=5, lr=0.1)
    groups = nets.optimizer(net, method, recipe).param_groups
    trained = {id(q) for g in groups for q in g["params"]}
    assert trained == {id(q) for m in (net, method.D) for q in m.parameters()}


def test_adda_is_a_game_about_features_of_the_frozen_and_of_the_present_backbone() -> None:
    """One forward of D for both domains; F's gradient is reversed and ramped, D's is not."""
    net, method = made("adda", lam=2.0, gamma=1.0)
    p, params = at(0.5), [*net.F.parameters()]
    (loss,) = method.step(net, S, T, p)
    a, b = method.D(method.F_s(S.x)), method.D(net.F(T.x))
    plain = (nn.functional.softplus(-a).mean() + nn.functional.softplus(b).mean()) / 2
    assert loss.item() == pytest.approx(plain.item(), rel=1e-12)
    lam = 2 * np.tanh(0.25)
    for x, y in zip(torch.autograd.grad(loss, params, retain_graph=True),
                    torch.autograd.grad(plain, params, retain_graph=True), strict=True):  # fmt: skip
        torch.testing.assert_close(x, -lam * y)
    heads = [*method.D.parameters()]
    for x, y in zip(
        torch.autograd.grad(loss, heads), torch.autograd.grad(plain, heads), strict=True
    ):
        torch.testing.assert_close(x, y)


def test_atdoc_stays_finite_where_a_class_has_no_probability_at_all() -> None:
    _, method = made("atdoc", norm=True)
    i = torch.arange(3)
    p = torch.eye(CLASSES, dtype=torch.float64)[[0, 0, 1]]
    method.renew(torch.randn(3, 6, dtype=torch.float64), p, i)
    assert method.q.isfinite().all()
    torch.testing.assert_close(method.q[:3, 0], torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64))
    assert not method.q[:3, 2].any()
