"""Wrong programs that the tests have to find: `nox -s mutants`, or `python tests/mutants/run.py`.

Each .toml file beside this one lists mutants by the file that they change:

    ["methods/dann.py"]
    tests = "tests/methods -k dann"    # arguments of pytest: few and fast tests that should fail
    mutants = [
      ["self.weight * L_d", "L_d", "the weight does nothing"],    # replaced, by what, what is wrong
      ["a", "b", "...", "tests/golden -k dann"],                  # with tests of its own
    ]

What is replaced stands in the file exactly once: else the list is stale, and nothing is run.
Each worker has a copy of the checkout. Tests run in forks of one interpreter that has imported
what is slow to import. Exit status: 1 below the wanted score, 2 for a list or tests that are wrong.
"""

import argparse
import multiprocessing
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import cache_from_source
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SLOW = "pytest torch torchvision timm pandas scipy.stats sklearn hypothesis rich typer pydantic"
LEFT_OUT = (".*", "__pycache__")  # of a copy
WANTED = 0.95  # of the mutants are to be found
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Mutant:
    """One wrong program."""

    file: str  # below the checkout
    old: str  # the text that is replaced
    new: str
    why: str  # what is wrong with it
    tests: str  # arguments of pytest

    @property
    def room(self) -> str:
        """'methods', or the package of bench."""
        return self.file.removeprefix("bench/").split("/")[0]

    def is_stale(self) -> bool:
        """Whether the text to be replaced does not stand in its file exactly once."""
        file = ROOT / self.file
        return not file.is_file() or file.read_text(encoding="utf-8").count(self.old) != 1


def read_mutants(folder: Path = HERE) -> Iterator[Mutant]:
    """The mutants of every list."""
    for path in sorted(folder.glob("*.toml")):
        for file, listed in tomllib.loads(path.read_text(encoding="utf-8")).items():
            for old, new, why, *own in listed["mutants"]:
                yield Mutant(file, old, new, why, *(own or [listed["tests"]]))


def draw(mutants: list[Mutant], n: int, seed: int) -> list[Mutant]:
    """n of them by chance, in their order; all of them when n is 0 or they are no more."""
    if not 0 < n < len(mutants):
        return mutants
    return [mutants[i] for i in sorted(random.Random(seed).sample(range(len(mutants)), n))]


def try_tests(tests: str, mutant: Mutant | None, timeout: float, copies: Path) -> str:
    """How pytest ends in this worker's copy, with a mutant or with none: 'passed', 'failed',
    'timeout', or 'wrong' where it found no tests to run."""
    copy = copies / str(os.getpid())
    if not copy.exists():
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    if mutant:
        genuine = (ROOT / mutant.file).read_text(encoding="utf-8")
        _put(copy / mutant.file, genuine.replace(mutant.old, mutant.new))
    child = FORK.Process(target=_run_pytest, args=(copy, tests))
    child.start()
    child.join(timeout)
    code = child.exitcode
    with suppress(ProcessLookupError):  # it and whatever it started
        os.killpg(child.pid or 0, signal.SIGKILL)
    child.join()
    if mutant:
        _put(copy / mutant.file, genuine)
    return {None: "timeout", 0: "passed", 1: "failed", 2: "failed"}.get(code, "wrong")


def _put(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    # Python tells modules apart by second and size: two mutants of a second could be one
    Path(cache_from_source(str(file))).unlink(missing_ok=True)


def _run_pytest(copy: Path, tests: str) -> None:
    """In a process group of its own, so that what it starts can be ended with it."""
    os.setsid()
    os.chdir(copy)
    os.dup2(os.open(copy.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    os.environ["PYTHONPATH"] = str(copy)
    sys.path.insert(0, str(copy))
    plain = ["-x", "-q", "-p", "no:benchmark", "-p", "no:cacheprovider", "-p", "no:xdist"]
    plain += ["-m", "slow or not slow"]  # a wrong program may be found by a slow test alone
    place = ["--rootdir", str(copy), "--basetemp", str(copy.with_suffix(".tmp"))]
    # hypothesis was imported before pytest could rewrite it
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    os._exit(import_module("pytest").main([*plain, *place, *quiet, *shlex.split(tests)]))


def main() -> int:
    asked = argparse.ArgumentParser(description="Try the mutants of tests/mutants.")
    asked.add_argument(
        "only", nargs="*", help="only mutants of files whose path holds one of these"
    )
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument("--timeout", type=float, default=300, help="seconds, which count as killed")
    asked.add_argument("--sample", type=int, default=0, help="so many of them, drawn by chance")
    asked.add_argument("--seed", type=int, default=0, help="of the sample")
    given = asked.parse_args()
    mutants = [m for m in read_mutants() if any(x in m.file for x in given.only or [""])]
    if stale := [m for m in mutants if m.is_stale()]:
        print(*(f"stale: {m.file}: {m.old!r} does not stand there once" for m in stale), sep="\n")
        return 2
    drawn = draw(mutants, given.sample, given.seed)
    print(f"{len(drawn)} of {len(mutants)} mutants")
    mutants = drawn
    os.environ["OMP_NUM_THREADS"] = "1"
    for module in SLOW.split():
        import_module(module)
    with tempfile.TemporaryDirectory() as copies, ProcessPoolExecutor(given.workers, FORK) as pool:

        def try_all(jobs: Sequence[tuple[str, Mutant | None]]) -> list[str]:
            waiting = [pool.submit(try_tests, *job, given.timeout, Path(copies)) for job in jobs]
            ends = []
            for future in waiting:
                ends.append(future.result())
                print({"failed": "x", "passed": "."}.get(ends[-1], "?"), end="", flush=True)
            print()
            return ends

        selections = list(dict.fromkeys(m.tests for m in mutants))
        ends = try_all([(tests, None) for tests in selections])
        if bad := [t for t, end in zip(selections, ends, strict=True) if end != "passed"]:
            print("without any mutant these do not pass:", *bad, sep="\n  ")
            return 2
        return report(mutants, try_all([(m.tests, m) for m in mutants]))


def report(mutants: list[Mutant], ends: list[str]) -> int:
    """Print what survived and the score of each room; the exit status."""
    tried = list(zip(mutants, ends, strict=True))
    for m, end in tried:
        if end != "failed":
            print(f"{end}: {m.file}: {m.old!r} -> {m.new!r}: {m.why}\n    pytest {m.tests}")
    every = Counter(m.room for m in mutants)
    killed = Counter(m.room for m, end in tried if end in ("failed", "timeout"))
    rooms = ", ".join(f"{room} {killed[room]}/{n}" for room, n in sorted(every.items()))
    n, late = killed.total(), ends.count("timeout")
    print(f"{rooms}\n{n} of {len(ends)} killed ({100 * n / len(ends):.1f} %), {late} by time")
    return int(n < WANTED * len(ends))


if __name__ == "__main__":
    sys.exit(main())
