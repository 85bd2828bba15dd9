"""Disks that refuse for a moment: what cannot be read is not taken for absent, and what cannot be written leaves nothing."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fakes
import pytest
from helpers import write_suite

from bench.errors import BenchError, UsageError
from bench.runs import files, plan
from bench.runs.cell import Cell
from bench.runs.files import create
from bench.runs.records import list_files, read_all
from bench.suite import suites


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    return plan.cells(suites.load(write_suite(tmp_path)))[0]


def fail(number: int, *, on: str = "") -> Callable[..., Any]:
    """What raises an error, about a path of that name."""

    def refuse(what: Any, *rest: Any, **named: Any) -> Any:
        if os.path.basename(str(what)).startswith(on):
            raise OSError(number, os.strerror(number), str(what))
        return genuine(what, *rest, **named)

    genuine = os.scandir
    return refuse


def test_a_record_that_cannot_be_read_now_is_read_another_time(
    tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index does not keep that it could not be."""
    fakes.write(tmp_path / "results", cell)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail(errno.EIO))
        (record,) = read_all(tmp_path / "results")
        assert record.unread and not record.complete
        assert record.problem == "it cannot be read (Input/output error)"
    (record,) = read_all(tmp_path / "results")
    assert record.complete and not record.unread


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_folder_of_records_that_cannot_be_read_is_not_passed_over(
    number: int, tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or its cells would be run again, and counted twice; a disk's own folder holds no records."""
    fakes.write(tmp_path / "results", cell)
    (tmp_path / "results" / "lost+found").mkdir()
    for name in ("A-B", "tiny", "lost+found"):
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", fail(number, on=name))
            if name == "lost+found":
                assert len(read_all(tmp_path / "results")) == 1
                continue
            for read in (read_all, list_files):
                with pytest.raises(UsageError, match=r"cannot be read .*choose another"):
                    read(tmp_path / "results")


def test_a_folder_that_goes_away_in_the_middle_holds_no_records(
    tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.write(tmp_path / "results", cell)
    monkeypatch.setattr(os, "scandir", fail(errno.ENOENT, on="A-B"))
    assert read_all(tmp_path / "results") == []


def test_a_record_that_cannot_go_on_leaves_no_draft(
    tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / cell.folder
    with create(folder, cell.stem) as out:
        out.line(fakes.run_line(cell))
        place = out.place
    before, opened = out.path.read_bytes(), len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "replace", fail(errno.ENOSPC))
    with pytest.raises(BenchError, match=r"cannot write under .*No space left"):
        create(folder, cell.stem, place).__enter__()
    assert [p.name for p in folder.iterdir()] == [out.path.name]
    assert out.path.read_bytes() == before and files.find_newest(folder, cell.stem) == out.path
    assert len(os.listdir("/proc/self/fd")) == opened
