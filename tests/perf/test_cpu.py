"""What makes a CPU faster, and that it evaluates as fast as it trains, turn by turn in one process.

    pytest tests/perf/test_cpu.py --benchmark-only -s

Processor time, so that what else the machine does matters little.
"""

import ctypes
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
import torch
from protocol import CPU, images, recipe_of, training

from bench import nets
from bench.data.views import Views
from bench.engine.memory import M_MMAP_MAX, M_TRIM_THRESHOLD, glibc, keep_freed
from bench.engine.training import computes_bf16
from bench.engine.uda import evaluate
from methods import get

M_MMAP_THRESHOLD = -3
MIB = 2**20
TURNS = 3
KNOBS: dict[str, dict[str, Any]] = {
    "memory kept": {},
    "and channels_last": {"channels_last": True},
    "and bf16": {"precision": "bf16"},
    "and both": {"channels_last": True, "precision": "bf16"},
}


def seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def give_back(c: ctypes.CDLL) -> None:
    """Return freed memory as glibc does unasked, once its moving threshold has reached its end."""
    c.mallopt(M_MMAP_MAX, 65536)
    c.mallopt(M_MMAP_THRESHOLD, 32 * MIB)
    c.mallopt(M_TRIM_THRESHOLD, 64 * MIB)
    c.malloc_trim(0)


def test_kept_memory_channels_last_and_bf16(benchmark: Any) -> None:
    c = glibc()
    if c is None:
        pytest.skip("the C library is not GNU's: its freed memory is left to it")
    torch.set_num_threads(1)
    keep_freed()
    unasked = training("dannp")
    # without instructions for bf16 a step takes minutes
    able = {n: k for n, k in KNOBS.items() if "precision" not in k or computes_bf16(CPU)}
    runs = {name: training("dannp", **knobs) for name, knobs in able.items()}
    for run in (unasked, *runs.values()):
        next(run)  # the optimiser's state is made in the first step
    spent: dict[str, list[float]] = {name: [] for name in ("memory given back", *runs)}

    def turn() -> None:
        give_back(c)
        spent["memory given back"].append(seconds(lambda: next(unasked)))
        keep_freed()
        next(runs["memory kept"])  # its pages come back
        for name, run in runs.items():
            spent[name].append(seconds(lambda run=run: next(run)))  # type: ignore[misc]

    benchmark.pedantic(turn, rounds=TURNS)
    base = spent["memory given back"]
    print()
    for name, times in spent.items():
        ratio = median(a / b for a, b in zip(times, base, strict=True))
        benchmark.extra_info[name] = ratio
        print(f"{name:18} {median(times):5.2f} s a step: ratio {ratio:.2f}")
    if len(able) < len(KNOBS):
        print("bf16 is not timed: this processor has no instructions for it")
    assert benchmark.extra_info["memory kept"] <= 1.02


@pytest.mark.parametrize(
    ("network", "n"),
    [({"batch": 16}, 48), ({"backbone": "vgg16", "size": 32, "crop": 32, "batch": 64}, 500)],
    ids=["resnet50-224", "vgg16-32"],
)
def test_evaluation_takes_no_longer_an_image_than_a_forward_of_training(
    network: dict[str, Any], n: int, benchmark: Any
) -> None:
    torch.set_num_threads(1)
    keep_freed()
    recipe = recipe_of("dannp", **network)
    net = nets.build(recipe, classes=65)
    method = get("dannp")(net)
    tested = images(0, n, recipe.size)
    views = Views(recipe, CPU, seed=0)
    view = views.train("source")
    spent: dict[str, list[float]] = {"evaluation": [], "forward": []}

    def forward() -> None:
        for step, x in enumerate(tested.x.split(recipe.batch)):
            net.C(net.F(view(x, step)))

    def evaluation() -> None:
        evaluate(method, net, tested, views, CPU, classes=65)

    def turn() -> None:
        for name, work in (("forward", forward), ("evaluation", evaluation)):
            net.train(name == "forward")
            spent[name].append(1e3 * seconds(work) / n)

    benchmark.pedantic(turn, rounds=TURNS - 1)
    ratio = min(spent["evaluation"]) / min(spent["forward"])
    benchmark.extra_info["ratio"] = ratio
    print(f"\nan image takes {min(spent['evaluation']):.1f} ms to evaluate, ", end="")
    print(f"{min(spent['forward']):.1f} ms in a forward of training: ratio {ratio:.2f}")
    assert ratio <= 1.05
