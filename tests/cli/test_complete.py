"""What the shell offers."""

from pathlib import Path

import pytest
from fakes import cell, toy, write
from helpers import write_suite
from typer.testing import CliRunner

from bench.cli.app import app

ROWS = {"one": {"method": "source_only"}, "other": {"method": "dann"}}
BUDGET = '[budgets.short]\nnote = "n"\nrecipe = { iterations = 3 }'


def offered(typed: str) -> list[str]:
    """What bash would offer at the end of a line."""
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
    done = CliRunner().invoke(
        app, [], prog_name="bench", env={"_BENCH_COMPLETE": "complete_bash", **words}
    )
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_suite(tmp_path / "tables", rows=ROWS, more=BUDGET)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("bench run --suite ti", ["tiny"]),
        ("bench run --suite tiny --methods o", ["one", "other"]),
        ("bench run --suite tiny --methods one,o", ["one,other"]),
        ("bench tune --suite tables/tiny.toml --methods ot", ["other"]),
        ("bench run --suite tiny --tasks ", ["A-B"]),
        ("bench run --suite tiny --budget ", ["full", "smoke", "short"]),
        ("bench run --tasks MNIST-UCI,", ["MNIST-UCI,UCI-MNIST"]),  # of the demo, as `run` has it
        ("bench ls runs --methods oth", ["other"]),  # of any suite
        ("bench ls runs --state sta", ["stale"]),
        ("bench diff toal", ["toalign"]),
        ("bench diff toalign tiny:", ["tiny:one", "tiny:other"]),
        ("bench run --keep l", ["logits"]),
        (
            "bench run --keep logits,",
            ["logits,features", "logits,maps", "logits,samples", "logits,weights"],
        ),
        ("bench run --suite none --methods ", []),
        ("bench run --suite none.toml --budget f", ["full"]),
    ],
)
def test_names_are_completed(typed: str, wanted: list[str]) -> None:
    assert offered(typed) == wanted


def test_records_are_completed(tmp_path: Path) -> None:
    path = write(tmp_path / "r", cell(toy(), "plain", "A-B", 7), (70.0,))
    for command in ("show", "diff", "predict"):
        assert offered(f"bench {command} --results r s7") == [path.stem]
        assert offered(f"bench {command} s7") == []
