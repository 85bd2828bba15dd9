from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import changed, domain_loss, entropy, ramp, reverse, sides


class TADA(Method):
    """L = L_y + γ·L_h + L_g + L_l, h_k = (1 + w_k)·f_k, w_k = 1 − H(d_k), m = 1 + H(d)
    (Wang et al., AAAI 2019)

    Local attention: every region k of the last feature maps has a discriminator of its own, and
    L_l is the mean of their losses. Where it tells the domains apart, w_k is large: the features of
    h, not of f, go on to the rest of F. Global attention: L_g is the loss of D on the features,
    L_h = mean of m·H(p) over the images of both domains. All discriminators read R_λ of what they
    read. d and d_k are their two probabilities.

    From the paper's text: its equations, as a summary of it quotes them. It leaves open how λ rises
    (here as in DANN) and whether w and m are differentiated (here they are held constant).

    Left out: a backbone without maps (`Network.maps` is None, as for a transformer) has no local
    attention. Without a joint forward, the discriminators of regions see one domain at a time.
    """

    proof: ClassVar[tuple[str, ...]] = ("identity",)
    origin: ClassVar[str] = "the paper's equations, as a summary quotes them"

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # of L_g + L_l
        ent: float = 0.1,  # γ
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.dim)
        self.place, (channels, height, width) = net.maps or ("", (0, 0, 0))  # "" is F itself
        self.D_k = nn.ModuleList(net.discriminator(channels) for _ in range(height * width))
        self.weight, self.ent, self.lam, self.gamma = weight, ent, lam, gamma

    def attend(self, f: Tensor, lam: float, logits: list[Tensor]) -> Tensor:
        """h of maps f. The list gets what the discriminators of regions say, (B, K)."""
        if not self.D_k:
            return f
        regions = zip(self.D_k, reverse(f, lam).flatten(2).unbind(2), strict=True)
        logits.append(torch.stack([D(region) for D, region in regions], 1))
        w = 1 - uncertainty(logits[-1].detach())
        return f + w.to(f.dtype).view(len(f), 1, *f.shape[2:]) * f

    def predict(self, net: Network, x: Tensor) -> Tensor:
        with changed(net.F.get_submodule(self.place), lambda f: self.attend(f, 0.0, [])):
            logits: Tensor = net.C(net.F(x))
        return logits

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam, logits = self.lam * ramp(p, self.gamma), list[Tensor]()
        with changed(net.F.get_submodule(self.place), lambda f: self.attend(f, lam, logits)):
            f_s, f_t = net.features(s.x, t.x)
        y_s, y_t = net.C(f_s), net.C(f_t)

        d_s, d_t = sides(self.D, reverse(f_s, lam), reverse(f_t, lam))
        L_d = domain_loss(d_s, d_t)
        if logits:
            u_s, u_t = torch.cat(logits).split([len(s.x), len(t.x)])
            L_d = L_d + domain_loss(u_s, u_t)  # the mean over regions, as over images
        m = 1 + uncertainty(torch.cat([d_s, d_t]).detach())
        L_h = (m * entropy(torch.cat([y_s, y_t]))).mean()
        yield cross_entropy(y_s, s.y) + self.ent * L_h + self.weight * L_d


def uncertainty(u: Tensor) -> Tensor:
    """H of the two probabilities σ(u) and 1 − σ(u), of u's shape: from 0 to log 2."""
    return entropy(torch.stack([u.flatten(), torch.zeros_like(u).flatten()], 1)).view(u.shape)
