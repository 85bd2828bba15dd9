"""What the papers say: one method, one short file, found by being here. Imports torch and nothing of `bench`."""

from importlib import import_module

from methods._method import Batch, Method, Network, Progress

__all__ = ["Batch", "Method", "Network", "Progress", "get"]


def get(name: str) -> type[Method]:
    """The one Method of methods/<name>.py."""
    module = import_module(f"methods.{name}")
    found = (v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Method))
    return next(v for v in found if v.__module__ == module.__name__)
