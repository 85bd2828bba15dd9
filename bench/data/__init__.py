"""Domains as uint8 tensors: readers, facts about the published sets, downloads, and the stream of batches.

A *set* is something published (MNIST, USPS, ...); a *domain* is a set as a suite uses it.
`load` turns the one into the other.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.data.domain import Domain, Images, load

__all__ = ["Domain", "Images", "load"]


def __getattr__(name: str) -> Any:
    """Imports torch when a domain is asked for, not when `bench ls` asks for a fact."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bench.data import domain

    return getattr(domain, name)
