"""Memory of the computer and of the device: kept while a cell runs on a CPU, given back when it
ends; one sentence says when it is full."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from bench.errors import BenchError
from bench.suite.recipe import Recipe

# torch and the CUDA libraries raise a plain RuntimeError; only its text tells what it was
OUT_OF_MEMORY_TEXTS = (
    "can't allocate memory",
    "not enough memory",
    "CUDA error: out of memory",
    "_STATUS_ALLOC_FAILED",
)


class OutOfMemory(BenchError):
    """The memory of a device is full. The next cell may need less."""


def is_out_of_memory(e: BaseException) -> bool:
    """Whether memory was full: Python's, a GPU's, or torch's on a CPU."""
    return isinstance(e, MemoryError | torch.OutOfMemoryError) or (
        isinstance(e, RuntimeError) and any(text in str(e) for text in OUT_OF_MEMORY_TEXTS)
    )


@contextmanager
def within_memory(
    device: torch.device, row: str, r: Recipe, *, evaluated: int | None = None
) -> Iterator[None]:
    """Turn whatever a full memory makes torch raise in the block into an OutOfMemory that names the
    sizes and what to do.

    row, r: what is run. evaluated: how many images are evaluated at once, which a smaller batch
    does not change; None while the row trains.
    """
    try:
        yield
    except Exception as e:
        if not is_out_of_memory(e):
            raise
        what = f"batches of 2 × {r.batch}" if evaluated is None else f"evaluating {evaluated}"
        ways = [f"--set batch={r.batch // 2}"] if evaluated is None and r.batch > 3 else []
        ways += ["--set precision=bf16"] if r.precision != "bf16" else []
        raise OutOfMemory(
            f"out of memory on {device} in row {row}: {what} images of {r.pixels}×{r.pixels} "
            f"through {r.backbone}; try {', '.join([*ways, 'a device with more memory'])}"
        ) from e


def free() -> None:
    """Give unused memory back to the system: the next cell finds as much as the first did, and its
    peak is its own."""
    gc.collect()
    with suppress(RuntimeError):  # a GPU that failed frees nothing; its record says why
        torch.cuda.empty_cache()
    if (c := glibc()) is not None:
        c.malloc_trim(0)


# mallopt's options, from glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed() -> bool:
    """Make the C library keep what this process frees, for its next allocation; whether it does.

    glibc otherwise returns every block of more than 32 MiB to the system at once, and the next
    layer has to get it again, zeroed, page by page: a fifth to a quarter of the time of an
    evaluation. Holds for the rest of the process, and changes no number. `free` still gives back
    all that is unused. False, and nothing is changed, with a C library other than GNU's.
    """
    c = glibc()
    # no block in a map of its own, and nothing returned from the end of the heap
    return c is not None and bool(c.mallopt(M_MMAP_MAX, 0) and c.mallopt(M_TRIM_THRESHOLD, -1))


def glibc() -> ctypes.CDLL | None:
    """The C library of this process; None unless it is GNU's, whose allocator can be told what to
    keep."""
    try:
        c = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return c if hasattr(c, "gnu_get_libc_version") else None
