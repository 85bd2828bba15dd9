"""What a process on whatever machine needs to know to run cells."""

import os
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench import paths
from bench.engine.events import Listener, ignore
from bench.engine.lab import Lab, find_device
from bench.errors import BenchError
from bench.runs.lines import ArtefactName
from bench.suite import catalog


@dataclass(frozen=True)
class Job:
    """The settings of a command, for the processes that it starts; can be pickled."""

    folder: Path  # the working folder: methods of one's own lie below it
    data: Path
    results: Path
    code: str  # fingerprint of the program that sends it; see `fingerprint_code`
    weights: Path | None = None
    skip_unreadable: bool = False
    keep: tuple[ArtefactName, ...] = ()
    checkpoint_every: float = 300.0
    shared: int = 1
    redo: bool = False  # also run cells that are finished
    known: frozenset[str] | None = None

    @classmethod
    def of(cls, lab: Lab, **changes: Any) -> "Job":
        """The job of a command whose own lab this is. A `fresh` one has dropped its checkpoints."""
        names = {f.name for f in fields(cls)} & {f.name for f in fields(Lab)}
        settings = {name: getattr(lab, name) for name in names} | changes
        return cls(folder=Path.cwd(), code=fingerprint_code(), **settings)

    def open_lab(self, device: str, tell: Listener = ignore) -> Lab:
        """The lab of a process that runs cells of the job, from its working folder.

        device: as --device. tell: hears how far decoding and evaluating are. Raises BenchError when
        the program here is another than the one that sent the job, or the device is absent.
        """
        try:
            os.chdir(self.folder)
        except OSError as e:
            raise BenchError(
                f"the working folder {self.folder} is not on this machine ({e.strerror})"
            ) from e
        if (here := fingerprint_code()) != self.code:
            raise BenchError(
                f"this worker has another version of the program ({here}) than the command that "
                f"started it ({self.code}): install the same on every machine"
            )
        return Lab(
            self.data, self.results, find_device(device), self.weights, self.skip_unreadable,
            tell, self.keep, self.checkpoint_every, shared=self.shared, known=self.known,
        )  # fmt: skip


def fingerprint_code() -> str:
    """12 hex digits that stand for the source text of the program and of the user's methods."""
    sources = {f"bench/{p.relative_to(paths.PACKAGE)}": p for p in paths.PACKAGE.rglob("*.py")}
    sources |= {f"methods/{name}": path for name, path in catalog.files().items()}
    found = sha256(paths.VERSION.encode())
    for name, path in sorted(sources.items()):
        found.update(f"\n{name}\n".encode() + path.read_bytes())
    return found.hexdigest()[:12]
