"""Where things live: suite files, references, data, results, rendered tables."""

import os
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from bench.errors import BenchError, UsageError

PACKAGE = Path(__file__).resolve().parent


def tables() -> list[Path]:
    """Folders of suite files: ./tables, then those that come with the program (in the wheel, or beside it in a checkout)."""
    shipped = PACKAGE / "tables" if (PACKAGE / "tables").is_dir() else PACKAGE.parent / "tables"
    return [p for p in dict.fromkeys([Path("tables").resolve(), shipped]) if p.is_dir()]


def references(folder: Path) -> dict[str, dict[str, str]]:
    """BibTeX key -> fields, from the references.bib beside a suite file and those of `tables()`. Raises UsageError."""
    found: dict[str, dict[str, str]] = {}
    for bib in [folder / "references.bib", *(t / "references.bib" for t in tables())]:
        if bib.is_file():
            found = _entries(bib, bib.stat().st_mtime_ns) | found
    return found


@cache
def _entries(bib: Path, changed: int) -> dict[str, dict[str, str]]:
    """The entries of a BibTeX file as it was when last changed. Raises UsageError."""
    from pybtex.database import parse_string
    from pybtex.exceptions import PybtexError

    try:
        entries = parse_string(bib.read_text(encoding="utf-8"), "bibtex").entries
    except (PybtexError, UnicodeDecodeError) as e:
        raise UsageError(f"{bib}: not valid BibTeX: {e}") from e
    people = {
        key: {role.lower(): " and ".join(map(str, of)) for role, of in entry.persons.items()} for key, entry in entries.items()
    }
    return {key: {name.lower(): text for name, text in entry.fields.items()} | people[key] for key, entry in entries.items()}


def data_root(given: Path | None = None) -> Path:
    """The folder that holds the data sets: --data, else $BENCH_DATA, else the user's data folder."""
    return given or Path(os.environ.get("BENCH_DATA") or user_data_path("uda-bench", appauthor=False))


def results_root(given: Path | None = None, *, smoke: bool = False) -> Path:
    """The ledger of runs: --results, else ./results; smoke runs are no results and go to a corner that git ignores."""
    return given or Path("results", ".smoke" if smoke else "")


def cache_root() -> Path:
    """The folder of what can be made again: decoded pictures, the index of records."""
    return user_cache_path("uda-bench", appauthor=False)


def write(path: Path, text: str) -> None:
    """Write a text file. Raises BenchError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as e:
        raise BenchError(f"cannot write {path} ({e.strerror}); free space or choose another folder") from e
