"""What the harness costs: its loop, clock and stream against a loop written by hand, turn by turn in one process.

    pytest tests/perf --benchmark-only -s

Both train the same network on the same images by DANN, 5 to 20 ms a step on one core. A turn of each, then of each in the other
order; the ratio is the median over the turns, so what else the machine does meets both alike.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench import nets
from bench.data.images import Images
from bench.data.stream import Stream
from bench.data.views import Pixels
from bench.engine.clock import Clock
from bench.engine.loop import train
from bench.suite.recipe import Recipe
from methods import Batch, get
from methods._parts import domain_loss, ramp, reverse, sides

CPU = torch.device("cpu")
# many short turns: a busy neighbour of the machine spoils a few of them, and the median leaves those out
BATCH, IMAGES, TURNS, STEPS = 8, 2000, 300, 10
RECIPE = Recipe.model_validate(
    {
        "backbone": "ganin-mnist", "classifier": {"hidden": [100, 100]}, "discriminator": {"hidden": [100]},
        "size": 28, "iterations": 10**6, "batch": BATCH, "lr": 1e-3, "schedule": "inv",
    }
)  # fmt: skip


def images(seed: int) -> Images:
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (IMAGES, 1, 28, 28), dtype=torch.uint8, generator=g)
    return Images(x, torch.randint(0, 10, (IMAGES,), generator=g))


def harness() -> Iterator[Any]:
    """A turn of STEPS iterations at every `next`, as `bench run` trains."""
    torch.manual_seed(0)
    net = nets.build(RECIPE, classes=10)
    method = get("dann")(net)
    pixels = Pixels("unit", CPU)
    s, t = (
        Stream(images(k), BATCH, seed=0, name=name) for k, name in enumerate(("source", "target"))
    )

    def batches(step: int) -> tuple[Batch, Batch]:
        a, b = s(step), t(step)
        return Batch(pixels(a.x), a.y), Batch(pixels(b.x), None)

    return train(
        method, net, batches, nets.optimizer(net, method, RECIPE), RECIPE.lr_at, Clock(CPU),
        iterations=RECIPE.iterations, stops=set(range(STEPS, 10**5, STEPS)), autocast=nullcontext(),
    )  # fmt: skip


def bare() -> Iterator[list[float]]:
    """The same as one writes it down for a single experiment."""
    torch.manual_seed(0)
    net = nets.build(RECIPE, classes=10)
    F, C, D = net.F, net.C, net.discriminator(net.dim)
    source, target = images(0), images(1)
    optimiser = torch.optim.SGD(
        nn.ModuleList([F, C, D]).parameters(), lr=RECIPE.lr, momentum=RECIPE.momentum
    )
    steps = IMAGES // BATCH
    losses: list[Tensor] = []
    for it in range(RECIPE.iterations):
        if it % steps == 0:
            order_s, order_t = torch.randperm(IMAGES), torch.randperm(IMAGES)
        i = it % steps * BATCH
        keep_s, keep_t = order_s[i : i + BATCH], order_t[i : i + BATCH]
        x_s = (source.x[keep_s].float() / 255).expand(-1, 3, -1, -1)
        x_t = (target.x[keep_t].float() / 255).expand(-1, 3, -1, -1)
        p = it / RECIPE.iterations
        for group in optimiser.param_groups:
            group["lr"] = RECIPE.lr * (1 + 10 * p) ** -0.75
        f_s, f_t = F(x_s), F(x_t)
        lam = ramp(p)
        d_s, d_t = sides(D, reverse(f_s, lam), reverse(f_t, lam))
        loss = cross_entropy(C(f_s), source.y[keep_s]) + domain_loss(d_s, d_t)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
        if (it + 1) % STEPS == 0:
            yield torch.stack(losses).tolist()
            losses = []


def test_the_harness_costs_at_most_two_percent_over_a_loop_written_by_hand(benchmark: Any) -> None:
    torch.set_num_threads(1)
    ours, theirs = harness(), bare()
    next(ours), next(theirs)
    spent: dict[str, list[float]] = {"harness": [], "bare": []}

    def turn(name: str, loop: Iterator[Any]) -> None:
        began = time.process_time()
        next(loop)
        spent[name].append(1e3 * (time.process_time() - began) / STEPS)

    def both() -> None:
        pair: list[Callable[[], None]] = [
            lambda: turn("harness", ours),
            lambda: turn("bare", theirs),
        ]
        for go in pair if len(spent["bare"]) % 2 else reversed(pair):
            go()

    benchmark.pedantic(both, rounds=TURNS)
    ratio = median(a / b for a, b in zip(spent["harness"], spent["bare"], strict=True))
    benchmark.extra_info |= {
        "ratio": ratio,
        "harness_ms": median(spent["harness"]),
        "bare_ms": median(spent["bare"]),
    }
    print(
        f"\nharness {median(spent['harness']):.2f} ms, bare {median(spent['bare']):.2f} ms a step: ratio {ratio:.4f}"
    )
    assert ratio <= 1.02
