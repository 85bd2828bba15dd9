from collections.abc import Iterator
from typing import ClassVar, Literal

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network


class CORAL(Method):
    """L = CE(y_s) + λ·‖C_s − C_t‖²_F/(4d²), C the covariance of d numbers over a batch
    (Sun and Saenko, ECCV Workshops 2016, eq. 1-3, 6)

    The paper aligns the logits, DeepDA the features. The authors chose λ for each task of
    Office-31, from 0.0001 to 0.8, so that both terms end about equally large.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden",)

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 0.8,  # λ; 10 in DeepDA
        of: Literal["logits", "features"] = "logits",  # what is aligned
    ) -> None:
        super().__init__()
        self.weight, self.of = weight, of

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        f_s, f_t = net.features(s.x, t.x)
        y_s = net.C(f_s)
        u_s, u_t = (f_s, f_t) if self.of == "features" else (y_s, net.C(f_t))
        L_c = (covariance(u_s) - covariance(u_t)).square().mean() / 4
        yield cross_entropy(y_s, s.y) + self.weight * L_c


def covariance(x: Tensor) -> Tensor:
    """(B, d) -> (d, d), the unbiased estimate."""
    x = x - x.mean(0)
    return x.T @ x / (len(x) - 1)
