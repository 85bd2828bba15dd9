"""`bench status` and `bench plan`: how far a grid is, and what it will take elsewhere."""

import signal
from pathlib import Path

import fakes
import pytest
from children import Children, until
from helpers import write_pictures, write_suite

from bench.runs import plan
from bench.suite import suites

ROWS = {"one": {"method": "source_only"}, "two": {"method": "dann"}}
STATUS = ("status", "--suite", "tiny.toml", "--seeds", "0-1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "data", "A", "B", each=5)
    write_suite(tmp_path, rows=ROWS, iterations=20_000)
    return tmp_path


def trains(folder: Path) -> bool:
    found = folder.glob("results/**/*.jsonl")
    return any('{"kind":"train"' in p.read_text("utf-8") for p in found)


@pytest.mark.slow
def test_a_cell_is_followed_through_all_that_may_become_of_it(
    folder: Path, bench: Children
) -> None:
    assert bench.run(*STATUS).out == "0 of 4 cells done, 4 waiting\n"
    child = bench.start(
        "run", "--suite", "tiny.toml", "--data", "data", "--device", "cpu", "--seeds", "0-1",
        "--checkpoint-every", "0.2",
    )  # fmt: skip
    until(lambda: trains(folder))
    running = bench.run(*STATUS)
    assert "0 of 4 cells done, 1 running, 3 waiting" in running.out
    assert "running: a process trains it" in running.out
    assert f"process {child.pid} on " in running.out and "20,000" in running.out
    child.send(signal.SIGSTOP)
    silent = bench.run(*STATUS)
    assert "0 of 4 cells done, 1 silent, 3 waiting" in silent.out
    assert "silent: the process that has it gives no sign of life" in silent.out
    child.send(signal.SIGCONT)
    until(lambda: list(folder.glob("results/**/*.checkpoint")))
    child.send(signal.SIGTERM)
    child.wait()
    interrupted = bench.run(*STATUS)
    assert "0 of 4 cells done, 1 interrupted, 3 waiting" in interrupted.out
    (checkpoint,) = folder.glob("results/**/*.checkpoint")
    checkpoint.unlink()
    begun = bench.run(*STATUS)
    assert "0 of 4 cells done, 1 begun, 3 waiting" in begun.out
    assert {begun.code, interrupted.code, silent.code, running.code} == {0}


def test_finished_cells_are_counted(folder: Path, bench: Children) -> None:
    (one, *_) = plan.cells(suites.load(folder / "tiny.toml"), seeds=[0, 1])
    fakes.write(folder / "results", one, (70.0,))
    assert bench.run(*STATUS).out == "1 of 4 cells done, 3 waiting\n"
    wrong = bench.run("status", "--suite", "tiny.toml", "--methods", "onne")
    assert wrong.code == 2 and "unknown row 'onne'; did you mean 'one'?" in wrong.err


def test_a_plan_forecasts_time_and_disk(folder: Path, bench: Children) -> None:
    ask = ("plan", "--suite", "tiny.toml", "--seeds", "0-7", "--data", "data", "--gpus", "4")
    unknown = bench.run(*ask)
    assert unknown.code == 1 and "nothing tells how long one takes: run one with" in unknown.err
    cells = plan.cells(suites.load(folder / "tiny.toml"), seeds=range(8))
    fakes.write(folder / "results", cells[0], (70.0,))  # of the row `one`, in a minute
    shown = bench.run(*ask, "--keep", "weights")
    assert shown.code == 0, shown.text
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["1", "15", "min", "100", "%"] in lines and ["4", "4", "min", "94", "%"] in lines
    assert "15 cells, 0.2 GPU-hours, the longest 1 min; times of Abacus 9" in shown.out
    assert "not of a GPU" in shown.out
    assert "8 of the cells are of rows never run: as long as the others" in shown.out
    assert "disk: records 0.0 MiB; checkpoints up to" in shown.out
    assert "--keep weights at most" in shown.out
    for cell in cells[1:]:
        fakes.write(folder / "results", cell, (70.0,))
    assert bench.run(*ask).out == "all 16 cells are recorded\n"


def test_a_copy_of_a_record_is_no_attempt(folder: Path, bench: Children) -> None:
    (cell, *_) = plan.cells(suites.load(folder / "tiny.toml"))
    path = fakes.write(folder / "results", cell, [], status=None)
    path.with_name(f"{path.stem} (copy).jsonl").write_bytes(path.read_bytes())
    found = bench.run(*STATUS)
    assert found.code == 0 and "0 of 4 cells done, 1 begun, 3 waiting" in found.out
