"""What a doctor says."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from bench.data.pictures import SUFFIXES, passed_over

SHOWN = 20  # findings of one kind; more are only counted
Level = Literal["ok", "warn", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing to say about a set: ok, warn (usable all the same) or error (not usable)."""

    level: Level
    text: str


def some(level: Level, texts: Iterable[str]) -> Iterator[Finding]:
    """A finding for each of the first texts, and one that counts the others."""
    texts = iter(texts)
    yield from (Finding(level, text) for text in islice(texts, SHOWN))
    if more := sum(1 for _ in texts):
        yield Finding(level, f"... and {more:,} more like it")


def strangers(folder: Path) -> Iterator[Finding]:
    """The files below a folder of pictures that are none."""
    yield from some("warn", (f"{p} is passed over: it is not one of {', '.join(SUFFIXES)}" for p in passed_over(folder)))
