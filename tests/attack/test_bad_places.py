"""`bench run` where places fail it: full disks, folders that go away, clocks that jump, folders that are slow or refuse.

Whatever happens, a command ends with a sentence or goes on; where all is well again the same command completes the grid
as if nothing had happened, each cell once.
"""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from attack.harm import HARM, Harmed
from attack.rounds import Count, seeds
from children import Child, Children, Ended
from execute.test_workers import digests, runs
from helpers import write_pictures, write_suite

from bench.runs import files, plan, records
from bench.suite import suites

ROWS = {"one": {"method": "source_only"}, "two": {"method": "dann"}}
CELLS = 4
RUN = ("run", "--suite", "tiny.toml", "--data", "data", "--device", "cpu", "--seeds", "0-1", "--checkpoint-every", "0.1")  # fmt: skip
LOOKS = (("tables", "--suite", "tiny.toml"), ("status", "--suite", "tiny.toml", "--seeds", "0-1"), ("ls", "runs"))  # fmt: skip
PATIENCE = {"BENCH_PATIENCE": "2"}
CODES = {0, 1, 2, -signal.SIGKILL}
ITERATIONS = 40
SLOW = (0.01, 0.3)  # seconds that each access to a slow folder takes


@dataclass(frozen=True)
class Grid:
    """A grid of four cells, and how each of them ends where nothing disturbs it."""

    folder: Path  # the working folder
    whole: dict[tuple[str, int], str | None]
    cells: list[plan.Cell]


