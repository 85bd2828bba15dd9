from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from methods._method import Batch, Method, Network, Progress, Within
from methods._parts import entropy, evaluation


class SHOT(Method):
    """First min L_y; then L = (1/B) Σ_i H(p_i) − H(p̄) + β·(1/B) Σ_i CE(p_i, ŷ_i), p̄ = mean p_i
    (Liang et al., ICML 2020, section 3)

    The second stage has no source images: F learns on the target alone, and C stays as it is. Each
    prediction is to be sure, and their mean even over the classes (H with ε inside its logarithm).

    The pseudo-labels ŷ are made at the start of the second stage and of every pass over the target,
    of all its images in evaluation mode. A class has the center of its images' features (f, 1), of
    length 1, each weighed by its p; an image gets the class whose center has the largest cosine.
    Once more, the centers are those of the images so labelled. Classes that no image has got in the
    round before are left out.
    """

    needs: ClassVar[tuple[str, ...]] = ("first_stage",)
    proof: ClassVar[tuple[str, ...]] = ("golden",)

    label: Tensor

    def __init__(
        self,
        net: Network,
        *,
        beta: float = 0.3,  # β; for digits the paper has 0.1
        smooth: Annotated[float, Within(0, 1)] = 0.1,  # label smoothing of L_y
    ) -> None:
        super().__init__()
        self.register_buffer("label", torch.zeros(net.n_t, dtype=torch.int64))
        self.beta, self.smooth = beta, smooth

    def labels(self, net: Network, t: Batch) -> Tensor:
        """ŷ of all target images, (n_t,)."""
        with evaluation(net):
            f = torch.cat([net.F(batch.x) for batch in t.whole()])
            p: Tensor = net.C(f).softmax(1)
        f = normalize(torch.cat([f, torch.ones_like(f[:, :1])], 1))
        one = torch.eye(net.classes, dtype=f.dtype, device=f.device)  # a row for each class
        weights, label = p.to(f.dtype), p.argmax(1)
        for _ in range(2):
            cosines = f @ normalize(weights.T @ f).T
            label = cosines.masked_fill(one[label].sum(0) == 0, -torch.inf).argmax(1)
            weights = one[label]
        return label

    def step(
        self, net: Network, s: Batch, t: Batch, p: Progress
    ) -> Iterator[Tensor | tuple[Tensor, nn.Module]]:
        if p.first:
            yield cross_entropy(net.C(net.F(s.x)), s.y, label_smoothing=self.smooth)
            return
        if p == 0.0 or p.it % max(net.n_t // len(t.x), 1) == 0:
            self.label.copy_(self.labels(net, t))
        y = net.C(net.F(t.x))
        mean = y.softmax(1).mean(0)
        L_div = (mean * (mean + 1e-5).log()).sum()
        L_c = cross_entropy(y, self.label[t.i])
        yield entropy(y).mean() + L_div + self.beta * L_c, net.F
