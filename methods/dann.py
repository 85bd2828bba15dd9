from collections.abc import Iterator
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Within
from methods._parts import domain_loss, entropy_weights, ramp, reverse, sides


class DANN(Method):
    """E = L_y + w·L_d(D(R_λ(f))), λ(p) = λ₁·(2/(1+e^(−γp)) − 1)
    (Ganin et al., JMLR 2016, eq. 9, 18)

    L_d is the mean over the samples of both domains; w = 2 makes it the sum of eq. 9, which has one
    mean for each domain.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        lam: float = 1.0,  # λ₁; −1 with gamma = inf takes the reversal away, so that F helps D
        gamma: float = 10.0,  # γ; inf holds λ at λ₁ from the start
        lead: float = 0.0,  # added to p for D's λ, not for the entropy weights; in CDAN's code, 1/T
        entropy: bool = False,  # weigh the samples of L_d by e^(−H), as CDAN+E and GVB do
        eps: float = 0.0,  # ε inside the logarithms of L_d
        smooth: Annotated[float, Within(0, 1)] = 0.0,  # ELS: D's labels are 1 − smooth and smooth
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.dim)
        self.weight, self.lam, self.gamma, self.lead = weight, lam, gamma, lead
        self.entropy, self.eps, self.smooth = entropy, eps, smooth

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam_D, lam_H = (self.lam * ramp(q, self.gamma) for q in (p + self.lead, p))
        f_s, f_t = net.features(s.x, t.x)
        y_s = net.C(f_s)
        d_s, d_t = sides(self.D, reverse(f_s, lam_D), reverse(f_t, lam_D))
        w_s, w_t = None, None
        if self.entropy:
            w_s, w_t = entropy_weights(y_s, lam_H), entropy_weights(net.C(f_t), lam_H)
        L_d = domain_loss(d_s, d_t, w_s, w_t, self.eps, self.smooth)
        yield cross_entropy(y_s, s.y) + self.weight * L_d
