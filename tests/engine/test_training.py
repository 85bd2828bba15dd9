"""A training that was interrupted and resumed ends as one that was not, bit for bit."""

import math
import random
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from helpers import needed, tiny_batches, tiny_net, write_suite
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench import nets
from bench.engine.clock import Clock
from bench.engine.lab import Lab
from bench.engine.training import Stops, Training, TrainingState
from bench.engine.uda import UDA
from bench.runs import plan
from bench.runs.plan import Cell
from bench.suite import catalog, suites
from bench.suite.recipe import Recipe
from methods import Batch, Method, Network, Progress, get

CPU = torch.device("cpu")
ITERATIONS, MIDDLE = 7, 3
# whatever a step can draw at random or keep: dropout, crops and mirrors, batch norm, momentum
RECIPE = {
    "iterations": ITERATIONS, "lr": 0.01, "schedule": "inv", "size": 32, "crop": 28, "flip": True,
    "train_crop": "random", "test_crop": "centre",
    "bottleneck": {"width": 16, "batch_norm": True, "relu": True, "dropout": 0.3},
    "classifier": {"hidden": [8], "dropout": 0.5},
    "discriminator": {"hidden": [8], "dropout": 0.5},
    "weight_decay": {"F": 0.001, "C": 0.01, "D": 0.0},
}  # fmt: skip
OPTIMIZERS = {
    "sgd": {"nesterov": True},
    "adam": {"optimiser": "adam"},
    "the first of two stages": {"first_stage": 0.5},  # 4 of 7 iterations: interrupted in it
    "the second of two stages": {"first_stage": 0.2},  # begins after 2 of them
}


def cell_of(folder: Path, method: str, **recipe: Any) -> Cell:
    rows = {"only": {"method": method}}
    suite = suites.load(write_suite(folder, rows=rows, **RECIPE | needed(method) | recipe))
    (cell,) = plan.cells(suite)
    return cell


class Begun:
    """A training of a cell, at its first step."""

    def __init__(self, cell: Cell, lab: Lab, seed: int) -> None:
        self.recipe = cell.recipe
        torch.manual_seed(seed)
        self.task = UDA(cell, lab)
        net, method = self.task.build()
        self.training = Training(net, method, nets.optimizer(net, method, cell.recipe))
        self.task.open()

    def run(self, until: int) -> list[float]:
        """Train on up to that many iterations; the losses of those that were run."""
        return run(self.training, self.task.batches, self.recipe, until)


def run(training: Training, batches: Any, recipe: Recipe, until: int) -> list[float]:
    windows = training.run(
        batches, recipe.lr_at, Clock(CPU),
        iterations=recipe.iterations, stops=frozenset({MIDDLE, ITERATIONS}), autocast=nullcontext(),
        second_stage=recipe.second_stage,
    )  # fmt: skip
    losses: list[float] = []
    while training.step < until:
        losses += next(windows).loss
    return losses


