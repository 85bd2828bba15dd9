"""Downloads a file from the first address that serves it, resuming what was begun."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from bench.errors import BenchError

ANSWER = 5.0  # seconds to wait for a server to answer
STALL = 10.0  # seconds to wait for the next bytes
DownloadProgress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes so far, and the bytes in all where they are known."""
_T = TypeVar("_T")


def download(
    urls: Sequence[str], path: Path, md5: str, progress: DownloadProgress | None = None
) -> None:
    """Puts a file at `path` once it is whole and its md5 is right; until then, and when the
    connection breaks, what arrived is in `path`.part.

    urls: the addresses to try, in this order. Raises BenchError saying what went wrong with each.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    failures = []
    for url in urls:
        try:
            _fetch(url, part, progress)
        except (OSError, HTTPException) as e:
            failures.append(f"{url}: {str(e).strip('<>').removeprefix('urlopen error ')}")
            continue
        if md5sum(part) == md5:
            os.replace(part, path)
            return
        part.unlink()
        failures.append(
            f"{url}: what it sent does not have the published checksum {md5}, and was removed"
        )
    raise BenchError("; ".join(failures))


def _fetch(url: str, part: Path, progress: DownloadProgress | None) -> None:
    """Appends to `part` what it lacks, or writes it from the start if the server cannot resume.

    Raises OSError and HTTPException.
    """
    have = part.stat().st_size if part.exists() else 0
    request = Request(
        url, headers={"User-Agent": "uda-bench"} | ({"Range": f"bytes={have}-"} if have else {})
    )
    try:
        answer = call_within(ANSWER, lambda: urlopen(request, timeout=STALL))
    except HTTPError as e:
        e.close()
        if have and e.code == 416:  # the server has no byte beyond these
            return  # whether they are the file, the checksum will show
        raise
    with answer, part.open("ab" if answer.status == 206 else "wb") as out:
        length = answer.headers["Content-Length"]
        total = out.tell() + int(length) if length else None
        while chunk := answer.read(1 << 20):
            out.write(chunk)
            if progress:
                progress(part.stem, out.tell(), total)
        if total is not None and out.tell() < total:
            raise ConnectionError(f"the connection broke after {out.tell():,} of {total:,} bytes")


def call_within(seconds: float, ask: Callable[[], _T]) -> _T:
    """What ask() returns. Raises what it raises, and TimeoutError after so many seconds.

    A socket's own timeout does neither limit the look-up of a host's name, nor the sum over its
    addresses, as each gets the whole time again.
    """
    answer: Future[_T] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except Exception as e:  # raised below, in the caller's thread
            answer.set_exception(e)

    Thread(target=work, daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError as e:
        raise TimeoutError(f"no answer within {seconds:g} s") from e


def md5sum(path: Path) -> str:
    """The md5 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
