"""What the code does, whatever its spelling: losses of a few steps on a fixed tiny network.

Two programs whose probes agree train alike, as far as method, hyper-parameters and optimizer go; a
comment or a new name leaves a probe as it is. Nothing of bench is imported at the top of this file:
`bench convert` runs it as a script, with the methods and the optimizer of an older commit.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from hashlib import sha256
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

if TYPE_CHECKING:
    from bench.runs.cell import Cell
    from bench.runs.lines import Probe

STEPS = 4  # of an imagined training of as many iterations: p = 1/5, 2/5, ...
LR = 0.05  # in place of the recipe's own, so that what a step does shows in the next loss
CLASSES, WIDTH, BATCH = 4, 6, 8


def losses(
    methods: ModuleType,
    make_optimizer: Callable[[Any, Any, Any], torch.optim.Optimizer],
    method: str,
    hyper: dict[str, Any],
    recipe: Any,
) -> list[float]:
    """The loss of each step, float64, summed over the yields of a step; then of one step more.

    methods: the package that holds the method. make_optimizer: (net, method, recipe) -> optimizer.
    recipe: its optimizer, schedule and forward are used, its network and length are not.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cls = methods.get(method)
        generates = getattr(cls, "generates", "nothing")  # of older packages nothing
        net = _network(methods, generates, joint=recipe.forward == "joint").double()
        m = cls(net, **hyper).double()
        optimizer = make_optimizer(net, m, recipe)
        net.train(), m.train()
        out = []
        for it in range(1, STEPS + 2):
            p = _progress(methods, it, recipe)
            for group in optimizer.param_groups:
                group["lr"] = LR * recipe.lr_at(float(p)) / recipe.lr * group["lr_mult"]
            s, t = _batches(methods, it, generates, labelled=m.supervised_target)
            out.append(_step(m.step(net, s, t, p), optimizer))
        return out


_known: dict[tuple[Callable[..., Any], str], "Probe | None"] = {}
"""Probes by the method's own step and their subject: a method that is edited in a session is probed
again."""


def probe(cell: "Cell") -> "Probe | None":
    """What today's code does with the method, hyper-parameters and optimizer of a cell.

    None when a loss is not finite, or when the method cannot be run on the probe's network.
    """
    topic = subject(cell.method, cell.hyper_all, cell.recipe.model_dump(mode="json"))
    place = import_module("methods").get(cell.method).step, topic
    if place not in _known:
        _known[place] = _probe(cell, topic)
    return _known[place]


def _probe(cell: "Cell", topic: str) -> "Probe | None":
    import methods
    from bench import nets
    from bench.runs.lines import Probe

    try:
        found = losses(methods, nets.optimizer, cell.method, dict(cell.hyper), cell.recipe)
    except Exception:  # the training itself will tell what is wrong with the method
        return None
    return Probe(subject=topic, losses=tuple(found)) if all(map(math.isfinite, found)) else None


OF_THE_OPTIMIZER = (
    "optimizer", "lr", "lr_mult", "momentum", "nesterov", "weight_decay", "decay", "schedule",
    "schedule_gamma", "schedule_power", "schedule_steps", "schedule_at", "forward",
)  # fmt: skip
LATER = ("momentum_mult", "first_stage", "beta1")


