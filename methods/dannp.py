from collections.abc import Iterator
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Within
from methods._parts import domain_loss, entropy_weights, ramp, reverse, sides


class DANNP(Method):
    """L = L_y + w·L_d(D(R_λ(p))), p = softmax(C(f))
    (Wei et al., NeurIPS 2021, the baseline DANNP)

    D reads predictions in place of features. p is not detached: the reversed gradient passes
    through softmax, classifier and backbone.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
        entropy: bool = True,  # weigh the samples of L_d by e^(−H(p)), as the released ToAlign does
        eps: float = 1e-8,  # ε inside the logarithms of L_d
        smooth: Annotated[float, Within(0, 1)] = 0.0,  # ELS: D's labels are 1 − smooth and smooth
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.classes)
        self.weight, self.lam, self.gamma = weight, lam, gamma
        self.entropy, self.eps, self.smooth = entropy, eps, smooth

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam = self.lam * ramp(p, self.gamma)
        f_s, f_t = net.features(s.x, t.x)
        y_s, y_t = net.C(f_s), net.C(f_t)
        d_s, d_t = sides(self.D, reverse(y_s.softmax(1), lam), reverse(y_t.softmax(1), lam))
        w_s, w_t = None, None
        if self.entropy:
            w_s, w_t = entropy_weights(y_s, lam), entropy_weights(y_t, lam)
        L_d = domain_loss(d_s, d_t, w_s, w_t, self.eps, self.smooth)
        yield cross_entropy(y_s, s.y) + self.weight * L_d
