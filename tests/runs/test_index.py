"""The index of records saves time and changes nothing."""

import gc
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fakes
import pytest
from children import environment
from helpers import write_suite

from bench import paths
from bench.errors import UsageError
from bench.runs import files, plan
from bench.runs import index as indexing
from bench.runs.convert import outdated
from bench.runs.lines import Eval, Normalization
from bench.runs.records import read_all, read_record
from bench.suite import suites


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    cells = plan.cells(suites.load(write_suite(tmp_path)), seeds=range(6))
    for k, cell in enumerate(cells):
        fakes.write(tmp_path / "results", cell, (70.0 + k, 80.0 + k))
    return tmp_path / "results"


def database() -> Path:
    (found,) = (paths.cache_root() / "records").glob("*.sqlite")
    return found


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(root: Path) -> None:
    (root / "file").touch()
    (root / "loop").symlink_to("loop")
    for folder in (root / "file", root / "loop", root / ("r" * 300)):
        with pytest.raises(UsageError, match="choose another --results folder"):
            read_all(folder)
        with pytest.raises(UsageError, match="choose another --results folder"):
            outdated(folder)
    assert read_all(root / "absent") == []


def test_what_is_named_like_a_record_and_is_no_file_is_passed_over(root: Path) -> None:
    """A pipe, whose reading would never end, and a folder."""
    found = read_all(root)
    os.mkfifo(found[0].path.with_name("s9-0123456789ab-1.jsonl"))
    found[0].path.with_name("s8-0123456789ab-1.jsonl").mkdir()
    assert read_all(root) == found and len(found) == 6
    assert outdated(root) == []


