"""The network of a recipe, put together."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from bench.errors import UsageError
from bench.nets import backbones
from bench.nets.heads import (
    alexnet_classifier,
    alexnet_discriminator,
    bottleneck,
    discriminator,
    head,
)
from bench.nets.namings import StateDict
from bench.nets.weights import fill, has_head
from bench.suite.recipe import Recipe
from methods import Network


def build(recipe: Recipe, classes: int, weights: StateDict | None = None) -> Network:
    """The network of a recipe on the CPU; with a bottleneck, F is the pair (backbone, bottleneck).

    weights: what the backbone is filled with. Raises BenchError if they do not fit.
    """
    backbone = backbones.find_backbone(recipe)
    with _fitting(recipe):
        F = backbone.build()
    if weights is not None:
        fill(F, weights, backbone, recipe.backbone)
    if recipe.channels_last:  # convolutions with such weights make such outputs
        F.to(memory_format=torch.channels_last)
    with _fitting(recipe):
        dim, maps = _look_inside(F, recipe.pixels)
    if recipe.bottleneck.width:
        F = nn.Sequential(F, bottleneck(dim, recipe.bottleneck))
        dim = recipe.bottleneck.width
        maps = maps and (f"0.{maps[0]}", maps[1])
    if recipe.head == "layers":
        C = head(dim, classes, recipe.classifier)
        D = partial(discriminator, recipe.discriminator)
    else:
        C = alexnet_classifier(dim, classes)
        D = partial(alexnet_discriminator, C)
        if weights is not None and has_head(weights):
            # all but the last layer, which in the file has the classes of ImageNet
            heads = replace(backbone, prefix=("classifier.", ""))
            fill(C[:-1], weights, heads, recipe.backbone)
    joint = recipe.forward == "joint"
    return Network(F, C, dim=dim, classes=classes, discriminator=D, joint=joint, maps=maps)


Maps = tuple[str, tuple[int, int, int]]


def _look_inside(F: nn.Module, pixels: int) -> tuple[int, Maps | None]:
    """How many features F makes of images of that size, and its last maps (see `Network`).

    Its statistics are left as they are.
    """
    last: Maps | None = None

    def watch(name: str, module: nn.Module, out: object) -> None:
        nonlocal last
        if isinstance(out, torch.Tensor) and out.dim() == 4 and out.shape[2:].numel() > 1:
            last = name, (out.shape[1], out.shape[2], out.shape[3])
        elif any(True for _ in module.parameters(recurse=False)):
            last = None  # what is learnt behind them makes other features of them

    hooks = [
        module.register_forward_hook(lambda module, _, out, name=name: watch(name, module, out))
        for name, module in F.named_modules()
        if name
    ]
    with torch.no_grad():
        F.eval()
        shape = F(torch.zeros(1, 3, pixels, pixels)).shape
        F.train()
    for hook in hooks:
        hook.remove()
    if len(shape) != 2:
        raise ValueError(f"it makes {tuple(shape)} of an image, not a row of features")
    dim: int = shape[1]
    # of other numbers they are no maps: some transformers have their channels last
    return dim, last if last and dim in (last[1][0], math.prod(last[1])) else None


@contextmanager
def _fitting(recipe: Recipe) -> Iterator[None]:
    """Raises UsageError where a backbone does not take images of the recipe's size."""
    try:
        yield
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as e:
        reason = " ".join(str(e).split())[:200] or type(e).__name__
        raise UsageError(
            f"{recipe.backbone} takes no images of {recipe.pixels} pixels ({reason}): "
            "change size, or crop where there is one"
        ) from e
