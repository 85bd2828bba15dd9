"""The program, the versions and the machine that made a run. Names no host, user or path, because
records are published."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import paths
from bench.runs.lines import Code, Env, Probe


def describe(device: Any, load: float, *, keeps_freed: bool = False, shared: int = 1) -> Env:
    """The machine and libraries of a run on a torch device.

    load: see `read_load`. keeps_freed: what `memory.keep_freed` said. shared: see `Env`.
    """
    import torch

    gpu: dict[str, Any] = {}
    if device.type == "cuda":
        gpu = {
            "gpu": torch.cuda.get_device_name(device),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "driver": driver(),
        }
    return Env(
        python=platform.python_version(),
        torch=str(torch.__version__),
        torchvision=installed("torchvision"),
        numpy=installed("numpy"),
        system=f"{platform.system()} {platform.machine()}",
        cpu=cpu(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        load=load,
        keeps_freed=keeps_freed,
        shared=shared,
        device=device.type,
        **gpu,
    )


def read_load() -> float:
    """The load average of the machine over the last minute.

    To be asked before a run reads its images: decoding them keeps every core busy.
    """
    return round(os.getloadavg()[0], 2)


def code(probe: Probe | None) -> Code:
    """The program that runs. probe: what it does with the cell's method."""
    checkout = git() or {}
    return Code(bench=paths.VERSION, probe=probe, **checkout)


def installed(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git() -> dict[str, Any] | None:
    """Commit of the checkout that the program runs from, and whether its code was changed since.

    None when the program runs from a wheel, or when git cannot tell.
    """
    top = paths.PACKAGE.parent
    if not (top / ".git").exists():
        return None

    def ask(*args: str) -> str:
        return subprocess.run(
            ["git", "-C", str(top), *args], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # only code counts, new files too: records and tables may be ahead of the commit
        dirty = ask("status", "--porcelain", "--untracked-files=normal", "--", "bench", "methods")
        return {"commit": ask("rev-parse", "HEAD")[:12], "dirty": bool(dirty)}
    except (
        OSError,
        subprocess.CalledProcessError,
    ):  # no git, or git does not trust the owner of this folder
        return None


def cpu() -> str:
    """The processor's model name, or whatever the system tells of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")),
        platform.processor(),
    )


def memory_gib() -> float:
    """Physical memory, GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def driver() -> str | None:
    """Version of the NVIDIA driver; None when there is none."""
    try:
        ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return (
            subprocess.run(ask, capture_output=True, text=True, timeout=10)
            .stdout.split("\n")[0]
            .strip()
            or None
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
