"""The run file: written whole or not counted, read without raising whatever happened to it."""

import json
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from children import environment
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.runs import records
from bench.runs.records import SCHEMA, Busy, Writer, create, read, read_all

STEM = "s0-0123456789ab"
RUN = dict.fromkeys(records.FIELDS) | {
    "schema": SCHEMA, "cell": "0123456789ab", "suite": "x", "row": "r", "task": "A-B", "seed": 0, "budget": "full",
}  # fmt: skip


def write(out: Writer, status: str = "ok", **end: Any) -> None:
    """A short, complete record."""
    out.line("run", **RUN)
    out.line("train", step=10, loss=2.5, ms={"p50": 1.0})
    out.line("eval", step=10, source={"correct": [1, 2], "total": [3, 3]}, target={"correct": [0, 3], "total": [3, 3]})
    out.line("train", step=20, loss=1.25, ms={"p50": 1.0})
    out.line("end", status=status, wall_s=1.5, **end)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results" / "suite" / "row" / "A-B"


@pytest.fixture
def whole(folder: Path) -> bytes:
    with create(folder, STEM) as out:
        write(out, note="é → ∞")
    return out.path.read_bytes()


def test_what_was_written_is_read(folder: Path, whole: bytes) -> None:
    r = read(folder / f"{STEM}-1.jsonl")
    assert r and r.complete and r.status == "ok" and r.attempt == 1
    assert r.run["row"] == "r" and [t["step"] for t in r.train] == [10, 20] and len(r.evals) == 1
    assert r.end and r.end["note"] == "é → ∞"


