from collections.abc import Iterator
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Within
from methods._parts import domain_loss, ramp, reverse, sides, spectral


class BSP(Method):
    """L = L_y + w·L_d(D(R_λ(f))) + β·(σ₁(f_s)² + σ₁(f_t)²)    (Chen et al., ICML 2019, DANN+BSP)

    σ₁ is the largest singular value of a batch of features. Alignment raises it at the cost of the
    others, which tell classes apart. CDAN+BSP is `cdan` with its hyper-parameter bsp.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        bsp: float = 1e-4,  # β; TLlib takes 2e-4
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
        smooth: Annotated[float, Within(0, 1)] = 0.0,  # ELS: D's labels are 1 − smooth and smooth
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.dim)
        self.weight, self.bsp, self.smooth = weight, bsp, smooth
        self.lam, self.gamma = lam, gamma

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam = self.lam * ramp(p, self.gamma)
        f_s, f_t = net.features(s.x, t.x)
        d_s, d_t = sides(self.D, reverse(f_s, lam), reverse(f_t, lam))
        L_d = domain_loss(d_s, d_t, smooth=self.smooth)
        L_y = cross_entropy(net.C(f_s), s.y)
        yield L_y + self.weight * L_d + self.bsp * spectral(f_s, f_t)
