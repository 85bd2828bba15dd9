"""Where things are: suite files, data sets, run records; and writing text files."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from bench.errors import BenchError

PACKAGE = Path(__file__).resolve().parent  # the folder of `bench`
SMOKE, PAGES = ".smoke", "tables"  # folders below the results: smoke runs, pages of the records
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

    Smoke runs measure nothing: unless --results names a folder, they go to one that git ignores.
    """
    return given or Path("results", SMOKE if smoke else "")


def pages_root(results: Path) -> Path:
    """The folder of the pages of some records: tables/rendered for those of ./results.

    The pages of any others lie beside them, so that they do not replace those of a project.
    """
    own = os.path.realpath(results) == os.path.realpath(results_root())
    return Path("tables", "rendered") if own else results / PAGES


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


@contextmanager
def replacing(path: Path, draft: Path | None = None) -> Iterator[BufferedRandom]:
    """A file to write, which takes the place of `path` when the block ends well.

    Whoever reads `path` meanwhile, or after a power cut, finds all of the old content or all of the
    new; when the block fails nothing has changed. draft: where it is written until then, on the
    same disk; by default `path`.part, which is for writers that know they are alone. Raises
    OSError.
    """
    draft = draft or path.with_name(f"{path.name}.part")
    try:
        with draft.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file: see `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, and the folders above it where they are missing, in place of an older one.

    As `replacing` does, and several processes may at once. Raises BenchError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if special_kind(path):  # /dev/stdout is written to, not replaced
            path.write_bytes(content)
            return
        place = path.resolve()  # behind a link is what it leads to
        with replacing(place, place.with_name(f".{place.name}.{os.getpid()}")) as file:
            file.write(content)
    except OSError as e:
        raise BenchError(
            f"cannot write {path} ({e.strerror}); free space or choose another folder"
        ) from e
