"""Suites with anything done to them: refused in a sentence, or trained as they say."""

import json
import random
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attack.mutations import altered, mutated, write_toml
from attack.rounds import Count, seeds
from helpers import ROOT

from bench.errors import BenchError, UsageError
from bench.runs.cell import Cell
from bench.runs.plan import cells
from bench.suite import suites
from bench.suite.recipe import modernized
from bench.suite.schema import flat, merged
from bench.suite.suite import Suite

ROUNDS = 250
FILES = sorted((ROOT / "tables").glob("*.toml"))
LIST_OF_NAMES = 3000  # characters: every hyper-parameter or task of a suite


def check_sentence(e: BenchError) -> None:
    """It says something, on lines that a terminal can show."""
    text = str(e)
    assert 10 < len(text) < LIST_OF_NAMES and "Traceback" not in text, text
    assert all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cs") for c in text)


class Keys:
    """Two cells have one key when they train the same, and only then."""

    def __init__(self) -> None:
        self.content: dict[str, str] = {}
        self.key: dict[str, str] = {}

    def check(self, cell: Cell) -> None:
        ends = [spec.public.model_dump(mode="json") for _, spec in (cell.source, cell.target)]
        about = (
            cell.method,
            cell.hyper_all,
            ends,
            cell.classes,
            cell.recipe.model_dump(mode="json"),
        )
        content = json.dumps([*about, cell.metric, cell.seed], sort_keys=True)
        content = re.sub(r"-0\.0(?=[,}\]])", "0.0", content)
        assert self.content.setdefault(cell.key, content) == content
        assert self.key.setdefault(content, cell.key) == cell.key


def says(raw: Mapping[str, Any], row: Mapping[str, Any], task: str) -> dict[str, Any]:
    """The knobs that a suite's text states for a row without a preset of its own."""
    out = modernized(raw.get("recipe", {}))  # a preset may state all of it
    for change in (raw.get("task_recipe", {}).get(task, {}), row.get("recipe", {})):
        out = merged(out, modernized(change))
    return flat(out)


def check_same(said: Mapping[str, Any], trained: Mapping[str, Any]) -> None:
    """What was said is what is trained: a number is that number, a switch is no number."""
    for key, value in said.items():
        found = trained[key]
        if isinstance(value, list):
            assert list(found) == value, key
        elif isinstance(found, float) and not isinstance(value, bool):
            assert found == float(value), key  # no float is 10^30 to the last digit
        else:
            assert found == value and isinstance(found, bool) == isinstance(value, bool), key


def check_suite(suite: Suite, raw: Mapping[str, Any], keys: Keys, chance: random.Random) -> None:
    task = chance.choice(suite.tasks)
    for budget in ("full", "smoke", *suite.budgets):
        try:
            made = cells(suite, tasks=[task], seeds=[0], budget=budget)
        except UsageError as e:
            check_sentence(e)
            continue
        for cell in made:
            keys.check(cell)
            row = next(r for r in raw["rows"] if r["id"] == cell.row)
            assert (cell.method, cell.hyper) == (row["method"], row.get("hyper", {}))
            assert cell.task == task and cell.classes == raw["classes"]
            if budget == "full" and "preset" not in row:
                check_same(says(raw, row, task), flat(cell.recipe.model_dump()))


@pytest.mark.parametrize("seed", seeds(2, 80))
def test_a_mutated_suite_is_refused_in_a_sentence_or_trains_what_it_says(
    seed: int, tmp_path: Path, count: Count
) -> None:
    """Every second one has its bytes changed, the others their values."""
    chance, keys, taken = random.Random(seed), Keys(), 0
    raws = [path.read_bytes() for path in FILES]
    (tmp_path / "references.bib").write_bytes((ROOT / "tables/references.bib").read_bytes())
    file = tmp_path / "mutant.toml"
    for n in range(ROUNDS):
        raw = chance.choice(raws)
        if n % 2:
            file.write_bytes(mutated(raw, chance, raws))
        else:
            text = write_toml(altered(tomllib.loads(raw.decode()), chance))
            file.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            suite = suites.find(str(file))
        except UsageError as e:
            check_sentence(e)
            continue
        taken += 1
        check_suite(suite, tomllib.loads(file.read_text("utf-8")), keys, chance)
    assert 0 < taken < ROUNDS
    count("mutated suites", ROUNDS)
    count("of these suites taken, each trained as it says", taken)
