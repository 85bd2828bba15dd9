"""The contract between a method and the loop that trains it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal, Self, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """Images of one domain with their labels."""

    x: Tensor  # float (B, channels, H, W), normalized
    y: Tensor  # int64 (B,); None in a target batch, unless the method has `supervised_target`
    i: Tensor = None  # type: ignore[assignment]
    """int64 (B,), which images these are: their places in the domain's training set."""
    strong: Tensor = None  # type: ignore[assignment]
    """The same images strongly augmented, of x's shape; for a method that needs "strong_view"."""
    whole: Callable[[], "Iterator[Batch]"] = lambda: iter(())
    """Every training image of the domain once, in order, batch by batch, as a test would see it."""


class Progress(float):
    """p = it/T in [0, 1): how much of a training is done.

    A float that also knows the iteration, for methods that do different things by turns, and the
    stage. A training of two stages has its p begin anew with the second one.
    """

    it: int  # steps done so far, in all stages
    first: bool  # whether this is the first of two stages; in a training of one stage False

    def __new__(cls, it: int, T: int, first: int = 0) -> "Progress":
        """it: steps done so far; T: all steps of the training; first: those of a first stage."""
        begin, end = (0, first) if it < first else (first, T)
        p = super().__new__(cls, (it - begin) / (end - begin))
        p.it, p.first = it, it < first
        return p


class Network(nn.Module):
    """What every method trains: the backbone F and the classifier C."""

    def __init__(
        self, F: nn.Module, C: nn.Module, *, dim: int, classes: int,
        discriminator: Callable[..., nn.Module], joint: bool = False, n_t: int = 1,
        maps: tuple[str, tuple[int, int, int]] | None = None,
    ) -> None:  # fmt: skip
        """
        F: images (B, channels, H, W) -> features (B, dim).
        C: features -> logits (B, classes).
        discriminator: makes a fresh D, as the recipe shapes it. `discriminator(n)`: (B, n) -> one
        logit (B,); `discriminator(n, k)`: (B, n) -> k outputs (B, k).
        joint: whether both domains pass F in one forward.
        n_t: how many images the target's training set has, for a method that remembers each.
        maps: what makes F's last feature maps, for a method that looks at regions: the name of a
        module of F and the shape of its output, (channels, height, width). None where features are
        not made of maps.
        """
        super().__init__()
        self.F, self.C = F, C
        self.dim, self.classes = dim, classes
        self.discriminator = discriminator
        self.joint = joint
        self.n_t = n_t
        self.maps = maps

    def features(self, x_s: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """The features f_s, f_t of both batches, by one forward of F or by two.

        Batch norm tells the two apart, so the recipe decides.
        """
        if not self.joint:
            return self.F(x_s), self.F(x_t)
        f_s, f_t = self.F(torch.cat([x_s, x_t])).split([len(x_s), len(x_t)])
        return f_s, f_t


@dataclass(frozen=True)
class Within:
    """Bounds of a hyper-parameter, themselves allowed: `Annotated[int, Within(1)]`."""

    low: float
    high: float = inf


class Method(nn.Module, ABC):
    """An interface: a method derives from this, and nothing derives from the method.

    What a method adds to the network (a discriminator, more heads) are its own submodules, made in
    `__init__(self, net, *, ...)`. Its hyper-parameters are the keywords there, with the paper's
    defaults; one that allows only some values is typed `Literal[...]`, one with bounds
    `Annotated[float, Within(0, 1)]`. To hold a value constant use `detach()`, to reverse a gradient
    `_parts.reverse`.
    """

    supervised_target: ClassVar[bool] = False
    """Whether `step` is given target labels. True only for upper bounds; the table says so."""

    proof: ClassVar[tuple[str, ...]] = ("identity",)
    """What shows that it does what its source does, apart from the checks that all methods pass.

    golden: losses and gradients of the authors' code; training: whole trainings by it (both in
    `tests/golden`). identity: where there is no such code, or none was run, equations that hold.
    """

    origin: ClassVar[str] = ""
    """What the method was written from where no code of it is public; the table says so."""

    generates: ClassVar[Literal["nothing", "images", "classes"]] = "nothing"
    """What it learns to make of noise, where it does not adapt a classifier but imitates images.

    Then the target batch is noise, t.x (B, dim), and F is the generator: noise -> images, or, for
    "classes", noise and class int64 (B,) -> images of that class. C is not used, and
    `discriminator(k)` makes D: images, and with k > 0 their classes of k -> logits (B,).
    """

    needs: ClassVar[tuple[str, ...]] = ()
    """Knobs of the recipe that the method cannot do without: "strong_view" for `Batch.strong`,
    "first_stage" for a training of two stages. A suite whose recipe lacks one is refused."""

    def __new__(cls, *args: object, **hyper: object) -> Self:
        """Refuse a value that the type of its hyper-parameter does not allow.

        It is checked here because `__new__` is given what `__init__` is given, so that no method
        has to do it. Raises ValueError.
        """
        types = get_type_hints(cls.__init__, include_extras=True) if hyper else {}
        for name, value in hyper.items():
            args = get_args(types.get(name))
            if get_origin(types.get(name)) is Literal and value not in args:
                allowed = ", ".join(map(repr, args))
                raise ValueError(f"{name} of {cls.__name__} is one of {allowed}, not {value!r}")
            for b in (a for a in args if isinstance(a, Within)):
                if not b.low <= value <= b.high:  # type: ignore[operator]
                    allowed = f"from {b.low} to {b.high}"
                    raise ValueError(f"{name} of {cls.__name__} is {allowed}, not {value!r}")
        return super().__new__(cls)

    @abstractmethod
    def step(
        self, net: Network, s: Batch, t: Batch, p: Progress
    ) -> Iterator[Tensor | tuple[Tensor, nn.Module]]:
        """The losses of one iteration, each followed by a step of the optimizer.

        s, t: a batch of the source and one of the target.
        p: progress of the training, 0 at the first iteration and near 1 at the last.
        `yield loss` steps all parameters, `yield loss, module` those of that module alone. What
        stands after a yield runs after its optimizer step, so that it sees the new weights. What is
        to be remembered from one iteration to the next is a buffer, and so part of the state.
        """

    def predict(self, net: Network, x: Tensor) -> Tensor:
        """Class logits (B, classes) of images x at test time."""
        logits: Tensor = net.C(net.F(x))
        return logits
