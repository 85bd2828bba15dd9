"""What all schemas share: strictness, and errors that name the place and the right key."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from bench.errors import UsageError, shorten, unknown

DEPTH = 20  # tables and lists that may lie in one another; what we read needs six


def _want_number(v: Any) -> Any:
    if isinstance(v, bool):
        raise ValueError("a number is wanted, not true or false")
    if isinstance(v, str):
        raise ValueError(f"a number is wanted, not the text {shorten(repr(v))}")
    return v


def _want_switch(v: Any) -> Any:
    if not isinstance(v, bool):
        raise ValueError("true or false is wanted")
    return v


Whole = Annotated[int, BeforeValidator(_want_number)]
"""A whole number; pydantic would take true for 1 and "1" for 1."""

Number = Annotated[float, BeforeValidator(_want_number)]
"""A number; likewise."""

Switch = Annotated[bool, BeforeValidator(_want_switch)]
"""true or false; pydantic would take 1, 0.0, "yes" and "off" as well."""


class Strict(BaseModel):
    """A model that cannot be altered and refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file. Raises what `reading` turns into a UsageError."""
    return parse_toml(path.read_text(encoding="utf-8"))


def parse_toml(text: str) -> dict[str, Any]:
    """The content of a TOML text. Raises TOMLDecodeError, or UsageError for what is TOML but
    nothing that this program can take: numbers of thousands of digits, tables in tables in tables.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as e:  # Python reads no integer of more than 4,300 digits
        raise UsageError("a number has too many digits: write one that a computer can hold") from e
    except RecursionError as e:
        raise UsageError(TOO_DEEP) from e
    check_depth(values)
    return values


TOLD = 10  # mistakes of a file are told at once; one slip of the keyboard can make twenty

TOO_DEEP = f"tables or lists are nested too deeply: {DEPTH} in one another are the most"


def check_depth(values: Any) -> None:
    """Raise UsageError for values nested so deeply that walking through them would fail."""
    level = [values]
    for _ in range(DEPTH + 1):
        below = [list(x.values()) if isinstance(x, Mapping) else x for x in level]
        level = [x for part in below for x in part if isinstance(x, Mapping | list | tuple)]
        if not level:
            return
    raise UsageError(TOO_DEEP)


@contextmanager
def reading(path: Path, model: type[BaseModel], at: tuple[str, ...] = ()) -> Iterator[None]:
    """Turn whatever is wrong with a file into a UsageError that names the file and the place in it.

    model, at: the schema that is validated inside the block, and the place in the file of what it
    describes.
    """
    try:
        yield
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise UsageError(f"{path}: not valid TOML: {e}") from e
    except ValidationError as e:
        first, rest = explain(e, model, at)[:TOLD], e.error_count() - TOLD
        more = [f"{rest} more things are wrong"] if rest > 0 else []
        raise UsageError("\n".join(f"{path}: {sentence}" for sentence in first + more)) from e
    except OSError as e:
        raise UsageError(f"{path} cannot be read ({e.strerror})") from e
    except UsageError as e:
        raise UsageError(f"{path}: {e}") from e


def explain(e: ValidationError, model: type[BaseModel], at: tuple[str, ...] = ()) -> list[str]:
    """Every error as a sentence; an unknown key with the nearest known one.

    at: the place in the file of what `model` describes.
    """
    # a misspelt key also leaves the right one missing: name the cause first
    errors = sorted(e.errors(), key=lambda error: error["type"] != "extra_forbidden")
    return [_explain_one(x["type"], x["msg"], at, x["loc"], model) for x in errors]


def _explain_one(
    kind: str,
    message: str,
    at: tuple[str, ...],
    place: tuple[int | str, ...],
    model: type[BaseModel],
) -> str:
    if kind == "extra_forbidden":
        message = str(unknown("key", str(place[-1]), _allowed_keys(model, place[:-1])))
    where = ".".join(map(str, (*at, *place)))
    return f"at {where}: {message.removeprefix('Value error, ')}"


def _allowed_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys that the schema allows at a place: indices and keys of a dict lead to no model."""
    for part in place:
        if part in model.model_fields:
            model = _find_model(model.model_fields[str(part)].annotation) or model
    return list(model.model_fields)


def _find_model(annotation: Any) -> type[BaseModel] | None:
    """The schema in an annotation such as `tuple[Row, ...]` or `dict[str, DomainSpec]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := _find_model(a))), None)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below`, changed by `above`: two tables of one name are merged, all else is replaced."""
    tables = [
        k for k, v in above.items() if isinstance(v, Mapping) and isinstance(below.get(k), Mapping)
    ]
    return {**below, **above, **{k: merged(below[k], above[k]) for k in tables}}


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"lr_mult": {"F": 0.1}} -> {"lr_mult.F": 0.1}"""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out |= {f"{key}.{k}": v for k, v in flat(value).items()}
        else:
            out[key] = value
    return out


def compact(value: Any) -> str:
    """A nested value on one line: 'lr 0.01, weight_decay (F 0, C 0.02)'"""
    if isinstance(value, dict):
        return ", ".join(
            f"{k} ({compact(v)})" if isinstance(v, dict) else f"{k} {compact(v)}"
            for k, v in value.items()
        )
    return "[" + ", ".join(map(compact, value)) + "]" if isinstance(value, list) else str(value)
