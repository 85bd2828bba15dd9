"""Which methods there are and what they take, read from their source text: no import, so no torch.

Methods are the files of the package `methods` and those of ./methods in the working folder.
"""

import ast
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench import paths
from bench.errors import UsageError, shorten, unknown

SOURCE = r"\((?P<authors>[^()]+?), (?P<venue>[^(),]+ (19|20)\d\d)[^()]*\)"
"""As in "(Long et al., NeurIPS 2018, eq. 6-9)"."""

SHIPPED = paths.PACKAGE.parent / "methods"  # the folder of the program's own methods


@dataclass(frozen=True)
class Entry:
    """A method as its file declares it."""

    name: str  # the file's name without .py
    path: Path
    class_name: str
    doc: str  # the docstring of the class
    hyper: Mapping[str, Any]
    """Every keyword of `__init__` after `net`, with its default; `...` where it has none."""
    choices: Mapping[str, tuple[Any, ...]]
    """The values that a hyper-parameter may have, for each that is typed `Literal[...]`."""
    bounds: Mapping[str, tuple[float, float]]
    """The least and the largest value, for each hyper-parameter that is typed `Within(...)`."""
    supervised_target: bool  # whether it is trained with target labels
    generates: str  # "nothing": it adapts a classifier; see `Method.generates`
    needs: tuple[str, ...]  # knobs of the recipe that it cannot do without
    proof: tuple[str, ...]  # what shows that it does what its source does: see `Method.proof`
    origin: str  # what it was written from where no code of it is public: see `Method.origin`

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring, in one line: the equation and its source."""
        return " ".join(self.doc.split("\n\n")[0].split())

    @property
    def equation(self) -> str:
        """The first paragraph without the source."""
        return re.sub(SOURCE, "", self.summary).strip()

    @property
    def source(self) -> str:
        """Authors, venue and year of the paper, as the docstring has them; "" where it has none."""
        found = re.search(SOURCE, self.summary)
        return f"{found['authors']}, {found['venue']}" if found else ""


def methods() -> dict[str, Entry]:
    """Every method by its name. Raises UsageError for a file that is no method."""
    return {name: _read(path, path.stat().st_mtime_ns) for name, path in files().items()}


def adapting() -> list[str]:
    """The names of the methods that adapt a classifier: those that generate nothing."""
    return sorted(name for name, entry in methods().items() if entry.generates == "nothing")


def is_bound(method: str) -> bool:
    """Whether it sees the target's labels: a bound, no method of adaptation. False for none."""
    entry = methods().get(method)
    return entry is not None and entry.supervised_target


def find_method(name: str) -> Entry:
    """The method of that name. Raises UsageError with the nearest name."""
    known = files()
    if name not in known:
        raise unknown("method", name, known)
    return _read(known[name], known[name].stat().st_mtime_ns)


def check(method: str, hyper: Mapping[str, Any]) -> Entry:
    """The method, if it takes these hyper-parameters. Raises UsageError with the nearest names."""
    entry = find_method(method)
    for key, value in hyper.items():
        if key not in entry.hyper:
            raise unknown(f"hyper-parameter of {method}", key, entry.hyper)
        _check_value(entry, key, value)
    missing = [k for k, default in entry.hyper.items() if default is ... and k not in hyper]
    if missing:
        raise UsageError(f"{method} needs the hyper-parameter {missing[0]!r}")
    return entry


def _check_value(entry: Entry, key: str, value: Any) -> None:
    name, choices = f"{key} of {entry.name}", entry.choices.get(key, ())
    if not all(map(_can_be_recorded, _leaves(value))):
        raise UsageError(
            f"{name} cannot be a date, nan or a number beyond 2^63: "
            "give a number, inf, a word, true or false, or a list of these"
        )
    if any(value == c and _fits(value, type(c)) for c in choices):
        return
    if choices and isinstance(value, str):
        raise unknown(name, value, map(str, choices))
    given = shorten(repr(value))
    if choices:
        listed = ", ".join(map(repr, choices))
        raise UsageError(f"{name} is one of {listed}, not {given}")
    default = entry.hyper[key]
    if type(default) in (bool, int, float, str) and not _fits(value, type(default)):
        raise UsageError(f"{name} is a {type(default).__name__} such as {default!r}, not {given}")
    low, high = entry.bounds.get(key, (-math.inf, math.inf))
    if isinstance(value, int | float) and not low <= value <= high:
        allowed = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise UsageError(f"{name} is {allowed}, not {given}")


