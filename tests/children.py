"""`python -m bench` as real processes, many of them: a parent that has torch loaded already forks one for each command.

A fork behaves like a fresh interpreter that was quick to import torch: its own memory, signals, working folder and exit code.
What depends on the start of the interpreter itself (imports, Ctrl-C while they run) is tested with `fresh`.
"""

import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]


def environment(home: Path) -> dict[str, str]:
    """This one, less what would let a test see or touch the user's data and caches."""
    kept = {
        k: v for k, v in os.environ.items() if k not in ("BENCH_DATA", "COLUMNS", "FORCE_COLOR")
    }
    return kept | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "XDG_CACHE_HOME": str(home / "cache"), "XDG_DATA_HOME": str(home / "data"), "HOME": str(home),
        "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8",
    }  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """code: the exit status, minus the signal where one ended it."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass
class Child:
    """A running command."""

    pid: int
    out: Path
    err: Path
    wait_for: Callable[[int], int]

    def send(self, sig: signal.Signals) -> None:
        os.kill(self.pid, sig)

    def wait(self) -> Ended:
        code = self.wait_for(self.pid)
        return Ended(code, self.out.read_text("utf-8"), self.err.read_text("utf-8"))


class Children:
    """Starts commands in a working folder. One of these serves a whole test session; `at` gives it a test's own folder."""

    def __init__(self, home: Path) -> None:
        self.home, self.cwd, self.count = home, home, 0
        self.parent = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(home),
            cwd=home,
        )

    def _ask(self, **request: Any) -> int:
        assert self.parent.stdin and self.parent.stdout
        self.parent.stdin.write(json.dumps(request) + "\n")
        self.parent.stdin.flush()
        return int(self.parent.stdout.readline())

    def start(
        self, *args: object, file_size: int | None = None, env: dict[str, str] | None = None
    ) -> Child:
        """`python -m bench *args`. file_size: the most bytes that it can write to any one file."""
        self.count += 1
        out, err = self.home / f"{self.count}.out", self.home / f"{self.count}.err"
        for file in (out, err):
            file.touch()  # a child may be killed before it opens them
        pid = self._ask(
            args=list(map(str, args)),
            cwd=str(self.cwd),
            out=str(out),
            err=str(err),
            file_size=file_size,
            env=env or {},
        )
        return Child(pid, out, err, lambda pid: self._ask(wait=pid))

    def run(
        self, *args: object, file_size: int | None = None, env: dict[str, str] | None = None
    ) -> Ended:
        return self.start(*args, file_size=file_size, env=env).wait()

    def close(self) -> None:
        self.parent.communicate("", timeout=30)


def fresh(
    *args: object,
    cwd: Path,
    python: tuple[str, ...] = ("-m", "bench"),
    env: dict[str, str] | None = None,
) -> Ended:
    """The same by a new interpreter."""
    done = subprocess.run(
        [sys.executable, *python, *map(str, args)],
        cwd=cwd,
        env=environment(cwd) | (env or {}),
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def until(true: Callable[[], Any], seconds: float = 120) -> Any:
    """What `true` returns once that is true."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)
    return value


def play() -> NoReturn:
    """Be `python -m bench`, but leave without taking torch apart, which lasts a second."""
    try:
        runpy.run_module("bench", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    """Fork for every command on stdin; in the child, go on as `python -m bench`."""
    import pandas  # noqa: F401
    import pydantic  # noqa: F401
    import rich.progress  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch
    import torch._dynamo  # the first optimiser of a process imports it
    import torchvision  # noqa: F401
    import typer  # noqa: F401

    torch.set_num_threads(1)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            status = os.waitpid(request["wait"], 0)[1]
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        os.chdir(request["cwd"])
        os.environ.update(request["env"])
        for number, path in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
            fd = os.open(
                path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644
            )
            os.dup2(fd, number)
            os.close(fd)
        if size := request["file_size"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        sys.argv = ["bench", *request["args"]]
        sys.path[0] = os.getcwd()
        play()


if __name__ == "__main__":
    serve()
