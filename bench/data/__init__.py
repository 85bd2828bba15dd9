"""Domains as uint8 tensors: readers, facts about the published sets, downloads, and the stream of batches.

A *set* is something published (MNIST, USPS, ...); a *domain* is a set as a suite uses it. `load` turns the one into the other.
"""

from bench.data.domain import Domain, Images, load

__all__ = ["Domain", "Images", "load"]
