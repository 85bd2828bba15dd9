from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network


class TargetOnly(Method):
    """min CE(C(F(x_t)), y_t): the upper bound, supervised on the target's training set."""

    supervised_target: ClassVar[bool] = True

    def __init__(self, net: Network) -> None:
        super().__init__()

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        yield cross_entropy(net.C(net.F(t.x)), t.y)
