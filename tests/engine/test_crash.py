"""What is left when a run ends badly, with real processes and real signals."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from subprocess import PIPE

import pytest
from children import ROOT, Child, Children, environment, fresh, until
from engine.test_resume import lines_of
from helpers import write_pictures, write_suite

from bench.runs import files as record_files
from bench.runs import plan, records
from bench.runs.files import attempt
from bench.suite import suites

ROWS = {"one": {"method": "source_only"}, "two": {"method": "dann"}, "three": {"method": "nogrl"}}
LONG = 250  # iterations: about half a second, with three lines on the way


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with pictures in data/ and the three cells of tiny.toml."""
    write_pictures(tmp_path / "data", "A", "B")
    write_suite(tmp_path, rows=ROWS, iterations=LONG)
    return tmp_path


RUN = ("run", "--suite", "tiny.toml", "--data", "data", "--device", "cpu")


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("results/tiny/*/*/*.jsonl"))


def contents(folder: Path) -> dict[Path, bytes]:
    return {f: f.read_bytes() for f in files(folder)}


def states(folder: Path, name: str = "tiny") -> list[plan.CellState]:
    suite = suites.load(folder / f"{name}.toml")
    return plan.states(plan.cells(suite), records.read_all(folder / "results"))


def line_of(kind: str, folder: Path, nth: int = 1) -> bool:
    """Whether the nth record of the grid has a line of that kind."""
    found = sorted(files(folder), key=lambda f: f.stat().st_ctime_ns)
    return len(found) >= nth and f'{{"kind":"{kind}"' in found[nth - 1].read_text(encoding="utf-8")


MOMENTS = {
    "before the first record": lambda folder: True,
    "in the first cell": lambda folder: line_of("run", folder),
    "in the first cell, after a window": lambda folder: line_of("train", folder),
    "in the second cell": lambda folder: line_of("train", folder, nth=2),
}


ONE = "in the first cell, after a window"  # the others are slow


@pytest.mark.parametrize(
    ("moment", "sig"),
    [
        pytest.param(m, sig, marks=() if (m, sig) == (ONE, signal.SIGKILL) else pytest.mark.slow)
        for sig, moments in ((signal.SIGKILL, MOMENTS), (signal.SIGINT, list(MOMENTS)[1::2]))
        for m in moments
    ],
)
def test_a_run_cut_short_goes_on_where_it_was(
    moment: str, sig: signal.Signals, folder: Path, bench: Children
) -> None:
    child = bench.start(*RUN)
    until(lambda: MOMENTS[moment](folder))
    child.send(sig)
    cut = child.wait()
    if sig == signal.SIGKILL:
        assert cut.code == -signal.SIGKILL
    else:
        assert cut.code == 130
        assert (
            cut.err
            == "bench: interrupted; what was finished is recorded, run the same command to go on\n"
        )
    before = contents(folder)
    done = [s for s in states(folder) if s.done]
    assert (moment == "in the second cell") <= len(done) < 3

    again = bench.run(*RUN)
    assert (again.code, again.err) == (0, ""), again.text
    assert f"{3 - len(done)} ok; 0 of 3 cells pending" in again.out
    after = contents(folder)
    for file, text in before.items():
        assert after[file].startswith(text), "what stood in a record stands there still"
    assert [s.label for s in states(folder)] == ["done"] * 3
    torn = sum(s.torn for s in states(folder))
    if sig == signal.SIGKILL:
        assert torn == len(before) - len(done)
    else:  # the cell goes on at its checkpoint, unless it had not trained yet
        assert torn == len(after) - 3 <= 1
    assert not list(folder.glob("results/**/*.checkpoint"))
    complete = [r for r in records.read_all(folder / "results") if r.complete]
    assert Counter(r.run.row for r in complete if r.run) == {"one": 1, "two": 1, "three": 1}

    assert "nothing to do; 0 of 3 cells pending" in bench.run(*RUN).out
    assert contents(folder) == after


def test_ctrl_c_while_the_program_starts_is_one_sentence(folder: Path) -> None:
    """With a new interpreter: a moment after the plan is on the screen, torch is being imported."""
    command = [sys.executable, "-u", "-m", "bench", *RUN]
    child = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=PIPE, stderr=PIPE, text=True
    )
    assert child.stdout
    assert any("plan" in line for line in iter(child.stdout.readline, ""))
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    err = child.communicate(timeout=120)[1]
    assert (
        err == "bench: interrupted; what was finished is recorded, run the same command to go on\n"
    )
    # an interrupted import can make Python end by the signal itself: a shell calls both 130
    assert child.returncode in (130, -signal.SIGINT)


@pytest.mark.slow
def test_two_processes_share_a_grid_and_run_no_cell_twice(folder: Path, bench: Children) -> None:
    def start() -> Child:
        return bench.start(*RUN)

    first, second = start(), start()
    ended = first.wait(), second.wait()
    assert [e.code for e in ended] == [0, 0]
    assert [s.label for s in states(folder)] == ["done"] * 3
    assert len(files(folder)) == 3, "every cell was run once"
    assert sum(e.out.count("target") for e in ended) == 3


