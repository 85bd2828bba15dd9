from collections.abc import Iterator
from typing import Annotated

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Within


class PseudoLabel(Method):
    """L = CE(y_s) + a(p)·(1/B) Σ_{max p_t > τ} CE(ŷ_t, argmax p_t)
    (Lee, ICML workshop 2013, eq. 15-16)

    The source alone trains the network first: a(p) is 0 until `start`, then grows linearly until
    `stop`. The labels are those of the present network at every step. The threshold τ, which keeps
    the confident ones, is not in Lee's paper; the DANN practical suggests it.
    """

    def __init__(
        self,
        net: Network,
        *,
        tau: Annotated[float, Within(0, 1)] = 0.95,  # τ
        weight: float = 1.0,  # a from `stop` on
        start: Annotated[float, Within(0, 1)] = 0.3,  # progress at which a begins to grow
        stop: Annotated[float, Within(0, 1)] = 0.6,  # progress at which a has grown
    ) -> None:
        super().__init__()
        self.tau, self.weight, self.start, self.stop = tau, weight, start, stop

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        span = max(self.stop - self.start, 1e-9)  # where `stop` comes no later, a jumps at `start`
        a = self.weight * min(max((p - self.start) / span, 0.0), 1.0)
        f_s, f_t = net.features(s.x, t.x)
        y_s, y_t = net.C(f_s), net.C(f_t)
        sure, label = y_t.detach().softmax(1).max(1)
        L_t = (cross_entropy(y_t, label, reduction="none") * (sure > self.tau)).mean()
        yield cross_entropy(y_s, s.y) + a * L_t
