"""A queue of cells on many workers, simulated: how long it takes, and what trouble costs."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execute.schedule import Trouble, simulate


def test_cells_are_packed_the_longest_first() -> None:
    assert simulate([3, 1, 1, 1], 2).wall_s == 3, "in their own order it would be 4"
    assert simulate([5], 8).wall_s == 5
    assert simulate([], 3).wall_s == 0 and simulate([], 3).busy == 1
    three = simulate([4, 4, 4], 2)
    assert (three.wall_s, three.ideal_s, three.busy) == (8, 6, 0.75)


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=60), st.integers(1, 20))
def test_no_packing_beats_an_equal_share_and_this_one_is_at_most_a_cell_worse(
    seconds: list[float], workers: int
) -> None:
    """Graham (1966): a list that keeps every worker busy ends at most one cell after that."""
    found = simulate(seconds, workers)
    best_at_least = max(max(seconds), found.ideal_s)
    assert found.wall_s >= best_at_least * (1 - 1e-9)
    assert found.wall_s <= (found.ideal_s + max(seconds)) * (1 + 1e-9)


def test_a_worker_that_dies_costs_what_its_cell_did_since_its_checkpoint() -> None:
    """By hand: it lives for L seconds, keeps the whole checkpoints of them, and another comes."""
    life = random.Random(3).expovariate(1 / 100)
    trouble = Trouble(mean_life_s=100, restart_s=7, checkpoint_every=10, seed=3)
    found = simulate([life + 5], 1, trouble)
    assert found.deaths >= 1
    if found.deaths == 1:
        lost = life % 10
        assert found.wall_s == pytest.approx(life + 7 + 5 + lost)


@pytest.mark.parametrize("mean_life_h", [2.0, 12.0, 1e9])
def test_ten_thousand_cells_keep_64_workers_busy_although_workers_die(mean_life_h: float) -> None:
    """Cells of five minutes to a few hours; a worker lives for two hours on average, at worst."""
    rng = random.Random(0)
    seconds = [rng.lognormvariate(7.5, 0.7) for _ in range(10_000)]
    trouble = Trouble(3600 * mean_life_h, restart_s=60, checkpoint_every=300)
    found = simulate(seconds, 64, trouble)
    assert found.busy >= 0.95, found
    assert (found.deaths > 1000) == (mean_life_h < 10)
