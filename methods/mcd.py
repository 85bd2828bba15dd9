from collections.abc import Iterator
from typing import Annotated, ClassVar

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Within
from methods._parts import fresh, two_heads

Logits = tuple[Tensor, Tensor]


class MCD(Method):
    """A: min L_y; B: min L_y − w·d over C₁, C₂; C: min w·d over F; d = mean|p₁ − p₂| on the target
    (Saito et al., CVPR 2018, section 3.3)

    One iteration takes the steps A, B and k times C, each with forwards of its own. L_y is the sum
    of the cross-entropies of both heads; p₁ and p₂ are their softmax. The mean of their logits
    predicts, as the authors' ensemble does, which is their sum.

    balance: TLlib adds −mean_k log(mean_n p_nk + 1e-6) of each head to L_y, which is least where
    all classes are predicted equally often on the target.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w; in TLlib 30 on Office-Home
        k: Annotated[int, Within(1)] = 4,  # how many steps C
        balance: float = 0.0,  # weight of TLlib's term; there 0.01
    ) -> None:
        super().__init__()
        self.C2 = fresh(net.C)
        self.weight, self.k, self.balance = weight, k, balance

    def predict(self, net: Network, x: Tensor) -> Tensor:
        f = net.F(x)
        logits: Tensor = (net.C(f) + self.C2(f)) / 2
        return logits

    def discrepancy(self, y_t: Logits) -> Tensor:
        """d of the logits of both heads."""
        p1, p2 = (y.softmax(1) for y in y_t)
        return (p1 - p2).abs().mean()

    def learn(self, y: Tensor, y_s: Logits, y_t: Logits | None = None) -> Tensor:
        """L_y, with TLlib's term if that has a weight."""
        L_y = cross_entropy(y_s[0], y) + cross_entropy(y_s[1], y)
        if y_t is None or not self.balance:
            return L_y
        H1, H2 = (-(v.softmax(1).mean(0) + 1e-6).log().mean() for v in y_t)
        return L_y + self.balance * (H1 + H2)

    def step(
        self, net: Network, s: Batch, t: Batch, p: float
    ) -> Iterator[Tensor | tuple[Tensor, nn.Module]]:
        x = (s.x, t.x)
        # a domain that a step does not need passes only where both share a forward
        x_s, x_t = (x, x) if net.joint else (x[:1], x[1:])
        yield self.learn(s.y, *two_heads(net, self.C2, *(x if self.balance else x_s)))
        y_s, y_t = two_heads(net, self.C2, *x)
        L_B = self.learn(s.y, y_s, y_t) - self.weight * self.discrepancy(y_t)
        yield L_B, nn.ModuleList([net.C, self.C2])
        for _ in range(self.k):
            *_, y_t = two_heads(net, self.C2, *x_t)
            yield self.weight * self.discrepancy(y_t), net.F
