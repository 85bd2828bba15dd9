"""What killed processes leave of cells that have ended is removed, and nothing that is of use."""

import re
from pathlib import Path

import fakes
import pytest
from helpers import write_suite

from bench.runs import files, plan
from bench.runs.lease import Lease
from bench.runs.plan import CellState
from bench.runs.records import read_all
from bench.runs.tidy import tidy
from bench.suite import suites


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_PATIENCE", "60")
    return tmp_path / "results"


def leave(root: Path, *, attempts: int = 1) -> CellState:
    """A cell that is done, with what lies there of later attempts, and all that may be left of it."""
    (cell,) = plan.cells(suites.load(write_suite(root.parent)))
    record = fakes.write(root, cell)
    for n in range(2, attempts + 1):
        later = record.with_name(f"{cell.stem}-{n}.jsonl")
        later.write_bytes(record.read_bytes()[:-100])
    for name in (f"{cell.stem}.checkpoint", f"{cell.stem}.checkpoint.part", f"{record.name}.part"):
        (record.parent / name).touch()
    dead = Lease(root, cell.stem)
    dead.take()
    text = dead.path.read_text()
    dead.give_back()
    dead.path.write_text(re.sub(r"pid=\d+", "pid=2147483647", text))
    (state,) = plan.states([cell], read_all(root))
    return state


def left(root: Path) -> list[str]:
    found = [p for p in root.rglob("*") if p.is_file() and p.suffix != ".jsonl"]
    return sorted(p.name.removeprefix("s0-")[12:] for p in found)


def test_what_is_left_of_a_cell_that_is_done_is_removed(root: Path) -> None:
    state = leave(root)
    assert left(root) == ["-1.jsonl.part", ".checkpoint", ".checkpoint.part", ".lease"]
    tidy([state], root)
    assert left(root) == []
    (record,) = read_all(root)
    assert record.complete


def test_a_lease_that_is_left_alone_is_removed(root: Path) -> None:
    state = leave(root)
    files.drop_leftovers(root / state.cell.folder, state.cell.stem)
    assert left(root) == [".lease"]
    tidy([state], root)
    assert left(root) == []


def test_a_cell_that_is_run_again_keeps_its_checkpoint(root: Path) -> None:
    tidy([leave(root, attempts=2)], root)
    assert left(root) == ["-1.jsonl.part", ".checkpoint", ".checkpoint.part"]


def test_a_cell_that_is_not_done_and_one_that_a_process_has_stay_as_they_are(root: Path) -> None:
    state = leave(root)
    pending = CellState(state.cell, None)
    before = left(root)
    tidy([pending], root)
    assert left(root) == before
    with Lease(root, state.cell.stem):
        tidy([state], root)
        assert left(root) == before


def test_a_folder_in_which_nothing_can_be_removed_stays_as_it_is(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = leave(root)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    tidy([state], root)
    assert files.locate_checkpoint(root / state.cell.folder, state.cell.stem).exists()
