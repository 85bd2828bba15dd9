"""Domains as uint8 tensors: readers, facts about the published sets, downloads, augmentation, the stream of batches.

A *set* is something published (MNIST, PACS, ...); a *domain* is a set, or one of its domains, as a suite uses it.
`load` turns the one into the other; `generate` makes up pictures where there are none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.data.domain import load
    from bench.data.generator import generate
    from bench.data.images import Domain, Images, agree

__all__ = ["Domain", "Images", "agree", "generate", "load"]

_WHERE = {"Domain": "images", "Images": "images", "agree": "images", "generate": "generator", "load": "domain"}


def __getattr__(name: str) -> Any:
    """Imports torch when a domain is asked for, not when `bench ls` asks for a fact."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"bench.data.{_WHERE[name]}"), name)
