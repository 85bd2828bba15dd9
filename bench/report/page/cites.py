"""BibTeX fields to what a table calls a paper, and to its entry in the list of references."""

from collections import Counter
from collections.abc import Iterable, Mapping

Fields = Mapping[str, str]  # name of a BibTeX field -> its text


def name_papers(keys: Iterable[str], references: Mapping[str, Fields]) -> dict[str, str]:
    """key -> 'Serieys and Cherif 2020', in the order given.

    A letter follows the year where two papers would read alike; a key that has no entry stands for
    itself.
    """
    names = {key: _author_year(references[key]) if key in references else key for key in keys}
    count, seen = Counter(names.values()), Counter[str]()
    for key, name in names.items():
        if count[name] > 1:
            names[key] = f"{name}{'abcdefghijklmnopqrstuvwxyz'[seen[name]]}"
            seen[name] += 1
    return names


def describe_paper(fields: Fields) -> str:
    """'Authors. Title. Venue volume. Year.', without the address."""
    venue = fields.get("journal") or fields.get("booktitle") or fields.get("note")
    venue = venue or fields.get("howpublished", "")
    volume = f" {fields['volume']}" if "volume" in fields else ""
    names = [" ".join(reversed(name.split(", ", 1))) for name in _authors(fields)]
    parts = (", ".join(names), fields.get("title", ""), venue + volume, fields.get("year", ""))
    return ". ".join(_strip_braces(part).rstrip(".") for part in parts if part) + "."


def _author_year(fields: Fields) -> str:
    families = [_strip_braces(name.split(",")[0]) for name in _authors(fields)]
    who = f"{families[0]} et al." if len(families) > 2 else " and ".join(families)
    return f"{who} {fields.get('year', '')}".strip()


def _authors(fields: Fields) -> list[str]:
    """The names of the authors; a field in braces is one name, such as an institution's."""
    author = fields.get("author", "")
    return [author] if author.startswith("{") else author.split(" and ")


def _strip_braces(text: str) -> str:
    return text.replace("{", "").replace("}", "")
