"""Real processes, killed at random moments: every cell ends, and ends as if nothing had happened."""

import random
import signal
import time
from pathlib import Path

import pytest
from attack.rounds import Count, seeds
from children import Children, until
from engine.test_resume import lines_of, resumptions
from helpers import write_pictures, write_suite

KILLS = 20  # of a test
OFTEN = ("--checkpoint-every", "0.1")


def run_of(folder: Path, *more: object) -> tuple[object, ...]:
    return ("run", "--suite", "tiny.toml", "--data", "data", "--device", "cpu", *more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "data", "A", "B", each=5)
    return tmp_path


def prepare(folder: Path, iterations: int) -> None:
    rows = {"one": {"method": "dann"}}
    write_suite(folder, rows=rows, iterations=iterations, eval_every=iterations // 5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(1, 25))
def test_killed_at_random_moments_every_cell_ends_to_the_bit(
    seed: int, folder: Path, bench: Children, count: Count
) -> None:
    prepare(folder, 200)
    chance, kills, cells = random.Random(seed), 0, 0
    while kills < KILLS:
        cell, told = ("--seeds", cells), ""
        whole, cut = folder / f"whole{cells}", folder / f"cut{cells}"
        assert bench.run(*run_of(folder, *cell, "--results", whole)).code == 0
        for _ in range(500):
            child = bench.start(*run_of(folder, *cell, *OFTEN, "--results", cut))
            if chance.random() < 0.75:  # else while it starts
                wait_for_news(cut)
            time.sleep(chance.uniform(0, 2))
            child.send(signal.SIGKILL)
            ended = child.wait()
            kills += ended.code == -signal.SIGKILL
            told += ended.err
            if ended.code == 0:
                break
        else:
            pytest.fail("no progress")
        assert told == ""
        assert lines_of_ended(cut) == lines_of(whole)
        assert not list(cut.rglob("*.checkpoint")) and not list(cut.rglob("*.part"))
        cells += 1
    count("SIGKILLs of a process", kills)
    count("killed cells that ended equal to the undisturbed ones", cells)


def newest(folder: Path) -> int:
    """When a record or checkpoint was last written to."""
    return max((p.stat().st_mtime_ns for p in folder.glob("tiny/*/*/s*")), default=0)


def wait_for_news(folder: Path) -> None:
    """Until the run writes, or 5 seconds: it may have nothing left to do."""
    before, end = newest(folder), time.monotonic() + 5
    while newest(folder) == before and time.monotonic() < end:
        time.sleep(0.01)


def lines_of_ended(folder: Path) -> list[dict]:
    """Those of the record that ended; what was killed before its first checkpoint lies beside it."""
    for record in folder.rglob("*.jsonl"):
        if b'{"kind":"end"' not in record.read_bytes():
            record.unlink()
    return lines_of(folder)


@pytest.mark.parametrize(
    ("sig", "code"),
    [
        (signal.SIGTERM, 143),
        *(
            pytest.param(s, 128 + s, marks=pytest.mark.slow)
            for s in (signal.SIGHUP, signal.SIGUSR2)
        ),
    ],
)
def test_a_process_that_is_asked_to_end_leaves_a_checkpoint(
    sig: signal.Signals, code: int, folder: Path, bench: Children
) -> None:
    prepare(folder, 300)
    child = bench.start(*run_of(folder))
    until(
        lambda: any('{"kind":"train"' in p.read_text() for p in folder.glob("results/**/*.jsonl"))
    )
    child.send(sig)
    ended = child.wait()
    assert ended.code == code
    by = signal.Signals(sig).name
    assert ended.err == (
        f"bench: interrupted by {by}; what was finished is recorded, run the same command to go on\n"
    )
    assert len(list(folder.glob("results/**/*.checkpoint"))) == 1
    again = bench.run(*run_of(folder))
    assert again.code == 0 and "goes on at iteration" in again.out, again.text
    assert len(resumptions(folder / "results")) == 1
