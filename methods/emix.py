from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from methods._method import Batch, Method, Network
from methods._parts import log_otherwise, ramp, reverse, sides


class EMix(Method):
    """L = CE(y_s) + w·d(R_λ(f_s), R_λ(f_t)) + μ·‖softmax(C(F(x))) − y‖², x = r·x_s + (1 − r)·x_t
    (Zhong et al., AAAI 2021, E-MixNet)

    The last term stands for the combined risk: x mixes a source image with a target image, and
    y = r·onehot(y_s) + (1 − r)·onehot(ŷ_t) mixes its label with the present prediction of the
    other. d = −mean log(1 − softmax(C′(f_t))_ŷ) − margin·mean log(softmax(C′(f_s))_ŷ) is the
    disparity discrepancy of two losses, as in MDD, with an adversary C′ and ŷ = argmax C(f).

    From the paper's abstract, figures' captions and supplement (the proofs): its text could not be
    had. They say that e-mixup mixes labelled source and pseudo-labelled target images, that it does
    better than mixup, and that two losses make the discrepancy. What they do not say is a guess:
    that e-mixup pairs a source image with that target image of the batch whose features lie
    farthest away, the squared error, r uniform in [0, 1], and the default of μ.

    pairs: "far" as above; "random" is mixup, which the paper compares with.
    """

    proof: ClassVar[tuple[str, ...]] = ("identity",)
    origin: ClassVar[str] = (
        "the paper's abstract and supplement; what they leave open is listed in methods/emix.py"
    )

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        mu: float = 1.0,  # μ
        pairs: Literal["far", "random"] = "far",
        margin: float = 4.0,  # MDD's margin factor γ
        lam: float = 0.1,  # λ at the end of its ramp, MDD's
        gamma: float = 10.0,  # how steeply λ rises
    ) -> None:
        super().__init__()
        self.adversary = net.discriminator(net.dim, net.classes)  # C′
        self.weight, self.mu, self.pairs, self.margin = weight, mu, pairs, margin
        self.lam, self.gamma = lam, gamma

    def discrepancy(self, f_s: Tensor, f_t: Tensor, y_s: Tensor, y_t: Tensor) -> Tensor:
        """d of features f, where C predicts the logits y."""
        a_s, a_t = sides(self.adversary, f_s, f_t)
        L_t = -log_otherwise(a_t, y_t.argmax(1)).mean()
        return L_t + self.margin * cross_entropy(a_s, y_s.argmax(1))

    def partners(self, f_s: Tensor, f_t: Tensor) -> Tensor:
        """For each source image the place of its partner in the target batch, (B_s,)."""
        if self.pairs == "random":
            return torch.rand(len(f_s), len(f_t), device=f_t.device).argmax(1)
        return torch.cdist(f_s.detach(), f_t.detach()).argmax(1)

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam = self.lam * ramp(p, self.gamma)
        f_s, f_t = net.features(s.x, t.x)
        y_s, y_t = net.C(f_s), net.C(f_t)
        d = self.discrepancy(reverse(f_s, lam), reverse(f_t, lam), y_s, y_t)

        j = self.partners(f_s, f_t)
        r = torch.rand(len(s.x), 1, device=s.x.device, dtype=s.x.dtype)
        r_x = r.view(-1, *[1] * (s.x.dim() - 1))
        mixed = net.C(net.F(r_x * s.x + (1 - r_x) * t.x[j])).softmax(1)
        labels = r * one_hot(s.y, net.classes) + (1 - r) * one_hot(y_t.argmax(1)[j], net.classes)
        combined = (mixed - labels).square().sum(1).mean()
        yield cross_entropy(y_s, s.y) + self.weight * d + self.mu * combined
