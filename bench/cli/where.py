"""Where `bench run` trains: in this process, in several, on a SLURM cluster or on a Ray cluster."""

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from bench.cli.options import option
from bench.errors import UsageError, shorten

if TYPE_CHECKING:
    from collections.abc import Generator

    from bench.engine.events import Event
    from bench.engine.executor import Executor
    from bench.execute.here import Here

Place = Literal["here", "slurm", "ray"]

OnOption = Annotated[
    Place | None,
    option(
        "--on",
        help="here: this machine (default); slurm: a job array; ray: a Ray cluster.",
    ),
]
WorkersOption = Annotated[
    int | None,
    option(
        "--workers",
        min=1,
        max=1024,
        help="Train so many cells at once, in processes that share the GPUs or the cores; with "
        "--on slurm: jobs of the array (default: one, or one for each GPU of --device).",
    ),
]
PerGpuOption = Annotated[
    int | None,
    option("--per-gpu", min=1, max=64, help="Cells that share a GPU; their times are marked so."),
]
PartitionOption = Annotated[str | None, option("--partition", help="SLURM: the partition.")]
TimeOption = Annotated[
    str | None,
    option(
        "--time",
        metavar="LIMIT",
        help="SLURM: time limit of a job, in minutes or as D-HH:MM:SS (default: 60); what is left "
        "then is queued again and goes on at its checkpoint.",
    ),
]
GpusPerNodeOption = Annotated[
    int | None,
    option("--gpus-per-node", min=0, max=64, help="SLURM: GPUs of a job, a process for each."),
]
CpusOption = Annotated[
    int | None, option("--cpus-per-task", min=1, max=1024, help="SLURM, Ray: cores of a worker.")
]
ParallelismOption = Annotated[
    int | None, option("--array-parallelism", min=1, help="SLURM: at most so many jobs at once.")
]
AddressOption = Annotated[
    str | None,
    option(
        "--address",
        help="Ray: the cluster's address (default: $RAY_ADDRESS, else a cluster on this machine).",
    ),
]


@dataclass(frozen=True)
class Where:
    """What the options of a command say of where it trains."""

    device: str = "auto"
    on: Place = "here"
    workers: int | None = None
    per_gpu: int | None = None
    partition: str | None = None
    time: str | None = None
    gpus_per_node: int | None = None
    cpus_per_task: int | None = None
    array_parallelism: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for options that do not go together."""
        owners = {
            "partition": ("slurm",), "time": ("slurm",), "gpus_per_node": ("slurm",),
            "array_parallelism": ("slurm",), "cpus_per_task": ("slurm", "ray"),
            "address": ("ray",), "workers": ("here", "slurm"),
        }  # fmt: skip
        for name, places in owners.items():
            if getattr(self, name) is not None and self.on not in places:
                where = " or ".join(f"--on {p}" for p in places)
                raise UsageError(f"--{name.replace('_', '-')} is about {where}, not --on {self.on}")
        several = self.device == "all" or "," in self.device
        if self.on != "here" and (several or re.search(r":\d", self.device)):
            raise UsageError(f"--on {self.on} chooses GPUs itself: use --device auto, cpu or cuda")
        if self.on == "slurm" and self.device == "cpu" and self.gpus_per_node:
            raise UsageError("--gpus-per-node asks for GPUs, and --device cpu leaves them idle")
        on_gpu = self.device == "cuda" or (self.gpus_per_node or 0) > 0
        if self.per_gpu and (self.device == "cpu" or (self.on == "slurm" and not on_gpu)):
            raise UsageError("--per-gpu is about GPUs, and this is a CPU: use --workers")
        read_minutes(self.time)

    def make_executor(self, make_here: Callable[[str], "Here"]) -> "Executor":
        """The executor that is asked for. make_here: that of this process, on a device. Raises
        UsageError for an absent device, or for more workers than fit."""
        if self.on == "slurm":
            from bench.execute import slurm

            gpus = self.gpus_per_node or int(self.device == "cuda")
            ask = slurm.Ask(
                self.workers or 1, read_minutes(self.time), self.partition, gpus,
                self.cpus_per_task, self.array_parallelism, self.per_gpu or 1,
            )  # fmt: skip
            return slurm.Slurm(make_here("cpu"), ask, follow_plainly)
        if self.on == "ray":
            from bench.execute import cluster

            asked = cluster.Ask(
                self.device, self.per_gpu or 1, self.cpus_per_task or 1, self.address
            )
            return cluster.Cluster(make_here("cpu"), asked)
        devices = list_devices(self.device, self.workers, self.per_gpu)
        here = make_here(devices[0])
        if len(devices) == 1 and self.workers is None:
            return here
        from bench.execute.workers import Workers

        return Workers(here, devices)


def follow_plainly(events: "Generator[Event, None, None]") -> Counter[str]:
    """Write events to standard output, a line each; for the log of a job."""
    from bench.cli.output import console
    from bench.cli.screen import Screen

    with Screen(console()) as drawing:
        return drawing.follow(events)


def list_devices(name: str, workers: int | None, per_gpu: int | None) -> list[str]:
    """The device of each worker on this machine. name: as --device. Raises UsageError."""
    import torch

    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if name == "all" and not gpus:
        raise UsageError("there is no GPU on this machine: use --device cpu")
    if name == "all" or (name == "auto" and (workers or per_gpu)):
        chosen = gpus or ["cpu"]
    elif name.startswith("cuda:"):
        chosen = [f"cuda:{i}" for i in dict.fromkeys(name.removeprefix("cuda:").split(","))]
    else:
        chosen = [name]
    if not chosen[0].startswith("cuda"):
        if per_gpu:
            raise UsageError("--per-gpu is about GPUs, and this is a CPU: use --workers")
        return chosen * (workers or 1)
    slots = chosen * (per_gpu or 1)
    if workers and workers > len(slots):
        fits = math.ceil(workers / len(chosen))
        raise UsageError(
            f"{workers} workers do not fit {len(chosen)} GPU{'s' * (len(chosen) > 1)}: "
            f"add --per-gpu {fits} to let them share, or ask for {len(slots)}"
        )
    return slots[:workers]


def read_minutes(text: str | None) -> int:
    """'90' or '1-12:00:00' -> minutes; 60 where nothing is said. Raises UsageError."""
    if text is None:
        return 60
    found = re.fullmatch(r"(?:(?:(\d{1,3})-)?(\d{1,3}):([0-5]\d):[0-5]\d|(\d{1,6}))", text.strip())
    if not found:
        raise UsageError(
            f"cannot read the time limit {shorten(text)!r}; write minutes, or D-HH:MM:SS"
        )
    days, hours, minutes, plain = (int(x or 0) for x in found.groups())
    total = plain + minutes + 60 * (hours + 24 * days)
    if not total:
        raise UsageError("a time limit of no minute leaves no time to train")
    return total
