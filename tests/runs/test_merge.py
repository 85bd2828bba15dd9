"""`bench merge`: what becomes of each record, and what a kill leaves."""

import os
from pathlib import Path

import pytest
from children import fresh
from fakes import cell, toy, write
from typer.testing import CliRunner

from bench.cli.app import app
from bench.errors import BenchError, UsageError
from bench.runs import files, merge, records

TOY = toy()
A = cell(TOY, "plain", "A-B", 0)
B = cell(TOY, "plain", "A-B", 1)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and not p.name.endswith(".lock")
    }


def fates(source: Path, into: Path) -> list[str]:
    return [m.fate for m in merge.merge(source, into)]


def test_records_are_added_and_nothing_is_overwritten(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    new, other = write(a, A, (70.0,)), write(a, B, (71.0,))
    kept = write(b, B, (72.0,))
    before, theirs = snapshot(b), snapshot(a)
    assert fates(a, b) == ["copied", "copied"]
    now = snapshot(b)
    assert {k: now[k] for k in before} == before and snapshot(a) == theirs
    assert now[str(new.relative_to(a))] == new.read_bytes()
    second = kept.with_name(f"{B.stem}-2.jsonl")
    assert second.read_bytes() == other.read_bytes(), "its name was taken: a further attempt"
    assert len(now) == 3 and all(r.end for r in records.read_all(b))
    assert fates(a, b) == ["there already"] * 2, "again: nothing happens"
    assert snapshot(b) == now


def test_the_same_record_twice_is_one(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    twin = write(a, A, (70.0,), attempt=3)
    twin.with_name(f"{A.stem}-4.jsonl").write_bytes(twin.read_bytes())
    assert fates(a, b) == ["copied", "there already"] and len(snapshot(b)) == 1


def test_what_is_no_result_is_left_and_named(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    write(a, A, (70.0,))
    write(a, B, status=None)
    bad = write(a, cell(TOY, "dann", "A-B", 0), (71.0,))
    bad.write_bytes(bad.read_bytes().replace(b'"seed":0', b'"seed":9'))
    dry = CliRunner().invoke(app, ["merge", str(a), str(b), "--dry-run"])
    assert (dry.exit_code, "1 record would be copied" in dry.stdout) == (1, True)
    assert not b.exists()
    done = CliRunner().invoke(app, ["merge", str(a), str(b)])
    assert done.exit_code == 1
    assert (
        f"1 record copied into {b}, 0 there already, 1 unfinished left in {a}, 1 damaged left"
        in (done.stdout)
    )
    assert f"left {bad}: damaged: " in done.stderr
    assert list(snapshot(b)) == [str(A.folder / f"{A.stem}-1.jsonl")] and bad.exists()
    bad.unlink()
    assert CliRunner().invoke(app, ["merge", str(a), str(b)]).exit_code == 0


def test_trials_and_smoke_runs_stay_apart(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    trial, smoke = write(a / "tuning", A, (70.0,)), write(a / ".smoke", A, (70.0,))
    assert fates(a, b) == ["copied"] * 2
    assert {*snapshot(b)} == {str(p.relative_to(a)) for p in (trial, smoke)}


KILLED = """
import os, sys
from pathlib import Path
from bench.runs import merge

number, call = 0, getattr(os, {call!r})

def killed(*args):
    global number
    number += 1
    os._exit(9) if number == {number} else call(*args)

setattr(os, {call!r}, killed)
list(merge.merge(Path("a"), Path("b")))
"""


@pytest.mark.parametrize(("call", "number"), [("fsync", 3), ("link", 2)])
def test_a_kill_leaves_nothing_half_written(call: str, number: int, tmp_path: Path) -> None:
    """Killed within the second record: before all of it is on disk, or before it has its place."""
    a, b = tmp_path / "a", tmp_path / "b"
    write(a, A, (70.0,)), write(a, B, (71.0,))
    code = KILLED.format(call=call, number=number)
    assert fresh(cwd=tmp_path, python=("-c", code)).code == 9
    found = records.read_all(b)
    assert [r.status for r in found] == ["ok"]
    assert sorted(fates(a, b)) == ["copied", "there already"]
    assert len(snapshot(b)) == 2, "and no leftovers"


def test_a_record_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a", A, (70.0,))
    order: list[str] = []
    for name in ("fsync", "link"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *x, n=name, f=call: (order.append(n), f(*x))[1])
    fates(tmp_path / "a", tmp_path / "b")
    assert order == ["fsync", "link", "fsync"], "the record, its place, the names in the folder"


def test_a_run_that_begins_meanwhile_takes_the_number_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    write(a, A, (70.0,))
    next_attempt = files._next_attempt

    def merged_meanwhile(folder: Path, stem: str) -> int:
        n = next_attempt(folder, stem)
        fates(a, b)
        return n

    monkeypatch.setattr(files, "_next_attempt", merged_meanwhile)
    with files.create(b / A.folder, A.stem) as out:
        assert out.path.name == f"{A.stem}-2.jsonl"


def test_folders_that_cannot_be_merged_are_refused(tmp_path: Path) -> None:
    a = tmp_path / "a"
    write(a, A, (70.0,))
    for source, into in ((tmp_path / "none", a), (a, a), (a, a / "tuning"), (a / "toy", a)):
        with pytest.raises(UsageError):
            fates(source, into)
    (tmp_path / "file").touch()
    with pytest.raises(BenchError):
        fates(a, tmp_path / "file")
