"""Commands in bad places: children whose clock jumps or whose results folder is slow or fails, in a mount namespace of
their own, so that file systems can be mounted that nobody else sees.

HARM in the environment of a child says what is done to it, as JSON: {"seed": 3, "clock": true} or
{"seed": 3, "folder": "/tmp/results", "slow": [0.01, 0.3], "fail": 0.02}.
"""

import errno
import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import children
from children import Children, environment

HARM = "HARM"
DAY = 86_400.0
TESTS = str(Path(__file__).parents[1])
SERVE = f"import sys; sys.path.append({TESTS!r}); from attack import harm; harm.serve()"
ERRORS = (errno.EIO, errno.ESTALE, errno.EINTR)
UNSHARE = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])


def can_mount() -> bool:
    """Whether this machine lets us have mounts of our own."""
    trial = [*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(trial, capture_output=True).returncode == 0
    except OSError:
        return False


class Harmed(Children):
    """Starts commands that are harmed as their HARM says, with mounts of their own where that is possible."""

    def __init__(self, home: Path) -> None:
        self.home, self.cwd, self.count, self.mounts = home, home, 0, can_mount()
        command = [*(UNSHARE if self.mounts else []), sys.executable, "-c", SERVE]
        self.parent = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment(home), cwd=home,
        )  # fmt: skip

    def do(self, *command: object) -> int:
        """Run a command such as `mount` where the children see what it does; returns its exit code."""
        into = ["nsenter", "--target", str(self.parent.pid), "--mount", "--wd=/"]
        into += ["--user", "--preserve-credentials"] if os.geteuid() else []
        return subprocess.run([*into, *map(str, command)], capture_output=True).returncode

    def see(self, path: Path) -> Path:
        """A path by which this process sees what the children see under that path."""
        return Path(f"/proc/{self.parent.pid}/root{path}")


def jump(chance: random.Random) -> None:
    """From now on the clock is set to another day every few times that it is read; what measures spans goes on."""
    gmtime, localtime, real, off = time.gmtime, time.localtime, time.time, [0.0]

    def now() -> float:
        if chance.random() < 0.3:
            off[0] = (
                chance.choice((-1, 1))
                * chance.choice((1, 24, 24 * 90))
                * chance.random()
                * DAY
                / 24
            )
        return real() + off[0]

    time.time, time.time_ns = now, lambda: int(now() * 1e9)
    time.gmtime = lambda at=None: gmtime(now() if at is None else at)
    time.localtime = lambda at=None: localtime(now() if at is None else at)


def disturb(chance: random.Random, folder: str, slow: tuple[float, float], fail: float) -> None:
    """From now on what is opened, written and listed in the folder takes its time and fails by chance."""

    def disturbed(do: Callable[..., Any]) -> Callable[..., Any]:
        def call(what: Any = os.curdir, *rest: Any, **named: Any) -> Any:
            if is_below(what, folder):
                time.sleep(chance.uniform(*slow))
                if chance.random() < fail:
                    number = chance.choice(ERRORS)
                    raise OSError(number, os.strerror(number), find_path(what))
            return do(what, *rest, **named)

        return call

    for module, names in ((os, ("write", "fsync", "replace", "open", "scandir")), (io, ("open",))):
        for name in names:
            setattr(module, name, disturbed(getattr(module, name)))


def find_path(what: Any) -> str:
    """Of a path, or of the file that a descriptor stands for."""
    found = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else os.fsdecode(what)
    return os.path.abspath(found)


def is_below(what: Any, folder: str) -> bool:
    try:
        return f"{find_path(what)}{os.sep}".startswith(f"{folder}{os.sep}")
    except OSError:
        return False


def harmed(play: Callable[[], Any]) -> Callable[[], None]:
    """What a child does, after what its HARM asks for was done to it."""

    def go() -> None:
        if asked := json.loads(os.environ.get(HARM, "{}")):
            chance = random.Random(asked["seed"])
            if asked.get("clock"):
                jump(chance)
            if "folder" in asked:
                disturb(chance, asked["folder"], asked["slow"], asked["fail"])
        play()

    return go


def serve() -> None:
    """Be the parent of such children."""
    sys.path.remove(TESTS)  # which `bench` is not to find
    children.play = harmed(children.play)
    children.serve()
