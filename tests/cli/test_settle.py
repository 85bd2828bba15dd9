"""`bench run --seeds auto`: which seeds are added, when it ends, what is refused."""

import re
from pathlib import Path

import pytest
from children import Children
from fakes import cell, toy, write
from helpers import write_pictures, write_suite
from typer.testing import CliRunner

from bench.cli.app import app
from bench.cli.settle import Settling
from bench.errors import UsageError
from bench.runs import plan
from bench.suite.suite import Suite

TOY = toy()
CLAIM = (
    '[[published]]\nlabel = "t"\nrow = "one"\ncite = "k"\nwhere = "t"\nvalues = {{ A-B = "{}" }}'
)
ROWS = {"one": {"method": "source_only"}, "two": {"method": "dann"}}
TINY = ("run", "--suite", "tiny.toml", "--data", "data", "--device", "cpu", "--seeds", "auto")


def settling(root: Path, most: int = 20, suite: Suite = TOY, **asked: object) -> Settling:
    def make(seeds: list[int]) -> list[plan.Cell]:
        return plan.cells(suite, seeds=seeds, **asked)  # type: ignore[arg-type]

    return Settling(suite, make, root, most)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_seed_is_added_where_a_verdict_is_open_and_nowhere_else(tmp_path: Path) -> None:
    values = {"A-B": (75.2, 75.22, 75.18), "B-A": (60.0, 62.0, 64.0)}  # claimed: 75.2 and 57.1
    for task, some in values.items():
        for seed, x in enumerate(some):
            write(tmp_path, cell(TOY, "plain", task, seed), (x,), (99.0 - seed % 2,))
    s = settling(tmp_path, methods=["plain"], tasks=["A-B", "B-A"])
    asked = []
    for todo in s.next_cells():
        asked.append([(c.row, c.task, c.seed) for c in todo])
        for c in todo:
            write(tmp_path, c, (75.2 if c.task == "A-B" else 62.0,), (99.0 - c.seed % 2,))
    # the average is claimed, too, and needs both tasks; once it is settled nothing is added
    assert asked[0] == [("plain", "A-B", 3), ("plain", "B-A", 3)]
    assert [{seed for *_, seed in some} for some in asked] == [{3 + i} for i in range(len(asked))]
    assert 1 < len(asked) < 17 and not any(q.open for q in s.ask())
    assert list(s.next_cells()) == []


def test_a_seed_that_is_recorded_is_not_asked_for_and_the_most_is_the_end(tmp_path: Path) -> None:
    for seed, x in enumerate((60.0, 90.0, 70.0, 80.0)):
        write(tmp_path, cell(TOY, "dann", "A-B", seed), (x,))
    s = settling(tmp_path, most=6, methods=["dann"], tasks=["A-B"])
    seeds = []
    for (c,) in s.next_cells():
        seeds.append(c.seed)
        write(tmp_path, c, (60.0 + 10 * (c.seed % 3),))
    assert seeds == [4, 5] and all(q.open for q in s.ask())


def test_nothing_is_added_to_a_row_without_a_value(tmp_path: Path) -> None:
    for seed in range(3):
        write(tmp_path, cell(TOY, "dann", "A-B", seed), status="diverged", reason="nan")
    assert list(settling(tmp_path, methods=["dann"], tasks=["A-B"]).next_cells()) == []


@pytest.mark.slow
def test_a_run_adds_seeds_and_says_what_was_settled(bench: Children, tmp_path: Path) -> None:
    write_pictures(tmp_path / "data", "A", "B")
    (tmp_path / "references.bib").write_text("@misc{k,\n title = {K},\n year = {2020},\n}\n")
    path = write_suite(tmp_path, rows=ROWS, more=CLAIM.format("40.0"))
    path.write_text(path.read_text("utf-8").replace("seeds = 1", "seeds = 2"), encoding="utf-8")
    done = bench.run(*TINY, "--max-seeds", 4)
    assert done.code == 0, done.text
    text = re.sub(r"\s+", " ", done.out)
    assert "first the 2 seeds of the suite, then one more at a time, up to 4, to settle the" in text
    found = {p.parent.parent.name + p.name[:2] for p in tmp_path.glob("results/tiny/*/*/s*.jsonl")}
    assert {"ones0", "ones1", "ones2", "twos0", "twos1"} <= found, "two seeds settle nothing"
    assert not found & {"twos2", "twos3", "ones4"}, "only row one has a published figure"
    assert re.search(
        r"verdicts against published figures: 1 (unresolved|match|differs)\. Each", text
    )
    again = bench.run(*TINY, "--max-seeds", 4)
    assert again.code == 0 and ("nothing to do" in again.out)
    dry = bench.run(*TINY, "--max-seeds", 9, "-n")
    assert dry.code == 0 and "up to 9" in dry.out and "is right with" not in dry.out


def test_what_cannot_be_settled_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_suite(tmp_path, rows=ROWS)

    def refuse(*args: object) -> str:
        error = CliRunner().invoke(app, list(map(str, args))).exception
        assert isinstance(error, UsageError)
        return str(error)

    assert "nothing to settle: these rows have no published figure" in refuse(*TINY)
    text = path.read_text("utf-8")
    path.write_text('baseline = "one"\n' + text.replace("seeds = 1", "seeds = 3"), "utf-8")
    assert "name one and another row in --methods" in refuse(*TINY, "--methods", "two")
    assert "--max-seeds 2 is less than the 3 seeds of the suite" in refuse(*TINY, "--max-seeds", 2)
    assert "the budget smoke has none" in refuse(*TINY, "--smoke")
    assert "give both" in refuse(*TINY[:-2], "--max-seeds", 5)


def test_without_a_published_figure_the_gains_are_settled(tmp_path: Path) -> None:
    for row, up in (("plain", (0.0, 0.0, 0.0)), ("target", (30.0, 30.2, 29.8))):
        for seed, x in enumerate((60.0, 62.0, 61.0)):
            write(tmp_path, cell(TOY, row, "A-B", seed), (x + up[seed],))
    silent = TOY.model_copy(update={"published": ()})
    s = settling(tmp_path, suite=silent, methods=["plain", "target"], tasks=["A-B"])
    assert (
        s.subject == "gains over Source only, because no published figure stands beside these rows"
    )
    assert [q.answer for q in s.ask()] == ["gain"] and list(s.next_cells()) == []
