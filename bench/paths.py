"""Where things live: suite files, references, data, results, rendered tables."""

import os
import re
from pathlib import Path

from platformdirs import user_data_path

from bench.errors import BenchError

PACKAGE = Path(__file__).resolve().parent


def tables() -> list[Path]:
    """Folders of suite files: ./tables, then those that come with the program (in the wheel, or beside it in a checkout)."""
    shipped = PACKAGE / "tables" if (PACKAGE / "tables").is_dir() else PACKAGE.parent / "tables"
    return [p for p in dict.fromkeys([Path("tables").resolve(), shipped]) if p.is_dir()]


def references(folder: Path) -> dict[str, dict[str, str]]:
    """BibTeX key -> fields, from the references.bib beside a suite file and those of `tables()`."""
    found: dict[str, dict[str, str]] = {}
    for bib in [folder / "references.bib", *(t / "references.bib" for t in tables())]:
        if bib.is_file():
            for entry in re.split(r"^@\w+", bib.read_text(encoding="utf-8"), flags=re.M)[1:]:
                key = entry.split(",", 1)[0].strip(" {\n")
                fields = re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?\s*$", entry, flags=re.M)
                found.setdefault(key, {k.lower(): v for k, v in fields})
    return found


def data_root(given: Path | None = None) -> Path:
    """The folder that holds the data sets: --data, else $BENCH_DATA, else the user's data folder."""
    return given or Path(os.environ.get("BENCH_DATA") or user_data_path("uda-bench", appauthor=False))


def results_root(given: Path | None = None, *, smoke: bool = False) -> Path:
    """The ledger of runs: --results, else ./results; smoke runs are no results and go to a corner that git ignores."""
    return given or Path("results", ".smoke" if smoke else "")


def write(path: Path, text: str) -> None:
    """Write a text file. Raises BenchError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as e:
        raise BenchError(f"cannot write {path} ({e.strerror}); free space or choose another folder") from e