@pytest.fixture(scope="module")
def grid(children: Children, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    folder = tmp_path_factory.mktemp("grid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.chdir(folder)
        write_pictures(folder / "data", "A", "B", each=5)
        suite = write_suite(folder, rows=ROWS, iterations=ITERATIONS, eval_every=ITERATIONS // 2)
        children.cwd = folder
        assert children.run(*RUN, "--results", "whole").code == 0
        cells = plan.cells(suites.load(suite), seeds=[0, 1])
        yield Grid(folder, digests(folder / "whole"), cells)


@pytest.fixture
def bench(children: Children, grid: Grid) -> Children:
    children.cwd = grid.folder
    return children


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Iterator[Harmed]:
    parent = Harmed(tmp_path_factory.mktemp("harmed"))
    parent.cwd = grid.folder
    yield parent
    parent.close()


@pytest.fixture
def mounts(harmed: Harmed) -> Harmed:
    if not harmed.mounts:
        pytest.skip("this machine lets us mount nothing (unshare --mount)")
    return harmed


def run(root: Path, *more: object) -> tuple[object, ...]:
    return (*RUN, "--results", root, *more)


def check(ended: Ended) -> Ended:
    """It ended by itself or by our signal, and said what was wrong in a sentence."""
    assert "Traceback" not in ended.text, ended.text
    assert ended.code in CODES, (ended.code, ended.text)
    assert ended.err.count("bench: ") <= 1 and (ended.code <= 0 or ended.text), ended.text
    return ended


def look(bench: Children, root: Path, chance: random.Random, **more: int | None) -> list[Child]:
    """Other commands that read the same folder, at the same time."""
    chosen = chance.sample(LOOKS, chance.randint(1, len(LOOKS)))
    return [bench.start(*words, "--results", root, **more) for words in chosen]


def done(root: Path) -> dict[Path, bytes]:
    """The finished records that lie there."""
    found = {}
    for path in records.list_files(root):
        try:
            raw = path.read_bytes()
        except OSError:
            continue
        if files.parse(raw).end:
            found[path] = raw
    return found


def finish(bench: Children, grid: Grid, root: Path, see: Callable[[Path], Path] = Path) -> None:
    """Where all is well, the same command completes the grid, each cell once, and leaves nothing behind."""
    ended = check(bench.run(*run(root), env=PATIENCE))
    assert ended.code == 0 and ended.err == "", ended.text
    seen = see(root)
    assert digests(seen) == grid.whole
    found = records.read_all(seen)
    assert [s.label for s in plan.states(grid.cells, found)] == ["done"] * CELLS
    bad = [
        r.problem or r.status for r in found if r.problem or r.status not in ("ok", "unfinished")
    ]
    assert all(problem.startswith("unfinished") for problem in bad), bad
    left = [p for p in seen.rglob("*") if p.suffix in (".part", ".checkpoint", ".lease")]
    assert not left, left


def checked(*crew: Child) -> list[Ended]:
    return [check(child.wait()) for child in crew]


# full disks


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(1, 4))
def test_a_disk_that_takes_no_large_files_loses_nothing(
    seed: int, bench: Children, grid: Grid, tmp_path: Path, count: Count
) -> None:
    """RLIMIT_FSIZE: a file may grow to a random size; a record, a checkpoint, the index of records, or the output."""
    chance, root = random.Random(seed), tmp_path / "results"
    for _ in range(2):
        size = round(10 ** chance.uniform(2.5, 6))
        cache = {"XDG_CACHE_HOME": str(tmp_path / f"cache{size}")} if chance.random() < 0.5 else {}
        crew = [
            bench.start(*run(root), file_size=size, env=PATIENCE | cache)
            for _ in range(chance.randint(1, 2))
        ]
        checked(*crew, *look(bench, root, chance, file_size=size))
        count("commands on a full disk", len(crew))
    finish(bench, grid, root)


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(1, 3))
def test_a_file_system_that_is_full_loses_nothing(
    seed: int, mounts: Harmed, grid: Grid, tmp_path: Path, count: Count
) -> None:
    chance, root = random.Random(seed), tmp_path / "results"
    root.mkdir()
    assert mounts.do("mount", "-t", "tmpfs", "none", root) == 0
    for _ in range(3):
        room = (
            f"size={round(10 ** chance.uniform(0.6, 3))}k,nr_inodes={chance.choice((0, 0, 12, 20))}"
        )
        mounts.do("mount", "-o", f"remount,{room}", root)  # refused where more than that is taken
        crew = [mounts.start(*run(root), env=PATIENCE) for _ in range(chance.randint(1, 2))]
        checked(*crew, *look(mounts, root, chance))
        count("commands on a full disk", len(crew))
    assert mounts.do("mount", "-o", "remount,size=64m,nr_inodes=0", root) == 0
    finish(mounts, grid, root, mounts.see)
    assert mounts.do("umount", root) == 0


# folders that go away


def victims(root: Path, chance: random.Random) -> Iterator[Path]:
    """What may be taken away next: every second time a lease, if there is one."""
    leases = list(root.rglob("*.lease"))
    groups = [
        [root], [root / "tiny" / row for row in ROWS], [root / ".locks"],
        list(root.rglob("*.checkpoint")), list(root.rglob("*.jsonl")),
    ]  # fmt: skip
    chance.shuffle(groups)
    for group in [leases, *groups] if chance.random() < 0.5 else [*groups, leases]:
        yield from chance.sample(group, len(group))


def take_away(root: Path, aside: Path, chance: random.Random) -> str:
    """Delete or rename something below the results, and say what."""
    for path in victims(root, chance):
        try:
            if chance.random() < 0.5:
                os.rename(path, aside)
                return f"{path.suffix or path.name} renamed"
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            return f"{path.suffix or path.name} deleted"
        except OSError:  # it came or went in this moment
            continue
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(1, 6))
def test_what_is_deleted_or_renamed_while_commands_run_is_made_again(
    seed: int, bench: Children, grid: Grid, tmp_path: Path, count: Count
) -> None:
    chance, root = random.Random(seed), tmp_path / "results"
    workers = ("--workers", 2) if seed % 4 == 3 else ()
    crew = [bench.start(*run(root, *workers), env=PATIENCE) for _ in range(chance.randint(1, 3))]
    watching, taken = [], 0
    while any(map(runs, crew)):
        time.sleep(chance.uniform(0.1, 1.5))
        before = done(root)
        if taken < 4 and take_away(root, tmp_path / f"aside{taken}", chance):
            taken += 1
            watching += look(bench, root, chance)
        for path, raw in before.items():
            assert not path.exists() or path.read_bytes() == raw, path
    checked(*crew, *watching)
    count("things taken away", taken)
    finish(bench, grid, root)