def subject(method: str, hyper: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """12 hex digits for what a probe is about: probes of one subject can be compared.

    hyper, recipe: every hyper-parameter and every knob, as a record holds them.
    """
    from bench.suite.released import RECIPE

    knobs = {k: recipe[k] for k in OF_THE_OPTIMIZER}
    # knobs that came later: where they are as before, so is the subject
    knobs |= {k: v for k in LATER if (v := recipe.get(k, RECIPE[k])) != RECIPE[k]}
    text = json.dumps([method, hyper, knobs], sort_keys=True)
    return sha256(text.encode()).hexdigest()[:12]


def _progress(methods: ModuleType, it: int, recipe: Any) -> Any:
    """How older packages count: without an iteration, without stages."""
    if not hasattr(methods, "Progress"):
        return it / (STEPS + 1)
    first = math.ceil(getattr(recipe, "first_stage", 0) * (STEPS + 1))
    return methods.Progress(it, STEPS + 1, *([first] if first else []))


class _Labelled(nn.Module):
    """Rows, and classes where there are any -> what the layers make of both."""

    def __init__(self, n_in: int, classes: int, n_out: tuple[int, ...]) -> None:
        super().__init__()
        n = math.prod(n_out)
        first = nn.Linear(n_in + classes, WIDTH)
        self.layers = nn.Sequential(first, nn.Tanh(), nn.Linear(WIDTH, n))
        self.classes, self.shape = classes, n_out

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        x = x.flatten(1) if y is None else torch.cat([x.flatten(1), one_hot(y, self.classes)], 1)
        return self.layers(x).view(-1, *self.shape)  # type: ignore[no-any-return]


def _network(methods: ModuleType, generates: str, *, joint: bool) -> nn.Module:
    if generates != "nothing":
        G = _Labelled(WIDTH, CLASSES if generates == "classes" else 0, (3, 2, 2))
        made: nn.Module = methods.Network(
            G, nn.Identity(), dim=WIDTH, classes=CLASSES,
            discriminator=lambda classes: _Labelled(12, classes, ()),
        )  # fmt: skip
        return made

    def discriminator(n_in: int, n_out: int = 1) -> nn.Module:
        layers = nn.Sequential(nn.Linear(n_in, WIDTH), nn.Tanh(), nn.Linear(WIDTH, n_out))
        return layers if n_out > 1 else nn.Sequential(layers, nn.Flatten(0))

    F = nn.Sequential(nn.Flatten(), nn.Linear(12, WIDTH), nn.BatchNorm1d(WIDTH), nn.Tanh())
    C = nn.Linear(WIDTH, CLASSES)
    C.weight.data *= 8  # sure enough of some samples for methods that ask for confidence
    net: nn.Module = methods.Network(
        F, C, dim=WIDTH, classes=CLASSES, discriminator=discriminator, joint=joint
    )
    net.n_t = 2 * BATCH  # type: ignore[assignment]  # of a Network, if it knows it
    return net


def _batches(methods: ModuleType, it: int, generates: str, *, labelled: bool) -> tuple[Any, Any]:
    """Source and target of a step: noise around a pattern for each class, the target shifted; noise
    alone where images are made of it."""
    g = torch.Generator().manual_seed(it)
    y = torch.arange(BATCH) % CLASSES
    pattern = one_hot(y, 12).double().view(BATCH, 3, 2, 2)

    def draw(shift: float) -> Tensor:
        return 2 * pattern + torch.randn(BATCH, 3, 2, 2, generator=g, dtype=torch.float64) + shift

    known = {f.name for f in fields(methods.Batch)}  # by older packages fewer

    def batch(x: Tensor, y: Tensor | None) -> Any:
        # two batches make the domain, so that both steps of a pass are seen
        i = torch.arange(BATCH) + BATCH * (it % 2)
        whole = partial(_domain, methods, x)
        every = {"x": x, "y": y, "i": i, "strong": 0.9 * x.roll(1, 3), "whole": whole}
        return methods.Batch(**{k: v for k, v in every.items() if k in known})

    if generates != "nothing":
        z = torch.randn(BATCH, WIDTH, generator=g, dtype=torch.float64)
        return batch(draw(0.0), y), methods.Batch(z, None)
    return batch(draw(0.0), y), batch(draw(0.5), y if labelled else None)


def _domain(methods: ModuleType, x: Tensor) -> Iterator[Any]:
    for k in range(2):
        yield methods.Batch(x + k / 4, None, torch.arange(BATCH) + BATCH * k)


def _step(yields: Iterator[Any], optimizer: torch.optim.Optimizer) -> float:
    total = 0.0
    for out in yields:
        loss, module = out if isinstance(out, tuple) else (out, None)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if module is not None:
            stepped = set(module.parameters())
            for group in optimizer.param_groups:
                for q in group["params"]:
                    q.grad = q.grad if q in stepped else None
        optimizer.step()
        total += loss.item()
    return total


def answer_requests() -> None:
    """Answer requests, one JSON object a line: {method, hyper, recipe} -> the losses, or null.

    Whatever `methods` and `bench` are found on the path make the answer.
    """
    import methods

    nets = import_module("bench.nets")
    make_optimizer = getattr(nets, "optimizer", None) or nets.optimiser
    try:
        Recipe = import_module("bench.recipe").Recipe
    except ImportError:
        Recipe = import_module("bench.suites").Recipe
    for line in sys.stdin:
        asked = json.loads(line)
        hyper = {k: float(v) if v in ("inf", "-inf") else v for k, v in asked["hyper"].items()}
        try:
            recipe = Recipe.model_validate(asked["recipe"])
            answer = losses(methods, make_optimizer, asked["method"], hyper, recipe)
        except Exception as e:  # whatever an older program says to what it does not know
            answer = None
            print(f"{type(e).__name__}: {e}", file=sys.stderr)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    answer_requests()
