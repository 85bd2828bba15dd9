from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from methods._method import Batch, Method, Network, Within
from methods._parts import domain_loss, entropy, ramp, reverse, sides


class GSDA(Method):
    """L = L_y + α·H(p_t) + w·(L_dom + Σ_q L_grp(q) + Σ_k L_cls(k) + β·L_syn)
    (Hu et al., CVPR 2020)

    Each L is the domain loss of a discriminator of its own that reads R_λ(f): one of all images,
    one of each group q of classes, one of each class k. There an image counts with its probability
    of that class or group: 1 or 0 by its label in the source, softmax(C(f)) in the target. The
    classes are dealt at random into b groups.

    L_syn = |n(dom) − Σ_q n(q)| + (1/b)·Σ_q |n(q) − Σ_{k in q} n(k)|, n = Σ_i ‖∂L/∂f_i‖, keeps the
    three levels in step. Its gradient, which passes through those gradients, is not reversed:
    features and discriminators both make it small.

    From the paper's text: its equations, as a summary of it quotes them. It alternates between the
    discriminators and the rest; here they step together, with the means of a batch in place of
    sums. α and β are the paper's for each data set and are not in what was read. The target's
    probabilities that weigh are held constant.
    """

    proof: ClassVar[tuple[str, ...]] = ("identity",)
    origin: ClassVar[str] = "the paper's equations, as a summary quotes them"

    member: Tensor

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        alpha: float = 0.1,  # α
        beta: float = 1.0,  # β
        groups: Annotated[int, Within(1)] = 2,  # b; VisDA-2017 has 4, Office-31 6, Office-Home 13
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
    ) -> None:
        super().__init__()
        count = 1 + groups + net.classes
        self.D = nn.ModuleList(net.discriminator(net.dim) for _ in range(count))
        group = torch.randperm(net.classes) % groups
        self.register_buffer("member", one_hot(group, groups))  # (classes, b)
        self.weight, self.alpha, self.beta, self.groups = weight, alpha, beta, groups
        self.lam, self.gamma = lam, gamma

    def shares(self, p: Tensor) -> Tensor:
        """How much each image counts for each discriminator: (B, classes) -> (B, 1 + b + classes).

        Over B, so that a sum over images is a mean.
        """
        return torch.cat([torch.ones_like(p[:, :1]), p @ self.member.to(p), p], 1) / len(p)

    def losses(self, f_s: Tensor, f_t: Tensor, w_s: Tensor, w_t: Tensor) -> list[Tensor]:
        """L_dom, then L_grp(q), then L_cls(k)."""
        logits = (sides(D, f_s, f_t) for D in self.D)
        weights = zip(w_s.unbind(1), w_t.unbind(1), strict=True)
        return [domain_loss(*u, *w) for u, w in zip(logits, weights, strict=True)]

    def synchrony(self, f_s: Tensor, f_t: Tensor, w_s: Tensor, w_t: Tensor) -> Tensor:
        """L_syn. It can be differentiated: by f, and by the parameters of all D."""
        n = []
        for L in self.losses(f_s, f_t, w_s, w_t):
            grads = torch.autograd.grad(L, (f_s, f_t), create_graph=True)
            n.append(torch.cat(grads).norm(dim=1).sum())
        dom, grp, cls = torch.stack(n).split([1, self.groups, len(self.member)])
        within = cls @ self.member.to(cls)  # the sum over the classes of each group
        L_syn: Tensor = (dom - grp.sum()).abs().sum() + (grp - within).abs().mean()
        return L_syn

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam = self.lam * ramp(p, self.gamma)
        f_s, f_t = net.features(s.x, t.x)
        y_s, y_t = net.C(f_s), net.C(f_t)
        w_s = self.shares(one_hot(s.y, net.classes).to(f_s))
        w_t = self.shares(y_t.detach().softmax(1).to(f_t))

        aligned = sum(self.losses(reverse(f_s, lam), reverse(f_t, lam), w_s, w_t))
        L_d = aligned + self.beta * self.synchrony(f_s, f_t, w_s, w_t)
        yield cross_entropy(y_s, s.y) + self.alpha * entropy(y_t).mean() + self.weight * L_d
