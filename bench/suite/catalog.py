"""What methods exist and what they take, read from their source: no import, so no torch."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.errors import UsageError, unknown


@dataclass(frozen=True)
class Entry:
    """A method as its file declares it. hyper: name -> default of every keyword of `__init__` after `net`."""

    name: str
    path: Path
    class_name: str
    doc: str
    hyper: Mapping[str, Any]
    supervised_target: bool


@cache
def methods() -> dict[str, Entry]:
    """Every file of the `methods` package whose name has no leading underscore, by name."""
    spec = find_spec("methods")
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(p for f in folders for p in Path(f).glob("[a-z]*.py"))
    return {p.stem: _read(p) for p in files}


def _read(path: Path) -> Entry:
    try:
        return _entry(path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    except (SyntaxError, ValueError) as e:  # ValueError: a default that is no literal, or bytes that are no text
        raise UsageError(f"{path} cannot be read as a method ({e}); defaults of hyper-parameters are plain values") from e


def _entry(path: Path, tree: ast.Module) -> Entry:
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and any(_name(b) == "Method" for b in n.bases)]
    if len(classes) != 1:
        raise UsageError(f"{path}: a method file holds exactly one class that derives from Method, this one {len(classes)}")
    body = classes[0].body
    init = next((n for n in body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    args = init.args if init else None
    hyper = {
        a.arg: ast.literal_eval(d) if d is not None else ...
        for a, d in (zip(args.kwonlyargs, args.kw_defaults, strict=True) if args else ())
    }
    supervised = any(
        isinstance(n, ast.Assign | ast.AnnAssign) and "supervised_target" in ast.unparse(n) and "True" in ast.unparse(n)
        for n in body
    )
    doc = ast.get_docstring(classes[0]) or ""
    return Entry(path.stem, path, classes[0].name, doc, hyper, supervised)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def check(method: str, hyper: Mapping[str, Any]) -> Entry:
    """The entry of a method that takes these hyper-parameters. Raises UsageError with the nearest names."""
    known = methods()
    if method not in known:
        raise unknown("method", method, known)
    entry = known[method]
    for key, value in hyper.items():
        if key not in entry.hyper:
            raise unknown(f"hyper-parameter of {method}", key, entry.hyper)
        kind = type(entry.hyper[key])
        if kind in (bool, int, float, str) and type(value) is not kind and (kind, type(value)) != (float, int):
            raise UsageError(f"{key} of {method} is a {kind.__name__} such as {entry.hyper[key]!r}, not {value!r}")
    missing = [k for k, default in entry.hyper.items() if default is ... and k not in hyper]
    if missing:
        raise UsageError(f"{method} needs the hyper-parameter {missing[0]!r}")
    return entry