def _fits(value: Any, kind: type) -> bool:
    """Whether a value is of that very type, or a whole number for a fraction."""
    return type(value) is kind or (type(value), kind) == (int, float)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping | list | tuple):
        for x in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(x)
    else:
        yield value


def _can_be_recorded(x: Any) -> bool:
    if isinstance(x, int | float):
        return x == x and (abs(x) < 2**63 or x in (math.inf, -math.inf))
    return x is None or isinstance(x, str)


def files() -> dict[str, Path]:
    """The file of every method by its name, the program's first. Raises UsageError.

    A method of one's own may not have the name of one of the program, because a table could not
    say which of the two was run.
    """
    own = Path("methods")
    found = dict(_shipped())
    if not own.is_dir() or own.samefile(SHIPPED):
        return found
    for path in _method_files(own):
        if path.stem not in found:
            found[path.stem] = path.resolve()
        elif not _same(path, found[path.stem]):
            raise UsageError(
                f"{path}: the program has a method named {path.stem!r} itself; rename your file"
            )
    package = own / "__init__.py"
    if package.is_file() and not _same(package, SHIPPED / "__init__.py"):
        raise UsageError(
            f"{package} makes Python take your folder for the program's package `methods`; "
            "remove that file"
        )
    return found


def stamp() -> tuple[tuple[str, int], ...]:
    """Differs whenever a method's file is another one or was modified."""
    return tuple((str(path), path.stat().st_mtime_ns) for path in files().values())


@cache
def _shipped() -> tuple[tuple[str, Path], ...]:
    return tuple((path.stem, path) for path in _method_files(SHIPPED))


def _method_files(folder: Path) -> Iterator[Path]:
    """The files of a folder whose names begin with a letter: `_parts.py` is no method."""
    return (p for p in sorted(folder.glob("*.py")) if p.stem[0].isalpha() and p.is_file())


def _same(a: Path, b: Path) -> bool:
    """Whether two files have the same content, as those of two copies of the program have."""
    return a.samefile(b) or a.read_bytes() == b.read_bytes()


@cache
def _read(path: Path, modified: int) -> Entry:
    """The method of a file; read again only when the file was modified since."""
    try:
        return _parse(path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    except (SyntaxError, ValueError) as e:  # a default that is no literal, bytes that are no text
        raise UsageError(
            f"{path} cannot be read as a method ({e}); "
            "defaults of hyper-parameters are plain values"
        ) from e


def _parse(path: Path, tree: ast.Module) -> Entry:
    classes = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(_name(base) == "Method" for base in node.bases)
    ]
    if len(classes) != 1:
        raise UsageError(
            f"{path}: a method's file has exactly one class that derives from Method, "
            f"this one has {len(classes)}"
        )
    body = classes[0].body
    arguments = [
        (a.arg, a.annotation, default)
        for node in body
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
        for a, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    ]
    return Entry(
        name=path.stem,
        path=path,
        class_name=classes[0].name,
        doc=ast.get_docstring(classes[0]) or "",
        hyper={k: ast.literal_eval(v) if v is not None else ... for k, _, v in arguments},
        choices={k: words for k, a, _ in arguments if (words := _literal(a))},
        bounds={k: ends for k, a, _ in arguments if (ends := _bounds(a))},
        supervised_target=bool(_attribute(body, "supervised_target", False)),
        generates=_attribute(body, "generates", "nothing"),
        needs=_attribute(body, "needs", ()),
        proof=_attribute(body, "proof", ("identity",)),
        origin=_attribute(body, "origin", ""),
    )


def _literal(annotation: ast.expr | None) -> tuple[Any, ...]:
    """The values in an annotation `Literal[...]`; none in any other annotation."""
    if not isinstance(annotation, ast.Subscript) or _name(annotation.value) != "Literal":
        return ()
    values = ast.literal_eval(annotation.slice)
    return values if isinstance(values, tuple) else (values,)


def _bounds(annotation: ast.expr | None) -> tuple[float, float] | None:
    """The ends in an annotation `Annotated[..., Within(low, high)]`; None in any other one."""
    found = [x for x in ast.walk(annotation or ast.Constant(None)) if isinstance(x, ast.Call)]
    if not found or _name(found[0].func) != "Within":
        return None
    low, *high = map(ast.literal_eval, found[0].args)
    return low, high[0] if high else math.inf


def _attribute(body: Iterable[ast.stmt], name: str, default: Any) -> Any:
    """The value that the body of a class gives to a name; the default where it gives none."""
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if value is not None and any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return ast.literal_eval(value)
    return default


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
