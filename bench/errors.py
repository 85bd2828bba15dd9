"""Errors that are shown to a user as one sentence: what is wrong and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class BenchError(Exception):
    """Something failed (exit code 1)."""

    exit_code = 1


class UsageError(BenchError):
    """The user asked for something that does not exist or cannot be done (exit code 2)."""

    exit_code = 2


def shorten(text: str, most: int = 80) -> str:
    """A text, cut short where it would fill the screen."""
    return text if len(text) <= most else f"{text[:most]}…"


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not in `known`; it offers the nearest name if one is similar."""
    known = sorted(known)
    folded = {k.lower(): k for k in known}
    near = [folded[k] for k in get_close_matches(name.lower(), folded, n=1, cutoff=0.5)]
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(
        f"unknown {kind} {shorten(repr(name))}; {hint}known: {', '.join(known) or 'none'}"
    )
