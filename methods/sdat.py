from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import confusion, domain_loss, outer, ramp, reverse, sides

Weights = Mapping[str, Mapping[str, Tensor]]


class SDAT(Method):
    """min L_T(θ + ε) + w·L_d(D(R_λ(p ⊗ f))), ε = ρ·∇L_T(θ)/‖∇L_T(θ)‖, L_T = L_y + w_c·L_MCC
    (Rangwani et al., ICML 2022)

    CDAN with a smooth task loss: it is taken at the worst weights of F and C that are ρ away. ε is
    a constant, so that the gradient found there is the step's at θ. As released, L_d is taken at
    θ + ε, too, while D's own weights stay where they are. p is held constant.

    w_c > 0 adds the class confusion of the target (Jin et al., ECCV 2020): SDAT on CDAN+MCC.

    Every step forwards both domains twice, at θ and at θ + ε, so running statistics move twice.
    """

    proof: ClassVar[tuple[str, ...]] = ("training",)

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        rho: float = 0.02,  # ρ; 0: CDAN
        confusion: float = 0.0,  # w_c; 1 on CDAN+MCC
        temperature: float = 2.0,  # of the softmax in L_MCC
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.dim * net.classes)
        self.weight, self.rho, self.lam, self.gamma = weight, rho, lam, gamma
        self.confusion, self.temperature = confusion, temperature

    def both(
        self, net: Network, s: Batch, t: Batch, at: Weights
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """(f_s, f_t) and (y_s, y_t) at these weights of F and C."""
        if net.joint:
            f = functional_call(net.F, dict(at["F"]), (torch.cat([s.x, t.x]),))
            f_s, f_t = f.split([len(s.x), len(t.x)])
        else:
            f_s, f_t = (functional_call(net.F, dict(at["F"]), (x,)) for x in (s.x, t.x))
        y_s, y_t = (functional_call(net.C, dict(at["C"]), (f,)) for f in (f_s, f_t))
        return (f_s, f_t), (y_s, y_t)

    def task(self, y_s: Tensor, y_t: Tensor, y: Tensor) -> Tensor:
        """L_T"""
        L_y = cross_entropy(y_s, y)
        if not self.confusion:
            return L_y
        return L_y + self.confusion * confusion(y_t, self.temperature)

    def ahead(self, L_T: Tensor, at: Weights) -> Weights:
        """θ + ε: θ plus a constant, so gradients at θ + ε reach θ."""
        flat = [q for part in at.values() for q in part.values()]
        grads = torch.autograd.grad(L_T, flat, allow_unused=True)
        norm = torch.stack([g.norm() for g in grads if g is not None]).norm()
        scale = self.rho / (norm + 1e-12)
        moved = iter([q if g is None else q + scale * g for q, g in zip(flat, grads, strict=True)])
        return {k: {name: next(moved) for name in part} for k, part in at.items()}

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam = self.lam * ramp(p, self.gamma)
        theta = {k: dict(m.named_parameters()) for k, m in (("F", net.F), ("C", net.C))}
        _, y = self.both(net, s, t, theta)
        (f_s, f_t), (y_s, y_t) = self.both(net, s, t, self.ahead(self.task(*y, s.y), theta))
        j_s, j_t = reverse(outer(f_s, y_s), lam), reverse(outer(f_t, y_t), lam)
        L_d = domain_loss(*sides(self.D, j_s, j_t))
        yield self.task(y_s, y_t, s.y) + self.weight * L_d
