"""Files are written whole or not at all, whoever reads them meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from children import environment

from bench import paths
from bench.errors import BenchError


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.svg"
    paths.write_bytes(path, b"one")
    paths.write_text(path, "zwei ä")
    assert path.read_bytes() == "zwei ä".encode() and list(path.parent.iterdir()) == [path]
    with pytest.raises(BenchError, match=r"cannot write .*choose another folder"):
        paths.write_bytes(path / "b.svg", b"three")


def test_until_it_is_whole_the_old_one_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with paths.replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_where_writing_fails_nothing_has_changed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, name, full)
    with pytest.raises(BenchError, match=r"a \(No space left on device\); free space"):
        paths.write_bytes(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    link.symlink_to(path)
    paths.write_bytes(link, b"behind it")
    assert link.is_symlink() and path.read_bytes() == b"behind it"


def test_what_is_no_file_is_written_to_and_stays(tmp_path: Path) -> None:
    """/dev/stdout is meant; a pipe stands in for it, because a mistake would replace the device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        paths.write_bytes(pipe, b"through it")
        assert os.read(end, 99) == b"through it" and pipe.is_fifo()
    finally:
        os.close(end)


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    code = (
        "import os, signal; from pathlib import Path; from bench import paths\n"
        f"with paths.replacing(Path({str(path)!r})) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path))
    assert done.returncode == -9 and path.read_bytes() == b"old"
