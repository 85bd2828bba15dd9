"""Time per iteration and peak memory, without a synchronisation inside a window.

On CUDA two events are recorded per iteration (it began; its batch is ready) and read after one
synchronisation per window; on the CPU `perf_counter` takes their place. What happens between two
windows (evaluation, writing) is not timed.
"""

import resource
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from typing import Any

import torch

MIB = 2**20


@dataclass(frozen=True)
class Lap:
    """The times of one window, one number for each of its iterations."""

    ms: list[
        float
    ]  # from the beginning of the iteration to the beginning of the next, milliseconds
    wait_ms: list[float]  # of these, until its batch was ready


class Clock:
    """Times the iterations of a window: call `begin` and `ready` for each of them, then `end`."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.cuda = device, device.type == "cuda"
        self._marks: list[Any] = []
        self._rss = 0
        self._counted = False
        self.reset_peak()

    def begin(self) -> None:
        """An iteration begins, and with it the wait for its batch."""
        self._mark()

    def ready(self) -> None:
        """The batch of the iteration is ready."""
        self._mark()

    def end(self) -> Lap:
        """The window is over: wait for the device and return its times."""
        self._mark()
        marks, self._marks = self._marks, []
        if self.cuda:
            torch.cuda.synchronize(self.device)
            steps = [a.elapsed_time(b) for a, b in pairwise(marks)]
        else:
            steps = [(b - a) * 1e3 for a, b in pairwise(marks)]
            self._rss = max(self._rss, rss())
        wait, work = steps[0::2], steps[1::2]
        return Lap([a + b for a, b in zip(wait, work, strict=True)], wait)

    def _mark(self) -> None:
        if self.cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self.device))
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    def reset_peak(self) -> None:
        """Forget the peak so far. To be called after the warm-up and after each evaluation."""
        self._rss = 0
        if self.cuda:
            torch.cuda.init()
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._counted = forget_peak()

    def memory(self) -> dict[str, float]:
        """The peak since `reset_peak`, MiB.

        On CUDA what tensors allocated and what torch reserved for them; on a CPU the resident set
        of the whole process.
        """
        if self.cuda:
            return {
                "allocated_mib": round(torch.cuda.max_memory_allocated(self.device) / MIB, 1),
                "reserved_mib": round(torch.cuda.max_memory_reserved(self.device) / MIB, 1),
            }
        return {"rss_mib": round(max(self._rss, peak_rss() if self._counted else 0) / MIB, 1)}


def rss() -> int:
    """Bytes of this process in memory now; where the system does not tell, the most so far."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def forget_peak() -> bool:
    """Make `peak_rss` count from now; returns False where the system does not allow that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return True
    except OSError:
        return False


def peak_rss() -> int:
    """The most bytes in memory since `forget_peak`, which must have returned True."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def spread(values: list[float]) -> dict[str, float]:
    """Median, 5th and 95th percentile; NaN for no values."""
    if len(values) < 2:
        return dict.fromkeys(("p50", "p5", "p95"), round(values[0], 4) if values else float("nan"))
    q = quantiles(values, n=100, method="inclusive")
    return {"p50": round(q[49], 4), "p5": round(q[4], 4), "p95": round(q[94], 4)}
