"""A file from the first address that gives it, resumed where an earlier attempt broke off."""

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
Progress = Callable[[str, int, int | None], None]  # file name, bytes so far, bytes in all if known
T = TypeVar("T")


def download(urls: Sequence[str], path: Path, md5: str, progress: Progress | None = None) -> None:
    """Puts the file at `path` once it is whole and its md5 is right; until then its bytes are kept in `path`.part.

    Raises BenchError with what each address said.
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
        failures.append(f"{url}: what it sent does not have the published checksum {md5}, and was removed")
    raise BenchError("; ".join(failures))


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    """Appends to `part` what it lacks, or writes it anew if the server cannot resume. Raises OSError, HTTPException."""
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"User-Agent": "uda-bench"} | ({"Range": f"bytes={have}-"} if have else {}))
    try:
        answer = within(ANSWER, lambda: urlopen(request, timeout=STALL))
    except HTTPError as e:
        e.close()
        if have and e.code == 416:  # nothing beyond what is there: the checksum decides what that is worth
            return
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


def within(seconds: float, ask: Callable[[], T]) -> T:
    """`ask()`, or TimeoutError after so many seconds.

    A socket's own timeout starts anew for every address of a host, and does not cover looking the host up.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except Exception as e:  # raised again below, in the thread that asked
            answer.set_exception(e)

    Thread(target=work, daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError as e:
        raise TimeoutError(f"no answer within {seconds:g} s") from e


def md5sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
