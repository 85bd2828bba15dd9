"""Standard streams that the shell closed, that nobody reads, that cannot be written."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from children import environment
from helpers import write_suite


def shell(command: str, cwd: Path) -> tuple[int, str]:
    """Exit code and stderr of a shell command, in which `bench` is the program."""
    bench = shlex.join([sys.executable, "-m", "bench"])
    done = subprocess.run(
        ["sh", "-c", command.replace("bench", bench, 1)],
        cwd=cwd, env=environment(cwd), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_command_runs_with_its_streams_closed(tmp_path: Path) -> None:
    """And no file that it opens gets the number of one of them."""
    assert shell("bench ls suites >&-", tmp_path) == (0, "")
    assert shell("bench tables --suite demo --format md --out out <&- >&- 2>&-", tmp_path)[0] == 0
    page = (tmp_path / "out" / "demo.md").read_text(encoding="utf-8")
    assert page.startswith("# Demo") and page.count("# Demo") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_output_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    code, err = shell("bench ls suites >/dev/full", tmp_path)
    assert code == 1 and err == "bench: the system refuses: No space left on device\n"


def test_a_reader_that_stops_reading_is_no_error_worth_a_word(tmp_path: Path) -> None:
    write_suite(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "ls", "tasks", "--suite", "tiny.toml"],
        cwd=tmp_path, env=environment(tmp_path), stdout=writer, stderr=subprocess.PIPE, timeout=300,
    )  # fmt: skip
    os.close(writer)
    assert done.returncode == 1 and done.stderr == b""