# clocks that jump


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(1, 2))
def test_clocks_that_jump_by_days_change_nothing(
    seed: int, harmed: Harmed, grid: Grid, tmp_path: Path, count: Count
) -> None:
    chance, root, begun = random.Random(seed), tmp_path / "results", time.monotonic()
    crew = [start_harmed(harmed, root, chance, clock=True) for _ in range(3)]
    kill_some(crew, chance, 1)
    checked(*crew, *look(harmed, root, chance))
    for child in [start_harmed(harmed, root, chance, clock=True) for _ in range(2)]:
        assert check(child.wait()).code == 0
    took = time.monotonic() - begun
    for record in records.read_all(root):
        assert not record.problem, record.problem
        content = files.read(record.path)
        assert all(0 <= line.wall_s < took for line in content.resumes)
        assert record.end is None or 0 < record.end.wall_s < took
        spans = [line.ms for line in content.train] + [line.wait_ms for line in content.train]
        assert all(0 <= span < 1e3 * took for spread in spans for span in spread.values())
    count("commands whose clock jumps", 5)
    finish(harmed, grid, root)


def start_harmed(parent: Harmed, root: Path, chance: random.Random, **harm: object) -> Child:
    told = json.dumps({"seed": chance.randrange(1 << 30), **harm})
    every = "2" if harm.get("slow") == SLOW else "0.1"  # seconds between two checkpoints
    command = run(root, "--checkpoint-every", every, "--keep-going")  # else an error ends it soon
    return parent.start(*command, env=PATIENCE | {HARM: told})


def kill_some(crew: list[Child], chance: random.Random, n: int) -> None:
    """Kill so many of them at random moments."""
    for child in chance.sample(crew, n):
        time.sleep(chance.uniform(0.5, 3))
        if runs(child):
            child.send(signal.SIGKILL)


# folders that may not be written


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(1, 2))
def test_folders_that_are_read_only_or_become_so(
    seed: int, mounts: Harmed, grid: Grid, tmp_path: Path, count: Count
) -> None:
    """Data may be read-only from the beginning; the results become so while two commands run."""
    chance, root, data = random.Random(seed), tmp_path / "results", grid.folder / "data"
    lock(mounts, data)
    crew = [mounts.start(*run(root), env=PATIENCE) for _ in range(2)]
    time.sleep(chance.uniform(0.5, 4))
    root.mkdir(exist_ok=True)
    lock(mounts, root)
    checked(*crew)
    refused = check(mounts.run(*run(root), env=PATIENCE))
    checked(*look(mounts, root, chance))
    pending = [s for s in plan.states(grid.cells, records.read_all(root)) if not s.done]
    assert refused.code == bool(pending), refused.text
    assert ("Read-only file system" in refused.text) == bool(pending), refused.text
    assert mounts.do("umount", root) == 0
    finish(mounts, grid, root)
    lock(mounts, root)
    nothing = mounts.run(*run(root))
    assert nothing.code == 0 and "nothing to do; 0 of 4 cells pending" in nothing.out, nothing.text
    assert mounts.do("umount", root) == mounts.do("umount", data) == 0
    count("commands in a read-only folder", 4)


def lock(mounts: Harmed, folder: Path) -> None:
    """From now on nothing can be written below the folder; files that are open can."""
    aside = folder.with_name(f"{folder.name}.locked")
    aside.mkdir(exist_ok=True)
    assert mounts.do("mount", "--bind", folder, aside) == 0
    assert mounts.do("mount", "-o", "remount,bind,ro", aside) == 0
    assert mounts.do("mount", "--move", aside, folder) == 0


# folders that are slow, or fail now and then


@pytest.mark.slow
@pytest.mark.parametrize("fail", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("seed", seeds(1, 1))
def test_a_folder_that_is_slow_and_fails_by_chance(
    seed: int, fail: float, harmed: Harmed, grid: Grid, tmp_path: Path, count: Count
) -> None:
    """As NFS may be: everything takes its time, and now and then it is an error."""
    chance, root = random.Random(seed), tmp_path / "results"
    harm = {"folder": str(root), "slow": (0.0, 0.02) if fail else SLOW, "fail": fail}
    for _ in range(2):
        crew = [start_harmed(harmed, root, chance, **harm) for _ in range(3)]
        kill_some(crew, chance, 2)
        checked(*crew, *look(harmed, root, chance))
        count("commands in a slow folder" if not fail else "commands in a folder that fails", 3)
    finish(harmed, grid, root)
