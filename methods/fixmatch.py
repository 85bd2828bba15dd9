from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Within


class FixMatch(Method):
    """L = L_y + w·(1/B) Σ_{max p_i > τ} CE(C(F(A(x_i))), argmax p_i), p = softmax(C(F(x_t)))
    (Sohn et al., NeurIPS 2020, eq. 3-4)

    A(x) is the strong view of a target image, p the prediction of its plain one, held constant.
    As TLlib adapts it: the labelled images are those of the source, in their plain view; p is
    predicted in training mode, first of all. Where no p exceeds τ the sum is 0.
    """

    needs: ClassVar[tuple[str, ...]] = ("strong_view",)
    proof: ClassVar[tuple[str, ...]] = ("golden",)

    def __init__(
        self,
        net: Network,
        *,
        tau: Annotated[float, Within(0, 1)] = 0.95,  # τ; TLlib has 0.9
        weight: float = 1.0,  # w
    ) -> None:
        super().__init__()
        self.tau, self.weight = tau, weight

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        with torch.no_grad():
            sure, label = net.C(net.F(t.x)).softmax(1).max(1)
        f_s, f_t = net.features(s.x, t.strong)
        L_t = (cross_entropy(net.C(f_t), label, reduction="none") * (sure > self.tau)).mean()
        yield cross_entropy(net.C(f_s), s.y) + self.weight * L_t
