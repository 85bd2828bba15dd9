from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import fresh, log_otherwise, ramp, reverse, sides


class MDD(Method):
    """L = CE(y_s) + w·(γ·CE(a_s, ŷ_s) − mean log(1 − softmax(a_t)_ŷ)), a = A(R_λ(f)), ŷ = argmax y
    (Zhang et al., ICML 2019, section 5)

    The adversary A is a second head of C's shape. On the source it learns to answer as C does, on
    the target to answer otherwise; F is trained against both. What C answers is held constant.

    log(1 − p) is worked out from the logits, so that it is finite where p rounds to 1; the released
    code has an infinite loss there.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        margin: float = 4.0,  # γ, of which log γ is the margin; as released, 2 on Office-Home
        lam: float = 0.1,  # λ at the end of its ramp
        gamma: float = 100.0,  # how steeply λ rises; as released, for 100,000 iterations
        lead: float = 0.0,  # progress by which λ is ahead; as released, 1/T
        eps: float = 0.0,  # log(min(1 − p + ε, 1)) in place of log(1 − p); in TLlib 1e-6
    ) -> None:
        super().__init__()
        self.A = fresh(net.C)
        self.weight, self.margin, self.eps = weight, margin, eps
        self.lam, self.gamma, self.lead = lam, gamma, lead

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam = self.lam * ramp(p + self.lead, self.gamma)
        f_s, f_t = net.features(s.x, t.x)
        y_s, y_t = net.C(f_s), net.C(f_t)
        a_s, a_t = sides(self.A, reverse(f_s, lam), reverse(f_t, lam))
        L_s = cross_entropy(a_s, y_s.argmax(1))
        L_t = -log_otherwise(a_t, y_t.argmax(1), self.eps).mean()
        yield cross_entropy(y_s, s.y) + self.weight * (self.margin * L_s + L_t)
