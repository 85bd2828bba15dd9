import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Within
from methods._parts import (
    certainty,
    confusion,
    domain_loss,
    outer,
    ramp,
    reverse,
    sides,
    spectral,
)


class CDAN(Method):
    """L = L_y + w·L_d(D(R_λ(p ⊗ f))), p = softmax(C(f))    (Long et al., NeurIPS 2018, eq. 6-9)

    p is held constant. With random_dim D reads (R_f f) ⊙ (R_p p)/√random_dim in place of p ⊗ f,
    where R_f and R_p are fixed random maps.

    What papers add to it: bsp is the weight of the spectral penalty that `bsp` has (CDAN+BSP), mcc
    that of the target's class confusion, which is the loss of `mcc` (CDAN+MCC).

    entropy: how the samples of L_d are weighed. "none": all alike. "domain": by 1 + e^(−H(p)),
    normalized over each domain, its gradient reversed, as in the authors' code. "batch": by the
    same, normalized over both domains and held constant, as in TLlib.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    R_f: Tensor
    R_p: Tensor

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
        lead: float = 0.0,  # progress by which D's λ is ahead of the weights'; as released, 1/T
        entropy: Literal["none", "domain", "batch"] = "none",
        random_dim: Annotated[int, Within(0)] = 0,  # width of the random maps; 0: no maps
        smooth: Annotated[float, Within(0, 1)] = 0.0,  # ELS: D's labels are 1 − smooth and smooth
        bsp: float = 0.0,  # weight of σ₁(f_s)² + σ₁(f_t)²; 1e-4 in BSP's code
        mcc: float = 0.0,  # weight of the class confusion
        temperature: float = 2.5,  # T, of the class confusion
    ) -> None:
        super().__init__()
        self.D = net.discriminator(random_dim or net.dim * net.classes)
        self.register_buffer("R_f", torch.randn(net.dim, random_dim))
        self.register_buffer("R_p", torch.randn(net.classes, random_dim))
        self.weight, self.lam, self.gamma, self.lead = weight, lam, gamma, lead
        self.entropy, self.random_dim, self.smooth = entropy, random_dim, smooth
        self.bsp, self.mcc, self.temperature = bsp, mcc, temperature

    def joint(self, f: Tensor, logits: Tensor) -> Tensor:
        """p ⊗ f, class by class: (B, classes·dim); or its random map: (B, random_dim)."""
        if not self.random_dim:
            return outer(f, logits)
        p = logits.detach().softmax(1)
        return (f @ self.R_f) * (p @ self.R_p) / math.sqrt(self.random_dim)

    def weights(self, y_s: Tensor, y_t: Tensor, lam: float) -> tuple[Tensor | None, Tensor | None]:
        """The weights of source and target samples, (B,) each; None where all weigh alike."""
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
        j_s, j_t = reverse(self.joint(f_s, y_s), lam_D), reverse(self.joint(f_t, y_t), lam_D)
        weights = self.weights(y_s, y_t, lam_H)
        L_d = domain_loss(*sides(self.D, j_s, j_t), *weights, smooth=self.smooth)
        L = cross_entropy(y_s, s.y) + self.weight * L_d
        if self.bsp:
            L = L + self.bsp * spectral(f_s, f_t)
        if self.mcc:
            L = L + self.mcc * confusion(y_t, self.temperature)
        yield L
