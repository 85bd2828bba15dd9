"""The times that `Clock` reports, while the tests set the time that it reads."""

import mmap
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.engine import clock
from bench.engine.clock import Clock, rss, spread

CPU = torch.device("cpu")


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, as the one element of a list."""
    now = [100.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    return now


def test_an_iteration_lasts_until_the_next_begins_and_waits_until_its_batch_is_ready(
    at: list[float],
) -> None:
    c = Clock(CPU)
    for wait, work in ((1, 4), (2, 8), (0, 16)):
        c.begin()
        at[0] += wait
        c.ready()
        at[0] += work
    lap = c.end()
    assert lap.ms == pytest.approx([5e3, 10e3, 16e3])
    assert lap.wait_ms == pytest.approx([1e3, 2e3, 0])


def test_what_happens_between_windows_is_on_no_lap(at: list[float]) -> None:
    c = Clock(CPU)
    for _ in range(2):
        c.begin()
        c.ready()
        at[0] += 3
        assert c.end().ms == pytest.approx([3e3])
        at[0] += 1000  # an evaluation


def test_memory_is_the_peak_of_the_windows_since_the_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems whose kernel does not count the peak."""
    monkeypatch.setattr(clock, "forget_peak", lambda: False)
    c = Clock(CPU)
    for mib, peak in ((50, 50), (70, 70), (60, 70)):
        monkeypatch.setattr(clock, "rss", lambda mib=mib: mib * 2**20)
        c.begin(), c.ready(), c.end()
        assert c.memory() == {"rss_mib": peak}
    c.reset_peak()
    c.begin(), c.ready(), c.end()
    assert c.memory() == {"rss_mib": 60}


@contextmanager
def held(mib: int) -> Iterator[None]:
    with mmap.mmap(-1, mib * 2**20) as pages:  # fresh ones, where an array may get used ones
        for page in range(0, len(pages), mmap.PAGESIZE):
            pages[page] = 1
        yield


@pytest.mark.skipif(
    not clock.forget_peak(), reason="this system keeps no peak that a process may reset"
)
def test_a_peak_within_an_iteration_is_seen_and_forgotten() -> None:
    c = Clock(CPU)
    c.begin(), c.ready()
    with held(64):
        pass
    c.end()
    during = c.memory()["rss_mib"]
    c.reset_peak()
    c.begin(), c.ready(), c.end()
    assert 50 <= during - c.memory()["rss_mib"] <= 90


def test_resident_memory_grows_with_what_is_held() -> None:
    before = rss()
    with held(64):
        assert 60 <= (rss() - before) / 2**20 <= 80


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no such file here")
def test_resident_memory_is_what_the_system_calls_resident() -> None:
    status = Path("/proc/self/status").read_text().splitlines()
    kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    assert rss() == pytest.approx(1024 * kib, rel=0.1)


@given(st.lists(st.floats(0.01, 1e4), min_size=2, max_size=200))
def test_spread_is_the_median_and_the_percentiles(values: list[float]) -> None:
    found = spread(values)
    assert found["p50"] == pytest.approx(statistics.median(values), abs=1e-4)
    assert [found["p5"], found["p95"]] == pytest.approx(
        list(np.percentile(values, [5, 95])), abs=1e-4
    )


def test_spread_of_one_value_is_that_value() -> None:
    assert spread([3.0]) == {"p50": 3.0, "p5": 3.0, "p95": 3.0}
    assert all(np.isnan(v) for v in spread([]).values())


class FakeGPU:
    """What the clock asks of torch.cuda: a device whose time and memory the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.allocated, self.reserved = 0.0, 0, 0
        self.asked: list[str] = []
        for name in ("init", "synchronize", "reset_peak_memory_stats", "current_stream"):
            monkeypatch.setattr(torch.cuda, name, lambda *at, name=name: self._note(name, *at))
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda at: self.allocated)
        monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda at: self.reserved)
        gpu = self

        class Event:
            def __init__(self, *, enable_timing: bool) -> None:
                assert enable_timing

            def record(self, stream: object) -> None:
                self.at = gpu.now

            def elapsed_time(self, later: "Event") -> float:
                assert gpu.asked[-1] == f"synchronize {DEVICE}", "an event is read once it is over"
                return later.at - self.at

        monkeypatch.setattr(torch.cuda, "Event", Event)

    def _note(self, name: str, *at: torch.device) -> None:
        self.asked.append(" ".join(map(str, (name, *at))))
        if name == "reset_peak_memory_stats":
            self.allocated = self.reserved = 0


DEVICE = torch.device("cuda", 1)


def test_the_peak_of_a_gpu_is_forgotten_at_each_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGPU(monkeypatch)
    gpu.allocated = gpu.reserved = 9 << 30  # of the cell before
    c = Clock(DEVICE)
    assert gpu.asked == ["init", f"reset_peak_memory_stats {DEVICE}"]
    assert c.memory() == {"allocated_mib": 0.0, "reserved_mib": 0.0}
    gpu.allocated, gpu.reserved = 3 << 20, 5 << 19
    assert c.memory() == {"allocated_mib": 3.0, "reserved_mib": 2.5}
    c.reset_peak()
    assert c.memory() == {"allocated_mib": 0.0, "reserved_mib": 0.0}


def test_a_window_on_a_gpu_is_timed_by_events_that_are_read_after_one_synchronisation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = FakeGPU(monkeypatch)
    c = Clock(DEVICE)
    for wait, work in ((1, 4), (2, 8), (0, 16)):
        c.begin()
        gpu.now += wait
        c.ready()
        gpu.now += work
    lap = c.end()
    assert (lap.ms, lap.wait_ms) == ([5, 10, 16], [1, 2, 0])
    assert gpu.asked.count(f"synchronize {DEVICE}") == 1
    assert gpu.asked.count(f"current_stream {DEVICE}") == 7, "the stream of its own device"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_is_timed_by_its_own_events() -> None:
    c = Clock(torch.device("cuda:0"))
    x = torch.ones(2048, 2048, device="cuda:0")
    for _ in range(5):
        c.begin()
        c.ready()
        for _ in range(20):
            x = (x @ x).clamp(max=1)
    lap = c.end()
    assert len(lap.ms) == 5 and all(a >= b >= 0 for a, b in zip(lap.ms, lap.wait_ms, strict=True))
    assert min(lap.ms) > max(lap.wait_ms)
    assert set(c.memory()) == {"allocated_mib", "reserved_mib"}
