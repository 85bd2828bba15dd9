"""SVHN's .mat files, read by an interpreter of its own: a damaged one can kill scipy's reader, and
with it whatever process it runs in."""

import math
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench import paths
from bench.data.files import UNPACKED, Split, damaged, refuse_special, to_labels
from bench.errors import BenchError

PATIENCE = 300  # seconds that a file may take; the largest of SVHN takes a few
MEMORY = 8 << 30  # bytes that reading may take; the largest of SVHN takes half of one GiB
NO_ROOM = 3  # the exit code that says that the arrays could not be handed over


def read_mat(path: Path) -> Split:
    """X (32, 32, 3, N) and y (N, 1) of a file as images (N, 3, 32, 32) and labels (N,).

    Raises BenchError when the file is damaged, whatever that does to its reader.
    """
    refuse_special(path)
    command, env = paths.own_interpreter("from bench.data import mat; mat.answer()")
    with tempfile.TemporaryFile() as arrays:
        try:
            done = subprocess.run(
                [*command, path],
                stdin=subprocess.DEVNULL,
                stdout=arrays,
                stderr=subprocess.PIPE,
                env=env,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired as e:
            raise damaged(path, f"it is not read within {PATIENCE} seconds") from e
        if done.returncode == NO_ROOM:
            raise BenchError(
                f"{tempfile.gettempdir()} has no room for what {path} holds: make some, "
                "or set TMPDIR to another folder"
            )
        if done.returncode < 0:
            name = signal.Signals(-done.returncode).name
            raise damaged(path, f"its reader was ended by {name}")
        if done.returncode:
            why = done.stderr.decode(errors="replace").strip() or "its reader failed"
            raise damaged(path, why.splitlines()[-1])
        arrays.seek(0)
        return Split(np.load(arrays), np.load(arrays))


def answer() -> None:
    """Read the file that the command line names; write X, then y, to stdout as .npy.

    Exits with a sentence on stderr where that fails.
    """
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        arrays = load_arrays(Path(sys.argv[1]))
    except Exception as e:  # whatever scipy raises over arbitrary bytes
        sys.exit(f"{type(e).__name__}: {e}")
    try:
        for array in arrays:
            np.save(sys.stdout.buffer, array)
        sys.stdout.flush()
    except OSError:
        sys.exit(NO_ROOM)


def load_arrays(path: Path) -> Split:
    """As `read_mat`, in this process. Raises whatever scipy raises over arbitrary bytes, and may
    end the process."""
    from scipy.io import loadmat, whosmat

    for name, shape, _ in whosmat(path):
        if name in ("X", "y") and math.prod(shape) > UNPACKED:
            raise ValueError(f"{name} has {math.prod(shape):,} values, more than any published one")
    content = loadmat(path, variable_names=["X", "y"])
    x = np.ascontiguousarray(content["X"].transpose(3, 2, 0, 1), dtype=np.uint8)
    return Split(x, to_labels(content["y"].ravel()))
