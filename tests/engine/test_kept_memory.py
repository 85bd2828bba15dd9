"""What the C library does with freed memory while cells run on a CPU."""

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from children import fresh
from helpers import ended, write_pictures, write_suite

from bench.engine import memory, run
from bench.engine.lab import Lab
from bench.runs import files, plan
from bench.suite import suites

CPU = torch.device("cpu")
MIB = 2**20
M_MMAP_THRESHOLD = -3
gnu = pytest.mark.skipif(memory.glibc() is None, reason="the C library is not GNU's")


@pytest.fixture
def given_back() -> Iterator[None]:
    """As a process begins: large blocks go back to the system when they are freed."""

    def settle(mmaps: int, threshold: int, trim: int) -> None:
        c = memory.glibc()
        if c is not None:
            c.mallopt(memory.M_MMAP_MAX, mmaps), c.mallopt(memory.M_TRIM_THRESHOLD, trim)
            c.mallopt(M_MMAP_THRESHOLD, threshold), c.malloc_trim(0)

    settle(65536, MIB // 8, MIB // 8)
    yield
    settle(65536, 32 * MIB, 64 * MIB)


def provided(mib: int = 64) -> float:
    """Which share of a large tensor the system has to provide, page by page."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(mib * MIB, dtype=torch.uint8)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    return (after - before) * resource.getpagesize() / (mib * MIB)


def provided_again() -> float:
    """The same when tensors of that size were freed before.

    The least of several: now and then something small takes the beginning of the freed block.
    """
    provided()
    return min(provided() for _ in range(5))


def run_line(folder: Path, results: str) -> tuple[Any, files.Content]:
    (cell,) = plan.cells(suites.load(write_suite(folder, rows={"only": {"method": "dann"}})))
    path = ended(cell, Lab(folder / "data", folder / results, CPU)).path
    assert path
    content = files.read(path)
    assert content.run
    return content.run, content


@gnu
@pytest.mark.slow
def test_freed_memory_is_kept_and_no_number_changes(
    given_back: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_pictures(tmp_path / "data", "A", "B")
    with monkeypatch.context() as patch:
        patch.setattr(run, "keep_freed", lambda: False)
        old, without = run_line(tmp_path, "without")
    assert old.env.keeps_freed is False
    new, kept = run_line(tmp_path, "kept")
    assert new.env.keeps_freed is True
    assert kept.end and without.end and kept.end.parameters == without.end.parameters is not None
    assert kept.evals == without.evals
    assert [t.loss for t in kept.train] == [t.loss for t in without.train]


def test_a_network_makes_the_same_gradients_from_kept_memory(given_back: None) -> None:
    """Blocks large enough to be given back: 8 MiB of activations."""
    torch.manual_seed(0)
    layer, x = torch.nn.Conv2d(3, 32, 3), torch.rand(4, 3, 128, 128)

    def gradient() -> torch.Tensor:
        layer.zero_grad()
        layer(x).relu().square().sum().backward()
        assert layer.weight.grad is not None
        return layer.weight.grad.clone()

    before = gradient()
    memory.keep_freed()
    assert all(torch.equal(gradient(), before) for _ in range(3))


ALONE = """
from test_kept_memory import memory, provided, provided_again
print(provided_again(), memory.keep_freed(), provided_again())
memory.free()
print(provided())
"""


@gnu
@pytest.mark.slow
def test_what_is_kept_is_given_back_between_cells(tmp_path: Path) -> None:
    """By an interpreter of its own: the heap of this one is what other tests left of it."""
    here = {"PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parent, *sys.path)))}
    done = fresh(cwd=tmp_path, python=("-c", ALONE), env=here)
    assert done.code == 0, done.err
    before, kept, after, freed = done.out.split()
    assert float(before) > 0.9 and kept == "True" and float(after) < 0.5 and float(freed) > 0.9


@pytest.mark.slow
def test_another_c_library_is_left_alone(
    given_back: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_pictures(tmp_path / "data", "A", "B")
    for other in (lambda name: object(), _raise(OSError), _raise(TypeError)):  # musl, Windows
        monkeypatch.setattr(ctypes, "CDLL", other)
        assert memory.keep_freed() is False
        memory.free()
    assert run_line(tmp_path, "results")[0].env.keeps_freed is False


def _raise(error: type[Exception]) -> Any:
    def load(name: object) -> Any:
        raise error

    return load
