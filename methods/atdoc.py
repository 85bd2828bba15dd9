from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from methods._method import Batch, Method, Network, Within
from methods._parts import evaluation


class ATDOC(Method):
    """L = L_y + w·p·Σ_i c_i CE(C(f_i), ŷ_i) / Σ_i c_i, over the target; p the progress
    (Liang et al., CVPR 2021, section 3)

    The labels ŷ and their weights c come from a memory of the target that is no part of C. It is
    renewed after each step, from a forward of the batch in evaluation mode at the new weights.

    by: what is remembered. "neighbors" (NA): of each image f/‖f‖ and q = p²/Σ p² (the sum over its
    batch, for each class). Of an image's k nearest others by cosine the mean of q is taken; ŷ is
    its largest class, c how large. "centroids" (NC): of each class a feature, which moves towards
    the mean of the images predicted so, or to 0 where there are none. ŷ is the class with the
    largest cosine, c = 1.
    """

    proof: ClassVar[tuple[str, ...]] = ("training",)

    f: Tensor
    q: Tensor

    def __init__(
        self,
        net: Network,
        *,
        by: Literal["neighbors", "centroids"] = "neighbors",
        weight: float = 0.2,  # w at the end; the authors have 0.1 with centroids
        k: Annotated[int, Within(1)] = 5,  # neighbors
        momentum: Annotated[float, Within(0, 1)] = 0.1,  # share of a batch's mean in a centroid
        smooth: Annotated[float, Within(0, 1)] = 0.1,  # label smoothing of L_y
        lead: float = 0.0,  # what is added to p; as released, which counts from 1, 1/T
    ) -> None:
        super().__init__()
        rows = net.n_t if by == "neighbors" else net.classes
        self.register_buffer("f", normalize(torch.rand(rows, net.dim)))
        self.register_buffer("q", torch.full((rows, net.classes), 1 / net.classes))
        self.by, self.weight, self.k, self.momentum = by, weight, k, momentum
        self.smooth, self.lead = smooth, lead

    def labels(self, f: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        """c and ŷ of target images i with features f, (B,) each."""
        if self.by == "centroids":
            cosines = f @ normalize(self.f).T
            return torch.ones_like(cosines[:, 0]), cosines.argmax(1)
        near = f @ self.f.T
        near = near.scatter(1, i[:, None], near.min().expand(len(i), 1))  # itself comes last
        q = self.q[near.topk(min(self.k, len(self.q))).indices].mean(1)
        c, label = q.max(1)
        return c, label

    def renew(self, f: Tensor, p: Tensor, i: Tensor) -> None:
        """Remember images i by their features and predictions."""
        f, p = f.to(self.f.dtype), p.to(self.q.dtype)
        if self.by == "centroids":
            each = torch.eye(p.shape[1], dtype=f.dtype, device=f.device)[p.argmax(1)]
            mean = each.T @ f / (each.sum(0)[:, None] + 1e-8)
            self.f.lerp_(mean.to(self.f.dtype), self.momentum)
        else:
            self.f[i] = normalize(f)
            squares = p**2  # of a class that no image may be of all are 0: released, 0/0
            self.q[i] = squares / squares.sum(0).clamp(min=torch.finfo(p.dtype).tiny)

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        f_s, f_t = net.features(s.x, t.x)
        c, label = self.labels(f_t.detach(), t.i)
        L_t = (c * cross_entropy(net.C(f_t), label, reduction="none")).sum() / c.sum()
        L_y = cross_entropy(net.C(f_s), s.y, label_smoothing=self.smooth)
        yield L_y + self.weight * (p + self.lead) * L_t
        with evaluation(net):
            f = net.F(t.x)
            self.renew(f, net.C(f).softmax(1), t.i)
