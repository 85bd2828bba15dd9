"""Running out of memory: told in one sentence, then cleared away for the next cell."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from bench.errors import BenchError
from bench.suite.recipe import Recipe

# in what torch, and the CUDA libraries below it, raise as a RuntimeError like any other
SAID = (
    "can't allocate memory",
    "not enough memory",
    "CUDA error: out of memory",
    "_STATUS_ALLOC_FAILED",
)


class OutOfMemory(BenchError):
    """The memory of a device is full. The next cell may need less."""


def full(e: BaseException) -> bool:
    """Whether that is what went wrong: in Python, on a GPU, or in torch on a CPU."""
    return isinstance(e, MemoryError | torch.OutOfMemoryError) or (
        isinstance(e, RuntimeError) and any(text in str(e) for text in SAID)
    )


@contextmanager
def within_memory(
    device: torch.device, row: str, r: Recipe, *, evaluated: int | None = None
) -> Iterator[None]:
    """Raises OutOfMemory, with the sizes and what to do, in place of whatever a full memory makes torch raise in the block.

    evaluated: how many images are evaluated at once, which a smaller batch does not change; None while the row trains.
    """
    try:
        yield
    except Exception as e:
        if not full(e):
            raise
        what = f"batches of 2 × {r.batch}" if evaluated is None else f"evaluating {evaluated}"
        ways = [f"--set batch={r.batch // 2}"] if evaluated is None and r.batch > 3 else []
        ways += ["--set precision=bf16"] if r.precision != "bf16" else []
        raise OutOfMemory(
            f"out of memory on {device} in row {row}: {what} images of {r.pixels}×{r.pixels} through {r.backbone}; "
            f"try {', '.join([*ways, 'a device with more memory'])}"
        ) from e


def free() -> None:
    """Give back what no living object holds: the next cell finds as much memory as the first, and is measured alone."""
    gc.collect()
    with suppress(RuntimeError):  # a GPU that has failed frees nothing; the record says why
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):  # another C library than GNU's
        ctypes.CDLL(None).malloc_trim(0)
