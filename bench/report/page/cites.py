"""BibTeX fields to what a table calls a paper, and to its entry in the list of references."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit

from bench.report.page.layout import Reference

DOI = re.compile(r"10\.\d+/\S+")
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
    """'Authors. Title. Venue volume. Year.', with an address only where it may not be followed."""
    venue = fields.get("journal") or fields.get("booktitle") or fields.get("note")
    venue = venue or fields.get("howpublished", "")
    volume = f" {fields['volume']}" if "volume" in fields else ""
    names = [" ".join(reversed(name.split(", ", 1))) for name in _authors(fields)]
    parts = (", ".join(names), fields.get("title", ""), venue + volume, fields.get("year", ""))
    text = ". ".join(_strip_braces(part).rstrip(".") for part in parts if part) + "."
    url = fields.get("url", "")
    return text if not url or web_address(url) else f"{text} {url}"


def list_references(
    places: Mapping[str, Iterable[str]],
    names: Mapping[str, str],
    references: Mapping[str, Fields],
    what: str = "Figures",
) -> tuple[Reference, ...]:
    """The entries of some papers, in the order of their names.

    places: key -> where in the paper that stands which is taken from it. names: see `name_papers`.
    what: is taken from it.
    """
    entries = []
    for key in (k for k in names if k in places):
        fields = references.get(key, {})
        text = f"{describe_paper(fields)} {what} from {'; '.join(places[key])}."
        entries.append(Reference(names[key], text, find_address(fields)))
    return tuple(entries)


def find_address(fields: Fields) -> str:
    """The address of a paper: its `url`, else that of its `doi`; "" where neither is one that may
    be followed."""
    doi = DOI.search(fields.get("doi", ""))
    return web_address(fields.get("url", "")) or (
        web_address(f"https://doi.org/{doi[0]}") if doi else ""
    )


def web_address(text: str) -> str:
    """An address of the web without any character that a format could trip over; "" for what is no
    such address, as `javascript:...` is none."""
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"\s", text.strip()):
        return ""
    return quote(text.strip(), safe="%/:?#[]@!$&'()*+,;=~", errors="replace")


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
