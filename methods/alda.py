import math
from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from methods._method import Batch, Method, Network, Within
from methods._parts import ramp, reverse, sides


class ALDA(Method):
    """L = L_y + w·(L_adv + λ·L_c + L_reg)    (Chen et al., AAAI 2020)

    D corrects the label ŷ that C gives an image: it trusts ŷ by ξ, the output ŷ of σ(D(R_λ(f))),
    and the other K−1 classes share what is left, o = (1−ξ)/(K−1) each. L_adv is the binary
    cross-entropy, summed over the classes, between this corrected label and the wanted one: on the
    source the true label, on the target every class but ŷ. L_c = −mean p·c is self-training with
    the corrected label c, held constant. L_reg, the cross-entropy of D on the source, reaches D
    alone.

    Of the target only images with max p > θ count. In a batch without one L_c is 0; in the release
    it is not a number there, although all gradients are.

    L_reg has a forward of D for itself. In the release it shares that of L_adv, with its dropout.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        threshold: Annotated[float, Within(0, 1)] = 0.9,  # θ
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
        lead: float = 0.0,  # progress by which D's λ is ahead of that of L_c; as released, 1/T
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.dim, net.classes)
        self.weight, self.threshold = weight, threshold
        self.lam, self.gamma, self.lead = lam, gamma, lead

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam_D, lam_c = (self.lam * ramp(q, self.gamma) for q in (p + self.lead, p))
        f_s, f_t = net.features(s.x, t.x)
        y_s, y_t = net.C(f_s), net.C(f_t)
        d_s, d_t = sides(self.D, reverse(f_s, lam_D), reverse(f_t, lam_D))
        v_s, v_t = trust(d_s, y_s), trust(d_t, y_t)
        p_t = y_t.to(v_t.dtype).softmax(1)
        kept = (p_t.detach().amax(1) > self.threshold).to(v_t.dtype)

        K = net.classes
        on_source = error(v_s, y_s.argmax(1) == s.y, K).sum()
        on_target = (kept * error(v_t, torch.zeros_like(kept, dtype=torch.bool), K)).sum()
        L_adv = (on_source + on_target) / (len(v_s) + kept.sum())
        L_c = -(kept[:, None] * p_t * corrected(v_t, y_t)).sum() / (kept.sum().clamp(min=1) * K)
        L_reg = cross_entropy(self.D(f_s.detach()), s.y)
        yield cross_entropy(y_s, s.y) + self.weight * (L_adv + lam_c * L_c + L_reg)


def trust(d: Tensor, logits: Tensor) -> Tensor:
    """The logit of ξ, (B,): of D's outputs (B, K) the one that belongs to ŷ."""
    v = d.gather(1, logits.argmax(1, keepdim=True))[:, 0]
    return v.to(torch.promote_types(v.dtype, torch.float32))


def corrected(v: Tensor, logits: Tensor) -> Tensor:
    """c, (B, K): ξ at ŷ, o elsewhere; a constant."""
    K = logits.shape[1]
    at = logits.argmax(1, keepdim=True) == torch.arange(K, device=v.device)
    return torch.where(at, v.sigmoid()[:, None], (-v).sigmoid()[:, None] / (K - 1)).detach()


def error(v: Tensor, right: Tensor, K: int) -> Tensor:
    """The binary cross-entropies of c, summed over its K classes: (B,).

    right: where ŷ alone is wanted. Elsewhere one other class is, or all others alike: both give the
    same sum, in which one class has log o and K−2 have log(1−o).
    """
    log_o = logsigmoid(-v) - math.log(K - 1)
    log_not_o = (K - 2 + v.sigmoid()).log() - math.log(K - 1)  # 1 − o would cancel
    yes = logsigmoid(v) + (K - 1) * log_not_o
    no = logsigmoid(-v) + log_o + (K - 2) * log_not_o
    return -torch.where(right, yes, no)
