"""A job array of workers: by submitit's executors of one machine, and by a SLURM where there is one.

`nox -s slurm` runs all of it, on a machine where `sbatch` answers.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from children import Children, environment, until
from execute.test_workers import digests, folder, prepare, run_of

from bench.cli.where import follow_plainly
from bench.engine.events import Submitted
from bench.engine.lab import Lab
from bench.errors import BenchError, UsageError
from bench.execute.here import Here
from bench.execute.slurm import Ask, Slurm
from bench.runs import records

__all__ = ["folder"]  # a fixture
CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # submitit waits for no process
SCHEDULED = shutil.which("sbatch") and not subprocess.run(["sinfo"], capture_output=True).returncode
scheduled = pytest.mark.skipif(not SCHEDULED, reason="no SLURM answers")


def make_executor(folder: Path, cluster: str, ask: Ask) -> Slurm:
    here = Here(Lab(folder / "data", folder / "results", CPU))
    return Slurm(here, ask, follow_plainly, cluster)


@pytest.mark.slow
def test_workers_of_an_array_run_each_cell_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = prepare(folder)
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    (event,) = make_executor(folder, "local", Ask(2)).run(cells)
    assert isinstance(event, Submitted) and event.cells == 4
    until(lambda: len(digests(folder / "results")) == 4, seconds=200)
    assert list(Here(Lab(folder / "data", folder / "alone", CPU)).run(cells))
    assert digests(folder / "results") == digests(folder / "alone")


def test_a_worker_is_submitted_by_the_executor_for_debugging(folder: Path) -> None:
    import submitit

    cells = prepare(folder, 10)[:2]
    worker = make_executor(folder, "debug", Ask()).make_worker(cells, keep_going=True, redo=False)
    with submitit.helpers.clean_env():
        executor = submitit.AutoExecutor(folder / "jobs", cluster="debug")
        assert executor.submit(worker).result() is None
    assert len(digests(folder / "results")) == 2
    again = worker.checkpoint()
    assert again.function is worker, "what is queued again is the same"


@pytest.mark.slow
def test_a_cell_that_fails_is_tried_once_by_all_workers_together(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was recorded before: with redo, that is run again, once."""
    from helpers import write_suite

    from bench.runs import plan
    from bench.suite import suites

    rows = {"bad": {"method": "source_only", "recipe": {"batch": 1000}}}
    cells = plan.cells(suites.load(write_suite(folder, rows=rows)), seeds=[0, 1])
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    logs = folder / "results" / records.JOBS
    for n in (2, 4):
        list(make_executor(folder, "local", Ask(2)).run(cells, keep_going=True, redo=True))
        until(lambda n=n: len(list(logs.glob("*/*result.pkl"))) == n, seconds=200)
        assert len([r for r in records.read_all(folder / "results") if r.complete]) == n
    assert len(records.list_files(folder / "results")) == 4


def test_without_slurm_or_submitit_one_is_told_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = prepare(folder)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        with pytest.raises(
            BenchError, match=r"no SLURM on this machine .*run it where `sbatch` is"
        ):
            list(make_executor(folder, "slurm", Ask()).run(cells))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "submitit", None)
        with pytest.raises(UsageError, match=r'needs submitit: pip install "uda-bench\[slurm\]"'):
            list(make_executor(folder, "slurm", Ask()).run(cells))


@pytest.fixture
def cancelled() -> Iterator[None]:
    """No job outlives its test."""
    yield
    subprocess.run(["scancel", "--name", "bench"], check=True)


def queue() -> str:
    return subprocess.run(["squeue", "-h"], capture_output=True, text=True).stdout.strip()


def hurry(job: str) -> str:
    """SLURM lets a job that was queued again wait for two minutes: not here. The queue."""
    time.sleep(1)
    if "BeginTime" in (waiting := queue()):
        subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)
    return waiting


def submit(bench: Children, *more: object) -> str:
    """The number of the job."""
    submitted = bench.run(*run_of("--on", "slurm", *more), "--checkpoint-every", "0.2")
    assert submitted.code == 0, submitted.text
    assert "4 cells handed over to slurm job" in submitted.out
    assert "to see how far they are: bench status --suite tiny.toml" in submitted.out
    return submitted.out.partition("slurm job ")[2].partition(";")[0]


def trains(folder: Path) -> bool:
    return bool(list(folder.glob("results/**/*.checkpoint")))


def resumptions(folder: Path) -> int:
    return sum(
        json.loads(line)["kind"] == "resume"
        for record in folder.glob("results/tiny/**/*.jsonl")
        for line in record.read_text("utf-8").splitlines()
    )


def requeue(folder: Path, job: str) -> None:
    until(lambda: trains(folder))
    subprocess.run(["scontrol", "requeue", job], check=True)


Disturb = Callable[[Path, str], None]
CASES: dict[str, tuple[int, tuple[str, ...], Disturb | None]] = {
    "undisturbed": (60, ("--workers", "2"), None),
    "requeued": (600, (), requeue),
    # SLURM looks at the time once a minute: the warning comes a minute before the end, or two
    "out of time": (2500, ("--time", "2"), None),
}


@scheduled
@pytest.mark.slow
@pytest.mark.usefixtures("cancelled")
@pytest.mark.parametrize("case", CASES)
def test_whatever_slurm_does_each_cell_is_run_once(
    case: str, folder: Path, bench: Children
) -> None:
    iterations, options, disturb = CASES[case]
    prepare(folder, iterations)
    job = submit(bench, *options)
    if disturb:
        disturb(folder, job)
    until(lambda: not hurry(job) and len(digests(folder / "results")) == 4, seconds=290)
    assert (resumptions(folder) > 0) == (case != "undisturbed")
    assert bench.run(*run_of("--results", "whole")).code == 0
    assert digests(folder / "results") == digests(folder / "whole")


@scheduled
@pytest.mark.slow
@pytest.mark.usefixtures("cancelled")
def test_what_a_cancelled_job_had_begun_goes_on_by_hand(folder: Path, bench: Children) -> None:
    prepare(folder, 1500)
    job = submit(bench)
    until(lambda: trains(folder))
    subprocess.run(["scancel", job], check=True)
    until(lambda: not queue())
    again = bench.run(*run_of())
    assert again.code == 0 and "goes on at iteration" in again.out, again.text
    assert len(digests(folder / "results")) == 4 and resumptions(folder) == 1


@scheduled
@pytest.mark.slow
@pytest.mark.usefixtures("cancelled")
def test_what_slurm_refuses_is_one_sentence(folder: Path, bench: Children) -> None:
    prepare(folder)
    refused = bench.run(*run_of("--on", "slurm", "--partition", "none"))
    assert refused.code == 1 and "Traceback" not in refused.text
    assert "bench: SLURM refuses the job: " in refused.err
    assert "invalid partition specified: none" in refused.err
