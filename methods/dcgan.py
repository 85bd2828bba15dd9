from collections.abc import Iterator
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn.functional import softplus

from methods._method import Batch, Method, Network


class DCGAN(Method):
    """min_D −log D(x) − log(1 − D(G(z))); then min_G −log D(G(z)), with G = F
    (Radford et al., ICLR 2016, section 3)

    D is a probability as a logit d: −log D = softplus(−d), −log(1 − D) = softplus(d). G minimizes
    −log D, because log(1 − D) has almost no gradient while D is sure (Goodfellow et al., NeurIPS
    2014, section 3). z is the target batch; the labels of the source are never read.
    """

    generates: ClassVar[Literal["images"]] = "images"

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.D = net.discriminator(0)

    def step(
        self, net: Network, s: Batch, t: Batch, p: float
    ) -> Iterator[tuple[Tensor, nn.Module]]:
        x, x_g = s.x, net.F(t.x)
        yield softplus(-self.D(x)).mean() + softplus(self.D(x_g.detach())).mean(), self.D
        yield softplus(-self.D(x_g)).mean(), net
