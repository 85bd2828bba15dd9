"""One process at a time has a cell, wherever it is and whatever its clock says."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from children import environment, until
from filelock import _marker as marker

from bench.errors import BenchError, UsageError
from bench.runs.lease import FOLDER, PATIENCE, Busy, Held, Lease

NAME = "s0-0123456789ab"
HOLD = """
import sys, time
from pathlib import Path
from bench.errors import BenchError
from bench.runs.lease import Lease
with Lease(Path(sys.argv[1]), sys.argv[2]) as lease:
    print("held", flush=True)
    while True:
        time.sleep(0.02)
        try:
            lease.check()
        except BenchError as e:
            print(f"{type(e).__name__}: {e}", flush=True)
            break
"""
ELSEWHERE = """
import filelock._marker, filelock._identity, time
filelock._marker.host_name = lambda: "node7"
filelock._identity.host_name = lambda: "node7"
time.time = lambda clock=time.time: clock() - 86_400
"""
"""Makes a process believe that it runs on another machine, whose clock is a day behind."""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts processes that have the lease; all of them, and this one, wait a second for life."""
    monkeypatch.setenv(PATIENCE, "1")
    begun = []

    def start(prelude: str = "") -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", prelude + HOLD, tmp_path, NAME],
            stdout=subprocess.PIPE, text=True, env=environment(tmp_path) | {PATIENCE: "1"},
        )  # fmt: skip
        begun.append(child)
        assert child.stdout and child.stdout.readline() == "held\n"
        return child

    yield start
    for child in begun:
        child.kill()
        child.communicate(timeout=60)


def is_ours(lease: Lease) -> bool:
    """Whether we get it at once; it is given back."""
    try:
        with lease:
            return True
    except Held:
        return False


def test_a_lease_is_one_process_s_until_it_gives_it_back(tmp_path: Path) -> None:
    with Lease(tmp_path, NAME) as ours:
        ours.check(sure=True)
        with pytest.raises(Held, match=f"another process is running it .process {os.getpid()} on"):
            Lease(tmp_path, NAME).__enter__()
        assert is_ours(Lease(tmp_path, "s1-0123456789ab")), "other cells run at the same time"
    assert is_ours(Lease(tmp_path, NAME))
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_of_many_that_want_a_cell_at_once_one_gets_it(tmp_path: Path) -> None:
    together, over = Barrier(8, timeout=30), Barrier(8, timeout=30)

    def want(n: int) -> bool:
        together.wait()
        try:
            with Lease(tmp_path, NAME):
                over.wait()
                return True
        except Held:
            over.wait()
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(want, range(8))) == 1


def test_a_dead_process_loses_it_at_once(tmp_path: Path, start: Start) -> None:
    child = start()
    assert not is_ours(Lease(tmp_path, NAME))
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert is_ours(Lease(tmp_path, NAME))


def test_a_frozen_process_loses_it_when_it_was_silent_for_too_long(
    tmp_path: Path, start: Start
) -> None:
    child, ours = start(), Lease(tmp_path, NAME)
    until(ours.shows_life)
    child.send_signal(signal.SIGSTOP)
    watched, begun = Lease(tmp_path, NAME), time.monotonic()
    assert not is_ours(watched), "it is alive, as far as one can tell"
    until(lambda: is_ours(watched))
    assert time.monotonic() - begun > 0.9 and not watched.shows_life()
    child.send_signal(signal.SIGCONT)
    out = child.communicate(timeout=60)[0]
    assert out == (
        "Busy: another process took it over, because this one gave no sign of life for 1 s\n"
    )


def test_a_process_of_another_machine_keeps_it_whatever_its_clock_says(
    tmp_path: Path, start: Start
) -> None:
    child, watched = start(ELSEWHERE), Lease(tmp_path, NAME)
    os.utime(watched.path, (0, 0))  # as if its file were of 1970
    begun = time.monotonic()
    while time.monotonic() - begun < 2:
        assert not is_ours(watched)
        time.sleep(0.05)
    assert watched.shows_life() and watched.find_owner() == f"process {child.pid} on node7"


def test_a_dead_process_of_another_machine_loses_it_after_a_while(
    tmp_path: Path, start: Start
) -> None:
    child = start(ELSEWHERE)
    child.kill()
    child.wait()
    watched, begun = Lease(tmp_path, NAME), time.monotonic()
    assert not is_ours(watched), "from here one cannot see that it is dead"
    until(lambda: is_ours(watched))
    assert 0.9 < time.monotonic() - begun < 20


def test_a_lease_whose_file_is_gone_is_no_lease(tmp_path: Path) -> None:
    with Lease(tmp_path, NAME) as ours:
        ours.path.unlink()
        ours.check()  # one has looked a moment ago
        with pytest.raises(BenchError, match=r"who runs s0-.*, was deleted or cannot be") as e:
            ours.check(sure=True)
        assert not isinstance(e.value, Busy)
        with Lease(tmp_path, NAME), pytest.raises(Busy, match="another process took it over"):
            ours.check(sure=True)


def test_a_lease_that_cannot_be_read_for_a_moment_is_ours_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS: the next try succeeds."""
    read, failed = marker._read_lock_file, []

    def fail_once(path: str) -> object:
        if not failed:
            failed.append(path)
            raise OSError(errno.ESTALE, "Stale file handle")
        return read(path)

    with Lease(tmp_path, NAME) as ours:
        monkeypatch.setattr(marker, "_read_lock_file", fail_once)
        ours.check(sure=True)
        assert failed


def test_an_empty_lease_is_taken_over_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process was killed, or the power was cut, before it had written who it is."""
    monkeypatch.setenv(PATIENCE, "1")
    watched = Lease(tmp_path, NAME)
    watched.path.parent.mkdir()
    watched.path.touch()
    begun = time.monotonic()
    assert not is_ours(watched), "it may be written to in this moment"
    until(lambda: is_ours(watched), seconds=20)
    assert time.monotonic() - begun > 0.9


def test_all_that_share_a_folder_are_patient_alike(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    monkeypatch.setenv(PATIENCE, "2")
    with pytest.raises(UsageError, match="is taken by a process with another BENCH_PATIENCE"):
        Lease(tmp_path, NAME).__enter__()
    for text in ("soon", "0", "nan", "-1", "1e9"):
        monkeypatch.setenv(PATIENCE, text)
        with pytest.raises(UsageError, match=f"BENCH_PATIENCE='{text}' is no number of seconds"):
            Lease(tmp_path, NAME)


def test_a_folder_that_takes_no_files_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match=r"cannot write under .* choose another --results folder"):
        Lease(tmp_path / "file", NAME).__enter__()
