from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods._method import Batch, Method, Network
from methods._parts import unrecorded


class AdaBN(Method):
    """min L_y = CE(C(F(x_s)), y_s); tests normalize by the target's statistics: (x − μ_t)/σ_t
    (Li et al., arXiv 2016, algorithm 1)

    Target images are seen without any loss. Whatever method forwards target images also adapts
    batch norm, so this tells which part of its gain comes from that alone. μ_t and σ_t are moving
    averages over the batches of the training, each taken after its step; the paper takes them once,
    of all target images, when the training is over.
    """

    def __init__(self, net: Network) -> None:
        super().__init__()

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        with unrecorded(net):
            L_y = cross_entropy(net.C(net.F(s.x)), s.y)
        yield L_y
        with torch.no_grad():
            net.C(net.F(t.x))  # for the statistics that it leaves
