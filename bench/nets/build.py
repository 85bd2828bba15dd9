"""The network of a recipe, put together."""

from functools import partial

import torch
from torch import nn

from bench.nets import backbones
from bench.nets.backbones import StateDict
from bench.nets.heads import (
    alexnet_classifier,
    alexnet_discriminator,
    bottleneck,
    discriminator,
    head,
)
from bench.nets.weights import fill, has_head
from bench.suite.recipe import Recipe
from methods import Network


def build(recipe: Recipe, classes: int, weights: StateDict | None = None) -> Network:
    """The network of a recipe on the CPU; with a bottleneck, F is the pair (backbone, bottleneck).

    weights: what the backbone is filled with. Raises BenchError if they do not fit.
    """
    backbone = backbones.find_backbone(recipe.backbone)
    F = backbone.build()
    if weights is not None:
        fill(F, weights, backbone.prefix, recipe.backbone)
    if recipe.channels_last:  # convolutions with such weights make such outputs
        F.to(memory_format=torch.channels_last)
    dim = _count_features(F, recipe.pixels)
    if recipe.bottleneck.width:
        F = nn.Sequential(F, bottleneck(dim, recipe.bottleneck))
        dim = recipe.bottleneck.width
    if recipe.head == "layers":
        C = head(dim, classes, recipe.classifier)
        D = partial(discriminator, recipe.discriminator)
    else:
        C = alexnet_classifier(dim, classes)
        D = partial(alexnet_discriminator, C)
        if weights is not None and has_head(weights):
            # all but the last layer, which in the file has the classes of ImageNet
            fill(C[:-1], weights, ("classifier.", ""), recipe.backbone)
    joint = recipe.forward == "joint"
    return Network(F, C, dim=dim, classes=classes, discriminator=D, joint=joint)


def _count_features(F: nn.Module, pixels: int) -> int:
    """How many features F makes of images of that size; its statistics are left as they are."""
    with torch.no_grad():
        F.eval()
        dim: int = F(torch.zeros(1, 3, pixels, pixels)).shape[1]
        F.train()
    return dim
