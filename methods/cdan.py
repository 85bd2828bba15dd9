import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import certainty, domain_loss, ramp, reverse, sides


class CDAN(Method):
    """L = L_y + w·L_d(D(R_λ(p ⊗ f))), p = softmax(C(f)) held constant    (Long et al., NeurIPS 2018, eq. 6-9)

    random_dim > 0: (R_f f) ⊙ (R_p p)/√dim, two fixed random maps, in place of the outer product.
    entropy: weigh the samples by 1 + e^(−H(p)): "none"; "domain", normalised over each domain, its gradient reversed, as the
    authors do; "batch", a constant normalised over both, as TLlib does. lead: see HDA; the released D is 1/T ahead.
    """

    R_f: Tensor
    R_p: Tensor

    def __init__(
        self, net: Network, *, weight: float = 1.0, lam: float = 1.0, gamma: float = 10.0, lead: float = 0.0,
        entropy: Literal["none", "domain", "batch"] = "none", random_dim: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.D = net.discriminator(random_dim or net.dim * net.classes)
        self.register_buffer("R_f", torch.randn(net.dim, random_dim))
        self.register_buffer("R_p", torch.randn(net.classes, random_dim))
        self.weight, self.lam, self.gamma, self.lead = weight, lam, gamma, lead
        self.entropy, self.random_dim = entropy, random_dim

    def joint(self, f: Tensor, logits: Tensor) -> Tensor:
        """p ⊗ f as (B, classes·dim), class by class, or its random map (B, random_dim)."""
        p = logits.detach().softmax(1)
        if self.random_dim:
            return (f @ self.R_f) * (p @ self.R_p) / math.sqrt(self.random_dim)
        return (p[:, :, None] * f[:, None]).flatten(1)

    def weights(self, y_s: Tensor, y_t: Tensor, lam: float) -> tuple[Tensor | None, Tensor | None]:
        if self.entropy == "none":
            return None, None
        w_s, w_t = 1 + certainty(y_s, lam), 1 + certainty(y_t, lam)
        if self.entropy == "domain":
            return w_s / w_s.sum().detach(), w_t / w_t.sum().detach()
        mean = (w_s.sum() + w_t.sum()) / 2
        return (w_s / mean).detach(), (w_t / mean).detach()

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam_D, lam_H = (self.lam * ramp(q, self.gamma) for q in (p + self.lead, p))
        f_s, f_t = net.features(s.x, t.x)
        y_s, y_t = net.C(f_s), net.C(f_t)
        d_s, d_t = sides(
            self.D, reverse(self.joint(f_s, y_s), lam_D), reverse(self.joint(f_t, y_t), lam_D)
        )
        yield cross_entropy(y_s, s.y) + self.weight * domain_loss(
            d_s, d_t, *self.weights(y_s, y_t, lam_H)
        )
