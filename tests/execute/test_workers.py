"""Several processes on one machine: every cell once, whatever becomes of a worker."""

import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from children import Child, Children, until
from helpers import write_pictures, write_suite

from bench.cli.where import Where, list_devices, read_minutes
from bench.engine.events import Ended, Event, Orphaned
from bench.engine.lab import Lab
from bench.errors import BenchError, UsageError
from bench.execute import job as jobs
from bench.execute.here import Here
from bench.execute.job import Job
from bench.execute.workers import TRIES, Workers
from bench.runs import plan, records
from bench.runs.cell import Cell
from bench.suite import suites

ROWS = {"one": {"method": "source_only"}, "two": {"method": "dann"}}
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "data", "A", "B", each=5)
    return tmp_path


def prepare(folder: Path, iterations: int = 40) -> list[Cell]:
    suite = write_suite(folder, rows=ROWS, iterations=iterations, eval_every=iterations // 2)
    return plan.cells(suites.load(suite), seeds=[0, 1])


def run_of(*more: object) -> tuple[object, ...]:
    fixed = ("run", "--suite", "tiny.toml", "--data", "data", "--device", "cpu")
    return (*fixed, "--seeds", "0-1", *more)


def digests(folder: Path) -> dict[tuple[str, int], str | None]:
    """The final parameters of each cell; each has to have one record that ended well."""
    found = [r for r in records.read_all(folder) if r.complete]
    places = Counter((r.run.row, r.run.seed) for r in found if r.run)
    assert set(places.values()) <= {1}, "a cell was run twice"
    return {
        (r.run.row, r.run.seed): r.end.parameters
        for r in found
        if r.run and r.end and r.status == "ok"
    }


def workers_of(parent: int) -> list[int]:
    """The processes that are workers of a command."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
            text = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(words[1]) == parent and words[0] != "Z" and b"worker.serve" in text:
            found.append(int(stat.parent.name))
    return found


def runs(child: Child) -> bool:
    """Whether a command has not ended."""
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def training(folder: Path) -> bool:
    """Whether a checkpoint was written: something trains, and something would be lost."""
    return bool(list(folder.glob("results/**/*.checkpoint")))


@pytest.mark.slow
def test_workers_killed_one_after_the_other_lose_nothing(folder: Path, bench: Children) -> None:
    """The record of each cell ends with the parameters of an undisturbed run."""
    prepare(folder, 600)
    whole = bench.run(*run_of("--results", "whole"))
    child = bench.start(*run_of("--workers", 2, "--checkpoint-every", "0.05"))
    killed: list[int] = []
    while len(killed) < 4 and runs(child):
        time.sleep(0.3)
        alive = [pid for pid in workers_of(child.pid) if pid not in killed]
        if training(folder) and alive:
            os.kill(alive[0], signal.SIGKILL)
            killed.append(alive[0])
    ended = child.wait()
    assert (whole.code, ended.code) == (0, 0), ended.text
    assert len(killed) == 4 and ended.err == ""
    assert len(re.findall("its worker ended by SIGKILL; another goes on with it", ended.out)) >= 1
    assert "4 ok; 0 of 4 cells pending" in ended.out
    assert digests(folder / "results") == digests(folder / "whole")
    assert not list(folder.glob("results/**/*.checkpoint"))


ENDINGS: dict[str, tuple[signal.Signals, int]] = {
    "Ctrl-C": (signal.SIGINT, 130), "a request to end": (signal.SIGTERM, 143),
    "a kill": (signal.SIGKILL, -signal.SIGKILL),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("how", ENDINGS)
def test_no_worker_outlives_the_command_and_each_leaves_a_checkpoint(
    how: str, folder: Path, bench: Children
) -> None:
    sent, code = ENDINGS[how]
    prepare(folder, 4000)
    child = bench.start(*run_of("--workers", 2))
    both: list[int] = until(lambda: len(found := workers_of(child.pid)) == 2 and found)
    until(lambda: len(list(folder.glob("results/**/*.jsonl"))) == 2)
    until(
        lambda: all('{"kind":"train"' in p.read_text() for p in folder.glob("results/**/*.jsonl"))
    )
    child.send(sent)
    ended = child.wait()
    assert ended.code == code, ended.text
    if sent != signal.SIGKILL:
        assert ended.err.startswith("bench: interrupted") and ended.err.count("\n") == 1
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in both))
    assert len(list(folder.glob("results/**/*.checkpoint"))) == 2
    assert not list(folder.glob("results/.locks/*")), "leases were given back"


def make_executor(folder: Path, n: int = 2, **settings: object) -> Workers:
    lab = Lab(folder / "data", folder / "results", CPU, **settings)  # type: ignore[arg-type]
    return Workers(Here(lab), ["cpu"] * n)


@pytest.mark.slow
def test_two_workers_run_each_cell_once_as_one_process_does(folder: Path) -> None:
    cells = prepare(folder, 20)
    executor = make_executor(folder)
    executor.check(cells)
    events = list(executor.run(cells))
    assert Counter(e.status for e in events if isinstance(e, Ended)) == {"ok": 4}
    here = Here(Lab(folder / "data", folder / "alone", CPU))
    assert all(e.status == "ok" for e in here.run(cells) if isinstance(e, Ended))
    assert digests(folder / "results") == digests(folder / "alone")
    assert {r.run.env.shared for r in records.read_all(folder / "results") if r.run} == {2}
    assert {r.run.env.shared for r in records.read_all(folder / "alone") if r.run} == {1}


DEADLY = '''
import os
from torch.nn.functional import cross_entropy
from methods import Method

class Deadly(Method):
    """L = L_y, and the end of the process   (nobody, CVPR 2026)"""

    def __init__(self, net):
        super().__init__()

    def step(self, net, s, t, p):
        os.kill(os.getpid(), 9)
        yield cross_entropy(net.C(net.F(s.x)), s.y)
'''


@pytest.mark.slow
def test_a_cell_that_kills_every_worker_is_given_up(folder: Path) -> None:
    (folder / "methods").mkdir()
    (folder / "methods" / "deadly.py").write_text(DEADLY)
    suite = write_suite(folder, rows={"deadly": {"method": "deadly"}}, iterations=20)
    (cell,) = plan.cells(suites.load(suite))
    executor = make_executor(folder, 1)
    events: list[Event] = [e for e in executor.run([cell]) if isinstance(e, Orphaned | Ended)]
    assert [type(e) for e in events] == [Orphaned] * (TRIES - 1) + [Ended]
    assert isinstance(events[-1], Ended) and events[-1].status == "error"
    assert events[-1].reason == "3 workers ended over it, the last one by SIGKILL"


def saved_at(folder: Path) -> int:
    """When the checkpoint was written; 0 where there is none."""
    for path in folder.glob("results/**/*.checkpoint"):
        with suppress(FileNotFoundError):
            return path.stat().st_mtime_ns
    return 0


@pytest.mark.slow
def test_a_cell_that_gets_on_is_not_given_up(folder: Path, bench: Children) -> None:
    """However many workers die over it, as long as each goes further than the one before."""
    prepare(folder, 600)
    one = ("--methods", "one", "--seeds", "0")
    child = bench.start(*run_of("--workers", 1, "--checkpoint-every", "0.02", *one))
    killed: list[int] = []
    found = 0  # the checkpoint that the worker began with
    while runs(child) and len(killed) < 2 * TRIES:
        time.sleep(0.02)
        mine = [pid for pid in workers_of(child.pid) if pid not in killed]
        if mine and (now := saved_at(folder)):
            found = found or now
            if now != found:
                os.kill(mine[0], signal.SIGKILL)
                killed.append(mine[0])
                found = 0
    ended = child.wait()
    assert ended.code == 0 and len(killed) == 2 * TRIES, ended.text


@pytest.mark.slow
def test_a_worker_of_other_code_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As is one that cannot enter the working folder. Nothing is recorded."""
    cells = prepare(folder)
    monkeypatch.setattr(jobs, "fingerprint_code", lambda: "0123456789ab")
    with pytest.raises(BenchError, match=r"has another version of the program .* \(0123456789ab\)"):
        list(make_executor(folder).run(cells))
    assert records.list_files(folder / "results") == []
    lab = Lab(folder / "data", folder / "results", CPU)
    with pytest.raises(BenchError, match="the working folder nowhere is not on this machine"):
        Job(Path("nowhere"), lab.data, lab.results, "").open_lab("cpu")


def test_the_fingerprint_is_of_the_code_alone(folder: Path) -> None:
    before = jobs.fingerprint_code()
    (folder / "notes.py").write_text("x = 1")
    assert jobs.fingerprint_code() == before
    (folder / "methods").mkdir()
    (folder / "methods" / "deadly.py").write_text(DEADLY)
    assert jobs.fingerprint_code() != before


def test_a_worker_that_cannot_start_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(
        BenchError, match="3 workers ended before they could run anything, with exit"
    ):
        list(make_executor(folder).run(prepare(folder)))


@pytest.mark.slow
def test_what_fails_ends_the_grid_unless_it_is_to_go_on(folder: Path) -> None:
    rows = {"bad": {"method": "source_only", "recipe": {"lr": 1e30}}, **ROWS}
    suite = write_suite(folder, rows=rows, iterations=30)
    cells = plan.cells(suites.load(suite))

    def statuses(*, keep_going: bool) -> Counter[str]:
        events = make_executor(folder, 1).run(cells, keep_going=keep_going)
        return Counter(e.status for e in events if isinstance(e, Ended))

    assert statuses(keep_going=False) == {"diverged": 1}
    assert statuses(keep_going=True) == {"busy": 1, "ok": 2}, "the bad one is done"


@pytest.mark.slow
def test_a_fresh_start_drops_checkpoints_once(folder: Path) -> None:
    """Not those that a worker leaves later, from which another goes on."""
    (cell, *_) = prepare(folder)
    path = folder / "results" / cell.folder / f"{cell.stem}.checkpoint"
    path.parent.mkdir(parents=True)
    path.write_text("whatever")
    executor = make_executor(folder, 1, fresh=True)
    events = list(executor.run([cell]))
    assert not any(getattr(e, "anew", "") for e in events), "there was nothing to refuse"
    assert Job.of(executor.lab).open_lab("cpu").fresh is False


@pytest.mark.parametrize(
    ("asked", "gpus", "found"),
    [
        (("auto", None, None), 0, ["auto"]),
        (("auto", 3, None), 0, ["cpu"] * 3),
        (("cpu", 2, None), 4, ["cpu"] * 2),
        (("auto", None, None), 2, ["auto"]),
        (("auto", 2, None), 4, ["cuda:0", "cuda:1"]),
        (("auto", None, 2), 2, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        (("all", None, None), 3, ["cuda:0", "cuda:1", "cuda:2"]),
        (("all", 3, 2), 2, ["cuda:0", "cuda:1", "cuda:0"]),
        (("cuda:1,3", None, None), 4, ["cuda:1", "cuda:3"]),
        (("cuda:1,1", None, 2), 4, ["cuda:1", "cuda:1"]),
        (("cuda", None, 2), 1, ["cuda", "cuda"]),
    ],
)
def test_each_worker_has_a_device(
    asked: tuple[str, int | None, int | None],
    gpus: int,
    found: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert list_devices(*asked) == found


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: list_devices("all", None, None), "there is no GPU on this machine: use --device"),
        (lambda: list_devices("cpu", None, 2), "--per-gpu is about GPUs, and this is a CPU"),
        (lambda: list_devices("cuda:0,1", 5, None), "5 workers do not fit 2 GPUs: add --per-gpu 3"),
        (lambda: Where(partition="gpu"), "--partition is about --on slurm, not --on here"),
        (
            lambda: Where(on="ray", workers=2),
            "--workers is about --on here or --on slurm, not --on",
        ),
        (lambda: Where(on="slurm", address="x"), "--address is about --on ray, not --on slurm"),
        (lambda: Where(device="cuda:1", on="slurm"), "--on slurm chooses GPUs itself"),
        (
            lambda: Where(on="slurm", time="soon"),
            "cannot read the time limit 'soon'; write minutes",
        ),
        (lambda: Where(on="slurm", time="0"), "leaves no time to train"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_a_time_limit_is_read_as_slurm_writes_it() -> None:
    texts = ("90", "1:30:00", "02:00:59", "2-00:00:00", None)
    assert [read_minutes(text) for text in texts] == [90, 90, 120, 2880, 60]
