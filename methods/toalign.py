from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network, Within
from methods._parts import (
    domain_loss,
    entropy_weights,
    heuristics,
    ramp,
    reverse,
    seen_twice,
    sides,
)


class ToAlign(Method):
    """L = CE(ŷ_s) + w·L_d(D(R_λ(softmax ŷ(f⁺_s))), …), f⁺ = s·ω⊙f, ω = ∂ŷ_k/∂f
    (Wei et al., NeurIPS 2021, eq. 3-5)

    Only f⁺, the part of a source feature that the task needs, is aligned with the whole target
    feature. ω, of the true class k, is held constant; s = ‖f‖/‖ω⊙f‖ keeps the energy, and its own
    gradient is kept. With heads, as in HDA, ŷ = C(f) − Σ_j H_j(f) and L has + μ·mean|Σ_j H_j(f)|.

    omega: "grad-cam" is the ω above, "grad-cam++" that of section 5.2 of the report, "uniform"
    is ω = 1, which leaves f⁺ = f: DANNP.

    twice: the released code forwards the source once more for f⁺. Loss and gradient are those of
    one forward, but batch norm sees the source twice before the target. "statistics" takes one
    forward and leaves the running statistics of two; True takes both; False lets batch norm see the
    source once. Where source and target pass in one joint forward, which the released code does
    not have, "statistics" is False.
    """

    proof: ClassVar[tuple[str, ...]] = ("golden", "training")

    def __init__(
        self,
        net: Network,
        *,
        weight: float = 1.0,  # w
        omega: Literal["grad-cam", "grad-cam++", "uniform"] = "grad-cam",
        scale: float = 0.0,  # s, fixed (the report's figure 7); 0: s keeps the energy
        heads: Annotated[int, Within(0)] = 0,  # how many HDA heads H_j
        mu: float = 1.0,  # μ
        lam: float = 1.0,  # λ at the end of its ramp
        gamma: float = 10.0,  # how steeply λ rises
        entropy: bool = True,  # weigh the samples of L_d by e^(−H)
        twice: Literal["statistics", True, False] = "statistics",  # whether F sees the source twice
        eps: float = 1e-8,  # ε inside the logarithms of L_d
    ) -> None:
        super().__init__()
        self.D = net.discriminator(net.classes)
        self.H = heuristics(net.dim, net.classes, heads)
        self.weight, self.omega, self.scale, self.mu = weight, omega, scale, mu
        self.lam, self.gamma, self.entropy, self.twice, self.eps = lam, gamma, entropy, twice, eps

    def logits(self, net: Network, f: Tensor) -> tuple[Tensor, Tensor]:
        """ŷ and z = Σ_j H_j(f) of features f, (B, classes) each."""
        y = net.C(f)
        z = torch.stack([h(f) for h in self.H]).sum(0) if self.H else torch.zeros_like(y)
        return y - z, z

    def predict(self, net: Network, x: Tensor) -> Tensor:
        return self.logits(net, net.F(x))[0]

    def features(self, net: Network, x_s: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """f_s, the f_s that f⁺ is made of, and f_t, (B, dim) each."""
        if self.twice == "statistics" and not net.joint:
            with seen_twice(net.F):
                f_s = net.F(x_s)
            return f_s, f_s, net.F(x_t)
        f_p = net.F(x_s) if self.twice is True else None
        f_s, f_t = net.features(x_s, x_t)
        return f_s, f_s if f_p is None else f_p, f_t

    def task_weights(self, net: Network, f: Tensor, k: Tensor) -> Tensor:
        """ω of features f with labels k, (B, dim), constant, up to a factor for each sample.

        An s that keeps the energy cancels such factors. Grad-CAM++ (Chattopadhay et al., WACV 2018)
        with Y = e^ŷ_k and g = ∂ŷ_k/∂A_mij at pixel ij of map m: ω_m = Σ_ij α_mij·relu(∂Y/∂A_mij),
        α_mij = g²/(2g² + g³·Σ_ab A_mab). Where f is the mean of the maps and C is linear, g is the
        same at every pixel; then α = 1/(2 + f_m·∂ŷ_k/∂f_m), and the maps are not needed.
        """
        leaf = f.detach().requires_grad_()
        score = self.logits(net, leaf)[0].gather(1, k[:, None]).sum()
        (grad,) = torch.autograd.grad(score, leaf)
        match self.omega:
            case "grad-cam":
                return grad
            case "grad-cam++":
                return grad.relu() / (2 + grad * leaf.detach())
            case "uniform":
                return torch.ones_like(grad)

    def positive(self, net: Network, f: Tensor, k: Tensor) -> Tensor:
        """f⁺ of source features f with labels k, (B, dim)."""
        f_k = self.task_weights(net, f, k) * f
        # the floor: where nothing in f speaks for class k, f⁺ is 0
        energy, kept = f.norm(dim=1, keepdim=True), f_k.norm(dim=1, keepdim=True)
        return (self.scale or energy / kept.clamp_min(1e-30)) * f_k

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        lam = self.lam * ramp(p, self.gamma)
        f_s, f_p, f_t = self.features(net, s.x, t.x)
        (y_s, z_s), (y_t, z_t) = self.logits(net, f_s), self.logits(net, f_t)
        y_p, _ = self.logits(net, self.positive(net, f_p, s.y))

        d_s, d_t = sides(self.D, reverse(y_p.softmax(1), lam), reverse(y_t.softmax(1), lam))
        w_s, w_t = None, None
        if self.entropy:
            w_s, w_t = entropy_weights(y_p, lam), entropy_weights(y_t, lam)
        L_d = domain_loss(d_s, d_t, w_s, w_t, self.eps)
        L_z = torch.cat([z_s, z_t]).abs().mean()
        yield cross_entropy(y_s, s.y) + self.weight * L_d + self.mu * L_z
