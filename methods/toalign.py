from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import domain_loss, entropy_weights, heuristics, ramp, reverse, sides


class ToAlign(Method):
    """L = CE(ŷ_s) + w·L_d(D(R_λ(softmax ŷ(f⁺_s))), …), f⁺ = s·ω⊙f, ω = ∂ŷ_k/∂f    (Wei et al., NeurIPS 2021, eq. 3-5)

    Only the task's part f⁺ of a source feature is aligned with the holistic target. ω, of the true class k, is a constant;
    s = ‖f‖/‖ω⊙f‖ keeps the energy and its gradient; scale > 0 fixes s instead (the report's figure 7).
    heads > 0: ŷ = C(f) − Σ_j H_j(f) and + μ·mean|Σ_j H_j(f)|, the HDA heads. twice: a forward of its own for f⁺, as
    released; loss and gradient are those of one forward, batch norm's running statistics and the time are not.
    """

    def __init__(
        self, net: Network, *, weight: float = 1.0, scale: float = 0.0, heads: int = 0, mu: float = 1.0,
        lam: float = 1.0, gamma: float = 10.0, entropy: bool = True, twice: bool = False, eps: float = 1e-8,
    ) -> None:  # fmt: skip
        super().__init__()
        self.D = net.discriminator(net.classes)
        self.H = heuristics(net.dim, net.classes, heads)
        self.weight, self.scale, self.mu = weight, scale, mu
        self.lam, self.gamma, self.entropy, self.twice, self.eps = lam, gamma, entropy, twice, eps

    def logits(self, net: Network, f: Tensor) -> tuple[Tensor, Tensor]:
        """ŷ and z of features f."""
        y = net.C(f)
        z = torch.stack([h(f) for h in self.H]).sum(0) if self.H else torch.zeros_like(y)
        return y - z, z

    def predict(self, net: Network, x: Tensor) -> Tensor:
        return self.logits(net, net.F(x))[0]

    def positive(self, net: Network, f: Tensor, k: Tensor) -> Tensor:
        """f⁺ of source features f with labels k, (B, dim)."""
        leaf = f.detach().requires_grad_()
        (omega,) = torch.autograd.grad(self.logits(net, leaf)[0].gather(1, k[:, None]).sum(), leaf)
        f_k = omega * f
        s = self.scale or f.norm(dim=1, keepdim=True) / f_k.norm(dim=1, keepdim=True)
        return s * f_k

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam = self.lam * ramp(p, self.gamma)
        f_s, f_t = net.features(s.x, t.x)
        (y_s, z_s), (y_t, z_t) = self.logits(net, f_s), self.logits(net, f_t)
        y_p, _ = self.logits(net, self.positive(net, net.F(s.x) if self.twice else f_s, s.y))

        d_s, d_t = sides(self.D, reverse(y_p.softmax(1), lam), reverse(y_t.softmax(1), lam))
        w_s, w_t = (entropy_weights(y_p, lam), entropy_weights(y_t, lam)) if self.entropy else (None, None)
        L_d = domain_loss(d_s, d_t, w_s, w_t, self.eps)
        yield cross_entropy(y_s, s.y) + self.weight * L_d + self.mu * torch.cat([z_s, z_t]).abs().mean()
