"""What a network looks at: each map beside an independent computation, each promise of the explanation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.images import Images
from bench.data.views import Views
from bench.engine import maps
from bench.engine.maps import Eraser, MapReader, estimate_bytes, explain, grad_cam, grad_cam_pp
from bench.errors import BenchError
from bench.runs.maps import ORDERS, Maps
from bench.suite.recipe import Recipe
from methods import Method, Network, get

CPU = torch.device("cpu")
CHANNELS, SIDE, CLASSES = 5, 4, 3


class Pool(nn.Module):
    """Mean over all places: with a linear C behind it, what a place adds to a logit is known."""

    def forward(self, A: Tensor) -> Tensor:
        return A.mean((2, 3))


def make_net(*, maps_at: str | None = "0") -> tuple[Network, Method]:
    """Maps of 4×4 places, each of its own 2×2 pixels, then their mean, then C without a bias."""
    torch.manual_seed(0)
    F = nn.Sequential(nn.Conv2d(3, CHANNELS, 2, stride=2), Pool())
    C = nn.Linear(CHANNELS, CLASSES, bias=False)
    net = Network(
        F, C, dim=CHANNELS, classes=CLASSES, discriminator=lambda n, k=1: nn.Linear(n, k),
        maps=(maps_at, (CHANNELS, SIDE, SIDE)) if maps_at else None,
    )  # fmt: skip
    method = get("source_only")(net)
    return net.eval(), method.eval()


def make_images(n: int, seed: int = 0) -> Images:
    chance = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (n, 3, 2 * SIDE, 2 * SIDE), dtype=torch.uint8, generator=chance)
    return Images(x, torch.arange(n) % CLASSES)


def see(images: Images) -> Tensor:
    return images.x / 255


VIEWS = Views(Recipe(backbone="small", size=8, iterations=1, batch=2, lr=1.0), CPU, seed=0)


def test_grad_cam_is_what_each_place_adds_to_the_logit() -> None:
    """For a mean and a linear C: Σ_m w_km·A_mij is the class activation map (Zhou et al., 2016)."""
    net, method = make_net()
    y, A = MapReader(net, method).read(see(make_images(6)))
    k = y.argmax(1)
    (g,) = torch.autograd.grad(y.gather(1, k[:, None]).sum(), A)
    W, maps_ = net.C.weight.detach().numpy(), A.detach().numpy()
    for b in range(6):
        added = np.einsum("m,mij->ij", W[k[b]], maps_[b]) / SIDE**2
        assert added.sum() == pytest.approx(float(y[b, k[b]].detach()), rel=1e-4)
        # α is the mean gradient, W/(h·w) at each place: the map is what the place adds
        np.testing.assert_allclose(grad_cam(A, g)[b].detach(), added.clip(0), rtol=1e-4, atol=1e-6)


def test_grad_cam_pp_is_the_papers_quotient_of_derivatives_of_the_exponential() -> None:
    """α of eq. 10 by autograd's own second and third derivatives of Y = e^ŷ_k, place by place."""
    chance = torch.Generator().manual_seed(1)
    A = torch.rand(1, 3, 2, 2, generator=chance, dtype=torch.float64, requires_grad=True)
    w = torch.tensor([2.0, -0.5, 0.7], dtype=torch.float64)

    def score(A: Tensor) -> Tensor:
        return (w * A.mean((2, 3))[0]).sum()

    (g,) = torch.autograd.grad(score(A), A)
    weight = torch.zeros(3, dtype=torch.float64)
    for m, i, j in np.ndindex(3, 2, 2):

        def Y(a: Tensor, at: tuple[int, int, int] = (m, i, j)) -> Tensor:
            moved = A.detach().clone()
            moved[(0, *at)] = 0
            one = torch.zeros_like(moved)
            one[(0, *at)] = 1
            return score(moved + a * one).exp()

        a = A.detach()[0, m, i, j].clone().requires_grad_()
        (d1,) = torch.autograd.grad(Y(a), a, create_graph=True)
        (d2,) = torch.autograd.grad(d1, a, create_graph=True)
        (d3,) = torch.autograd.grad(d2, a)
        alpha = d2 / (2 * d2 + A[0, m].sum() * d3)
        weight[m] += (alpha * d1.relu()).detach()
    expected = torch.einsum("m,mij->ij", weight, A.detach()[0]).relu()
    found = grad_cam_pp(A.detach(), g)[0]
    assert found.all()
    # Y has e^ŷ_k once more in each first derivative: a factor of the whole image
    torch.testing.assert_close(found * score(A).exp().detach(), expected)


