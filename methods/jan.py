from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import distances, gaussians, mmd, reverse


class JAN(Method):
    """L = L_y + w·d², d² = E k(z_s, z_s′) + E k(z_t, z_t′) − 2 E k(z_s, z_t), z = (f, p)
    (Long et al., ICML 2017)

    p = softmax(C(f)) and k(z, z′) = k_f(f, f′)·k_p(p, p′): it is the joint distribution of features
    and predictions that is aligned. k_f is a sum of Gaussians whose widths follow the mean distance
    in the batch, k_p one Gaussian of fixed width σ.

    adversarial: f and p pass a linear layer θ each, which starts as the identity and learns to make
    d² large (JAN-A). estimate: of d², see `dan`.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        kernels: int = 5,  # how many Gaussians k_f sums, each twice as wide as the one before
        sigma: float = 0.92,  # σ
        estimate: Literal["linear", "unbiased"] = "linear",
        adversarial: bool = False,
    ) -> None:
        super().__init__()
        self.theta = nn.ModuleList()
        for n in (net.dim, net.classes) if adversarial else ():
            layer = nn.Linear(n, n)
            nn.init.eye_(layer.weight), nn.init.zeros_(layer.bias)
            self.theta.append(layer)
        self.weight, self.kernels, self.sigma, self.estimate = weight, kernels, sigma, estimate

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        f_s, f_t = net.features(s.x, t.x)
        y_s, y_t = net.C(f_s), net.C(f_t)
        z = [torch.cat([f_s, f_t]), torch.cat([y_s, y_t]).softmax(1)]
        # reversed twice, the network sees d² as it is; θ, between the two, sees it reversed
        for i, theta in enumerate(self.theta):
            z[i] = reverse(theta(reverse(z[i], 1.0)), 1.0)
        K_p = torch.exp(-distances(z[1]) / (2 * self.sigma * self.sigma))
        d2 = mmd(gaussians(z[0], self.kernels) * K_p, len(f_s), self.estimate)
        yield cross_entropy(y_s, s.y) + self.weight * d2
