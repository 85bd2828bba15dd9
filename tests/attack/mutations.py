"""What disks, editors and people do to a file."""

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import date
from typing import Any


def mutated(raw: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """The bytes with one to four things done to them. others: files of the same kind."""
    data = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(data) + 1), chance.choice((1, 1, 2, 8, 64, 512))
        match chance.randrange(8):
            case 0:
                del data[at : at + length]
            case 1:
                data[at:at] = chance.randbytes(length)
            case 2:
                data[at : at + length] = bytes(min(length, len(data) - at))
            case 3:
                data[at:at] = data[chance.randrange(len(data) + 1) :][:length]
            case 4:  # a digit of a number
                digits = [i for i, b in enumerate(data) if 48 <= b <= 57]
                if digits:
                    data[chance.choice(digits)] = chance.randrange(48, 58)
            case 5:  # a line twice, lost or moved
                lines = bytes(data).split(b"\n")
                line = lines.pop(chance.randrange(len(lines)))
                for _ in range(chance.randrange(3)):
                    lines.insert(chance.randrange(len(lines) + 1), line)
                data = bytearray(b"\n".join(lines))
            case 6:  # the head of one file and the tail of another
                data[at:] = chance.choice(others)[at:]
            case 7:
                data = data[:at]
    return bytes(data)


VALUES: tuple[Any, ...] = (
    0, 1, -1, 2, 3, 7, 10, 28, 64, 1000, 2**31, 2**63, -(2**63), 10**30, 0.0, -0.0, 0.1, 0.5, 1.0, 1.5,
    1e-300, 1e300, math.inf, -math.inf, math.nan, True, False, "", " ", "none", "sgd", "adam", "inv",
    "step", "half", "imagenet", "source_only", "dann", "A", "B", "A-B", "B-A", "../..", "/", "a/b", ".",
    "nul\0", "line\nbreak", "\x1b[31mred", "é", "😀", "x" * 10_000, "1", "0.1", "true", "nan",
    [], [1], [0.5], [1, "a"], [[]], [64, 32], {}, {"F": 1}, {"F": 0.1, "C": 1, "D": 1}, {"hidden": [8]},
    {"hidden": [8], "dropout": 0.5}, {"low": 0, "high": 1}, {"": 1}, date(2026, 1, 1),
)  # fmt: skip
"""What may stand where something else is meant: other kinds, limits, words that are known elsewhere."""


def altered(tree: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A copy of what a TOML file holds, with one to three of its values or keys changed."""
    tree = deepcopy(tree)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(tree))
        if not places:
            break
        box, key = chance.choice(places)
        other, at = chance.choice(places)
        match chance.randrange(6):
            case 0 | 1:
                box[key] = deepcopy(chance.choice(VALUES))
            case 2:  # what stands elsewhere in the file
                box[key] = deepcopy(other[at])
            case 3:
                del box[key]
            case 4 if isinstance(box, list):  # twice
                box.insert(chance.randrange(len(box) + 1), deepcopy(box[key]))
            case 4 if isinstance(key, str):  # a slip of the keyboard
                box[mutated(key.encode(), chance, [b"x"]).decode("utf-8", "replace")] = box.pop(key)
            case 5 if isinstance(box[key], int | float) and not isinstance(box[key], bool):
                box[key] *= chance.choice((-1, 0, 0.5, 2, 10, 1000))
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (table, key) and (list, index) of it."""
    keys = (
        list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    )
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def write_toml(tree: Mapping[str, Any]) -> str:
    """A TOML text of these values."""
    return "".join(f"{json.dumps(k)} = {write_value(v)}\n" for k, v in tree.items())


def write_value(v: Any) -> str:
    if isinstance(v, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {write_value(x)}" for k, x in v.items()) + "}"
    if isinstance(v, list):
        return "[" + ", ".join(map(write_value, v)) + "]"
    if isinstance(v, str | bool):
        return json.dumps(v, ensure_ascii=False).replace("\x7f", "\\u007f")
    return v.isoformat() if isinstance(v, date) else repr(v)
