"""DCGAN's networks: shapes layer by layer, weights, and what a class changes."""

import pytest
import torch
from torch import nn

from bench.errors import UsageError
from bench.nets.dcgan import NOISE, Discriminator, Generator, build_gan, find_width
from bench.suite.recipe import Recipe

WIDTH = 4


def recipe(backbone: str = f"dcgan-{WIDTH}", size: int = 32, **knobs: object) -> Recipe:
    return Recipe(backbone=backbone, size=size, iterations=1, batch=2, lr=0.1, **knobs)


def shapes(net: nn.Sequential, x: torch.Tensor) -> list[tuple[int, ...]]:
    """What each convolution makes."""
    found = []
    for layer in net:
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            found.append(tuple(x.shape[1:]))
    return found


@pytest.mark.parametrize("classes", [0, 10])
def test_each_layer_doubles_the_image_and_halves_the_channels(classes: int) -> None:
    """Figure 1 of the paper, which begins at 4×4, with one doubling less."""
    G, D = Generator(WIDTH, 1, classes), Discriminator(WIDTH, 1, classes)
    z = torch.randn(2, NOISE + classes, 1, 1)
    w = WIDTH
    assert shapes(G.layers, z) == [(4 * w, 4, 4), (2 * w, 8, 8), (w, 16, 16), (1, 32, 32)]
    x = torch.randn(2, 1 + classes, 32, 32)
    assert shapes(D.layers, x) == [(w, 16, 16), (2 * w, 8, 8), (4 * w, 4, 4), (1, 1, 1)]


def test_weights_are_drawn_as_the_paper_says() -> None:
    torch.manual_seed(0)
    for net in (Generator(32, 1, 10), Discriminator(32, 1, 10)):
        convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        weights = torch.cat([m.weight.flatten() for m in convolutions])
        assert abs(weights.mean()) < 1e-3 and abs(weights.std() - 0.02) < 1e-3
        norms = torch.cat([m.weight for m in net.modules() if isinstance(m, nn.BatchNorm2d)])
        assert abs(norms.mean() - 1) < 0.01 and abs(norms.std() - 0.02) < 0.01


def test_pixels_lie_between_minus_one_and_one() -> None:
    x = Generator(WIDTH, 3, 0)(100 * torch.randn(5, NOISE))
    assert x.shape == (5, 3, 32, 32) and x.abs().max() <= 1


def test_a_class_is_more_channels_and_more_noise() -> None:
    """By hand: the layers of a conditional network, given the one-hot vector of y."""
    torch.manual_seed(0)
    G, D, y = Generator(WIDTH, 1, 3).eval(), Discriminator(WIDTH, 1, 3).eval(), torch.tensor([0, 2])
    z, x = torch.randn(2, NOISE), torch.randn(2, 1, 32, 32)
    code = torch.tensor([[1.0, 0, 0], [0, 0, 1]])
    whole = torch.cat([z, code], 1).view(2, -1, 1, 1)
    torch.testing.assert_close(G(z, y), G.layers(whole))
    maps = torch.zeros(2, 3, 32, 32)
    maps[0, 0], maps[1, 2] = 1, 1
    torch.testing.assert_close(D(x, y), D.layers(torch.cat([x, maps], 1)))
    assert not torch.equal(G(z, y), G(z, y.flip(0))) and not torch.equal(D(x, y), D(x, y.flip(0)))


def test_a_recipe_says_how_wide_they_are() -> None:
    assert find_width(recipe("dcgan-32")) == 32
    for conditional in (False, True):
        net = build_gan(recipe(), 10, 1, conditional=conditional)
        assert (net.dim, net.classes) == (NOISE, 10)
        assert net.F.layers[0].in_channels == NOISE + 10 * conditional
        assert net.discriminator(10).layers[0].in_channels == 11


@pytest.mark.parametrize("name", ["resnet50", "dcgan", "dcgan-0", "dcgan-x", "dcgan-12345"])
def test_another_network_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"unknown generator '{name}'; write dcgan-WIDTH"):
        find_width(recipe(name))


@pytest.mark.parametrize("size", [28, 64])
def test_another_size_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match=f"makes images of 32×32 pixels, not of {size}: set size"):
        find_width(recipe(size=size))
    with pytest.raises(UsageError, match="not of 28"):
        find_width(recipe(size=32, crop=28, train_crop="center", test_crop="center"))
