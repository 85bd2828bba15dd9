"""Every method's step on torch's meta device: a tensor left on the CPU is found without a GPU.

Meta tensors have shapes and no values. A method that reads a value back fails here, too.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import CLASSES, at, on_meta, stages, tiny_batches, tiny_net, variants
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from methods import Batch, Method, Network, get

META = torch.device("meta")


class OneDevice(TorchDispatchMode):
    """Refuses every operation on or to a tensor of another device than meta.

    A single number of the CPU may stay: torch takes it along to any device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operations += 1
        for x in tree_leaves((args, kwargs or {}, out)):
            if isinstance(x, Tensor) and x.dim() > 0 and x.device != META:
                raise AssertionError(f"{func} meets a tensor {tuple(x.shape)} on the {x.device}")
        return out


def step(cls: type[Method], *, first: bool = False, joint: bool = False, **hyper: Any) -> int:
    """Losses, gradients and predictions of a method on the meta device; how many operations.

    first: those of the first of two stages.
    """
    net = tiny_net(joint=joint, dropout=0.5).to(META)
    method = cls(net, **hyper).to(META)
    s, t = tiny_batches()
    t = replace(t, y=t.i % CLASSES) if cls.supervised_target else t
    source, target = on_meta(s), on_meta(t)
    with OneDevice() as watch:
        for p in (0.0, 0.5, 0.501, 1.0):  # both turns of a method that takes turns
            for out in method.step(net, source, target, at(p, first=first)):
                loss = out[0] if isinstance(out, tuple) else out
                assert loss.device == META and loss.shape == ()
                loss.backward()
        assert method.predict(net, source.x).shape == (len(s.x), CLASSES)
    grads = [q.grad for q in net.F.parameters()]
    assert all(g is not None and g.device == META for g in grads)
    return watch.operations


@pytest.mark.parametrize(("name", "hyper"), variants())
@pytest.mark.parametrize(
    "joint",
    [pytest.param(False, id="separate"), pytest.param(True, id="joint", marks=pytest.mark.slow)],
)
def test_a_step_leaves_no_tensor_on_the_cpu(name: str, hyper: dict[str, Any], joint: bool) -> None:
    for first in stages(name):
        operations = step(get(name), first=first, joint=joint, **hyper)
        assert operations > 100, "operations were seen"


class Forgets(Method):
    """Keeps a tensor as a plain attribute, which `.to(device)` does not move."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.w = torch.ones(CLASSES)

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        yield cross_entropy(net.C(net.F(s.x)) * self.w, s.y)


class Makes(Method):
    """Makes a tensor in its step, without saying where."""

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        loss = cross_entropy(net.C(net.F(s.x)), s.y)
        yield loss + torch.zeros(len(t.x)).sum()


class Reads(Method):
    """Waits for a value, which meta tensors do not have."""

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        loss = cross_entropy(net.C(net.F(s.x)), s.y)
        if loss.item() > 0:
            yield loss


@pytest.mark.parametrize("wrong", [lambda net: Forgets(net), lambda net: Makes()])
def test_a_tensor_on_the_cpu_is_found(wrong: Any) -> None:
    wrong.supervised_target = False
    with pytest.raises((AssertionError, RuntimeError), match=r"on the cpu|on device cpu"):
        step(wrong)


def test_a_value_read_back_is_found() -> None:
    wrong: Any = lambda net: Reads()  # noqa: E731
    wrong.supervised_target = False
    with pytest.raises(RuntimeError, match="meta"):
        step(wrong)
