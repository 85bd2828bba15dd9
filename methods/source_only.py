from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network


class SourceOnly(Method):
    """min L_y = CE(C(F(x_s)), y_s): the baseline that never sees the target."""

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        smooth: float = 0.0,  # label smoothing; 0.1 in the baselines of SHOT and ATDOC
    ) -> None:
        super().__init__()
        self.smooth = smooth

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        yield cross_entropy(net.C(net.F(s.x)), s.y, label_smoothing=self.smooth)
