"""What ToAlign adds to DANNP, and what the data cost, on the protocol's network and image size, turn by turn in one process.

    pytest tests/perf --benchmark-only -s

ResNet-50 on 224×224 crops of 256×256 images in batches of 8: a larger batch only makes both shares smaller. (What a step holds in
memory needs no clock: tests/engine/test_memory.py.)
"""

from statistics import median
from typing import Any

import torch
from protocol import training

TURNS = 10


def test_metaalign_costs_at_most_a_half_more_and_a_bit(benchmark: Any) -> None:
    """Both of its turns: classification first, alignment first. 1.5 is what its forwards cost."""
    torch.set_num_threads(1)
    runs = {row: training(row) for row in ("dannp", "metaalign")}
    spent = dict.fromkeys(runs, 0.0)
    for run in runs.values():
        next(run)  # the optimiser's state is made in the first step

    def both() -> None:
        for row, run in runs.items():
            spent[row] += sum(next(run).lap.ms[0] for _ in range(2))

    benchmark.pedantic(both, rounds=3)
    ratio = spent["metaalign"] / spent["dannp"]
    benchmark.extra_info |= {"ratio": ratio}
    print(f"\nMetaAlign over DANNP: ratio {ratio:.3f}")
    assert ratio <= 1.6


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
