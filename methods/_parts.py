"""The pieces that papers share, a few lines each.

Reversal, ramp, domain loss, entropy weights; kernels, class confusion, singular values.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import logsigmoid
from torch.nn.modules.batchnorm import _BatchNorm

from methods._method import Network


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, lam: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.lam = lam
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        return -ctx.lam * grad, None


def reverse(x: Tensor, lam: float) -> Tensor:
    """R_λ(x): x itself; its gradient is multiplied by −λ.

    Ganin and Lempitsky, ICML 2015, eq. 7-8.
    """
    y: Tensor = _Reverse.apply(x, lam)
    return y


def ramp(p: float, gamma: float = 10.0) -> float:
    """2/(1+e^(−γp)) − 1, which rises from 0 at p = 0 towards 1 (JMLR 2016, section 5.2.2).

    γ = inf: 1 from the start.
    """
    return 1.0 if math.isinf(gamma) else math.tanh(gamma * p / 2)


def sides(module: Callable[[Tensor], Tensor], f_s: Tensor, f_t: Tensor) -> tuple[Tensor, Tensor]:
    """module(f_s), module(f_t) by one forward, so that a batch norm in it sees both domains."""
    u_s, u_t = module(torch.cat([f_s, f_t])).split([len(f_s), len(f_t)])
    return u_s, u_t


def log_otherwise(a: Tensor, label: Tensor, eps: float = 0.0) -> Tensor:
    """log(min(1 − q + ε, 1)), q = softmax(a)_label: (B, classes), (B,) -> (B,).

    Worked out from the logits, so that it is finite where the softmax rounds to 1.
    """
    a = a.to(torch.promote_types(a.dtype, torch.float32))
    others = a.scatter(1, label[:, None], -torch.inf)
    log_q = others.logsumexp(1) - a.logsumexp(1)
    return (log_q.exp() + eps).clamp(max=1).log() if eps else log_q


def frozen(module: nn.Module, x: Tensor) -> Tensor:
    """module(x) with its parameters held constant: x gets a gradient, they get none."""
    constants = {k: v.detach() for k, v in module.named_parameters()}
    y: Tensor = functional_call(module, constants, (x,))
    return y


def fresh(module: nn.Module) -> nn.Module:
    """A copy of the module in which every layer has drawn its parameters anew, as torch does."""
    copy = deepcopy(module)
    for layer in copy.modules():
        if callable(draw := getattr(layer, "reset_parameters", None)):
            draw()
    return copy


def two_heads(net: Network, C2: nn.Module, *x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The logits of C and of a second head C2, a pair for each batch of images.

    By one forward of all batches or by one of each, as the network says; a batch norm in the heads
    sees what one in F sees.
    """
    if net.joint:
        f, sizes = net.F(torch.cat(x)), [len(batch) for batch in x]
        return list(zip(net.C(f).split(sizes), C2(f).split(sizes), strict=True))
    return [(net.C(f), C2(f)) for f in map(net.F, x)]


@contextmanager
def changed(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """While this lasts, the module makes change(y) in place of its y."""
    hook = module.register_forward_hook(lambda module, given, y: change(y))
    try:
        yield
    finally:
        hook.remove()


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, loss: tuple[Tensor], grads: Sequence[Tensor | None], *x: Tensor
    ) -> Tensor:
        ctx.grads = grads
        return loss[0].clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        return None, None, *(g if g is None else grad * g for g in ctx.grads)


