"""Eight processes on one grid, killed and frozen at random: no cell is lost, none is run twice."""

import random
import signal
import time
from pathlib import Path

import pytest
from attack.rounds import Count, seeds
from children import Child, Children
from execute.test_workers import digests, folder, runs
from helpers import write_suite

from bench.runs import plan, records
from bench.suite import suites

__all__ = ["folder"]  # a fixture
KILLS = 20  # of a test
PROCESSES, SEEDS = 8, 6
ROWS = {"one": {"method": "source_only"}, "two": {"method": "dann"}}
PATIENCE = {"BENCH_PATIENCE": "2"}  # seconds that a frozen process keeps its cell
RUN = ("run", "--suite", "tiny.toml", "--data", "data", "--device", "cpu", "--seeds", f"0-{SEEDS - 1}")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(1, 5))
def test_eight_processes_that_are_killed_and_frozen_run_each_cell_once(
    seed: int, folder: Path, bench: Children, count: Count
) -> None:
    """A round is a grid of its own: twelve cells, and processes until they are done."""
    suite = suites.load(write_suite(folder, rows=ROWS, iterations=150, eval_every=50))
    cells = plan.cells(suite, seeds=range(SEEDS))
    assert bench.run(*RUN, "--results", "whole").code == 0
    chance, kills, freezes, rounds = random.Random(seed), 0, 0, 0
    while kills < KILLS:
        root = folder / f"round{rounds}"
        command = (*RUN, "--results", root, "--checkpoint-every", "0.3")
        crew = [bench.start(*command, env=PATIENCE) for _ in range(PROCESSES)]
        told = ""
        while not done(cells, root):
            time.sleep(chance.uniform(0.05, 0.6))
            alive = [c for c in crew if runs(c)]
            if alive and kills < KILLS and chance.random() < 0.7:
                victim = chance.choice(alive)
                if chance.random() < 0.2:
                    victim.send(signal.SIGSTOP)
                    freezes += 1
                else:
                    victim.send(signal.SIGKILL)
                    kills += 1
            for c in [c for c in crew if not runs(c)]:
                told += end(c)
                crew.remove(c)
                crew.append(bench.start(*command, env=PATIENCE))
        for c in crew:
            c.send(signal.SIGCONT)
            told += end(c)
        assert told == "", told
        assert digests(root) == digests(folder / "whole")
        assert not list(root.rglob("*.checkpoint")) and not list(root.rglob("*.part"))
        rounds += 1
    count(f"SIGKILLs among {PROCESSES} processes on one grid", kills)
    count("freezes among them", freezes)
    count(
        "cells of their grids, each recorded once and equal to the undisturbed one",
        rounds * len(cells),
    )


def done(cells: list[plan.Cell], root: Path) -> bool:
    return all(s.done for s in plan.states(cells, records.read_all(root)))


def end(child: Child) -> str:
    """What it said on stderr once it has ended: nothing, if all is well."""
    return child.wait().err
