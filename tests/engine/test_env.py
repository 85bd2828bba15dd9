"""What a record says of the program and the machine that made it."""

import os
import platform
import subprocess
from pathlib import Path

import pytest
import torch

from bench import paths
from bench.engine import env


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one commit, from which the program seems to run."""
    for folder in ("bench", "methods", "results"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text("x = 1\n")
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "bench")
    for key in [k for k in os.environ if k.startswith("GIT_")]:
        monkeypatch.delenv(key)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "-m", "first")
    return tmp_path


def git(folder: Path, *args: str) -> str:
    command = ["git", "-C", str(folder), *args]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_the_commit_is_that_of_the_checkout(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert env.git() == {"commit": commit[:12], "dirty": False}
    assert (found := env.code(None)).commit == commit[:12] and not found.dirty


@pytest.mark.parametrize(
    ("file", "dirty"),
    [
        ("bench/a.py", True),
        ("bench/new.py", True),
        ("methods/a.py", True),
        ("methods/new.py", True),
        ("results/a.py", False),
        ("results/new.py", False),
        ("new.py", False),
    ],
)
def test_only_changed_and_new_code_makes_it_dirty(file: str, dirty: bool, checkout: Path) -> None:
    (checkout / file).write_text("x = 2\n")
    assert env.git() == {"commit": git(checkout, "rev-parse", "HEAD")[:12], "dirty": dirty}


def test_a_wheel_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "bench")
    assert env.git() is None and env.code(None).commit is None
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    assert env.git() is None, "git cannot tell"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert env.git() is None and env.driver() is None, "there is no git, and no driver"


def test_a_machine_is_described_without_host_user_or_folder() -> None:
    text = env.describe(torch.device("cpu"), 0.5).model_dump_json()
    for private in (platform.node(), str(Path.home()), os.getcwd()):
        assert private not in text
    found = env.describe(torch.device("cpu"), 0.5)
    assert (found.device, found.gpu, found.torch) == ("cpu", None, str(torch.__version__))
    assert found.threads == torch.get_num_threads() and found.cores == os.cpu_count()
    assert found.python == platform.python_version() and found.cpu


def test_what_is_not_installed_has_no_version() -> None:
    assert env.installed("no-such-package") is None
    assert env.installed("pytest") == pytest.__version__
