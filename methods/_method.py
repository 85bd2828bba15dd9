"""The contract between a method and the loop that runs it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """x: float (B, channels, H, W), normalised. y: int64 (B,); of the target it is None unless `supervised_target`."""

    x: Tensor
    y: Tensor


class Progress(float):
    """p = it/T of a training, in [0, 1), that also knows the iteration `it`, for methods that take turns."""

    it: int

    def __new__(cls, it: int, T: int) -> "Progress":
        p = super().__new__(cls, it / T)
        p.it = it
        return p


class Network(nn.Module):
    """Backbone F: images -> features (B, dim), and classifier C: features -> logits (B, classes).

    `discriminator(n)` makes a fresh D: (B, n) -> one logit (B,), of the shape that the protocol prescribes;
    `discriminator(n, k)` one of k outputs (B, k).
    """

    def __init__(
        self, F: nn.Module, C: nn.Module, *, dim: int, classes: int,
        discriminator: Callable[..., nn.Module], joint: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.F, self.C = F, C
        self.dim, self.classes = dim, classes
        self.discriminator = discriminator
        self.joint = joint

    def features(self, x_s: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """f_s, f_t: by one forward of both batches or by two. Batch norm tells the two apart, so the protocol says which."""
        if not self.joint:
            return self.F(x_s), self.F(x_t)
        f_s, f_t = self.F(torch.cat([x_s, x_t])).split([len(x_s), len(x_t)])
        return f_s, f_t


class Method(nn.Module, ABC):
    """An interface: a method derives from this and nothing derives from the method.

    What it adds to the network (a discriminator, more heads) are its own submodules, made in `__init__(self, net, *, ...)`;
    its hyper-parameters are the keywords there, with the paper's defaults.
    """

    supervised_target: ClassVar[bool] = False
    """Whether target labels reach `step`. True only for upper bounds, and the table says so."""

    @abstractmethod
    def step(self, net: Network, s: Batch, t: Batch, p: Progress) -> Iterator[Tensor | tuple[Tensor, nn.Module]]:
        """Each yield is one optimiser step: `yield loss` steps everything, `yield loss, module` that module alone.

        p: progress of the training, 0 at the first iteration, near 1 at the last. Most methods need no more than its value.
        """

    def predict(self, net: Network, x: Tensor) -> Tensor:
        """Class logits (B, classes) at test time."""
        logits: Tensor = net.C(net.F(x))
        return logits
