"""Who runs a cell: one process at a time, on whatever machine, if they share the results folder.

A lease is a file in .locks, created by one process alone and touched by it every few seconds. No
clock is compared with another: whoever wants the cell watches the file on its own clock.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    from filelock import OwnerRecord, SoftFileLease

FOLDER = ".locks"  # of the leases, below the results
BEAT = 3.0  # seconds between two signs of life, at most
PATIENCE = "BENCH_PATIENCE"
"""Environment variable: seconds without a sign of life after which a lease may be taken over. The
same for all that share a folder."""


class Busy(BenchError):
    """Another process is running this cell, or it was run already."""


class Held(Busy):
    """Another process has this lease now."""


class Lost(BenchError):
    """This process can no longer record its cell: the lease is gone, or the disk takes no more."""


class Lease:
    """The right to run a cell, or to do whatever else the name stands for.

    As a context manager: it is ours until the block is left, or until another process takes it over
    because ours gave no sign of life. A process that is dead loses it at once, where one can see
    that it is dead: on its own machine.
    """

    def __init__(self, root: Path, name: str, doing: str = "is running it") -> None:
        """root: the folder of the records. name: what is taken, a cell's 's<seed>-<key>'.
        doing: what another process does that has it."""
        self.path, self.name, self._doing = root / FOLDER / f"{name}.lease", name, doing
        self._patience = read_patience()
        self._lock: SoftFileLease | None = None
        self._looked = 0.0  # when it was last found to be ours
        self._first = self._look()  # at the lease of another process
        self._seen = self._first, time.monotonic()  # how it looked last, and since when

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.give_back()

    def take(self) -> None:
        """Raises Held when another process has it, BenchError when the folder takes no files."""
        from filelock import LeaseSettingsMismatch, Timeout

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open().acquire()
        except Timeout as e:
            self._unblock()
            raise Held(self.describe_holder()) from e
        except LeaseSettingsMismatch as e:
            raise UsageError(
                f"{self.name} is taken by a process with another {PATIENCE}: give all processes "
                "that share a folder the same"
            ) from e
        except OSError as e:
            raise BenchError(
                f"cannot write under {self.path.parent} ({e.strerror}); "
                "choose another --results folder"
            ) from e
        self._looked = time.monotonic()

    def _unblock(self) -> None:
        """Let an empty lease be taken over that has been so for too long: its process ended between
        creating and filling it.

        filelock takes an empty file for a lease of an old version, which it keeps for ever, and one
        that holds a line break for damage. Appended, it does no harm to what is written meanwhile.
        """
        now = self._look()
        if now != self._seen[0]:
            self._seen = now, time.monotonic()
        if time.monotonic() - self._seen[1] < self._patience:
            return
        with suppress(OSError):
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            try:
                if os.fstat(fd).st_size == 0:
                    os.write(fd, b"\n")
            finally:
                os.close(fd)

    def take_or_wait(self) -> None:
        """Take it; where another process has it, wait until that one shows life, which raises Held,
        or has shown none for so long that it is taken over."""
        while True:
            try:
                return self.take()
            except Held:
                if self.shows_life():
                    raise
            time.sleep(BEAT / 10)

    def give_back(self) -> None:
        """It is ours no longer."""
        with suppress(OSError):  # the folder is gone, and the lease with it
            self._open().release()

    @property
    def doubtful(self) -> bool:
        """Whether it may have been taken over: it is long since one looked."""
        return (
            self._open().compromise is not None
            or time.monotonic() - self._looked > self._patience / 2
        )

    def check(self, *, sure: bool = False) -> None:
        """Raise Busy when another process has taken it over, Lost when its file is gone.

        sure: look at the file even if one has looked a moment ago.
        """
        if not (sure or self.doubtful):
            return
        lock, silent = self._open(), time.monotonic() - self._looked
        owner = self._read_owner()
        if owner is not None and owner.token == lock.token:
            self._looked = time.monotonic()
            if lock.compromise:  # the folder was away, and the signs of life have stopped
                self.give_back()
                self.take()
        elif owner is not None or silent > self._patience:
            raise Busy(
                f"another process took it over, because this one gave no sign of life for "
                f"{self._patience:g} s"
            )
        else:
            raise Lost(
                f"{self.path}, which says who runs {self.name}, was deleted or cannot be read: "
                "run the same command again"
            )

    def _read_owner(self) -> "OwnerRecord | None":
        """Who has it, None where its file is gone. On NFS an error may be gone a moment later."""
        for _ in range(3):
            if (owner := self._open().owner) is not None or not os.path.lexists(self.path):
                return owner
            time.sleep(0.1)
        return None

    def shows_life(self) -> bool:
        """Whether the process that has it has touched it since this object was made."""
        return (now := self._look()) is not None and now != self._first

    def find_owner(self) -> str:
        """The process that has it, such as 'process 123 on node7'; '' when none has."""
        owner = self._open().owner
        return f"process {owner.pid} on {owner.hostname}" if owner else ""

    def describe_holder(self) -> str:
        """What another process does that has it, in a sentence."""
        owner = self.find_owner()
        return f"another process {self._doing}" + (f" ({owner})" if owner else "")

    def _look(self) -> tuple[int, int] | None:
        """Changes with each sign of life. Opened, because only then NFS asks the server."""
        with suppress(OSError):
            fd = os.open(self.path, os.O_RDONLY)
            try:
                found = os.fstat(fd)
                return found.st_ino, found.st_mtime_ns
            finally:
                os.close(fd)
        return None

    def _open(self) -> "SoftFileLease":
        """One object for as long as this one: it remembers since when it has seen no change."""
        if self._lock is None:
            from filelock import SoftFileLease

            beat = min(BEAT, self._patience / 4)
            self._lock = SoftFileLease(
                self.path, lease_duration=self._patience, heartbeat_interval=beat,
                timeout=0, thread_local=False,
            )  # fmt: skip
        return self._lock


def read_patience() -> float:
    """Seconds without a sign of life after which a lease may be taken over. Raises UsageError."""
    text = os.environ.get(PATIENCE, "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 86_400:
        raise UsageError(f"{PATIENCE}={text!r} is no number of seconds from 0.1 to 86400")
    return seconds
