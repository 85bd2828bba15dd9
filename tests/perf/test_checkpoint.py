"""What a checkpoint costs: seconds to write it, beside the 300 that lie between two, and its size.

pytest tests/perf/test_checkpoint.py --benchmark-only -s
"""

import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from protocol import CPU
from torch.nn.functional import cross_entropy

from bench import nets
from bench.engine import env
from bench.engine.checkpoint import Saver
from bench.engine.log import Log
from bench.engine.training import Stops, Training
from bench.runs import files, plan, records
from bench.suite import suites
from methods import get

TURNS = 3
EVERY = 300.0  # seconds between two checkpoints, as `bench run` has them
ROOT = Path(__file__).parents[2]


def begin() -> Training:
    """ToAlign's ResNet-50 with its momenta, as after a step."""
    (cell, *_) = plan.cells(suites.find("officehome"), methods=["toalign"], seeds=[0])
    net = nets.build(cell.recipe, cell.classes)
    method = get("toalign")(net, **cell.hyper)
    training = Training(net, method, nets.optimizer(net, method, cell.recipe))
    x, y = torch.randn(2, 3, 64, 64), torch.tensor([0, 1])
    (cross_entropy(net.C(net.F(x)), y) + method.D(net.C(net.F(x))).sum()).backward()
    training.optimizer.step()
    training.step = 1
    return training


def test_a_checkpoint_takes_less_than_a_hundredth_of_the_time(
    benchmark: Any, tmp_path: Path
) -> None:
    training = begin()
    record = next(r for r in records.read_all(ROOT / "results") if r.run)
    out = files.Writer(tmp_path / "s0-000000000000-1.jsonl", -1)
    here = env.describe(CPU, 0.0)
    path = tmp_path / "s0-000000000000.checkpoint"
    saver = Saver(path, EVERY, time.perf_counter(), record.run, here)
    log = Log(out, Stops(10, frozenset({100}), frozenset({100})))

    def write() -> float:
        began = time.perf_counter()
        assert saver.save(training, log) == ""
        return time.perf_counter() - began

    taken = benchmark.pedantic(lambda: median(write() for _ in range(TURNS)), rounds=1)
    size = path.stat().st_size / 2**20
    print(f"\n{taken:.2f} s for {size:,.0f} MiB: {taken / EVERY:.2%} of {EVERY:.0f} s")
    assert taken / EVERY < 0.01
