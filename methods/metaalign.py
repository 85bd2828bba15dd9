from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Progress, Within
from methods._parts import (
    differentiate,
    domain_loss,
    entropy_weights,
    kaiming,
    ramp,
    reverse,
    sides,
)

Weights = dict[str, dict[str, Tensor]]


class MetaAlign(Method):
    """min L_A(θ) + L_B(θ′), θ′ = θ − η_p·m·stopgrad ∇L_A(θ)    (Wei et al., CVPR 2021, first order)

    Classification and alignment take turns as A and B: L_cls = CE + mean|g_s| and, as released on
    GVB, L_aln = w·L_d + mean|z| + mean|g|. The means of the bridge g count half in each when
    classification comes first. η_p = inner·(1 + gamma_inner·p)^−0.75; m is 10 on heads, 1 on F.

    The gradient of A is taken once and serves both θ′ and the step. L_cls forwards the source
    alone, also where L_aln forwards both domains together, as released.

    The released code leaves the inner weights θ′ of a step in place: every second step after the
    first then evaluates D at old ones, and tests use the θ′ of F, C and g of the step before. Here
    each step begins without any.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self, net: Network, *,
        weight: float = 1.0,  # w
        bridges: bool = False,  # on GVB, with its bridges g and z; else on DANNP
        turn: Literal["cls", "aln", "both"] = "both",  # which loss is A; "both": by turns
        inner: float = 0.1,  # η_0
        gamma_inner: Annotated[float, Within(0)] = 10.0,  # how fast η_p falls
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
        lead: float = 0.0,  # progress by which D's λ is ahead of the weights'; as released, 1/T
        eps: float = 1e-8,  # ε inside the logarithms of L_d
    ) -> None:  # fmt: skip
        super().__init__()
        self.D = net.discriminator(net.classes, 2 if bridges else 1)
        self.g = kaiming(nn.Linear(net.dim, net.classes)) if bridges else None
        self.weight, self.turn, self.inner, self.gamma_inner = weight, turn, inner, gamma_inner
        self.lam, self.gamma, self.lead, self.eps = lam, gamma, lead, eps

    def logits(self, net: Network, x: Tensor, at: Weights) -> tuple[Tensor, Tensor]:
        """ŷ and g of images x, (B, classes) each. at: weights in place of the modules' own."""
        f = functional_call(net.F, at.get("F", {}), (x,))
        y = functional_call(net.C, at.get("C", {}), (f,))
        g = functional_call(self.g, at.get("g", {}), (f,)) if self.g else torch.zeros_like(y)
        return y - g, g

    def predict(self, net: Network, x: Tensor) -> Tensor:
        return self.logits(net, x, {})[0]

    def both(self, net: Network, s: Batch, t: Batch, at: Weights) -> tuple[tuple[Tensor, ...], ...]:
        """(ŷ_s, ŷ_t), (g_s, g_t), by one forward or by two, as the network says."""
        if net.joint:
            y, g = self.logits(net, torch.cat([s.x, t.x]), at)
            return y.split([len(s.x), len(t.x)]), g.split([len(s.x), len(t.x)])
        return tuple(zip(self.logits(net, s.x, at), self.logits(net, t.x, at), strict=True))

    def cls(self, net: Network, s: Batch, at: Weights) -> tuple[Tensor, Tensor]:
        """CE and mean|g_s|."""
        y, g = self.logits(net, s.x, at)
        return cross_entropy(y, s.y), g.abs().mean()

    def aln(
        self, net: Network, s: Batch, t: Batch, p: Progress, at: Weights
    ) -> tuple[Tensor, Tensor]:
        """w·L_d + mean|z|, and mean|g|."""
        lam_D, lam_H = (self.lam * ramp(q, self.gamma) for q in (p + self.lead, p))
        (y_s, y_t), (g_s, g_t) = self.both(net, s, t, at)
        d_s, d_t = sides(self.D, reverse(y_s.softmax(1), lam_D), reverse(y_t.softmax(1), lam_D))
        u_s, u_t = (d[:, 0] - d[:, 1] if self.g else d for d in (d_s, d_t))
        w_s, w_t = entropy_weights(y_s, lam_H), entropy_weights(y_t, lam_H)
        L_z = torch.cat([d_s, d_t])[:, 1].abs().mean() if self.g else 0.0
        L_d = domain_loss(u_s, u_t, w_s, w_t, self.eps)
        return self.weight * L_d + L_z, torch.cat([g_s, g_t]).abs().mean()

    def ahead(
        self, net: Network, L_A: Tensor, p: Progress, *, keep_graph: bool = False
    ) -> tuple[Tensor, Weights]:
        """L_A with its gradient taken, and θ′: θ minus a constant, so gradients at θ′ reach θ."""
        eta = self.inner * (1 + self.gamma_inner * p) ** -0.75
        parts: dict[str, nn.Module | None] = {"F": net.F, "C": net.C, "g": self.g, "D": self.D}
        theta = {k: dict(m.named_parameters()) for k, m in parts.items() if m}
        flat = [q for part in theta.values() for q in part.values()]
        L_A, grads = differentiate(L_A, flat, keep_graph=keep_graph)
        grad = dict(zip(flat, grads, strict=True))

        def move(part: Mapping[str, nn.Parameter], m: float) -> dict[str, Tensor]:
            return {n: q if (d := grad[q]) is None else q - eta * m * d for n, q in part.items()}

        return L_A, {k: move(theta[k], 1 if k == "F" else 10) for k in theta if k != "D"}

    def step(self, net: Network, s: Batch, t: Batch, p: Progress) -> Iterator[Tensor]:
        if self.turn == "cls" or (self.turn == "both" and p.it % 2 == 0):
            L_y, G_s = self.cls(net, s, {})
            # the step takes half of G_s away again, and a bridge's G_s has a gradient
            L_A, moved = self.ahead(net, L_y + G_s, p, keep_graph=self.g is not None)
            A, G = self.aln(net, s, t, p, moved)
            yield L_A + A + (G - G_s) / 2
        else:
            A, G = self.aln(net, s, t, p, {})
            L_A, moved = self.ahead(net, A + G, p)
            L_y, G_s = self.cls(net, s, moved)
            yield L_A + L_y + G_s
