"""Errors that are shown to a user as one sentence: what is wrong and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class BenchError(Exception):
    """Something failed (exit code 1)."""

    exit_code = 1


class UsageError(BenchError):
    """The user asked for something that does not exist or cannot be done (exit code 2)."""

    exit_code = 2


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
    return UsageError(f"unknown {kind} {name!r}; {hint}known: {', '.join(known) or 'none'}")
