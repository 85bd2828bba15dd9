"""Errors that are shown to a user as one sentence: what is wrong and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from unicodedata import category


class BenchError(Exception):
    """Something failed (exit code 1)."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class UsageError(BenchError):
    """The user asked for something that does not exist or cannot be done (exit code 2)."""

    exit_code = 2


class Diverged(BenchError):
    """A training has run away: what it made is no longer finite."""


def shorten(text: str, most: int = 80) -> str:
    """A text, cut short where it would fill the screen."""
    return text if len(text) <= most else f"{text[:most]}…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one; None when none is."""
    folded = {k.lower(): k for k in known}
    found = get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
    return folded[found[0]] if found else None


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not in `known`; it offers the nearest name if one is similar."""
    known = sorted(known)
    near = nearest(name, known)
    hint = f"did you mean {near!r}? " if near else ""
    return UsageError(
        f"unknown {kind} {shorten(repr(name))}; {hint}known: {', '.join(known) or 'none'}"
    )


def printable(text: str) -> str:
    """The text with an escape for each character that a terminal would obey (all control characters
    but the line break) or could not print (bytes of a file name that are no UTF-8)."""
    return "".join(c if c == "\n" or category(c) not in ("Cc", "Cs") else _escape(c) for c in text)


def _escape(c: str) -> str:
    return c.encode("unicode_escape").decode("ascii")
