"""What ToAlign adds to DANNP, and what the data cost, on the protocol's network and image size, turn by turn in one process.

    pytest tests/perf --benchmark-only -s

ResNet-50 on 224×224 crops of 256×256 images in batches of 8: a larger batch only makes both shares smaller. (What a step holds in
memory needs no clock: tests/engine/test_memory.py.)
"""

from collections.abc import Iterator
from contextlib import nullcontext
from statistics import median
from typing import Any

import torch

from bench import nets
from bench.data.images import Images
from bench.data.stream import Stream
from bench.data.views import Views
from bench.engine.clock import Clock
from bench.engine.loop import Window, train
from bench.suite import suites
from methods import Batch, Progress, get

CPU = torch.device("cpu")
BATCH, IMAGES, TURNS = 8, 64, 10
SUITE = suites.find("officehome")


def images(seed: int) -> Images:
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (IMAGES, 3, 256, 256), dtype=torch.uint8, generator=g)
    return Images(x, torch.arange(IMAGES) % SUITE.classes)


def training(row: str) -> Iterator[Window]:
    """An iteration at every `next`, as `bench run` trains that row of the suite."""
    recipe = SUITE.recipe_for(SUITE.by_id[row], "Ar-Cl", override={"batch": BATCH})
    torch.manual_seed(0)
    net = nets.build(recipe, SUITE.classes)
    method = get(SUITE.by_id[row].method)(net, **SUITE.by_id[row].hyper)
    views = Views(recipe, CPU, seed=0)
    s, t = (
        Stream(images(k), BATCH, seed=0, name=name) for k, name in enumerate(("source", "target"))
    )
    view_s, view_t = views.train("source"), views.train("target")

    def batches(step: int) -> tuple[Batch, Batch]:
        a, b = s(step), t(step)
        return Batch(view_s(a.x, step), a.y), Batch(view_t(b.x, step), None)

    return train(
        method, net, batches, nets.optimizer(net, method, recipe), recipe.lr_at, Clock(CPU), iterations=recipe.iterations,
        stops=set(range(recipe.iterations)), autocast=nullcontext(), progress=Progress,
    )  # fmt: skip


def test_toalign_costs_at_most_three_percent_over_dannp_and_data_less_than_one(
    benchmark: Any,
) -> None:
    torch.set_num_threads(1)
    runs = {row: training(row) for row in ("dannp", "toalign")}
    laps: dict[str, list[Any]] = {row: [] for row in runs}
    for run in runs.values():
        next(run)  # the optimiser's state is made in the first step

    def both() -> None:
        order = list(runs) if len(laps["dannp"]) % 2 else list(runs)[::-1]
        for row in order:
            laps[row].append(next(runs[row]).lap)

    benchmark.pedantic(both, rounds=TURNS)
    ms = {row: [lap.ms[0] for lap in found] for row, found in laps.items()}
    ratio = median(a / b for a, b in zip(ms["toalign"], ms["dannp"], strict=True))
    wait = median(lap.wait_ms[0] / lap.ms[0] for found in laps.values() for lap in found)
    benchmark.extra_info |= {"ratio": ratio, "data_share": wait} | {
        row: median(x) for row, x in ms.items()
    }
    print(
        f"\nDANNP {median(ms['dannp']):.0f} ms, with ToAlign {median(ms['toalign']):.0f} ms a step: ratio {ratio:.4f}",
        end="",
    )
    print(f"; waiting for data {100 * wait:.2f} % of a step")
    assert ratio <= 1.03 and wait < 0.01
