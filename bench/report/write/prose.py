"""What the three formats agree on: a text is one line, and `code` stands between backticks."""

import re
from unicodedata import category

WHITE = re.compile(r"[\s\x00\x85\u2028\u2029]+")
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
MARK = "\N{REPLACEMENT CHARACTER}"  # for a character that would be obeyed instead of printed
TURNS = {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}  # they reverse what follows


def flatten(text: str) -> str:
    """The text on one line, without line breaks and other control characters."""
    text = WHITE.sub(lambda m: m[0] if m[0] in " \N{NO-BREAK SPACE}" else " ", text).strip()
    return "".join(MARK if category(c) in ("Cc", "Cs") or c in TURNS else c for c in text)


def split_code(text: str) -> list[tuple[str, bool]]:
    """The flattened text in pieces, each with whether it is code. Only single backticks mark code;
    others stand for themselves."""
    pieces = CODE.split(flatten(text))
    return [(piece, i % 2 == 1) for i, piece in enumerate(pieces) if piece]