def differentiate(
    loss: Tensor, x: Sequence[Tensor], *, keep_graph: bool = False
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """The loss, and its gradient with respect to each of x, None where there is none.

    The loss that is returned hands these gradients on when it is differentiated, in place of
    working them out again. keep_graph: leave the graph of the loss that was given in memory.
    """
    grads = torch.autograd.grad(loss, x, retain_graph=keep_graph, allow_unused=True)
    # in a tuple the loss is a value to autograd: its own graph stays out of what is returned
    return _Known.apply((loss,), grads, *x), grads


@contextmanager
def seen_twice(module: nn.Module) -> Iterator[None]:
    """Leaves the running statistics of batch norm as if the one forward inside were done twice.

    Statistics b of a batch move r to (1 − a)·r + a·b, with a the momentum. The same once more makes
    it (1 − a)²·r + (1 − (1 − a)²)·b: one forward with the momentum a·(2 − a).
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    momenta = [m.momentum for m in norms]
    for m in norms:
        if m.momentum is not None:
            m.momentum *= 2 - m.momentum
        elif m.num_batches_tracked is not None:  # the mean of all n batches, with two more alike
            m.momentum = 2 / (int(m.num_batches_tracked) + 2)
    try:
        yield
    finally:
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
            if m.num_batches_tracked is not None:
                m.num_batches_tracked.add_(1)


@contextmanager
def unrecorded(module: nn.Module) -> Iterator[None]:
    """Leaves the running statistics of batch norm as they are; batches are normalized as ever."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for m in norms:
        m.track_running_stats = False
    try:
        yield
    finally:
        for m in norms:
            m.track_running_stats = True


@contextmanager
def evaluation(module: nn.Module) -> Iterator[None]:
    """Has the module in evaluation mode and keeps no gradient."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for m, training in modes:
            m.training = training


def untrained_copy(module: nn.Module) -> nn.Module:
    """A copy whose parameters are constants to autograd, and so to the optimizer."""
    return deepcopy(module).requires_grad_(False)


def domain_loss(
    u_s: Tensor,
    u_t: Tensor,
    w_s: Tensor | None = None,
    w_t: Tensor | None = None,
    eps: float = 0.0,
    smooth: float = 0.0,
) -> Tensor:
    """L_d = ½ Σ_s w·(−log(σ(u)+ε)) + ½ Σ_t w·(−log(1−σ(u)+ε)); source is 1, target 0.

    u_s, u_t: logits of D, (B,).
    w_s, w_t: weights (B,) that sum to 1 over each domain; None: 1/B each.
    eps: ε, 1e-8 in GVB and microsoft/UDA.
    smooth: source is 1 − smooth, target smooth, and L_d the cross-entropy with these (environment
    label smoothing; Zhang et al., ICLR 2023).
    """
    l_s, l_t = _neg_log_sigmoid(u_s, eps), _neg_log_sigmoid(-u_t, eps)
    if smooth:
        l_s = l_s.lerp(_neg_log_sigmoid(-u_s, eps), smooth)
        l_t = l_t.lerp(_neg_log_sigmoid(u_t, eps), smooth)
    return (_weighted(l_s, w_s) + _weighted(l_t, w_t)) / 2


def _neg_log_sigmoid(u: Tensor, eps: float) -> Tensor:
    # in bfloat16 σ(7) is 1 and has no gradient
    u = u.to(torch.promote_types(u.dtype, torch.float32))
    # 1 − σ(u) is written σ(−u): the difference cancels in float32 once σ nears 1
    return -(u.sigmoid() + eps).log() if eps else -logsigmoid(u)


def _weighted(loss: Tensor, w: Tensor | None) -> Tensor:
    return loss.mean() if w is None else (w * loss).sum()


def entropy(logits: Tensor, eps: float = 1e-5) -> Tensor:
    """H(p) = −Σ_k p_k log(p_k + ε) of p = softmax(logits): (B, classes) -> (B,)."""
    p = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1)
    return -(p * (p + eps).log()).sum(1)


def certainty(logits: Tensor, lam: float) -> Tensor:
    """e^(−R_λ(H(p))): (B, classes) -> (B,), near 1 for a sure prediction.

    The gradient that goes through the entropy is reversed by λ.
    """
    return torch.exp(-reverse(entropy(logits), lam))


def entropy_weights(logits: Tensor, lam: float) -> Tensor:
    """w_i = e^(−R_λ(H_i)) / stopgrad(Σ_j e^(−H_j)) over one domain: (B, classes) -> (B,).

    Sure samples weigh more. The numerator keeps its gradient, reversed, as in GVB and
    microsoft/UDA; to detach it would make another method.
    """
    e = certainty(logits, lam)
    return e / e.sum().detach()


def outer(f: Tensor, logits: Tensor) -> Tensor:
    """p ⊗ f, class by class, of p = softmax(logits) held constant: (B, classes·dim)."""
    return (logits.detach().softmax(1)[:, :, None] * f[:, None]).flatten(1)


def heuristics(dim: int, classes: int, heads: int) -> nn.ModuleList:
    """HDA's linear heads, features (B, dim) -> logits (B, classes).

    Each starts with zero bias and weights of its own Kaiming-normal distribution, of negative
    slope 0, 1, 2, …
    """
    # all are made before any is drawn, so that a seed gives the heads that records were made with
    layers = [nn.Linear(dim, classes) for _ in range(heads)]
    return nn.ModuleList(kaiming(layer, slope) for slope, layer in enumerate(layers))


def kaiming(layer: nn.Linear, slope: float = 0.0) -> nn.Linear:
    """The layer with zero bias and new weights of He's normal distribution.

    slope: of the leaky ReLU that the distribution is made for.
    """
    nn.init.kaiming_normal_(layer.weight, a=slope)
    nn.init.zeros_(layer.bias)
    return layer


def confusion(logits: Tensor, temperature: float) -> Tensor:
    """1/C Σ_{i≠j} M_ij/Σ_k M_ik, M = Σ_n w_n p_n p_nᵀ, p = softmax(logits/T): the class confusion.

    w = 1 + e^(−H(p)), held constant; its scale cancels (Jin et al., ECCV 2020). As the entries of a
    p sum to 1, Σ_k M_ik is Σ_n w_n p_ni, and row i of the mean is 1 − M_ii/Σ_k M_ik. A class that
    no sample has any probability of counts 1, the limit of small ones; TLlib has 0/0 there.
    """
    z = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    p = z.softmax(1)
    wp = (1 + torch.exp(-entropy(z))).detach()[:, None] * p
    sums = wp.sum(0).clamp(min=torch.finfo(p.dtype).tiny)
    return 1 - ((wp * p).sum(0) / sums).mean()


def singular_values(x: Tensor) -> Tensor:
    """The singular values of a matrix, the largest first; NaN if an entry is not finite.

    torch would end such a training with an error, where a loss that is NaN ends it as diverged.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    finite = x.isfinite().all()
    x = x.where(finite, 0.0)
    try:
        values: Tensor = torch.linalg.svdvals(x)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        # it did not converge: roots of the eigenvalues of the Gram matrix, which float64 can hold
        wide = (x if len(x) <= len(x.T) else x.T).double()
        values = torch.linalg.eigvalsh(wide @ wide.T).clamp(min=1e-12).sqrt().flip(0).to(x.dtype)
    return values.where(finite, math.nan)


def spectral(f_s: Tensor, f_t: Tensor) -> Tensor:
    """σ₁(f_s)² + σ₁(f_t)², of the largest singular value of each batch (Chen et al., ICML 2019)."""
    return singular_values(f_s)[0] ** 2 + singular_values(f_t)[0] ** 2


def distances(x: Tensor) -> Tensor:
    """‖x_i − x_j‖² of all pairs: (n, dim) -> (n, n)."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return (x[:, None] - x[None]).square().sum(2)


def gaussians(x: Tensor, kernels: int, *, distinct: bool = False) -> Tensor:
    """K_ij = Σ_α exp(−‖x_i − x_j‖²/(2α·m)) for so many α = 1/8, 1/4, 1/2, …: (n, dim) -> (n, n).

    m is the mean of ‖x_i − x_j‖², held constant, over all n² pairs; distinct: over those of i ≠ j.
    """
    d, n = distances(x), len(x)
    m = d.detach().sum() / (n * (n - 1) if distinct else n * n)
    m = m.clamp(min=1e-30)  # so that features which are all alike have K = 1 and no gradient
    return sum((torch.exp(-d / (2 * 2.0**k * m)) for k in range(-3, kernels - 3)), 0 * d)


def mmd(K: Tensor, n_s: int, estimate: Literal["linear", "unbiased", "biased"]) -> Tensor:
    """E k(s, s′) + E k(t, t′) − 2 E k(s, t), the squared distance of the domains' mean embeddings.

    K: the kernel (n, n) of a batch whose first n_s samples are of the source.
    estimate: means over which pairs. "unbiased": all but those of a sample with itself. "biased":
    all. "linear": each sample and its successor, the first after the last (Gretton et al., JMLR
    2012, section 6); where one domain has more samples, those are left out.
    """
    K_ss, K_tt, K_st = K[:n_s, :n_s], K[n_s:, n_s:], K[:n_s, n_s:]
    if estimate == "biased":
        return K_ss.mean() + K_tt.mean() - 2 * K_st.mean()
    if estimate == "unbiased":
        within = ((k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (K_ss, K_tt))
        return sum(within, -2 * K_st.mean())
    m = min(K_st.shape)
    ss, tt, st, ts = (k[:m, :m].roll(-1, 1).diagonal() for k in (K_ss, K_tt, K_st, K_st.T))
    return (ss + tt - st - ts).mean()