def differences(a: Any, b: Any, at: str = "state") -> list[str]:
    """The places in which two states differ by as much as a bit."""
    if is_dataclass(a):
        pairs = [(f.name, getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    elif isinstance(a, dict):
        if a.keys() != b.keys():
            return [f"{at}: other keys"]
        pairs = [(k, a[k], b[k]) for k in a]
    elif isinstance(a, list | tuple):
        if len(a) != len(b):
            return [f"{at}: another length"]
        pairs = [(i, x, y) for i, (x, y) in enumerate(zip(a, b, strict=True))]
    elif isinstance(a, Tensor):
        return [] if torch.equal(a, b) else [at]
    elif isinstance(a, np.ndarray):
        return [] if np.array_equal(a, b) else [at]
    else:
        return [] if a == b else [at]
    return [place for k, x, y in pairs for place in differences(x, y, f"{at}.{k}")]


def tensors(state: TrainingState) -> int:
    momenta = [v for kept in state.optimizer["state"].values() for v in kept.values()]
    return len(state.net) + len(state.method) + len(momenta)


def every_training() -> Iterator[Any]:
    """Every method with every optimizer; most of those that tell no more than others are slow."""
    for method, optimizer in product(catalog.adapting(), OPTIMIZERS):
        staged = "first_stage" in catalog.find_method(method).needs and "stage" in optimizer
        quick = method == "dann" or optimizer == "sgd" or staged
        yield pytest.param(method, optimizer, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("method", "optimizer"), list(every_training()))
def test_resumed_in_the_middle_it_ends_as_if_never_interrupted(
    method: str, optimizer: str, lab: Lab, tmp_path: Path
) -> None:
    cell = cell_of(tmp_path, method, **OPTIMIZERS[optimizer])
    whole = Begun(cell, lab, seed=0)
    losses = whole.run(ITERATIONS)
    ended = whole.training.state()
    assert len(set(losses)) == ITERATIONS and ended.optimizer["state"], "it trained, with momentum"

    interrupted = Begun(cell, lab, seed=0)
    head = interrupted.run(MIDDLE)
    middle = interrupted.training.state()
    assert head + interrupted.run(ITERATIONS) == losses, "taking the state disturbs nothing"
    assert differences(middle.net, ended.net), "and the state is not what is trained on"
    for seed in (1, 2):  # twice, since the first must not have written into the state
        resumed = Begun(cell, lab, seed)  # at other weights, other random numbers
        resumed.training.load(middle)
        assert resumed.training.step == MIDDLE
        assert head + resumed.run(ITERATIONS) == losses
        assert differences(resumed.training.state(), ended) == []
        assert tensors(ended) == tensors(resumed.training.state()) > 10


class Watching(Method):
    """Keeps what it is told of its progress."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.told: list[tuple[int, bool, float]] = []

    def step(self, net: Network, s: Batch, t: Batch, p: Progress) -> Iterator[Tensor]:
        self.told.append((p.it, p.first, float(p)))
        yield cross_entropy(net.C(net.F(s.x)), s.y)


def test_with_a_second_stage_progress_rate_and_momenta_begin_anew() -> None:
    recipe = Recipe(
        backbone="any", size=2, iterations=7, batch=5, lr=0.1, first_stage=0.4, schedule="inv"
    )
    assert recipe.second_stage == 3
    net = tiny_net()
    training = Training(net, Watching(net), nets.optimizer(net, Watching(net), recipe))
    windows = training.run(
        lambda step: tiny_batches(seed=step), recipe.lr_at, Clock(CPU), iterations=7,
        stops=frozenset(range(1, 8)), autocast=nullcontext(), second_stage=3,
    )  # fmt: skip
    rates, fresh, state = [], [], training.optimizer.state
    for window in windows:
        rates.append(window.lr)
        buffer, grad = state[net.C.weight]["momentum_buffer"], net.C.weight.grad
        fresh.append(torch.equal(buffer, grad))  # the first step of an SGD: no momentum yet
    assert training.method.told == [
        (it, it < 3, p) for it, p in enumerate([0, 1 / 3, 2 / 3, 0, 1 / 4, 2 / 4, 3 / 4])
    ]
    assert rates[0] == rates[3] > rates[1] > rates[2]
    assert [it for it, new in enumerate(fresh) if new] == [0, 3]


def test_a_state_keeps_what_it_was_while_the_training_goes_on(lab: Lab, tmp_path: Path) -> None:
    begun = Begun(cell_of(tmp_path, "dann"), lab, seed=0)
    begun.run(MIDDLE)
    before, same = begun.training.state(), begun.training.state()
    begun.run(ITERATIONS)
    assert differences(before, same) == []
    found = differences(before, begun.training.state())
    for part in ("net", "method", "optimizer", "random.torch_cpu", "step"):
        assert any(place.startswith(f"state.{part}") for place in found), part


def plain() -> Training:
    torch.manual_seed(0)
    net = tiny_net()
    method = get("dann")(net)
    recipe = Recipe(backbone="any", size=2, iterations=ITERATIONS, batch=5, lr=0.1)
    return Training(net, method, nets.optimizer(net, method, recipe))


def test_a_digest_is_of_every_parameter_and_buffer_by_name_type_and_shape() -> None:
    changes: dict[str, Any] = {
        "the network": lambda t: t.net.C.bias.data.add_(1e-3),
        "the method": lambda t: t.method.D[0].weight.data.add_(1e-3),
        "a buffer": lambda t: t.method.register_buffer("seen", torch.zeros(1)),
        "a name": lambda t: setattr(t.net, "E", t.net._modules.pop("C")),
        "a type": lambda t: t.net.C.half(),
        "a shape": lambda t: setattr(t.net.C.weight, "data", t.net.C.weight.data.view(6, 3)),
    }
    digests = {"nothing": plain().digest()}
    for what, change in changes.items():
        change(training := plain())
        digests[what] = training.digest()
    assert len(set(digests.values())) == len(digests), digests
    assert digests["nothing"] == plain().digest() and len(digests["nothing"]) == 16


def test_a_training_trains_although_its_modules_were_left_in_evaluation_mode() -> None:
    training, modes = plain(), []
    training.net.eval(), training.method.eval()
    recipe = Recipe(backbone="any", size=2, iterations=ITERATIONS, batch=5, lr=0.1)

    def batches(step: int) -> tuple[Batch, Batch]:
        modes.append((training.net.training, training.method.training))
        return tiny_batches(seed=step)

    run(training, batches, recipe, MIDDLE)
    assert modes == [(True, True)] * MIDDLE and training.step == MIDDLE


class Noisy(Method):
    """Draws from every generator that a method may find."""

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        noise = random.random() + float(np.random.rand()) + torch.rand(())
        yield cross_entropy(net.C(net.F(s.x)) * noise, s.y)


def test_the_random_numbers_of_python_and_numpy_go_on_too() -> None:
    recipe = Recipe(backbone="any", size=2, iterations=ITERATIONS, batch=5, lr=0.1)

    def begin(seed: int) -> Training:
        torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)
        net, method = tiny_net(), Noisy()
        return Training(net, method, nets.optimizer(net, method, recipe))

    def go(training: Training, until: int) -> list[float]:
        return run(training, lambda step: tiny_batches(seed=step), recipe, until)

    losses = go(begin(0), ITERATIONS)
    first = begin(0)
    head, middle = go(first, MIDDLE), first.state()
    second = begin(1)
    second.load(middle)
    assert head + go(second, ITERATIONS) == losses


@pytest.mark.parametrize(
    ("iterations", "eval_every", "warmup", "measured", "others"),
    [
        (230, 100, 10, {100, 200, 230}, {10}),
        (230, None, 10, {230}, {10, 100, 200}),
        (12, 5, 6, {5, 10, 12}, {6}),
        (1, None, 0, {1}, {0}),
        (100, 100, 10, {100}, {10}),
    ],
)
def test_a_training_stops_to_write_and_to_measure(
    iterations: int, eval_every: int | None, warmup: int, measured: set[int], others: set[int]
) -> None:
    stops = Stops.of(
        Recipe(backbone="x", size=2, batch=2, lr=1, iterations=iterations, eval_every=eval_every)
    )
    assert stops == Stops(warmup, frozenset(measured), frozenset(measured | others))


class Looking(Method):
    """Keeps the batches that it is given."""

    needs = ("strong_view",)
    seen: ClassVar[list[tuple[Batch, Batch]]] = []

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.n_t = net.n_t

    def step(self, net: Network, s: Batch, t: Batch, p: Progress) -> Iterator[Tensor]:
        self.seen.append((s, t))
        yield cross_entropy(net.C(net.F(s.x)), s.y)


def test_a_batch_knows_which_images_it_has_and_the_whole_of_its_domain(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell,) = plan.cells(suites.load(write_suite(tmp_path, strong_view="randaugment")))
    task = UDA(cell, lab)
    task.method = Looking
    _, method = task.build()
    task.open()
    monkeypatch.setattr("bench.engine.uda.EVAL_BATCH", 5)
    for side, batch in zip(task.domains.values(), task.batches(1), strict=True):
        images = [b.x for b in batch.whole()]
        assert len(images) == math.ceil(len(side.train) / 5) and "a batch at a time"
        assert [i for b in batch.whole() for i in b.i.tolist()] == list(range(len(side.train)))
        assert torch.equal(torch.cat(images)[batch.i], batch.x)
        assert batch.strong.shape == batch.x.shape and not torch.equal(batch.strong, batch.x)
        assert all(b.y is None for b in batch.whole())
    assert method.n_t == len(task.domains["target"].train)
