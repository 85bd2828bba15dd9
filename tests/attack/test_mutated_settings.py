"""`--set` with anything behind it: refused in a sentence, or trained as it says."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from attack.mutations import VALUES, mutated, write_value
from attack.rounds import Count, seeds
from attack.test_mutated_suites import Keys, check_same, check_sentence
from helpers import ended, needed, write_pictures, write_suite

from bench.engine.lab import Lab
from bench.errors import BenchError, UsageError
from bench.runs.plan import cells
from bench.runs.records import read_all
from bench.suite import catalog, settings, suites
from bench.suite.recipe import Recipe, modernized
from bench.suite.schema import flat
from bench.suite.suite import Suite

ROUNDS = 1000
KNOBS = {**flat(Recipe(backbone="x", size=1, iterations=1, batch=2, lr=1).model_dump())}
NAMES = [*KNOBS, *Recipe.model_fields, "optimiser", "hyper", "hyper.", ".", "", "lr_mult.X", "lr.F"]
LIKELY: tuple[Any, ...] = (
    0, 1, 2, 3, 5, 8, 16, 28, 32, 0.0, 0.01, 0.1, 0.3, 0.5, 1.0, 2.5, True, False, [], [8], [8, 8], [0.5],
    "none", "center", "random", "random-resized", "ten", "ten-cdan", "joint", "separate", "bf16", "tf32",
    "fp32", "adam", "sgd", "kernels", "all", "constant", "inv", "step", "unit", "half", "imagenet", "model",
    "layers", "alexnet", "xavier", "kaiming", "kaiming-100", "nearest", "bicubic", "randaugment", "lenet",
    "lenet-ganin", "ganin-mnist", {"F": 0.1, "C": 1, "D": 1}, {"hidden": [4], "batch_norm": True},
    {"width": 6, "relu": True},
)  # fmt: skip
"""Values that some knob takes, none of which asks for much memory."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    folder = tmp_path_factory.mktemp("suite")
    write_pictures(folder / "data", "A", "B", each=10)
    rows = {name: {"method": name, "recipe": needed(name)} for name in catalog.adapting()}
    return suites.load(write_suite(folder, rows=rows, iterations=3))


def drawn(suite: Suite, chance: random.Random) -> tuple[str, list[str]]:
    """A row, and one to three texts that set something for it, some of them misspelt."""
    row = chance.choice(suite.rows)
    hyper = {f"hyper.{k}": v for k, v in catalog.find_method(row.method).hyper.items()}
    texts = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        known = hyper if hyper and chance.random() < 0.3 else KNOBS
        name = chance.choice([*known] if chance.random() < 0.9 else NAMES)
        value = drawn_value(known.get(name), chance)
        word = isinstance(value, str) and chance.random() < 0.8
        text = f"{name}={value if word else write_value(value)}"
        if chance.random() < 0.1:
            text = mutated(text.encode(), chance, [b"lr=0.1"]).decode("utf-8", "replace")
        texts.append(text)
    return row.id, texts


def drawn_value(default: Any, chance: random.Random) -> Any:
    """Mostly one of the kind of the default."""
    match chance.randrange(5):
        case 0:
            return chance.choice(VALUES)
        case 1:
            return chance.choice(LIKELY)
    alike = [v for v in LIKELY if type(v) is type(default)]
    return chance.choice(alike or LIKELY)


@pytest.mark.parametrize("seed", seeds(2, 20))
def test_a_setting_is_refused_in_a_sentence_or_trains_what_it_says(
    seed: int, suite: Suite, count: Count
) -> None:
    chance, keys, taken = random.Random(seed), Keys(), 0
    for _ in range(ROUNDS):
        row, texts = drawn(suite, chance)
        try:
            override = settings.parse_settings(texts)
            [cell] = cells(suite, methods=[row], seeds=[0], override=override)
        except UsageError as e:
            check_sentence(e)
            continue
        taken += 1
        keys.check(cell)
        knobs, hyper = settings.split_override(override)
        check_same(flat(modernized(knobs)), flat(cell.recipe.model_dump()))
        taken_hyper = {k: v for k, v in hyper.items() if k in cell.hyper_all}
        assert cell.hyper == taken_hyper
        assert settings.parse_settings(settings.write_settings(override)) == override
    assert 0 < taken < ROUNDS
    count("mutated --set values", ROUNDS)
    count("of these settings taken, each trained as it says", taken)


TRAINED = 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(1, 25))
def test_what_is_taken_trains_or_says_in_a_sentence_why_it_cannot(
    seed: int, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: Count
) -> None:
    """It ends, it may diverge, and if it fails then with a sentence of ours, not with a trace."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lab = Lab(suite.folder / "data", tmp_path / "results", torch.device("cpu"))
    chance, trained = random.Random(seed), 0
    while trained < TRAINED:
        row, texts = drawn(suite, chance)
        try:
            override = settings.parse_settings(texts)
            [cell] = cells(suite, methods=[row], seeds=[0], override=override)
        except UsageError:
            continue
        if not small(cell.recipe):
            continue
        trained += 1
        try:
            run = ended(cell, lab)
        except BenchError as e:  # a backbone or weights that nobody has: nothing is recorded
            check_sentence(e)
            continue
        [record] = [r for r in read_all(lab.results) if r.path == run.path]
        assert record.problem == "" and record.end and not record.end.trace, (row, texts)
    count("taken settings trained", trained)


def small(r: Recipe) -> bool:
    """Whether the machine of the test has the memory and the minutes for it."""
    layers = (*r.classifier.hidden, *r.discriminator.hidden, r.bottleneck.width)
    return (
        max(*layers, r.size, r.crop or 0, r.batch) < 200
        and r.iterations < 20
        and r.head == "layers"
    )
