"""Random numbers that a text alone decides: the same on every machine, in any order of asking."""

from hashlib import sha256

import torch


def seed_of(key: str) -> int:
    """A seed from 0 to 2^63 − 1."""
    return int.from_bytes(sha256(key.encode()).digest()[:8]) >> 1


def make_generator(key: str) -> torch.Generator:
    """A generator of torch on the CPU."""
    return torch.Generator().manual_seed(seed_of(key))
