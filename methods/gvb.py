from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import domain_loss, entropy_weights, kaiming, ramp, reverse, sides


class GVB(Method):
    """L = CE(ŷ_s) + w·L_d(a − z) + μ_G·mean|g| + μ_D·mean|z|    (Cui et al., CVPR 2020, GVB-GD)

    ŷ = C(f) − g(f), (a, z) = D(R_λ(softmax ŷ)). g and z are the gradually vanishing bridges of the
    generator and of the discriminator. The samples of L_d are weighed by e^(−H).
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        mu_g: float = 1.0,  # μ_G; 0 takes g away, as released
        mu_d: float = 1.0,  # μ_D; z is subtracted only if this is 1, as released
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
        lead: float = 0.0,  # progress by which D's λ is ahead of the weights'; as released, 1/T
        eps: float = 1e-8,  # ε inside the logarithms of L_d
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.classes, 2)
        self.g = kaiming(nn.Linear(net.dim, net.classes))
        self.weight, self.mu_g, self.mu_d = weight, mu_g, mu_d
        self.lam, self.gamma, self.lead, self.eps = lam, gamma, lead, eps

    def logits(self, net: Network, f: Tensor) -> tuple[Tensor, Tensor]:
        """ŷ and g of features f, (B, classes) each."""
        g = self.g(f)
        return net.C(f) - (g if self.mu_g else 0 * g), g

    def predict(self, net: Network, x: Tensor) -> Tensor:
        return self.logits(net, net.F(x))[0]

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam_D, lam_H = (self.lam * ramp(q, self.gamma) for q in (p + self.lead, p))
        f_s, f_t = net.features(s.x, t.x)
        (y_s, g_s), (y_t, g_t) = self.logits(net, f_s), self.logits(net, f_t)

        d_s, d_t = sides(self.D, reverse(y_s.softmax(1), lam_D), reverse(y_t.softmax(1), lam_D))
        u_s, u_t = ((d[:, 0] - d[:, 1]) if self.mu_d == 1 else d[:, 0] for d in (d_s, d_t))
        w_s, w_t = entropy_weights(y_s, lam_H), entropy_weights(y_t, lam_H)
        L_d = domain_loss(u_s, u_t, w_s, w_t, self.eps)
        L_g, L_z = torch.cat([g_s, g_t]).abs().mean(), torch.cat([d_s, d_t])[:, 1].abs().mean()
        yield cross_entropy(y_s, s.y) + self.weight * L_d + self.mu_g * L_g + self.mu_d * L_z
