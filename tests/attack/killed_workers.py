"""A film in lines: a grid whose workers are killed one after the other, beside an undisturbed one.

    python tests/attack/killed_workers.py [SECONDS BETWEEN TWO KILLS, 20 unless told]

The grid is a part of the demo: real digits, six cells, two workers. The log shows, second by second,
what `bench run` prints, who is killed and what `bench status` says. It ends with code 1 unless each
cell ended once, with the parameters of the undisturbed grid to the bit. `killed_workers.log` is what it
printed once, with 4 seconds.
"""

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from execute.test_workers import digests, workers_of

from bench.runs.lease import FOLDER, Lease

GRID = ("--suite", "demo", "--methods", "source_only,mcc", "--tasks", "UCI-MNIST", "--seeds", "0-2")
START = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - START:6.1f} s  {text}", flush=True)


class Command:
    """`bench …` in the background, whose lines can be asked for at any time."""

    def __init__(self, *words: object) -> None:
        command = [sys.executable, "-m", "bench", *map(str, words)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line.rstrip())

    def lines(self) -> Iterator[str]:
        """Those printed since the last call; all that were left, once the command has ended."""
        if self.ended:
            self._reader.join()
        while not self._lines.empty():
            yield self._lines.get()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None


def watch(command: Command, meanwhile: Callable[[], None]) -> None:
    """Say what a grid tells of its cells until it has ended."""
    ended = False
    while not ended:
        ended = command.ended
        for line in command.lines():
            if " seed " in line or "pending" in line or line.startswith("bench:"):
                say(line)
        meanwhile()
        time.sleep(0.1)
    assert command.process.returncode == 0


class Killer:
    """Kills a worker in the middle of its training, again and again."""

    def __init__(self, command: Command, results: Path, pause: float) -> None:
        self.command, self.results, self.pause = command, results, pause
        self.killed: list[int] = []
        self._next = time.monotonic() + pause
        self._found: dict[int, int] = {}  # by worker: the checkpoint that it began with
        self._status: Command | None = None

    def __call__(self) -> None:
        for pid, stem in self._holders():
            if checkpoint := next(self.results.rglob(f"{stem}.checkpoint"), None):
                written = checkpoint.stat().st_mtime_ns
                if self._found.setdefault(pid, written) != written:
                    self._kill(pid, checkpoint)
            else:
                self._found.setdefault(pid, 0)
        self._show_status()

    def _holders(self) -> Iterator[tuple[int, str]]:
        """The workers that have a cell, as its lease says, and the cell's name among the files."""
        alive = set(workers_of(self.command.process.pid))
        for path in self.results.glob(f"{FOLDER}/*.lease"):
            owner = Lease(self.results, path.stem).find_owner()
            if owner and (pid := int(owner.split()[1])) in alive and pid not in self.killed:
                yield pid, path.stem

    def _kill(self, pid: int, checkpoint: Path) -> None:
        if time.monotonic() < self._next:
            return
        os.kill(pid, signal.SIGKILL)
        self.killed.append(pid)
        self._next = time.monotonic() + self.pause
        row, seed = checkpoint.parts[-3], checkpoint.name.partition("-")[0]
        say(f"SIGKILL number {len(self.killed)}: worker {pid}, which trains {row} {seed}")
        if len(self.killed) % 4 == 1 and self._status is None:
            self._status = Command("status", *GRID, "--results", self.results)

    def _show_status(self) -> None:
        if self._status and self._status.ended:
            for line in filter(str.strip, self._status.lines()):
                say(f"    bench status | {line}")
            self._status = None


def main(pause: float) -> bool:
    run = ("run", *GRID, "--workers", 2, "--device", "cpu")
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder, "whole"), Path(folder, "cut")
        say("undisturbed: bench " + " ".join(map(str, run)))
        watch(Command(*run, "--results", whole), lambda: None)
        say("the same with --checkpoint-every 1, and its workers killed")
        command = Command(*run, "--checkpoint-every", 1, "--results", cut)
        killer = Killer(command, cut, pause)
        watch(command, killer)
        one, other = digests(whole), digests(cut)
        for (row, seed), digest in sorted(one.items()):
            same = "as" if other.get((row, seed)) == digest else "NOT AS"
            say(f"{row} seed {seed} ends with parameters {str(digest)[:16]}, {same} undisturbed")
        left = len(list(cut.rglob("*.checkpoint")))
        say(f"{len(killer.killed)} workers killed, {left} checkpoints left")
    return one == other and len(one) == 6 and not left and bool(killer.killed)


if __name__ == "__main__":
    sys.exit(not main(float(sys.argv[1]) if len(sys.argv) > 1 else 20))
