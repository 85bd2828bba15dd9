"""Loss values that can be differentiated by finite differences although a method stops gradients.

A method holds some values constant (`detach`, `torch.no_grad`, the result of `torch.autograd.grad`)
and reverses some gradients (`reverse`). Its gradient is then that of another function: the loss in
which these constants stay what they are while the parameters move. `Constants` evaluates it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from methods import _parts


class Constants(TorchFunctionMode):
    """Records the constants of a loss when it is evaluated first, and uses them ever after.

    with constants.evaluation(): loss = ...    # the first time as it is, later with its constants
    """

    def __init__(self) -> None:
        super().__init__()
        self.recorded: list[Tensor] = []
        self.next = 0  # index of the next constant
        self.recording = True
        self.in_function = False  # inside an autograd.Function, whose forward runs without a graph

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        self.next, self.recording = 0, not self.recorded
        torch.manual_seed(0)  # what a loss draws is constant, too
        genuine = Function.__dict__["apply"]
        Function.apply = classmethod(
            lambda cls, *args: self.apply(genuine.__get__(None, cls), cls, *args)
        )
        try:
            with self:
                yield
        finally:
            Function.apply = genuine
        assert self.next == len(self.recorded), "the method computes something else every time"

    def apply(self, genuine: Callable[..., Any], cls: type[Function], *args: Any) -> Any:
        """A custom function as it is; but a reversal as what has its value and its gradient."""
        if cls is _parts._Reverse:
            x, lam = args
            value = self.hold(x.detach())
            return genuine(*args) if self.recording else (1 + lam) * value - lam * x
        before, self.in_function = self.in_function, True
        try:
            return genuine(*args)
        finally:
            self.in_function = before

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What needs no gradient, though it is computed from what does, is a constant."""
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        live = any(x.requires_grad for x in given)
        out = func(*args, **(kwargs or {}))
        if not live or self.in_function:
            return out
        return tree_map(
            lambda x: self.hold(x) if isinstance(x, Tensor) and not x.requires_grad else x, out
        )

    def hold(self, value: Tensor) -> Tensor:
        if self.recording:
            self.recorded.append(value.detach().clone())
        self.next += 1
        return self.recorded[self.next - 1].clone()


def check_gradient(
    losses: Callable[[], tuple[Tensor, ...]], params: list[Tensor], *, fast: bool = False
) -> None:
    """Assert that the gradients of the losses are those of finite differences, constants held.

    fast: along a random direction of each parameter in place of every entry. Raises GradcheckError.
    """
    constants = Constants()

    def evaluated(*_: Tensor) -> tuple[Tensor, ...]:
        with constants.evaluation():
            return losses()

    assert torch.autograd.gradcheck(evaluated, params, fast_mode=fast)
