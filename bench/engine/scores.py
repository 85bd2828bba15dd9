"""How good predictions look without their labels: pure functions, float64 on the CPU.

p: probabilities (N, classes) of a test set's images. Nothing here draws random numbers.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

NEIGHBOURS = 2000  # at most so many images, evenly spread, have their neighbourhoods looked at
ROWS = 100  # of their matrix that are made at once: few enough for the processor's cache
EMBEDDED = 1000  # at most so many of each domain, evenly spread, are weighed by their features
STEPS = 20  # of the domain classifier's optimizer


def score_target(p: Tensor) -> dict[str, float]:
    """The scores of predictions by their names in a record."""
    p = p.to("cpu", torch.float64)
    return {
        "entropy": mean_entropy(p),
        "im": mutual_information(p),
        "snd": neighbourhood_density(p[spread(len(p), NEIGHBOURS)]),
        "bnm": nuclear_norm(p),
    }


def spread(n: int, most: int) -> Tensor:
    """Which of n images stand for all: at most so many, evenly spread, in order."""
    k = min(n, most)
    return torch.arange(k) * n // max(k, 1)


def mean_entropy(p: Tensor) -> float:
    """Mean of H(p) = −Σ_k p_k log p_k, in nats. Small: the network is sure."""
    return float(_entropy(p).mean())


def mutual_information(p: Tensor) -> float:
    """H(mean p) − mean H(p), in nats. Large: sure of each image, and of different classes.

    Krause et al., NIPS 2010; Shi and Sha, ICML 2012.
    """
    return float(_entropy(p.mean(0, keepdim=True)) - _entropy(p).mean())


def neighbourhood_density(p: Tensor, temperature: float = 0.05) -> float:
    """Mean entropy of q_ij = softmax over j ≠ i of cos(p_i, p_j)/τ, in nats.

    Large: each image has many others whose predictions are alike. Saito et al., ICCV 2021. One
    image has no neighbour: 0.
    """
    if len(p) < 2:
        return 0.0
    unit, total = normalize(p, dim=1), 0.0
    for i in range(0, len(p), ROWS):
        # cos − 1 leaves q as it is and lies between −1 and 0: no exponential is 0 or beyond bounds
        z = (unit[i : i + ROWS] @ unit.T - 1).div_(temperature)
        e = z.exp()
        e.diagonal(i).zero_()
        sums = e.sum(1)
        total += float((sums.log() - (e * z).sum(1) / sums).sum())
    return total / len(p)


def nuclear_norm(p: Tensor) -> float:
    """‖P‖_* / √(N·min(N, classes)): the sum of the singular values of all predictions, from 0 to 1.

    Large: sure of each image, and of different classes. Cui et al., CVPR 2020. 1 when every image
    is one class's for certain, and all classes have as many.
    """
    squares = torch.linalg.eigvalsh(p.T @ p).clamp_min(0)  # a small matrix, as against an SVD of P
    return float(squares.sqrt().sum() / math.sqrt(len(p) * min(p.shape)))


def _entropy(p: Tensor) -> Tensor:
    h: Tensor = torch.special.entr(p).sum(1)
    return h


def validate_embedded(f_s: Tensor, f_t: Tensor, wrong: Tensor) -> float:
    """The target's error as the source's images tell it, weighed to stand for the target's.

    R = mean(w·e) + η·(mean(w) − 1), η = −cov(w·e, w)/var(w): deep embedded validation (You et al.,
    ICML 2019) with the error e of 0 or 1. w = density of the target over that of the source, by a
    domain classifier of the features; η takes away what their noise adds. R may leave [0, 1].

    f_s, f_t: features (n, dim) of both test sets. wrong: whether each source image is mistaken.

    The paper trains the classifier on training images. Here it is a logistic regression, and each
    half of the test images is weighed by the one that the other half trains. Halves need two
    images of each domain: else it is nan.
    """
    if min(len(f_s), len(f_t)) < 2:
        return math.nan
    f_s, f_t, e = (x.to("cpu", torch.float64) for x in (f_s, f_t, wrong))
    w = torch.empty(len(f_s), dtype=torch.float64)
    for half in (0, 1):
        known_s, known_t = f_s[1 - half :: 2], f_t[1 - half :: 2]
        u = _tell_domains(known_s, known_t, f_s[half::2])
        w[half::2] = len(known_s) / len(known_t) * torch.exp(-u)
    risk = w * e
    noise = torch.cov(torch.stack([risk, w]))
    eta = -noise[0, 1] / noise[1, 1] if noise[1, 1] > 0 else torch.tensor(0.0)
    return float(risk.mean() + eta * (w.mean() - 1))


def _tell_domains(f_s: Tensor, f_t: Tensor, x: Tensor) -> Tensor:
    """Logits (n,) that features x are of the source, by a logistic regression of f_s and f_t.

    Of features of mean 0 and deviation 1/√dim, with the penalty ½|θ|²/n: beforehand, logits of
    about ±1 are expected. Without it features of more dimensions than images always tell domains
    apart, and weights are 0 or beyond all bounds.
    """
    f = torch.cat([f_s, f_t])
    mean, deviation = f.mean(0), f.std(0, correction=0)
    scale = torch.where(deviation > 0, deviation, 1.0) * math.sqrt(f.shape[1])
    f, x = (f - mean) / scale, (x - mean) / scale
    sign = torch.cat([torch.ones(len(f_s)), -torch.ones(len(f_t))]).to(f)
    theta = torch.zeros(f.shape[1] + 1, dtype=f.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([theta], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        u = f @ theta[:-1] + theta[-1]
        value: Tensor = softplus(-sign * u).mean() + theta[:-1].square().sum() / (2 * len(f))
        value.backward()
        return value

    optimizer.step(loss)  # it turns gradients on by itself
    u: Tensor = x @ theta.detach()[:-1] + theta.detach()[-1]
    return u
