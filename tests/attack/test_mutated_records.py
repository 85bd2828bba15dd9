"""Records with anything done to their bytes: reading never raises, and none counts."""

import random
from pathlib import Path

import fakes
import pytest
from attack.mutations import mutated
from attack.rounds import Count, seeds
from helpers import write_suite

from bench.runs import plan, records
from bench.runs.files import parse
from bench.runs.index import summarize
from bench.suite import suites

ROUNDS = 1000


@pytest.mark.parametrize("seed", seeds(4, 20))
def test_mutated_records_never_raise_and_never_count(
    seed: int, tmp_path: Path, count: Count
) -> None:
    rows = {"only": {"method": "dann", "hyper": {"lam": 0.5}}}
    [cell] = plan.cells(suites.load(write_suite(tmp_path, rows=rows)))
    whole, *others = genuine = [
        fakes.content(cell, (70.0, 80.0)),
        fakes.content(cell, (10.0, 20.0)),
        fakes.content(cell, status="diverged"),
    ]
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        data = mutated(whole, chance, others)
        assert parse(data).end is None or data in genuine
        records.KEPT.validate_json(summarize(data))
    count("mutated records", ROUNDS)
