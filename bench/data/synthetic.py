"""Stand-ins for data that is not there, so that `--smoke` runs anywhere."""

import hashlib

import numpy as np

from bench.data.files import Split
from bench.datasets.sets import Both


def synthetic(domain: str, *, classes: int, channels: int, size: int) -> Both[Split]:
    """Train and test of random images: a coarse pattern for each class, and the domain's own noise on top.

    The same for the same arguments on every machine.
    """
    patterns = np.random.default_rng(0).integers(0, 160, (classes, channels, 4, 4), dtype=np.uint8)
    cells = np.arange(size) * 4 // size
    patterns = patterns[:, :, cells][:, :, :, cells]
    noise = np.random.default_rng(int.from_bytes(hashlib.sha256(domain.encode()).digest()[:8]))
    y = np.arange(max(128, 2 * classes), dtype=np.int64) % classes
    shape = len(y), channels, size, size
    return Both(*(Split(patterns[y] + noise.integers(0, 96, shape, dtype=np.uint8), y) for _ in range(2)))
