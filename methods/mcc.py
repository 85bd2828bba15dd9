from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import confusion


class MCC(Method):
    """L = L_y + μ·1/C Σ_{i≠j} M_ij/Σ_k M_ik, M = Σ_n w_n p_n p_nᵀ, p = softmax(C(f_t)/T)
    (Jin et al., ECCV 2020)

    M_ij tells how much the target's predictions mix class i up with class j; surer samples weigh
    more, by w = 1 + e^(−H(p)), which is held constant. Nothing is aligned.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # μ
        temperature: float = 2.5,  # T
    ) -> None:
        super().__init__()
        self.weight, self.temperature = weight, temperature

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        f_s, f_t = net.features(s.x, t.x)
        L_t = confusion(net.C(f_t), self.temperature)
        yield cross_entropy(net.C(f_s), s.y) + self.weight * L_t