def test_a_map_without_any_gradient_is_dark_and_not_nan() -> None:
    A, g = torch.randn(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    assert not grad_cam(A, g).any() and not grad_cam_pp(A, g).any()


def test_maps_are_read_and_replaced_where_they_lie() -> None:
    net, method = make_net()
    reader = MapReader(net, method)
    x, z = see(make_images(4)), see(make_images(4, seed=9))
    y, A = reader.read(x)
    torch.testing.assert_close(y, method.predict(net, x))
    torch.testing.assert_close(A, net.F[0](x))
    torch.testing.assert_close(reader.replace(z, A), y)
    torch.testing.assert_close(method.predict(net, z), reader.read(z)[0])  # no hook is left


def test_what_works_in_place_behind_the_maps_changes_no_gradient() -> None:
    net, method = make_net()
    net.F = nn.Sequential(net.F[0], nn.Sequential(nn.ReLU(inplace=True), Pool()))
    y, A = MapReader(net, method).read(see(make_images(2)))
    (g,) = torch.autograd.grad(y[:, 0].sum(), A)
    expected = net.C.weight[0][None, :, None, None] * (A > 0) / SIDE**2
    torch.testing.assert_close(g, expected)
    torch.testing.assert_close(A, net.F[0](see(make_images(2))))


@pytest.mark.parametrize(
    ("maps_at", "said"), [(None, "not made of maps"), ("2", "predicts without the maps")]
)
def test_where_there_are_no_maps_it_is_said(maps_at: str | None, said: str) -> None:
    net, method = make_net(maps_at=None)
    if maps_at:
        net.F.add_module("2", nn.Identity())
        net.maps, net.F.forward = (maps_at, (1, 1, 1)), lambda x: x.mean((2, 3)).repeat(1, 2)[:, :5]
    with pytest.raises(BenchError, match=said):
        MapReader(net, method).read(see(make_images(1)))


def test_places_are_erased_and_shown_one_after_the_other() -> None:
    """Beside a loop that sets pixels one place after the other."""
    net, method = make_net()
    x = see(make_images(1))
    order = torch.randperm(SIDE**2, generator=torch.Generator().manual_seed(2))[None]
    k = torch.tensor([1])
    found = Eraser(MapReader(net, method), x, k, order, (SIDE, SIDE)).delete()
    erased, expected = x.clone(), []
    for n in range(SIDE**2 + 1):
        if n % 2 == 0:  # 16 places in 8 steps
            expected.append(float(method.predict(net, erased).softmax(1)[0, 1].detach()))
        if n < SIDE**2:
            i, j = divmod(int(order[0, n]), SIDE)
            erased[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = x.mean((2, 3), keepdim=True)
    np.testing.assert_allclose(found[0].detach(), expected, rtol=1e-4)


def test_deletion_begins_where_insertion_ends() -> None:
    found = explained()
    np.testing.assert_allclose(found.deletion[:, :, 0], found.insertion[:, :, -1], rtol=1e-4)
    # all places at once: the order no longer matters
    for curve, at in ((found.deletion, -1), (found.insertion, 0)):
        np.testing.assert_allclose(curve[:, 0, at], curve[:, 2, at], rtol=1e-4)
    shown = [i * maps.CURVES // maps.SHOWN for i in range(maps.SHOWN)]
    np.testing.assert_allclose(found.deletion[shown, 0, 0], found.probability, rtol=1e-4)
    n = len(found.image)
    assert n == maps.SHOWN and found.deletion.shape == (maps.CURVES, len(ORDERS), maps.STEPS + 1)


def explained(source: Images | None = None, target: Images | None = None) -> Maps:
    net, method = make_net()
    return explain(
        net, method, VIEWS, source or make_images(40, seed=1), target or make_images(150), CPU, 7
    )


def test_an_image_of_the_source_is_explained_by_itself() -> None:
    same = make_images(12)
    found = explained(same, same)
    assert found.image.tolist() == list(range(12))
    assert (found.source_image == found.image[:, None]).all()
    assert (found.source_patch == found.patch).all()
    np.testing.assert_allclose(found.similarity, 1, rtol=1e-5)
    assert found.same_by_alike.all()
    assert (found.source_pixels == found.pixels[:, None]).all()
    assert (found.pixels == same.x.numpy()).all()
    assert (found.label == same.y.numpy()).all() and (found.label == found.source_label.T).all()


def test_the_patches_are_the_places_of_the_largest_grad_cam() -> None:
    found = explained()
    for cam, patch, share in zip(found.grad_cam, found.patch, found.share, strict=True):
        flat = cam.reshape(-1)
        assert flat[patch].tolist() == sorted(flat, reverse=True)[:3]
        if flat.any():
            np.testing.assert_allclose(share, flat[patch] / flat.sum(), rtol=1e-4)


def test_the_response_is_the_mean_of_the_maps() -> None:
    found, (net, _) = explained(), make_net()
    A = net.F[0](see(make_images(150)))[torch.from_numpy(found.image)].detach()
    np.testing.assert_allclose(found.response, A.numpy().mean(1), rtol=1e-4, atol=1e-6)


def test_the_nearest_patch_is_the_nearest_of_all() -> None:
    source, target = make_images(40, seed=1), make_images(150)
    found, (net, _) = explained(source, target), make_net()
    with torch.no_grad():
        A_s, A_t = net.F[0](see(source)).numpy(), net.F[0](see(target)).numpy()
    at = np.unravel_index(found.patch, (SIDE, SIDE))
    bank = A_s.transpose(0, 2, 3, 1).reshape(-1, CHANNELS)
    for i, image in enumerate(found.image):
        for t in range(3):
            a = A_t[image, :, at[0][i, t], at[1][i, t]]
            cosine = bank @ a / np.linalg.norm(bank, axis=1) / np.linalg.norm(a)
            best = found.source_image[i, t] * SIDE**2 + found.source_patch[i, t]
            assert cosine[best] == pytest.approx(cosine.max(), rel=1e-5)
            assert found.similarity[i, t] == pytest.approx(cosine.max(), rel=1e-4)


def test_batches_and_torchs_random_numbers_change_nothing() -> None:
    net, method = make_net()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, all_at_once = (
        explain(net, method, VIEWS, make_images(40, seed=1), make_images(30), CPU, n)
        for n in (7, 500)
    )
    assert torch.equal(before, torch.get_rng_state())
    for name in ("patch", "source_image", "prediction", "same_by_chance"):
        assert (getattr(one, name) == getattr(all_at_once, name)).all()
    for name in ("grad_cam_pp", "deletion", "insertion"):
        pair = getattr(one, name), getattr(all_at_once, name)
        np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-7)


def test_the_estimate_is_about_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "maps"
    with path.open("wb") as file:
        explained().write(file)
    told, true = estimate_bytes(2 * SIDE), path.stat().st_size
    assert true <= told <= 1.3 * true


def test_the_small_part_that_is_shown_is_spread_over_the_test_set() -> None:
    found = explained()
    assert found.image.min() < 15 and found.image.max() > 130