def watch_reading(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read from now on."""
    opened: list[Path] = []
    genuine = indexing.summarize_file

    def watched(path: str) -> bytes:
        opened.append(Path(path))
        return genuine(path)

    monkeypatch.setattr(indexing, "summarize_file", watched)
    return opened


def test_every_record_is_read_once_and_seen_alike(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = watch_reading(monkeypatch)
    first = read_all(root)
    assert len(opened) == len(first) == 6
    assert read_all(root) == first and len(opened) == 6
    assert first == [read_record(r.path) for r in first]


def test_what_is_kept_is_what_the_file_says(tmp_path: Path) -> None:
    """The counts of a run that calls two images of three the same class; the load of its machine."""
    (cell,) = plan.cells(suites.load(write_suite(tmp_path)))
    busy = fakes.CPU._replace(env=fakes.CPU.env.model_copy(update={"load": 3.5}))
    before, data = sha256(), b""
    for line in fakes.lines(cell, (70.0, 80.0), (90.0, 95.0), machine=busy):
        if isinstance(line, Eval):
            assert line.target
            target = line.target.model_copy(update={"predicted": (800, 1300, 900)})
            line = line.model_copy(update={"target": target})
        data += files.encode(line, before)
    path = fakes.write(tmp_path / "results", cell)
    path.write_bytes(data)
    content = files.read(path)
    assert content.problem == ""
    for found in (
        read_record(path),
        *read_all(tmp_path / "results"),
        *read_all(tmp_path / "results"),
    ):
        assert found.run == content.run and found.run and found.run.env.load == 3.5
        assert found.end == content.end
        assert [e.step for e in found.evals] == [e.step for e in content.evals]
        assert [e.target for e in found.evals] == [
            (2100, 3000, 1300, 70.0),
            (2400, 3000, 1300, 80.0),
        ]
        assert [e.source for e in found.evals] == [
            (2700, 3000, 1000, 90.0),
            (2850, 3000, 1000, 95.0),
        ]
        assert [e.target.accuracy for e in found.evals if e.target] == [70.0, 80.0]


def test_reading_leaves_the_collector_as_it_was(root: Path) -> None:
    for wanted in (True, False):
        gc.enable() if wanted else gc.disable()
        try:
            read_all(root)
            assert gc.isenabled() == wanted
        finally:
            gc.enable()


def test_a_changed_a_new_and_a_deleted_record_are_noticed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths_ = [r.path for r in read_all(root)]
    stat = paths_[0].stat()
    raw = bytearray(paths_[0].read_bytes())
    raw[len(raw) // 2] ^= 1
    paths_[0].write_bytes(raw)
    os.utime(paths_[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a forger would
    paths_[1].unlink()
    opened = watch_reading(monkeypatch)
    found = read_all(root)
    assert opened == [paths_[0]] and [r.status for r in found] == ["damaged"] + ["ok"] * 4
    assert len(read_all(root)) == 5 and opened == [paths_[0]], "and read once"
    with closing(sqlite3.connect(database())) as db:
        assert db.execute("SELECT count(*) FROM record").fetchone() == (5,), "nothing of the lost"


@pytest.mark.parametrize(
    "harm", ["deleted", "empty", "no database", "truncated", "another table", "a folder"]
)
def test_a_lost_or_damaged_index_changes_nothing_but_time(harm: str, root: Path) -> None:
    before = read_all(root)
    file = database()
    raw = file.read_bytes()
    file.unlink()
    if harm == "a folder":
        file.mkdir()
    elif harm == "another table":
        with sqlite3.connect(file) as db:
            db.execute("CREATE TABLE record (path INTEGER)")
            db.execute("INSERT INTO record VALUES (3)")
        db.close()
    elif harm != "deleted":
        file.write_bytes(
            {"empty": b"", "no database": b"x" * 9000, "truncated": raw[: len(raw) // 2]}[harm]
        )
    assert read_all(root) == before
    assert read_all(root) == before


def test_no_byte_of_the_index_can_change_a_number(root: Path) -> None:
    before = read_all(root)
    file = database()
    raw = file.read_bytes()
    for n in range(0, len(raw), 97):
        harmed = bytearray(raw)
        harmed[n] ^= 0x10
        file.write_bytes(harmed)
        assert read_all(root) == before, n


def test_code_that_checks_otherwise_reads_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_all(root)
    opened = watch_reading(monkeypatch)
    monkeypatch.setattr(indexing, "_code", lambda: "another version")
    read_all(root)
    assert len(opened) == 6


def test_a_cache_that_cannot_be_written_costs_time_alone(root: Path, cache: Path) -> None:
    cache.write_text("in the way")
    assert len(read_all(root)) == 6


def forget_and_share(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The records as they are read now; from then on two processes have to read them anew."""
    before = read_all(root)
    database().unlink()
    monkeypatch.setattr(indexing, "MANY", 2)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    return before


def test_many_records_are_read_by_several_processes_alike(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = forget_and_share(root, monkeypatch)
    opened = watch_reading(monkeypatch)
    assert read_all(root) == before and opened == [], "not by this process"


def test_a_folder_is_the_same_however_it_is_spelled(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [r.status for r in read_all(root)]
    (root.parent / "inside").mkdir()
    monkeypatch.chdir(root.parent / "inside")
    for spelling in ("../results", "../inside/../results", f"{root}/", f"{root}/."):
        assert [r.status for r in read_all(Path(spelling))] == before == ["ok"] * 6
    assert [r.status for r in read_all(Path("../results") / "tiny")] == before


def test_a_reading_process_that_dies_is_made_up_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = forget_and_share(root, monkeypatch)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert read_all(root) == before


def test_a_reading_process_that_dies_half_way_is_made_up_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = forget_and_share(root, monkeypatch)

    def cut(command: Any, *, input: bytes, **_: Any) -> Any:
        first, *_rest = json.loads(input)
        return SimpleNamespace(stdout=indexing.summarize_file(first) + b"\n")

    monkeypatch.setattr(indexing.subprocess, "run", cut)
    assert read_all(root) == before


def test_a_script_without_a_guard_reads_many_records_once(root: Path, tmp_path: Path) -> None:
    """Processes that ran the caller's script again would never end."""
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from bench.runs import index, records\n"
        "index.MANY = 2\n"
        f"print(len(records.read_all(Path({str(root)!r}))))\n",
        encoding="utf-8",
    )
    said = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment(tmp_path)
    )
    assert (said.stdout, said.stderr) == ("6\n", "")


def test_records_are_found_in_a_fixed_order_and_copies_trials_and_smoke_runs_are_none(
    root: Path,
) -> None:
    found = read_all(root)
    assert [r.path for r in found] == sorted(r.path for r in found)
    raw = found[0].path.read_bytes()
    found[0].path.with_name("notes.jsonl").write_bytes(raw)
    found[0].path.with_name(f"{found[0].path.stem} (copy).jsonl").write_bytes(raw)
    for corner in ("tuning", ".smoke"):
        (root / corner / "s" / "r" / "t").mkdir(parents=True)
        (root / corner / "s" / "r" / "t" / found[0].path.name).write_bytes(raw)
    assert read_all(root) == found
    assert len(read_all(root / "tuning")) == 1
    assert read_all(root / "nowhere") == []


def test_a_run_is_read_back_with_all_its_parts(root: Path, tmp_path: Path) -> None:
    (cell, *_) = plan.cells(suites.load(tmp_path / "tiny.toml"))
    run, *rest = fakes.lines(cell)
    own = Normalization(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    run = run.model_copy(update={"normalization": own})
    path, before = tmp_path / f"{cell.stem}-1.jsonl", sha256()
    path.write_bytes(b"".join(files.encode(line, before) for line in (run, *rest)))
    found = read_record(path)
    assert found.complete and found.run == run == files.read(path).run
    assert found.run and found.run.normalization == own
