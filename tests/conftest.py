"""What the tests share: one thread, an end to all waiting, the --golden option, commands as processes."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# before torch is imported, here and in every child: two runners on two cores are faster with a thread each, and repeatable
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from children import Children
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden", type=Path, default=Path(__file__).parent / "golden", metavar="DIR",
        help="folder of golden cases (.npz) to check the methods against [default: the committed one]",
    )  # fmt: skip


PATIENCE = 300  # seconds


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """No test waits for ever, whatever it waits for: a barrier, a lock, a thread, a process."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"this test has not ended after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    parent = Children(tmp_path_factory.mktemp("children"))
    yield parent
    parent.close()


@pytest.fixture
def bench(children: Children, tmp_path: Path) -> Children:
    """Runs `python -m bench` in the test's own folder: `bench.run("ls", "suites")`."""
    children.cwd = tmp_path
    return children