@pytest.mark.slow
def test_the_cell_of_a_frozen_process_is_taken_over_at_its_checkpoint(
    folder: Path, bench: Children
) -> None:
    """And ends as it would have ended; the frozen process, once awake, does no harm."""
    write_suite(folder, rows={"one": ROWS["one"]}, iterations=6 * LONG)
    whole = bench.run(*RUN, "--results", "whole")
    patience = {"BENCH_PATIENCE": "1"}
    frozen = bench.start(*RUN, "--checkpoint-every", "0.05", env=patience)
    until(lambda: list(folder.glob("results/**/*.checkpoint")))
    frozen.send(signal.SIGSTOP)
    taken = bench.start(*RUN, "--checkpoint-every", "0.05", env=patience)
    until(lambda: any('"kind":"resume"' in f.read_text() for f in files(folder)))
    frozen.send(signal.SIGCONT)
    awake, taken = frozen.wait(), taken.wait()
    assert (whole.code, awake.code, taken.code) == (0, 0, 0), awake.text + taken.text
    assert "busy: another process took it over, because this one gave no sign of" in awake.out
    assert "goes on at iteration" in taken.out and "1 ok; 0 of 1 cell pending" in taken.out
    assert len(files(folder)) == 1
    assert not list(folder.glob("results/**/*.checkpoint"))
    undisturbed, record = (lines_of(folder / where) for where in ("whole", "results"))
    assert record == undisturbed


def test_a_cell_that_another_process_holds_is_left_to_it(folder: Path, bench: Children) -> None:
    write_suite(folder, rows={"one": ROWS["one"]}, iterations=100 * LONG)
    holder = bench.start(*RUN)
    until(lambda: line_of("run", folder))
    late = bench.run(*RUN)
    holder.send(signal.SIGKILL)
    holder.wait()
    assert late.code == 0
    assert "one A-B seed 0: busy: another process is running" in late.out
    assert "1 busy; 1 of 1 cell pending" in late.out
    assert len(files(folder)) == 1


def test_a_diverged_cell_is_recorded_and_stops_the_grid(folder: Path, bench: Children) -> None:
    rows = {
        "bad": {"method": "source_only", "recipe": {"lr": 1e30}},
        "good": {"method": "source_only"},
    }
    write_suite(folder, rows=rows)
    stopped = bench.run(*RUN)
    assert stopped.code == 1 and stopped.err == ""
    assert "bad A-B seed 0: diverged: the loss was no longer finite at iteration " in stopped.out
    assert "1 diverged; 1 of 2 cells pending" in stopped.out
    (record,) = records.read_all(folder / "results")
    assert record.complete and record.status == "diverged"
    assert record_files.read(record.path).train[-1].loss is None, "there is no NaN in JSON"

    # a diverged cell is a result: it is not run again, and the rest of the grid goes on
    rest = bench.run(*RUN)
    assert rest.code == 0 and "1 ok; 0 of 2 cells pending" in rest.out


def test_keep_going_runs_the_rest_after_a_cell_that_diverged(folder: Path, bench: Children) -> None:
    rows = {
        "bad": {"method": "source_only", "recipe": {"lr": 1e30}},
        "good": {"method": "source_only"},
    }
    write_suite(folder, rows=rows)
    both = bench.run(*RUN, "--keep-going")
    assert both.code == 1
    assert "1 diverged, 1 ok; 0 of 2 cells pending" in both.out
    assert [s.done.status for s in states(folder) if s.done] == ["diverged", "ok"]


RAISES = '''
from methods import Method


class Raises(Method):
    """L = what is not there"""

    def __init__(self, net):
        super().__init__()

    def step(self, net, s, t, p):
        yield {}["reading"]
'''


def test_a_method_that_raises_is_recorded_as_failed_and_run_again(
    folder: Path, bench: Children
) -> None:
    (folder / "methods").mkdir()
    (folder / "methods" / "raises.py").write_text(RAISES, encoding="utf-8")
    write_suite(folder, rows={"bad": {"method": "raises"}})
    failed = bench.run(*RUN)
    assert failed.code == 1
    assert "bad A-B seed 0: failed: KeyError: 'reading'" in failed.out
    assert "Traceback" not in failed.text
    (record,) = records.read_all(folder / "results")
    assert record.status == "failed" and record.end and "Traceback" in record.end.trace
    assert record.run and record.run.code.probe is None, "the probe failed, too"
    bench.run(*RUN)
    assert [attempt(r.path.name) for r in records.read_all(folder / "results")] == [1, 2]
    assert "0 done, 1 pending" in bench.run(*RUN, "--dry-run").out


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_no_result(folder: Path, bench: Children) -> None:
    """The system refuses to let any file grow beyond 1,500 bytes."""
    full = bench.run(*RUN, file_size=1500)
    assert full.code == 1 and "Traceback" not in full.text
    assert "free space or choose another --results folder" in full.out
    assert full.out.count("cannot write") == 1
    assert [s.label for s in states(folder)] == ["pending"] * 3
    assert "3 ok; 0 of 3 cells pending" in bench.run(*RUN).out


def test_a_file_in_place_of_the_results_folder_is_one_sentence(
    folder: Path, bench: Children
) -> None:
    (folder / "results").write_text("not a folder", encoding="utf-8")
    ended = bench.run(*RUN)
    assert ended.code == 2 and "Traceback" not in ended.text
    assert "choose another --results folder" in ended.err


def test_records_hold_no_path_of_this_machine(folder: Path, bench: Children) -> None:
    bench.run(*RUN, "--methods", "one")
    (file,) = files(folder)
    text = file.read_text(encoding="utf-8")
    assert str(folder) not in text and str(ROOT) not in text and "/home/" not in text
    assert json.loads(text.splitlines()[0])["kind"] == "run"


@pytest.mark.slow
def test_the_interpreter_started_afresh_does_the_same(folder: Path) -> None:
    done = fresh(*RUN, "--methods", "one", cwd=folder)
    assert (done.code, done.err) == (0, "")
    assert "1 ok; 0 of 1 cell pending" in done.out
