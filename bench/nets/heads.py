"""The layers after the backbone: bottleneck, classifier C and the discriminators D of methods."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import cast

from torch import Tensor, nn

from bench.errors import UsageError
from bench.suite.recipe import Bottleneck, Head, Init

DRAW_WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {  # see `Init`
    "kaiming": nn.init.kaiming_normal_,
    "kaiming-100": partial(nn.init.kaiming_normal_, a=100),
    "xavier": nn.init.xavier_normal_,
}


class Squeeze(nn.Module):
    """(B, 1) -> (B,)"""

    def forward(self, x: Tensor) -> Tensor:
        return x.squeeze(1)


class Difference(nn.Module):
    """(B, 2) -> (B,): the second output minus the first.

    Its binary cross-entropy is the cross-entropy of the two outputs.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 1] - x[:, 0]


def head(n_in: int, n_out: int, shape: Head) -> nn.Sequential:
    """Linear layers of a shape, a ReLU after each hidden one: (B, n_in) -> (B, n_out)."""
    layers: list[nn.Module] = []
    for width in shape.hidden:
        layers += _layer(n_in, width, batch_norm=shape.batch_norm, relu=True, dropout=shape.dropout)
        n_in = width
    return _initialized(nn.Sequential(*layers, nn.Linear(n_in, n_out)), shape.init)


def bottleneck(n_in: int, shape: Bottleneck) -> nn.Sequential:
    """One layer: (B, n_in) -> (B, width)."""
    layer = _layer(
        n_in, shape.width, batch_norm=shape.batch_norm, relu=shape.relu, dropout=shape.dropout
    )
    return _initialized(nn.Sequential(*layer), shape.init)


def _layer(
    n_in: int, width: int, *, batch_norm: bool, relu: bool, dropout: float
) -> list[nn.Module]:
    layer: list[nn.Module] = [nn.Linear(n_in, width)]
    layer += [nn.BatchNorm1d(width)] if batch_norm else []
    layer += [nn.ReLU()] if relu else []
    return layer + ([nn.Dropout(dropout)] if dropout else [])


def _initialized(layers: nn.Sequential, init: Init) -> nn.Sequential:
    """The same layers, their weights and biases drawn as the recipe says."""
    if init != "default":
        for linear in (m for m in layers if isinstance(m, nn.Linear)):
            DRAW_WEIGHTS[init](linear.weight)
            nn.init.zeros_(linear.bias)
    return layers


def discriminator(shape: Head, n_in: int, n_out: int = 1) -> nn.Module:
    """A fresh D of the recipe's shape: (B, n_in) -> one logit (B,), or (B, n_out) of more."""
    layers = head(n_in, n_out, shape)
    return layers if n_out > 1 else nn.Sequential(*layers, Squeeze())


def alexnet_classifier(n_in: int, classes: int, width: int = 4096) -> nn.Sequential:
    """The fully connected layers of torchvision's AlexNet: (B, n_in) -> (B, classes).

    They have the numbers that they have there, so that its weights fit.
    """
    return nn.Sequential(
        nn.Dropout(), nn.Linear(n_in, width), nn.ReLU(),
        nn.Dropout(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes),
    )  # fmt: skip


def alexnet_discriminator(C: nn.Sequential, n_in: int, n_out: int = 1) -> nn.Module:
    """A copy of C as it is now, with a fresh last layer: (B, n_in) -> one logit (B,) of the source.

    Raises UsageError if the method's D reads something other than features, or has several outputs:
    then C is not of its shape.
    """
    if n_out > 1 or n_in != cast(nn.Linear, C[1]).in_features:
        raise UsageError(
            'head = "alexnet" makes D of the features alone, '
            f"this method's D reads {n_in} numbers; remove it"
        )
    last = cast(nn.Linear, C[-1])
    outputs = nn.Linear(last.in_features, 2).to(last.weight)
    return nn.Sequential(*deepcopy(C[:-1]), outputs, Difference())
