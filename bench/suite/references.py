"""The papers that suites cite, read from references.bib."""

from functools import cache
from pathlib import Path

from bench import paths
from bench.errors import UsageError

BibEntry = dict[str, str]
"""The fields of a BibTeX entry, authors and editors joined by " and "; names in lower case."""


def read_references(folder: Path) -> dict[str, BibEntry]:
    """The entries by their BibTeX key, from the file beside a suite and those of `paths.tables()`.

    Where two files have one key, the file nearer to the suite counts. Raises UsageError.
    """
    entries: dict[str, BibEntry] = {}
    for file in (f / "references.bib" for f in (folder, *paths.tables())):
        if file.is_file():
            entries = _parse(file, file.stat().st_mtime_ns) | entries
    return entries


@cache
def _parse(file: Path, modified: int) -> dict[str, BibEntry]:
    """The entries of one file; parsed again only when the file was modified since."""
    from pybtex.database import parse_string
    from pybtex.exceptions import PybtexError

    try:
        entries = parse_string(file.read_text(encoding="utf-8"), "bibtex").entries
    except (PybtexError, UnicodeDecodeError) as e:
        raise UsageError(f"{file}: not valid BibTeX: {e}") from e
    return {
        key: {name.lower(): text for name, text in entry.fields.items()}
        | {role.lower(): " and ".join(map(str, people)) for role, people in entry.persons.items()}
        for key, entry in entries.items()
    }
