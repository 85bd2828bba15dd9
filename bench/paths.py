"""Where things are: suite files, data sets, run records; and writing text files."""

import os
import stat
import sys
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from bench.errors import BenchError

PACKAGE = Path(__file__).resolve().parent  # the folder of `bench`
VERSION = "0.1.0"  # of the program


def tables() -> list[Path]:
    """The folders of suite files: ./tables, then that of the program.

    A wheel has its folder inside `bench`, a checkout beside it.
    """
    shipped = PACKAGE / "tables" if (PACKAGE / "tables").is_dir() else PACKAGE.parent / "tables"
    return [p for p in dict.fromkeys([Path("tables").resolve(), shipped]) if p.is_dir()]


def data_root(given: Path | None = None) -> Path:
    """The folder of the data sets: --data, else $BENCH_DATA, else the user's data folder."""
    return given or Path(
        os.environ.get("BENCH_DATA") or user_data_path("uda-bench", appauthor=False)
    )


def results_root(given: Path | None = None, *, smoke: bool = False) -> Path:
    """The folder of run records: --results, else ./results.

    Smoke runs measure nothing: their records go to a sub-folder that git ignores.
    """
    return given or Path("results", ".smoke" if smoke else "")


def pages_root(results: Path) -> Path:
    """The folder of the pages of some records: tables/rendered for those of ./results.

    The pages of any others lie beside them, so that they do not replace those of a project.
    """
    own = os.path.realpath(results) == os.path.realpath(results_root())
    return Path("tables", "rendered") if own else results / "tables"


def cache_root() -> Path:
    """The folder of what can be made again: decoded pictures, the index of records."""
    return user_cache_path("uda-bench", appauthor=False)


def own_interpreter(code: str) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of an interpreter of its own that runs code of bench.

    Unlike multiprocessing it does not run the caller's script again.
    """
    places = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    return [sys.executable, "-P", "-c", code], os.environ | {"PYTHONPATH": places}


SPECIAL = {
    stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip


def special_kind(path: Path) -> str | None:
    """ "a FIFO", "a socket" or "a device" for what cannot be read like a file and may keep a reader
    waiting for ever; None for files, for folders and for what is not there."""
    try:
        return SPECIAL.get(stat.S_IFMT(path.stat().st_mode))
    except (OSError, ValueError):
        return None


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_text(path: Path, text: str) -> None:
    """Write a text file as a whole: who reads it meanwhile sees the old one or the new one.

    Raises BenchError.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    write_text(draft, text)
    try:
        os.replace(draft, path)
    except OSError as e:
        draft.unlink(missing_ok=True)
        raise BenchError(f"cannot write {path} ({e.strerror}); choose another file") from e


def write_text(path: Path, text: str) -> None:
    """Write a text file, and the folders above it where they are missing. Raises BenchError."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, and the folders above it where they are missing. Raises BenchError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as e:
        raise BenchError(
            f"cannot write {path} ({e.strerror}); free space or choose another folder"
        ) from e
