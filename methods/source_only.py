from collections.abc import Iterator
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Within


class SourceOnly(Method):
    """min L_y = CE(C(F(x_s)), y_s): the baseline that never sees the target."""

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        smooth: Annotated[float, Within(0, 1)] = 0.0,  # label smoothing; SHOT and ATDOC have 0.1
    ) -> None:
        super().__init__()
        self.smooth = smooth

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        yield cross_entropy(net.C(net.F(s.x)), s.y, label_smoothing=self.smooth)
