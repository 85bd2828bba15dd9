"""`--set key=value`: a recipe knob or, as `hyper.key`, a hyper-parameter, otherwise than the suite
says."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from bench.errors import UsageError, shorten, unknown
from bench.suite import catalog
from bench.suite.recipe import Recipe
from bench.suite.schema import check_depth, flat, merged, parse_toml

HYPER_TABLE = "hyper"  # the table of hyper-parameters among what is set


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """['lr=0.1', 'lr_mult.F=0.2', 'hyper.lam=0.5', 'schedule=inv'] ->
    {'lr': 0.1, 'lr_mult': {'F': 0.2}, 'hyper': {'lam': 0.5}, 'schedule': 'inv'}

    A value is TOML; what is no TOML is taken as the word it is. Raises UsageError.
    """
    out: dict[str, Any] = {}
    for text in texts:
        key, _, value = (part.strip() for part in text.partition("="))
        if not key or not value:
            raise UsageError(
                f"cannot read --set {shorten(repr(text))}; write key=value, such as lr=0.01 or "
                "lr_mult.F=0.1"
            )
        try:
            setting = nest(key, _value(value))
            check_depth(setting)
        except UsageError as e:
            raise UsageError(f"--set {shorten(repr(text))}: {e}") from e
        if twice := flat(out).keys() & flat(setting).keys():
            raise UsageError(f"{min(twice)} is set twice; set it once")
        out = merged(out, setting)
    return out


def nest(key: str, value: Any) -> dict[str, Any]:
    """('lr_mult.F', 0.2) -> {'lr_mult': {'F': 0.2}}"""
    first, *rest = key.split(".")
    for part in reversed(rest):
        value = {part: value}
    return {first: value}


def write_settings(values: Mapping[str, Any]) -> list[str]:
    """The texts that `parse_settings` reads as these values.

    Raises UsageError for a value that has none.
    """
    return [f"{key}={_text(key, v)}" for key, v in flat(values).items()]


def write_budget(budget: str) -> str:
    """The option that asks a command for a budget, with a space before it; '' for the full one."""
    return "" if budget == "full" else f" --budget {budget}"


def split_override(override: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `parse_settings` gives -> recipe knobs, hyper-parameters."""
    check_depth(override)
    hyper = override.get(HYPER_TABLE, {})
    if not isinstance(hyper, Mapping):
        raise UsageError(
            f"hyper={shorten(repr(hyper))} names no hyper-parameter; write hyper.NAME=VALUE"
        )
    knobs = {k: v for k, v in override.items() if k != HYPER_TABLE}
    for key in sorted(knobs.keys() - Recipe.model_fields.keys()):
        if any(key in entry.hyper for entry in catalog.methods().values()):
            raise UsageError(f"{key} is a hyper-parameter: write {HYPER_TABLE}.{key} in its place")
    return knobs, dict(hyper)


def check_hyper(override: Mapping[str, Any], methods: Iterable[str]) -> None:
    """Raise UsageError for a hyper-parameter that none of the methods has."""
    known = {key for method in methods for key in catalog.methods()[method].hyper}
    for key in split_override(override)[1]:
        if key not in known:
            raise unknown("hyper-parameter of the chosen rows", key, known)


def _text(key: str, v: Any) -> str:
    if isinstance(v, str):
        # a word stands as it is, unless that would be read as something else
        return v if v and v == v.strip() and _value(v) == v else _quote(v)
    if isinstance(v, list | tuple):
        return "[" + ", ".join(_quote(x) if isinstance(x, str) else _text(key, x) for x in v) + "]"
    if isinstance(v, bool):
        return str(v).lower()
    if isinstance(v, int | float):
        return repr(v)
    raise UsageError(
        f"{key} = {shorten(repr(v))} cannot be written as --set {key}=VALUE; say it in the suite"
    )


def _quote(text: str) -> str:
    """A TOML string: JSON's but for one character that TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(text: str) -> Any:
    try:
        read = parse_toml(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return read["value"] if read.keys() == {"value"} else text
