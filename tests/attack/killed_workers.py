"""A film in lines: a grid whose workers are killed one after the other, beside an undisturbed one.

    python tests/attack/killed_workers.py [SECONDS_BETWEEN_KILLS]

The grid is a part of the demo: real digits, two workers. What `bench run` prints, what was killed
and what `bench status` says now and then stand in one log, each line with its second. Ends with
code 1 unless every cell ended once and with the parameters of the undisturbed grid, to the bit.
`killed_workers.log` is what it printed once.
"""

import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from execute.test_workers import digests, workers_of

GRID = ("--suite", "demo", "--methods", "source_only,mcc", "--tasks", "UCI-MNIST", "--seeds", "0-2")
BENCH = (sys.executable, "-m", "bench")


class Film:
    """Lines with their second since the start."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.start:6.1f} s  {text}", flush=True)


def run(results: Path, *more: str) -> subprocess.Popen[str]:
    command = (*BENCH, "run", *GRID, "--workers", "2", "--device", "cpu", "--results", str(results))
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen((*command, *more), **told)  # type: ignore[call-overload]


def follow(process: subprocess.Popen[str]) -> queue.SimpleQueue[str]:
    """The lines of a process as it prints them."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout

    def read() -> None:
        for line in process.stdout:  # type: ignore[union-attr]
            lines.put(line.rstrip())

    threading.Thread(target=read, daemon=True).start()
    return lines


def show(film: Film, lines: queue.SimpleQueue[str]) -> None:
    while not lines.empty():
        line = lines.get()
        if " seed " in line or "cells" in line or "worker" in line:
            film.say(line)


def show_status(film: Film, results: Path) -> None:
    asked = (*BENCH, "status", *GRID, "--results", str(results))
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    for line in told.splitlines():
        film.say(f"        | {line}")


def kill_one_after_the_other(film: Film, results: Path, pause: float) -> int:
    """Runs the grid, kills one of its two workers every so often, and tells the number killed."""
    child = run(results, "--checkpoint-every", "1")
    lines, killed, chance = follow(child), set[int](), random.Random(0)
    next_kill, next_look = time.monotonic() + pause, time.monotonic() + 4 * pause
    while child.poll() is None:
        show(film, lines)
        alive = sorted(set(workers_of(child.pid)) - killed)
        if time.monotonic() > next_kill and len(alive) == 2:
            os.kill(victim := chance.choice(alive), signal.SIGKILL)
            killed.add(victim)
            film.say(f"SIGKILL to worker {victim}, the {len(killed)}. that is killed")
            next_kill = time.monotonic() + pause
        if time.monotonic() > next_look:
            show_status(film, results)
            next_look = time.monotonic() + 4 * pause
        time.sleep(0.1)
    time.sleep(0.5)
    show(film, lines)
    assert child.returncode == 0, f"bench run ended with code {child.returncode}"
    return len(killed)


def main(pause: float) -> bool:
    film = Film()
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder, "whole"), Path(folder, "cut")
        film.say("the undisturbed grid: bench run " + " ".join((*GRID, "--workers", "2")))
        child = run(whole)
        lines = follow(child)
        assert child.wait() == 0
        time.sleep(0.5)
        show(film, lines)
        film.say("the same grid with --checkpoint-every 1, its workers killed")
        killed = kill_one_after_the_other(film, cut, pause)
        one, other = digests(whole), digests(cut)
        for (row, seed), digest in sorted(one.items()):
            same = "equal to" if other.get((row, seed)) == digest else "DIFFERS from"
            film.say(
                f"{row} seed {seed}: final parameters {str(digest)[:12]}, {same} the undisturbed"
            )
        left = [p.name for p in cut.rglob("*.checkpoint")]
        film.say(f"{killed} workers killed; checkpoints left: {len(left)}")
    return one == other and len(one) == 6 and not left and killed > 0


if __name__ == "__main__":
    sys.exit(not main(float(sys.argv[1]) if len(sys.argv) > 1 else 4))
