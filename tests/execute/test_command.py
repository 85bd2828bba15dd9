"""A cell as a command line: read again by `bench run`, it is the same cell."""

import math
from pathlib import Path
from typing import Any

import pytest
from helpers import write_suite
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.cli import app, screen
from bench.errors import UsageError
from bench.execute.command import command
from bench.runs import plan
from bench.runs.plan import Cell
from bench.suite import settings, suites
from bench.suite.suite import Suite

INF = math.inf


@pytest.fixture
def parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that gives a command to the real command line: the cells that it would run."""
    seen: list[Cell] = []
    monkeypatch.setattr(
        screen, "show_plan", lambda states, *_, **__: seen.extend(s.cell for s in states)
    )

    # no data is here
    monkeypatch.setattr("bench.cli.run.check_cells", lambda *_, **__: None)

    def read(words: list[str]) -> list[Cell]:
        seen.clear()
        assert words[0] == "bench"
        ended = CliRunner().invoke(app.app, [*words[1:], "--dry-run", "--results", str(tmp_path)])
        if ended.exception and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        assert ended.exit_code == 0, ended.output
        return list(seen)

    return read


DEMO = ("demo", "dann", "MNIST-UCI", "full")  # suite, row, task, budget
OFFICEHOME = ("officehome", "toalign", "Ar-Cl", "full")
PACS = ("pacs", "dann", "P-A", "full")
CASES: dict[str, tuple[tuple[str, str, str, str], dict[str, Any]]] = {
    "as the suite says": (DEMO, {}),
    "smoke": (("pacs", "dann", "P-A", "smoke"), {"lr": 0.5}),
    "a small number": (DEMO, {"lr": 1e-05}),
    "whole numbers": (("digits", "nogrl", "MNIST-USPS", "full"), {"iterations": 17, "batch": 6}),
    "a knob within": (PACS, {"lr_mult": {"F": 0.3}, "weight_decay": {"D": 1e-9}}),
    "lists": (
        OFFICEHOME,
        {"classifier": {"hidden": [10, 20]}, "schedule": "step", "schedule_at": [0.5, 0.75]},
    ),
    "an empty list": (DEMO, {"discriminator": {"hidden": []}}),
    "words and a switch": (DEMO, {"decay": "kernels", "flip": True}),
    "hyper-parameters": (OFFICEHOME, {"hyper": {"mu": 0.25, "heads": 2}}),
    "an infinity": (DEMO, {"hyper": {"gamma": INF}}),
    "another infinity": (DEMO, {"hyper": {"gamma": -INF}}),
    "a whole number for a fraction": (DEMO, {"hyper": {"lam": 2}}),
    "a hyper-parameter's word": (OFFICEHOME, {"hyper": {"omega": "uniform"}}),
    "a hyper-parameter's switch": (DEMO, {"hyper": {"entropy": True}}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_command_line_read_again_is_the_same_cell(case: str, parse: Any) -> None:
    (name, row, task, budget), override = CASES[case]
    suite = suites.find(name)
    (cell,) = plan.cells(
        suite, methods=[row], tasks=[task], seeds=[7], budget=budget, override=override
    )
    words = command(cell, suite, "--device", "cpu")
    (found,) = parse(words)
    assert found.key == cell.key and found == cell
    assert words[-2:] == ["--device", "cpu"]
    plain = plan.cell(suite, suite.by_id[row], task, 7, budget)
    assert (cell.key != plain.key) == bool(override), "the case changes something"
    assert ("--set" in words) == bool(override)


@pytest.mark.slow
def test_what_is_kept_stands_in_a_command_and_in_no_key(parse: Any) -> None:
    suite = suites.find("demo")
    cell = plan.cells(suite, methods=["dann"], seeds=[7])[0]
    words = command(cell, suite, "--keep", "logits,weights")
    assert words[-2:] == ["--keep", "logits,weights"]
    assert [found.key for found in parse(words)] == [cell.key]


def test_a_command_is_as_people_write_it() -> None:
    suite = suites.find("demo")
    override = {"lr": 0.5, "lr_mult": {"F": 0.1}, "schedule": "constant", "hyper": {"gamma": INF}}
    (cell,) = plan.cells(suite, methods=["dann"], seeds=[2], override=override)[:1]
    assert command(cell, suite) == [
        "bench", "run", "--suite", "demo", "--methods", "dann", "--tasks", cell.task,
        "--seeds", "2", "--budget", "full",
        "--set", "lr=0.5", "--set", "lr_mult.F=0.1", "--set", "schedule=constant",
        "--set", "hyper.gamma=inf",
    ]  # fmt: skip


@pytest.mark.slow
def test_every_cell_of_every_suite_has_a_command_without_settings() -> None:
    for name in suites.names():
        suite = suites.find(name)
        for cell in plan.cells(suite, seeds=[0]):
            words = command(cell, suite)
            assert "--set" not in words and words[2:4] == ["--suite", name]


def two_rows(folder: Path) -> Suite:
    rows = {"plain": {"method": "source_only"}, "dann": {"method": "dann", "hyper": {"lam": 0.05}}}
    return suites.load(write_suite(folder, rows=rows))


def test_a_suite_of_one_s_own_is_named_by_its_file(tmp_path: Path, parse: Any) -> None:
    suite = two_rows(tmp_path)
    cell = plan.cells(suite, methods=["dann"], override={"hyper": {"lam": 0.5}})[0]
    words = command(cell, suite)
    assert words[3] == str(tmp_path / "tiny.toml")
    assert [c.key for c in parse(words)] == [cell.key]


def test_a_cell_of_another_suite_has_no_command(tmp_path: Path) -> None:
    cell = plan.cells(two_rows(tmp_path), methods=["plain"])[0]
    with pytest.raises(UsageError, match="plain A-B seed 0 is no cell of the suite demo"):
        command(cell, suites.find("demo"))


def test_a_value_without_a_spelling_is_refused() -> None:
    suite = suites.find("pacs")
    limited = plan.cells(suite, budget="smoke", override={"train_limit": None})[0]
    with pytest.raises(UsageError, match="train_limit = None cannot be written as --set"):
        command(limited, suite)


# what --set hyper.lam=0.5 does


def test_a_hyper_parameter_is_set_for_the_rows_whose_method_has_it(tmp_path: Path) -> None:
    suite = two_rows(tmp_path)
    plain, dann = plan.cells(suite, override=settings.parse_settings(["hyper.lam=0.5", "lr=0.25"]))
    assert (plain.hyper, dann.hyper) == ({}, {"lam": 0.5})
    assert plain.recipe.lr == dann.recipe.lr == 0.25
    before = plan.cells(suite, override={"lr": 0.25})
    assert plain.key == before[0].key and dann.key != before[1].key
    (dann,) = plan.cells(suite, methods=["dann"], override={"hyper": {"gamma": 5.0}})
    assert dann.hyper == {"lam": 0.05, "gamma": 5.0}, "what the row says stays"


@pytest.mark.parametrize(
    ("rows", "texts", "message"),
    [
        (None, ["hyper.lamb=1"], "unknown hyper-parameter .*'lamb'; did you mean 'lam'?"),
        (["plain"], ["hyper.lam=1"], "unknown hyper-parameter .*'lam'; known: smooth"),
        (None, ["hyper.lam=much"], "lam of dann is a float such as 1.0, not 'much'"),
        (None, ["hyper=0.5"], "write hyper.NAME=VALUE"),
        (None, ["hyper.lam=1", "hyper.lam=2"], "hyper.lam is set twice; set it once"),
    ],
)
def test_a_wrong_hyper_parameter_is_refused(
    rows: list[str] | None, texts: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        plan.cells(two_rows(tmp_path), methods=rows, override=settings.parse_settings(texts))


words = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False)
scalars = st.booleans() | numbers | words
keys = st.from_regex(r"[a-z_]{1,4}", fullmatch=True)


@given(
    st.dictionaries(keys, scalars | st.lists(scalars) | st.dictionaries(keys, scalars, min_size=1))
)
def test_what_is_written_is_read_as_the_same_values(values: dict[str, Any]) -> None:
    found = settings.parse_settings(settings.write_settings(values))
    assert repr(found) == repr(values) or sorted(map(repr, found.items())) == sorted(
        map(repr, values.items())
    )
