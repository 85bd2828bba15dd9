"""The network of a recipe, put together."""

from functools import partial

import torch
from torch import nn

from bench.nets import backbones
from bench.nets.backbones import State
from bench.nets.heads import (
    alexnet_classifier,
    alexnet_discriminator,
    bottleneck,
    discriminator,
    head,
)
from bench.nets.weights import fill, holds_head
from bench.suite.recipe import Recipe
from methods import Network


def build(recipe: Recipe, classes: int, weights: State | None = None) -> Network:
    """The network of a recipe, on the CPU, its backbone holding `weights` when they are given. Raises BenchError.

    With a bottleneck F is the pair (backbone, bottleneck).
    """
    backbone = backbones.find(recipe.backbone)
    F = backbone.build()
    if weights is not None:
        fill(F, weights, backbone.prefix, recipe.backbone)
    if recipe.channels_last:  # convolutions whose weights lie so make what they are given lie so
        F.to(memory_format=torch.channels_last)
    dim = _width(F, recipe.pixels)
    if recipe.bottleneck.width:
        F, dim = nn.Sequential(F, bottleneck(dim, recipe.bottleneck)), recipe.bottleneck.width
    joint = recipe.forward == "joint"
    if recipe.head == "layers":
        C, D = head(dim, classes, recipe.classifier), partial(discriminator, recipe.discriminator)
        return Network(F, C, dim=dim, classes=classes, discriminator=D, joint=joint)
    C = alexnet_classifier(dim, classes)
    if weights is not None and holds_head(weights):
        fill(
            C[:-1], weights, ("classifier.", ""), recipe.backbone
        )  # the last layer has their classes
    return Network(
        F, C, dim=dim, classes=classes, discriminator=partial(alexnet_discriminator, C), joint=joint
    )


def _width(F: nn.Module, pixels: int) -> int:
    """How many features F makes of images of that size; its statistics stay untouched."""
    with torch.no_grad():
        F.eval()
        dim: int = F(torch.zeros(1, 3, pixels, pixels)).shape[1]
        F.train()
    return dim
