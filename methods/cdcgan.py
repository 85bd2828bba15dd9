from collections.abc import Iterator
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn.functional import softplus

from methods._method import Batch, Method, Network


class CDCGAN(Method):
    """min_D −log D(x, y) − log(1 − D(G(z, y), y)); then min_G −log D(G(z, y), y), with G = F
    (Mirza and Osindero, arXiv 2014, eq. 2)

    The networks and losses are those of `dcgan`. y is the label of the real image x, and what is
    made is to be of that class. D without y cannot tell whether it is.
    """

    generates: ClassVar[Literal["classes"]] = "classes"

    def __init__(
        self,
        net: Network,
        *,
        y_in_D: bool = True,  # whether D sees y
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.classes if y_in_D else 0)
        self.y_in_D = y_in_D

    def step(
        self, net: Network, s: Batch, t: Batch, p: float
    ) -> Iterator[tuple[Tensor, nn.Module]]:
        x, y, x_g = s.x, s.y, net.F(t.x, s.y)
        seen = (y,) if self.y_in_D else ()
        d, d_g = self.D(x, *seen), self.D(x_g.detach(), *seen)
        yield softplus(-d).mean() + softplus(d_g).mean(), self.D
        yield softplus(-self.D(x_g, *seen)).mean(), net
