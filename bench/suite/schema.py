"""What every schema has in common: strictness, and errors that say where and what instead."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import UsageError, unknown


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def read(path: Path) -> dict[str, Any]:
    """The content of a TOML file."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


@contextmanager
def reading(path: Path, model: type[BaseModel]) -> Iterator[None]:
    """Whatever is wrong with a file that states a `model`, as a UsageError: the file, the place in it, the nearest right name."""
    try:
        yield
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise UsageError(f"{path}: not valid TOML: {e}") from e
    except ValidationError as e:
        raise UsageError("\n".join(f"{path}: {said}" for said in explain(e, model))) from e
    except UsageError as e:
        raise UsageError(f"{path}: {e}") from e


def explain(e: ValidationError, model: type[BaseModel], at: tuple[str, ...] = ()) -> list[str]:
    """Every error as a sentence, with the nearest known key for a key that is not known.

    at: where in the `model` stands what was validated.
    """
    # a misspelt key also leaves the right one missing: the cause first
    found = sorted(e.errors(), key=lambda err: err["type"] != "extra_forbidden")
    return [_sentence(err["type"], err["msg"], (*at, *err["loc"]), model) for err in found]


def _sentence(kind: str, said: str, loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    if kind == "extra_forbidden":
        said = str(unknown("key", str(loc[-1]), _keys(model, loc[:-1])))
    return f"at {'.'.join(map(str, loc))}: {said.removeprefix('Value error, ')}"


def _keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the schema allows at a place of the file."""
    for part in loc:
        if part in model.model_fields:
            model = _within(model.model_fields[str(part)].annotation) or model
    return list(model.model_fields)


def _within(annotation: Any) -> type[BaseModel] | None:
    """The schema in an annotation such as `tuple[Row, ...]` or `dict[str, DomainSpec]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := _within(a))), None)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with what `above` says instead, knob by knob: tables within a table are merged, all else is replaced."""
    both = {k: v for k, v in above.items() if isinstance(v, Mapping) and isinstance(below.get(k), Mapping)}
    return {**below, **above, **{k: merged(below[k], v) for k, v in both.items()}}


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"lr_mult": {"F": 0.1}} -> {"lr_mult.F": 0.1}"""
    out: dict[str, Any] = {}
    for key, value in values.items():
        out |= {f"{key}.{k}": v for k, v in flat(value).items()} if isinstance(value, Mapping) else {key: value}
    return out


def compact(value: Any) -> str:
    """A nested value on one line: 'lr 0.01, weight_decay (F 0, C 0.02)'"""
    if isinstance(value, dict):
        return ", ".join(f"{k} ({compact(v)})" if isinstance(v, dict) else f"{k} {compact(v)}" for k, v in value.items())
    return "[" + ", ".join(map(compact, value)) + "]" if isinstance(value, list) else str(value)
