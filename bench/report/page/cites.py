"""BibTeX fields -> how a table names a paper, and the entry of its reference list."""

from collections import Counter
from collections.abc import Iterable, Mapping

Fields = Mapping[str, str]


def short(keys: Iterable[str], references: Mapping[str, Fields]) -> dict[str, str]:
    """key -> 'Serieys and Cherif 2020', in the order given; a letter after the year where two would read alike."""
    plain = {key: _short(references[key]) if key in references else key for key in keys}
    count, seen = Counter(plain.values()), Counter[str]()
    for key, text in plain.items():
        if count[text] > 1:
            plain[key] = f"{text}{'abcdefghijklmnopqrstuvwxyz'[seen[text]]}"
            seen[text] += 1
    return plain


def full(fields: Fields) -> str:
    """Authors, title, venue and year as one sentence, without the address."""
    venue = (
        fields.get("journal")
        or fields.get("booktitle")
        or fields.get("note")
        or fields.get("howpublished", "")
    )
    volume = f" {fields['volume']}" if "volume" in fields else ""
    names = [" ".join(reversed(name.split(", ", 1))) for name in _names(fields)]
    parts = (", ".join(names), fields.get("title", ""), venue + volume, fields.get("year", ""))
    return ". ".join(_plain(part).rstrip(".") for part in parts if part) + "."


def _short(fields: Fields) -> str:
    families = [_plain(name.split(",")[0]) for name in _names(fields)]
    who = f"{families[0]} et al." if len(families) > 2 else " and ".join(families)
    return f"{who} {fields.get('year', '')}".strip()


def _names(fields: Fields) -> list[str]:
    """The authors; braces around the whole field keep an institution's name in one piece."""
    author = fields.get("author", "")
    return [author] if author.startswith("{") else author.split(" and ")


def _plain(text: str) -> str:
    return text.replace("{", "").replace("}", "")
