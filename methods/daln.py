from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import confusion, ramp, reverse, singular_values


class DALN(Method):
    """L = L_y − w·(‖P_s‖_*/B_s − ‖P_t‖_*/B_t) + w_c·L_MCC, P = softmax(C(R_λ(f)))
    (Chen et al., CVPR 2022)

    C is its own discriminator. The nuclear norm ‖P‖_* of a batch's predictions (B, K) is large
    where they are sure and of many classes: C makes it large on the source and small on the target,
    and F, whose gradient is reversed, undoes that. With w_c > 0 the class confusion of the target
    (Jin et al., ECCV 2020) is added: the paper's MCC+NWD.
    """

    proof: ClassVar[tuple[str, ...]] = ("training",)

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        confusion: float = 0.0,  # w_c
        temperature: float = 2.5,  # of the softmax in L_MCC
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
    ) -> None:
        super().__init__()
        self.weight, self.confusion, self.temperature = weight, confusion, temperature
        self.lam, self.gamma = lam, gamma

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam = self.lam * ramp(p, self.gamma)
        f_s, f_t = net.features(s.x, t.x)
        y_s = net.C(f_s)
        n_s, n_t = (nuclear(net.C(reverse(f, lam))) / len(f) for f in (f_s, f_t))
        loss = cross_entropy(y_s, s.y) - self.weight * (n_s - n_t)
        if self.confusion:
            loss = loss + self.confusion * confusion(net.C(f_t), self.temperature)
        yield loss


def nuclear(logits: Tensor) -> Tensor:
    """‖softmax(logits)‖_*, the sum of its singular values."""
    p = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1)
    return singular_values(p).sum()
