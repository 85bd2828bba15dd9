from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import gaussians, mmd


class DAN(Method):
    """L = L_y + w·d², d² = E k(f_s, f_s′) + E k(f_t, f_t′) − 2 E k(f_s, f_t)
    (Long et al., ICML 2015)

    k is a sum of Gaussians whose widths follow the mean distance in the batch. The paper aligns the
    three fully connected layers of AlexNet, each by a d² of its own; here it is the features alone.

    estimate: of d². "linear", as in the paper: over pairs of neighbours in the batch. "unbiased":
    over all pairs of two samples. "biased": over all pairs, those of a sample with itself included,
    while the widths leave these out, as DeepDA has it. TLlib adds 2/(B − 1), without a gradient.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        kernels: int = 5,  # how many Gaussians, each twice as wide (in variance) as the one before
        estimate: Literal["linear", "unbiased", "biased"] = "linear",
    ) -> None:
        super().__init__()
        self.weight, self.kernels, self.estimate = weight, kernels, estimate

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        f_s, f_t = net.features(s.x, t.x)
        K = gaussians(torch.cat([f_s, f_t]), self.kernels, distinct=self.estimate == "biased")
        d2 = mmd(K, len(f_s), self.estimate)
        yield cross_entropy(net.C(f_s), s.y) + self.weight * d2
