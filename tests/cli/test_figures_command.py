"""`bench figures`, as a user types it."""

import os
from pathlib import Path

import pytest
from children import Ended
from fakes import GOLDEN, cell, toy, write
from typer.testing import CliRunner

from bench.cli.app import app
from bench.errors import BenchError
from bench.report.figures import FIGURES

TOY = toy()
SUITE = ("--suite", str(GOLDEN / "toy.toml"))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))  # so that they are put back
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    for row, accuracy in (("plain", 70.0), ("dann", 80.0)):
        for seed in range(2):
            write(Path("r"), cell(TOY, row, "A-B", seed), (accuracy, accuracy + seed))


def bench(*args: object) -> Ended:
    done = CliRunner().invoke(app, list(map(str, args)))
    if isinstance(done.exception, BenchError):
        return Ended(done.exception.exit_code, done.stdout, f"bench: {done.exception}")
    return Ended(done.exit_code, done.stdout, done.stderr)


def figures(*args: object) -> Ended:
    return bench("figures", *SUITE, "--results", "r", *args)


@pytest.mark.slow
def test_all_that_have_something_to_show_are_drawn_and_the_others_named() -> None:
    done = figures("--format", "svg")
    assert done.code == 0, done.text
    folder = Path("r/tables/figures")
    drawn = {"forest", "bars", "curves", "cost", "pareto", "profile", "classes"}
    assert {p.name for p in folder.iterdir()} == {f"toy-{name}.svg" for name in drawn}
    assert sorted(done.out.split()) == sorted(str(p) for p in folder.iterdir())
    told = [line.removeprefix("left out ").split(": ")[0] for line in done.err.splitlines()]
    assert sorted(", ".join(told).split(", ")) == sorted(FIGURES.keys() - drawn)
    cost = figures("--budget", "full", "--methods", "plain", "--tasks", "A-B", "cost")
    assert cost.code == 0, cost.text


@pytest.mark.slow
def test_named_ones_are_drawn_in_each_format_and_again_alike() -> None:
    ask = ("bars", "--format", "png, svg,pdf", "--out", "o", "--methods", "dann", "--select", "best-on-target")  # fmt: skip
    assert figures(*ask).code == 0
    before = {p.name: p.read_bytes() for p in Path("o").iterdir()}
    stem = "toy-bars-best-on-target"
    assert before.keys() == {f"{stem}.png", f"{stem}.svg", f"{stem}.pdf"}
    assert before[f"{stem}.png"][:4] == b"\x89PNG" and before[f"{stem}.pdf"][:4] == b"%PDF"
    assert figures(*ask).code == 0
    assert before == {p.name: p.read_bytes() for p in Path("o").iterdir()}


REFUSED = {
    "figure": (("forrest",), 2, "unknown figure 'forrest'; did you mean 'forest'?"),
    "format": (("--format", "jpg"), 2, "unknown format 'jpg'; did you mean 'png'?"),
    "row": (("--methods", "dan"), 2, "unknown row 'dan'; did you mean 'dann'?"),
    "task": (("--tasks", "A-C"), 2, "unknown task 'A-C'"),
    "budget": (("--budget", "short"), 2, "or give --budget full, of which there are records"),
    "nothing to show": (("scale",), 2, "the suite officehome-scale does"),
    "a file in place of a folder": (("bars", "--out", "f"), 1, "choose another folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_said_in_a_sentence(case: str) -> None:
    Path("f").write_text("")
    args, code, said = REFUSED[case]
    done = figures(*args)
    assert (done.code, done.out) == (code, "") and said in done.err


def test_no_records_are_said_once() -> None:
    done = bench("figures", *SUITE, "--results", "none")
    assert done.code == 2 and done.err.count("no finished run") == 1
    assert not os.path.exists("none")


@pytest.mark.slow
def test_neither_a_home_nor_a_display_nor_settings_are_needed(tmp_path: Path) -> None:
    """In a process of its own: what it imports and where it writes are the point."""
    import subprocess
    import sys

    from children import environment

    (tmp_path / "locked").write_text("")  # no folder can be made below a file
    env = environment(tmp_path / "locked") | {"MPLBACKEND": "garbage", "DISPLAY": ""}
    command = [sys.executable, "-m", "bench", "figures", "bars", *SUITE, "--results", "r"]
    done = subprocess.run(
        [*command, "--format", "svg", "--out", "o"], env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert Path("o/toy-bars.svg").is_file()