def test_a_record_cut_at_any_byte_is_read_and_counts_only_when_whole(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / f"{STEM}-1.jsonl"
    first = whole.index(b"\n") + 1
    lines = 0
    for n in range(len(whole) + 1):
        path.write_bytes(whole[:n])
        r = read(path)
        assert (r is not None) == (n >= first)
        if r:
            assert r.complete == (n == len(whole))
            assert r.status == ("ok" if n == len(whole) else "unfinished")
            held = len(r.train) + len(r.evals) + r.complete
            assert held >= lines, "more bytes never hold less"
            lines = held
    assert lines == 4


def test_a_record_with_a_byte_flipped_anywhere_does_not_raise(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / f"{STEM}-1.jsonl"
    for n in range(len(whole)):
        for flip in (0x01, 0x80):
            path.write_bytes(whole[:n] + bytes([whole[n] ^ flip]) + whole[n + 1 :])
            read(path)


@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_read_without_raising(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / f"{STEM}-1.jsonl"
    path.write_bytes(raw)
    assert read(path) is None


@pytest.mark.parametrize("tail", [b"\n", b"\0" * 4096, b"x", b'{"kind":"train","step":30}\n', b'{"kind":"end","status":"ok"}'])
def test_whatever_follows_the_end_makes_it_no_result(tail: bytes, folder: Path, whole: bytes) -> None:
    path = folder / f"{STEM}-1.jsonl"
    path.write_bytes(whole + tail)
    r = read(path)
    assert r and not r.complete and r.status == "unfinished"


@pytest.mark.parametrize("bad", [b"{}\n", b"3\n", b'{"kind":"train"\n', b"\xff\xfe\n", b"\n"])
def test_reading_stops_at_the_first_bad_line(bad: bytes, folder: Path, whole: bytes) -> None:
    lines = whole.splitlines(keepends=True)
    path = folder / f"{STEM}-1.jsonl"
    path.write_bytes(b"".join([*lines[:2], bad, *lines[2:]]))
    r = read(path)
    assert r and len(r.train) == 1 and r.evals == [] and not r.complete


def test_what_is_no_record_is_none(tmp_path: Path, whole: bytes) -> None:
    assert read(tmp_path / "absent.jsonl") is None
    assert read(tmp_path) is None
    other = tmp_path / f"{STEM}-1.jsonl"
    other.write_bytes(whole.replace(b'"schema":%d' % SCHEMA, b'"schema":99'))
    assert read(other) is None


def test_infinities_are_named_nan_is_null_and_every_line_is_strict_json(folder: Path) -> None:
    with create(folder, STEM) as out:
        out.line("run", schema=SCHEMA, hyper={"gamma": float("inf"), "x": [float("nan"), -float("inf"), 1.5]})
    refuse = lambda text: pytest.fail(f"{text} is no JSON")  # noqa: E731
    (run,) = (json.loads(x, parse_constant=refuse) for x in out.path.read_text().splitlines())
    assert run["hyper"] == {"gamma": "inf", "x": [None, "-inf", 1.5]}


def test_attempts_are_numbered_and_never_touch_each_other(folder: Path) -> None:
    kept: dict[Path, bytes] = {}
    for n in range(1, 13):
        with create(folder, STEM) as out:
            assert out.path.name == f"{STEM}-{n}.jsonl"
            write(out)
        assert all(path.read_bytes() == raw for path, raw in kept.items())
        kept[out.path] = out.path.read_bytes()


def test_another_seeds_attempts_are_not_counted(folder: Path) -> None:
    for stem in (STEM, "s0-0123456789ac", "s10-0123456789ab"):
        with create(folder, stem) as out:
            assert out.path.name == f"{stem}-1.jsonl"


def test_a_line_is_on_the_disk_when_it_was_written(folder: Path) -> None:
    with create(folder, STEM) as out:
        out.line("run", schema=SCHEMA)
        assert out.path.read_text() == f'{{"kind":"run","schema":{SCHEMA}}}\n'


def test_a_write_that_the_system_cuts_short_is_completed(folder: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = os.write
    monkeypatch.setattr(records.os, "write", lambda fd, data: genuine(fd, data[:7]))
    with create(folder, STEM) as out:
        write(out, note="é → ∞")
    assert out.path.read_bytes() == whole


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_sentence() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(BenchError, match=r"^cannot write .*No space left on device.*choose another --results folder$"):
        Writer(Path("results/x.jsonl"), fd).line("train", step=1)
    os.close(fd)


def test_a_file_in_place_of_a_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with (
        pytest.raises(BenchError, match=r"cannot write under .* choose another --results folder"),
        create(tmp_path / "results" / "suite" / "row" / "A-B", STEM),
    ):
        pytest.fail("there is nowhere to write")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_that_may_not_be_written_is_one_sentence(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(BenchError, match=r"Permission denied.*choose another --results folder"), create(folder, STEM):
        pytest.fail("the folder is read-only")


def test_of_many_that_want_a_cell_at_once_one_gets_it(folder: Path) -> None:
    together, over = Barrier(8), Barrier(8)

    def want(_: int) -> bool:
        together.wait()
        try:
            with create(folder, STEM) as out:
                over.wait()
                write(out)
                return True
        except Busy:
            over.wait()
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(want, range(8))) == 1
    assert [p.name for p in folder.iterdir()] == [f"{STEM}-1.jsonl"]


HOLD = """
import sys, time
from pathlib import Path
from bench.runs.records import FIELDS, SCHEMA, create
with create(Path(sys.argv[1]), sys.argv[2]) as out:
    out.line("run", **dict.fromkeys(FIELDS), schema=SCHEMA)
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_cell_is_busy_while_its_process_lives_and_free_once_it_is_dead(folder: Path, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder, STEM], stdout=subprocess.PIPE, text=True, env=environment(tmp_path)
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with pytest.raises(Busy, match="another process is running"), create(folder, STEM):
        pytest.fail("two processes have one cell")
    with create(folder, "s1-0123456789ab") as out:
        write(out)

    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with create(folder, STEM) as out:
        write(out)
    assert out.path.name == f"{STEM}-2.jsonl"
    assert [r.status for r in read_all(folder)] == ["unfinished", "ok", "ok"]


def test_a_cell_that_is_no_longer_wanted_is_left_alone(folder: Path) -> None:
    with pytest.raises(Busy, match="another process has finished"), create(folder, STEM, lambda: False):
        pytest.fail("it was not wanted")
    assert list(folder.iterdir()) == []
    with create(folder, STEM, lambda: True) as out:
        write(out)


def test_all_records_are_found_in_a_fixed_order_and_copies_are_none(tmp_path: Path) -> None:
    places = [("b", "A-B", "s1-0123456789ab"), ("a", "B-A", "s0-0123456789ab"), ("a", "A-B", "s0-fedcba987654")]
    for row, task, stem in places:
        with create(tmp_path / "suite" / row / task, stem) as out:
            write(out)
        raw = out.path.read_bytes()
        out.path.with_name("notes.jsonl").write_bytes(raw)
        out.path.with_name(f"{stem}-1 (copy).jsonl").write_bytes(raw)
    found = read_all(tmp_path)
    assert [r.path.relative_to(tmp_path / "suite").parts[:2] for r in found] == [("a", "A-B"), ("a", "B-A"), ("b", "A-B")]
    assert read_all(tmp_path / "nowhere") == []


def test_now_is_utc_to_the_second() -> None:
    assert len(records.now()) == 20 and records.now()[10] == "T" and records.now().endswith("Z")
