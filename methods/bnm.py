from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import singular_values


class BNM(Method):
    """L = L_y − λ·‖P‖_*/min(B, K), P = softmax(C(f_t)) of B samples and K classes
    (Cui et al., CVPR 2020)

    The nuclear norm ‖P‖_* is the sum of P's singular values. It is large where the predictions are
    sure and their classes many. The paper divides it by B, the authors' code by min(B, K).

    norm: "columns" takes the largest min(B, K) of P's column norms for the singular values (FBNM;
    Cui et al., arXiv:2107.06154); "frobenius" is −λ·‖P‖_F/√min(B, K) (BFM in the authors' code).
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # λ
        norm: Literal["nuclear", "columns", "frobenius"] = "nuclear",
    ) -> None:
        super().__init__()
        self.weight, self.norm = weight, norm

    def of(self, P: Tensor) -> Tensor:
        """The norm of P (B, K), divided as above."""
        m = min(P.shape)
        if self.norm == "nuclear":
            return singular_values(P).mean()
        norms: Tensor = torch.linalg.vector_norm(P, dim=0)  # of the columns
        if self.norm == "columns":
            return norms.topk(m).values.mean()
        return norms.square().sum().div(m).sqrt()

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        f_s, f_t = net.features(s.x, t.x)
        y_s, y_t = net.C(f_s), net.C(f_t)
        P = y_t.to(torch.promote_types(y_t.dtype, torch.float32)).softmax(1)
        yield cross_entropy(y_s, s.y) - self.weight * self.of(P)
