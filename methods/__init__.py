"""What the papers say: one method, one short file, found by its name alone.

Nothing here imports anything of `bench`: only torch, the standard library and this package.
Methods of your own lie in the folder ./methods of the working folder, without an `__init__.py`.
"""

import sys
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from methods._method import Batch, Method, Network, Progress, Within

__all__ = ["Batch", "Method", "Network", "Progress", "Within", "get"]


def get(name: str) -> type[Method]:
    """The method of the file <name>.py of this package, else of ./methods in the working folder."""
    own = Path("methods", f"{name}.py").resolve()
    if Path(__file__).with_name(own.name).is_file() or not own.is_file():
        module = import_module(f"methods.{name}")
    else:
        module = _load(own, own.stat().st_mtime_ns)
    classes = (v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Method))
    return next(c for c in classes if c.__module__ == module.__name__)


@cache
def _load(path: Path, modified: int) -> ModuleType:
    """The module of a file outside this package; run again only if the file was modified since."""
    spec = spec_from_file_location(f"methods.{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
