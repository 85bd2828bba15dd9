"""What every suite file promises by being in `tables/`. A new file there is tested by existing."""

import math
import re
import tomllib
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from helpers import ROOT, ended

from bench import nets
from bench.engine.lab import Lab
from bench.nets.dcgan import find_width
from bench.runs import plan, records
from bench.suite import suites

FILES = sorted((ROOT / "tables").glob("*.toml"))
suite_files = pytest.mark.parametrize("file", FILES, ids=[f.stem for f in FILES])


def test_there_are_suites() -> None:
    assert FILES


@suite_files
def test_it_loads_and_is_found_by_its_name(file: Path) -> None:
    suite = suites.load(file)
    assert suite.name == file.stem
    assert suites.find(file.stem) == suite


@suite_files
def test_every_claim_cites_a_reference_of_the_bibliography(file: Path) -> None:
    bib = (file.parent / "references.bib").read_text(encoding="utf-8")
    keys = set(re.findall(r"^@\w+\{([^,\s]+),", bib, flags=re.MULTILINE))
    raw = tomllib.loads(file.read_text(encoding="utf-8"))
    for claim in raw.get("published", []):
        assert claim["cite"] in keys
        assert claim["where"].strip(), "a claim says where it stands"


@suite_files
def test_a_printed_average_is_the_mean_of_the_printed_tasks_or_warned_of(file: Path) -> None:
    raw = tomllib.loads(file.read_text(encoding="utf-8"))
    number = lambda text: float(re.search(r"\d+(\.\d+)?", str(text))[0])  # type: ignore[index]  # noqa: E731
    warned = "\n".join(suites.load(file).warnings())
    for claim in raw.get("published", []):
        if "average" not in claim or set(claim["values"]) != set(raw["tasks"]):
            continue
        off = abs(
            sum(map(number, claim["values"].values())) / len(raw["tasks"])
            - number(claim["average"])
        )
        # the values lie within half a unit of what is printed of each, and so does their mean
        unit = lambda text: 10.0 ** -len(re.search(r"\d+\.?(\d*)", str(text))[1])  # type: ignore[index]  # noqa: E731
        known = (unit(claim["average"]) + mean(map(unit, claim["values"].values()))) / 2
        place = f"{claim['label']} [{claim['cite']}, {claim['where']}]"
        assert (off > known + 1e-9) == (f"{place}: the {len(raw['tasks'])} printed tasks" in warned)


@suite_files
def test_a_row_with_all_the_figures_of_another_papers_row_is_told_of(file: Path) -> None:
    raw = tomllib.loads(file.read_text(encoding="utf-8")).get("published", [])
    warned = suites.load(file).warnings()
    printed = [
        {k: float(str(v).split("±")[0].strip("≈~ ")) for k, v in c["values"].items()} for c in raw
    ]
    for i, (claim, figures) in enumerate(zip(raw, printed, strict=True)):
        above = zip(raw[:i], printed[:i], strict=True)
        copied = any(c["cite"] != claim["cite"] and figures == theirs for c, theirs in above)
        place = f"{claim['label']} [{claim['cite']}, {claim['where']}]: its "
        assert (copied and len(figures) >= 6) == any(w.startswith(place) for w in warned)


@suite_files
def test_every_recipe_is_valid_in_every_budget(file: Path) -> None:
    suite = suites.load(file)
    for row in suite.rows:
        for task in suite.tasks:
            for budget in ("full", "smoke", *suite.budgets):
                recipe = suite.recipe_for(row, task, budget)
                if suite.generates:
                    assert find_width(recipe) > 0
                else:
                    assert recipe.backbone in nets.BACKBONES
                rates = [recipe.lr_at(i / 100) for i in range(101)]
                assert all(math.isfinite(x) and x > 0 for x in rates)
                assert recipe.eval_every is None or recipe.eval_every <= recipe.iterations


@suite_files
def test_no_two_of_its_cells_share_a_key(file: Path) -> None:
    suite = suites.load(file)
    cells = [c for b in ("full", "smoke", *suite.budgets) for c in plan.cells(suite, budget=b)]
    assert len({c.key for c in cells}) == len(cells)


PIECE = 8  # rows of a suite that are tried by one test: a test has to end in good time


def pieces() -> list[Any]:
    """Each suite's file with each piece of it: (file, which of how many)."""
    found = []
    for file in FILES:
        rows = len(tomllib.loads(file.read_text(encoding="utf-8"))["rows"])
        n = -(-rows // PIECE)
        found += [pytest.param(file, k, n, id=f"{file.stem}-{k + 1}of{n}") for k in range(n)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("file", "k", "n"), pieces())
def test_a_smoke_run_trains_every_row_and_sees_every_domain_without_data_or_weights(
    file: Path, k: int, n: int, tmp_path: Path
) -> None:
    suite = suites.load(file)
    lab = Lab(tmp_path / "no data", tmp_path / "results", torch.device("cpu"))
    rows, tasks, pairs = [r.id for r in suite.rows], list(suite.tasks), []
    unseen = {name for task in tasks for name in suite.endpoints(task)}
    while len(pairs) < len(rows) or unseen:
        i = len(pairs)
        pairs.append((rows[i % len(rows)], tasks[i % len(tasks)]))
        unseen -= set(suite.endpoints(pairs[-1][1]))
    pairs = pairs[k::n]
    cells = [c for c in plan.cells(suite, seeds=[0], budget="smoke") if (c.row, c.task) in pairs]
    for cell in cells:
        run = ended(cell, lab)
        assert run.status == "ok", run
    states = plan.states(cells, records.read_all(tmp_path / "results"))
    assert [s.label for s in states] == ["done"] * len(cells)
    for s in states:
        assert s.done and s.done.evals[-1].step == s.cell.recipe.iterations
        last = s.done.evals[-1]
        assert suite.metric.name in last.values if suite.metric else last.source and last.target
