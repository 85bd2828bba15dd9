from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import domain_loss, entropy_weights, heuristics, ramp, reverse, sides


class ToAlign(Method):
    """L = CE(ŷ_s) + w·L_d(D(R_λ(softmax ŷ(f⁺_s))), …), f⁺ = s·ω⊙f, ω = ∂ŷ_k/∂f    (Wei et al., NeurIPS 2021, eq. 3-5)

    Only the task's part f⁺ of a source feature is aligned with the holistic target. ω, of the true class k, is a constant;
    s = ‖f‖/‖ω⊙f‖ keeps the energy and its gradient; scale > 0 fixes s instead (the report's figure 7).
    omega: "grad-cam", as above; "grad-cam++" (the report's section 5.2); "uniform", ω = 1, which leaves f⁺ = f: DANNP.
    heads > 0: ŷ = C(f) − Σ_j H_j(f) and + μ·mean|Σ_j H_j(f)|, the HDA heads. twice: a forward of its own for f⁺, as
    released; loss and gradient are those of one forward, batch norm's running statistics and the time are not.
    """

    def __init__(
        self, net: Network, *, weight: float = 1.0,
        omega: Literal["grad-cam", "grad-cam++", "uniform"] = "grad-cam",
        scale: float = 0.0, heads: int = 0, mu: float = 1.0,
        lam: float = 1.0, gamma: float = 10.0, entropy: bool = True, twice: bool = False, eps: float = 1e-8,
    ) -> None:  # fmt: skip
        super().__init__()
        self.D = net.discriminator(net.classes)
        self.H = heuristics(net.dim, net.classes, heads)
        self.weight, self.omega, self.scale, self.mu = weight, omega, scale, mu
        self.lam, self.gamma, self.entropy, self.twice, self.eps = lam, gamma, entropy, twice, eps

    def logits(self, net: Network, f: Tensor) -> tuple[Tensor, Tensor]:
        """ŷ and z of features f."""
        y = net.C(f)
        z = torch.stack([h(f) for h in self.H]).sum(0) if self.H else torch.zeros_like(y)
        return y - z, z

    def predict(self, net: Network, x: Tensor) -> Tensor:
        return self.logits(net, net.F(x))[0]

    def task_weights(self, net: Network, f: Tensor, k: Tensor) -> Tensor:
        """ω of features f with labels k, (B, dim), constant; a factor of a whole sample does not matter to an adaptive s.

        Grad-CAM++ (Chattopadhay et al., WACV 2018), with Y = e^ŷ_k and g = ∂ŷ_k/∂A_mij at pixel ij of map m:
        ω_m = Σ_ij α_mij·relu(∂Y/∂A_mij), α_mij = g²/(2g² + g³·Σ_ab A_mab). Where f is the mean of the maps and C linear, g is the
        same at every pixel, so that α = 1/(2 + f_m·∂ŷ_k/∂f_m) and the maps themselves are not needed.
        """
        leaf = f.detach().requires_grad_()
        (grad,) = torch.autograd.grad(self.logits(net, leaf)[0].gather(1, k[:, None]).sum(), leaf)
        match self.omega:
            case "grad-cam":
                return grad
            case "grad-cam++":
                return grad.relu() / (2 + grad * leaf.detach())
            case _:
                return torch.ones_like(grad)

    def positive(self, net: Network, f: Tensor, k: Tensor) -> Tensor:
        """f⁺ of source features f with labels k, (B, dim)."""
        f_k = self.task_weights(net, f, k) * f
        # the floor: where nothing in f speaks for k, f⁺ is 0
        s = self.scale or f.norm(dim=1, keepdim=True) / f_k.norm(dim=1, keepdim=True).clamp_min(
            1e-30
        )
        return s * f_k

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam = self.lam * ramp(p, self.gamma)
        f_s, f_t = net.features(s.x, t.x)
        (y_s, z_s), (y_t, z_t) = self.logits(net, f_s), self.logits(net, f_t)
        y_p, _ = self.logits(net, self.positive(net, net.F(s.x) if self.twice else f_s, s.y))

        d_s, d_t = sides(self.D, reverse(y_p.softmax(1), lam), reverse(y_t.softmax(1), lam))
        w_s, w_t = (
            (entropy_weights(y_p, lam), entropy_weights(y_t, lam)) if self.entropy else (None, None)
        )
        L_d = domain_loss(d_s, d_t, w_s, w_t, self.eps)
        yield (
            cross_entropy(y_s, s.y)
            + self.weight * L_d
            + self.mu * torch.cat([z_s, z_t]).abs().mean()
        )
