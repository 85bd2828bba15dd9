from collections.abc import Iterator
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from methods._method import Batch, Method, Network, Within
from methods._parts import fresh, two_heads

Logits = tuple[Tensor, Tensor]


class SWD(Method):
    """A: min L_y; B: min L_y − w·d over C₁, C₂; C: min w·d over F; d = mean (sort p₁θ − sort p₂θ)²
    (Lee et al., CVPR 2019)

    MCD with another d, the sliced Wasserstein distance of both heads' predictions on the target:
    p₁ and p₂ are projected on random unit vectors θ, and the projections of a batch, sorted, are
    compared one by one. Each d has directions of its own. L_y is the sum of the cross-entropies of
    both heads; the mean of their logits predicts.

    The authors published a demonstration on two moons. It works the gradients of A, B and C out at
    the same weights; here each step sees the one before, as in the paper and in MCD.
    """

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        k: Annotated[int, Within(1)] = 1,  # how many steps C
        directions: Annotated[int, Within(1)] = 128,  # how many θ
    ) -> None:
        super().__init__()
        self.C2 = fresh(net.C)
        self.weight, self.k, self.directions = weight, k, directions

    def predict(self, net: Network, x: Tensor) -> Tensor:
        f = net.F(x)
        logits: Tensor = (net.C(f) + self.C2(f)) / 2
        return logits

    def discrepancy(self, y_t: Logits) -> Tensor:
        """d of the logits of both heads, along new random directions."""
        p1, p2 = (y.softmax(1) for y in y_t)
        shape = (p1.shape[1], self.directions)
        theta = normalize(torch.randn(shape, dtype=p1.dtype, device=p1.device), dim=0)
        return ((p1 @ theta).sort(0).values - (p2 @ theta).sort(0).values).square().mean()

    def learn(self, y: Tensor, y_s: Logits) -> Tensor:
        """L_y."""
        return cross_entropy(y_s[0], y) + cross_entropy(y_s[1], y)

    def step(
        self, net: Network, s: Batch, t: Batch, p: float
    ) -> Iterator[Tensor | tuple[Tensor, nn.Module]]:
        x = (s.x, t.x)
        # a domain that a step does not need passes only where both share a forward
        x_s, x_t = (x, x) if net.joint else (x[:1], x[1:])
        y_s, *_ = two_heads(net, self.C2, *x_s)
        yield self.learn(s.y, y_s)
        y_s, y_t = two_heads(net, self.C2, *x)
        L_B = self.learn(s.y, y_s) - self.weight * self.discrepancy(y_t)
        yield L_B, nn.ModuleList([net.C, self.C2])
        for _ in range(self.k):
            *_, y_t = two_heads(net, self.C2, *x_t)
            yield self.weight * self.discrepancy(y_t), net.F
