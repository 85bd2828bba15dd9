import math
from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import frozen, ramp


class SymNets(Method):
    """min over C: L_y(C_s) + L_y(C_t) + L_d; min over F: ½ L_y(q_s) + ½ L_y(q_t) + λ·(L̄_d + H)
    (Zhang et al., CVPR 2019)

    C_s = C and C_t are a classifier for each domain, and q = softmax over the 2K outputs of both: K
    of q_s, K of q_t. L_d = −mean log Σq_s on the source − mean log Σq_t on the target tells the
    domains apart. F wants the opposite: on the source that q_s and q_t name the class alike; on the
    target that both have half the mass, L̄_d = −½ mean log Σq_s − ½ mean log Σq_t, and that H, the
    entropy of q_s + q_t, is small. λ is not a reversal.

    The release takes both gradients of all parameters, and gives the first 159, those of ResNet-50
    before its last layer, the second gradient, and the rest the first. Here C_s and C_t get the
    first, F the second, whatever the backbone.

    The release tests C_s and C_t and reports the better one by target labels. Here both predict
    together, by the mean of their logits.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
        epochs: int = 0,  # λ stays for each of so many equal stretches, as released; 0: for a step
        entropy: bool = True,  # with H
    ) -> None:
        super().__init__()
        self.C_t = nn.Linear(net.dim, net.classes)
        self.lam, self.gamma, self.epochs, self.entropy = lam, gamma, epochs, entropy

    def predict(self, net: Network, x: Tensor) -> Tensor:
        f = net.F(x)
        logits: Tensor = (net.C(f) + self.C_t(f)) / 2
        return logits

    def both(self, net: Network, f: Tensor, call: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
        """The logits of C_s and C_t side by side, (B, 2K)."""
        return torch.cat([call(net.C, f), call(self.C_t, f)], 1)

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        if self.epochs:
            p = math.floor(p * self.epochs + 1e-9) / self.epochs  # p may be a rounding below k/n
        lam, K = self.lam * ramp(p, self.gamma), net.classes
        f_s, f_t = net.features(s.x, t.x)

        z_s, z_t = self.both(net, f_s, on_constants), self.both(net, f_t, on_constants)
        L_y = cross_entropy(z_s[:, :K], s.y) + cross_entropy(z_s[:, K:], s.y)
        L_d = -mass(z_s)[0].mean() - mass(z_t)[1].mean()

        z_s, z_t = self.both(net, f_s, frozen), self.both(net, f_t, frozen)
        L_F = (cross_entropy(z_s, s.y) + cross_entropy(z_s, s.y + K)) / 2
        confusion = -torch.cat(mass(z_t)).mean()
        if self.entropy:
            confusion = confusion + mixed_entropy(z_t).mean()
        yield L_y + L_d + L_F + lam * confusion


def on_constants(module: nn.Module, x: Tensor) -> Tensor:
    """module(x) with x held constant: the module gets a gradient, x gets none."""
    y: Tensor = module(x.detach())
    return y


def mass(z: Tensor) -> tuple[Tensor, Tensor]:
    """log Σq_s and log Σq_t, (B,) each, of logits (B, 2K)."""
    q_s, q_t = z.log_softmax(1).chunk(2, 1)
    return q_s.logsumexp(1), q_t.logsumexp(1)


def mixed_entropy(z: Tensor) -> Tensor:
    """H(q_s + q_t), (B,), of logits (B, 2K)."""
    log_q = torch.logaddexp(*z.log_softmax(1).chunk(2, 1))
    return -(log_q.exp() * log_q).sum(1)
