from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Progress
from methods._parts import domain_loss, ramp, reverse, sides, untrained_copy


class ADDA(Method):
    """First min L_y; then L = L_d(D(F_s(x_s)), D(R_λ(F(x_t)))), F_s = F after the first stage
    (Tzeng et al., CVPR 2017, eq. 9)

    In the second stage F goes on from F_s, which is kept in evaluation mode, and learns to make
    target features that D takes for features of F_s. C is not trained any more. As TLlib does it: F
    and D step together, and F reverses the loss of D; in the paper they take turns, and F minimizes
    −log D, the loss with the other label.
    """

    needs: ClassVar[tuple[str, ...]] = ("first_stage",)
    proof: ClassVar[tuple[str, ...]] = ("golden",)

    def __init__(
        self,
        net: Network,
        *,
        lam: float = 1.0,  # λ at the end of its ramp; TLlib has 2
        gamma: float = 10.0,  # how steeply λ rises
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.dim)
        self.F_s = untrained_copy(net.F)
        self.lam, self.gamma = lam, gamma

    def step(self, net: Network, s: Batch, t: Batch, p: Progress) -> Iterator[Tensor]:
        if p.first:
            yield cross_entropy(net.C(net.F(s.x)), s.y)
            return
        if p == 0.0:  # the second stage begins
            self.F_s.load_state_dict(net.F.state_dict())
        self.F_s.eval()
        f_s = self.F_s(s.x).detach()
        f_t = reverse(net.F(t.x), self.lam * ramp(p, self.gamma))
        yield domain_loss(*sides(self.D, f_s, f_t))
