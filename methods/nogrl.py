import math
from collections.abc import Iterator
from typing import ClassVar, Literal

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import domain_loss, frozen, sides


class NoGRL(Method):
    """E = α·L_y + (1−α)·(L_d + L_c), α(p) = 1/(1+e^(−γp))
    (Serieys and Cherif, ESANN 2020, eq. 1-3)

    L_d is the binary cross-entropy of D, L_c the same with the domain labels flipped.

    reading: "separate" lets L_d reach D only and L_c reach F only, as the text says ("applied on
    domain classifier only", "on feature extractor only"). "literal" differentiates eq. 3 as
    printed, where both terms reach both.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden",)

    def __init__(
        self,
        net: Network,
        *,
        gamma: float = 10.0,  # γ
        reading: Literal["separate", "literal"] = "separate",
        per_domain: bool = False,  # add both domains' means, as Ganin does; eq. 1 has one mean
        source_label: Literal[0, 1] = 1,  # the domain label of the source; the text leaves it open
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.dim)
        self.gamma, self.literal = gamma, reading == "literal"
        self.scale = 2.0 if per_domain else 1.0
        # BCE(u, 1−d) = BCE(−u, d): to flip a label is to flip the logit
        self.sign = 1 if source_label == 1 else -1

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        alpha = 1 / (1 + math.exp(-self.gamma * p))
        f_s, f_t = net.features(s.x, t.x)
        L_y = cross_entropy(net.C(f_s), s.y)

        d_s, d_t = sides(self.D, *((f_s, f_t) if self.literal else (f_s.detach(), f_t.detach())))
        c_s, c_t = (d_s, d_t) if self.literal else sides(lambda f: frozen(self.D, f), f_s, f_t)
        L_d = self.scale * domain_loss(self.sign * d_s, self.sign * d_t)
        L_c = self.scale * domain_loss(-self.sign * c_s, -self.sign * c_t)

        yield alpha * L_y + (1 - alpha) * (L_d + L_c)
