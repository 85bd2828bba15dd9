from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import entropy


class AFN(Method):
    """L = CE(y_s) + λ·(L_n(f_s) + L_n(f_t)) + γ·mean H(p_t), L_n = mean (‖f‖ − stopgrad ‖f‖ − Δr)²
    (Xu et al., ICCV 2019)

    That is the stepwise norm (SAFN): its value is always Δr², its gradient makes every feature
    longer. norm = "hard": L_n = (mean ‖f‖ − R)², which pulls the mean length to R (HAFN).

    The authors' H leaves probabilities below 1e-6 out; here they count, by their 1e-5 at most.
    A feature of length 0 has no direction, and no gradient.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        norm: Literal["stepwise", "hard"] = "stepwise",
        weight: float = 0.05,  # λ
        step_length: float = 1.0,  # Δr
        radius: float = 25.0,  # R
        entropy: float = 0.0,  # γ; 0.1 in the authors' SAFN+ENT
        eps: float = 1e-30,  # inside the logarithm of H, to keep it finite; in TLlib 1e-5
    ) -> None:
        super().__init__()
        self.norm, self.weight, self.step_length, self.radius = norm, weight, step_length, radius
        self.entropy, self.eps = entropy, eps

    def L_n(self, f: Tensor) -> Tensor:
        """The penalty on the lengths of features f, (B, dim)."""
        f = f.to(torch.promote_types(f.dtype, torch.float32))
        length: Tensor = torch.linalg.vector_norm(f, dim=1)
        if self.norm == "hard":
            return (length.mean() - self.radius).square()
        return (length - length.detach() - self.step_length).square().mean()

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        f_s, f_t = net.features(s.x, t.x)
        H = entropy(net.C(f_t), self.eps).mean()
        L = self.weight * (self.L_n(f_s) + self.L_n(f_t)) + self.entropy * H
        yield cross_entropy(net.C(f_s), s.y) + L
