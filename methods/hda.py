from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Within
from methods._parts import domain_loss, entropy_weights, heuristics, ramp, reverse, sides


class HDA(Method):
    """L = CE(ŷ_s) + w·L_d(D(R_λ(softmax ŷ))) + μ·mean|z|    (Cui et al., NeurIPS 2020)

    ŷ = C(f) − z, z = Σ_j H_j(f). The heuristics H_j take from the logits what belongs to one domain
    only. The samples of L_d are weighed by e^(−H).
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        mu: float = 1.0,  # μ
        heads: Annotated[int, Within(1)] = 3,  # how many heuristics
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
        lead: float = 0.0,  # progress by which D's λ is ahead of the weights'; as released, 1/T
        eps: float = 1e-8,  # ε inside the logarithms of L_d
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.classes)
        self.H = heuristics(net.dim, net.classes, heads)
        self.weight, self.mu = weight, mu
        self.lam, self.gamma, self.lead, self.eps = lam, gamma, lead, eps

    def z(self, f: Tensor) -> Tensor:
        """z of features f, (B, classes)."""
        return torch.stack([h(f) for h in self.H]).sum(0)

    def predict(self, net: Network, x: Tensor) -> Tensor:
        f = net.F(x)
        logits: Tensor = net.C(f) - self.z(f)
        return logits

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam_D, lam_H = (self.lam * ramp(q, self.gamma) for q in (p + self.lead, p))
        f_s, f_t = net.features(s.x, t.x)
        z_s, z_t = self.z(f_s), self.z(f_t)
        y_s, y_t = net.C(f_s) - z_s, net.C(f_t) - z_t

        d_s, d_t = sides(self.D, reverse(y_s.softmax(1), lam_D), reverse(y_t.softmax(1), lam_D))
        w_s, w_t = entropy_weights(y_s, lam_H), entropy_weights(y_t, lam_H)
        L_d = domain_loss(d_s, d_t, w_s, w_t, self.eps)
        L_z = torch.cat([z_s, z_t]).abs().mean()
        yield cross_entropy(y_s, s.y) + self.weight * L_d + self.mu * L_z
