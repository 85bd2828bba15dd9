"""`--set key=value` on the command line: one recipe knob otherwise than the suite says."""

import tomllib
from collections.abc import Iterable
from typing import Any

from bench.errors import UsageError
from bench.suite.schema import flat, merged


def parse(texts: Iterable[str]) -> dict[str, Any]:
    """['lr=0.1', 'lr_mult.F=0.1', 'schedule=inv'] -> {'lr': 0.1, 'lr_mult': {'F': 0.1}, 'schedule': 'inv'}

    A value is TOML; what is no TOML is taken as the word it is. Raises UsageError.
    """
    out: dict[str, Any] = {}
    for text in texts:
        key, _, value = (part.strip() for part in text.partition("="))
        if not key or not value:
            raise UsageError(f"cannot read --set {text!r}; write key=value, such as lr=0.01 or lr_mult.F=0.1")
        setting: Any = _value(value)
        for part in reversed(key.split(".")):
            setting = {part: setting}
        if twice := flat(out).keys() & flat(setting).keys():
            raise UsageError(f"{min(twice)} is set twice; set it once")
        out = merged(out, setting)
    return out


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return read["value"] if read.keys() == {"value"} else text
