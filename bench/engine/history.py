"""What the code of an older commit does: probes for records that were made without one."""

import json
import math
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench import paths
from bench.engine import probe
from bench.runs.lines import Probe
from bench.suite.recipe import Recipe


class History:
    """Runs probes with the code of older commits of this checkout.

    A context manager, which ends the processes that it started.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._programs: dict[str, subprocess.Popen[str] | None] = {}
        self._known: dict[tuple[str, str], Probe | None] = {}

    def probe(self, run: Mapping[str, Any]) -> Probe | None:
        """The probe of the commit that made a record of schema 1, given its `run` line.

        None when the record names no commit or one with uncommitted changes, or when the commit is
        not in this checkout or cannot run the probe.
        """
        git = run["env"].get("git") or {"dirty": True}
        if git["dirty"]:
            return None
        today = Recipe.model_validate(run["recipe"]).model_dump(mode="json")
        hyper = {k: "inf" if v is None else v for k, v in run["hyper_all"].items()}
        subject = probe.subject(run["method"], hyper, today)
        key = git["commit"], subject
        if key not in self._known:
            asked = {"method": run["method"], "hyper": hyper, "recipe": run["recipe"]}
            losses = self._ask(git["commit"], asked)
            sound = losses is not None and all(map(math.isfinite, losses))
            self._known[key] = (
                Probe(subject=subject, losses=tuple(losses)) if losses and sound else None
            )
        return self._known[key]

    def _ask(self, commit: str, asked: Mapping[str, Any]) -> list[float] | None:
        if commit not in self._programs:
            self._programs[commit] = self._start(commit)
        if (child := self._programs[commit]) is None or not (child.stdin and child.stdout):
            return None
        with suppress(ValueError, OSError):
            child.stdin.write(json.dumps(asked) + "\n")
            child.stdin.flush()
            losses: list[float] | None = json.loads(child.stdout.readline())
            return losses
        self._programs[commit] = None  # it ended
        return None

    def _start(self, commit: str) -> subprocess.Popen[str] | None:
        if not re.fullmatch("[0-9a-f]{7,40}", commit):  # it comes from a file
            return None
        git = [
            "git",
            "-C",
            str(paths.PACKAGE.parent),
            "archive",
            "--format=tar",
            commit,
            "bench",
            "methods",
        ]
        try:
            packed = subprocess.run(git, capture_output=True)
        except OSError:  # no git
            return None
        if packed.returncode:
            return None
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as tar:
            tar.extractall(folder, filter="data")
        command = [sys.executable, "-P", probe.__file__]
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONPATH": str(folder)},
        )
        return self._open.enter_context(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
