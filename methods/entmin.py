from collections.abc import Iterator

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import entropy


class EntMin(Method):
    """L = L_y + w·(1/B) Σ_i H(p_i), p = softmax(C(F(x_t)))
    (Grandvalet and Bengio, NIPS 2004)

    Each target image is to be classified surely, whatever its class. The paper leaves w to the
    user.
    """

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 0.1,  # w
    ) -> None:
        super().__init__()
        self.weight = weight

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        f_s, f_t = net.features(s.x, t.x)
        yield cross_entropy(net.C(f_s), s.y) + self.weight * entropy(net.C(f_t)).mean()
