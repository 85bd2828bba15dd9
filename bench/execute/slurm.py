"""The executor of a cluster that SLURM schedules: a job array of workers, submitted by submitit.

Each job runs whatever cells nobody has, one on each of its GPUs, until none is left. When SLURM
warns it, before its time limit, it leaves checkpoints and is queued again.
"""

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.engine.events import Event, Submitted
from bench.engine.interrupts import Interrupted
from bench.engine.lab import Lab
from bench.errors import BenchError, UsageError
from bench.execute.here import Here
from bench.execute.job import Job
from bench.execute.workers import Workers
from bench.runs import forecast, records
from bench.runs.cell import Cell

Follow = Callable[[Generator[Event, None, None]], object]

REQUEUES = 10_000  # times that a job may reach its time limit and go on: it ends when all is done
WARNING_S = 90  # seconds between SLURM's warning and a job's end; half of a shorter job


@dataclass(frozen=True)
class Ask:
    """What is asked of SLURM."""

    workers: int = 1  # jobs of the array
    minutes: int = 60  # time limit of each
    partition: str | None = None
    gpus: int = 0  # of each job; 0: it computes on a CPU
    cpus_per_task: int | None = None  # cores of a worker
    array_parallelism: int | None = None  # at most so many jobs at once
    per_gpu: int = 1  # cells that share a GPU

    @property
    def devices(self) -> tuple[str, ...]:
        """That of each cell that a job trains at once."""
        return tuple(f"cuda:{i}" for i in range(self.gpus)) * self.per_gpu or ("cpu",)


@dataclass(frozen=True)
class Slurm:
    """An Executor: `run` submits, and does not wait. What becomes of the cells, records say."""

    here: Here  # checks cells
    ask: Ask
    follow: Follow  # writes a worker's events to its log; pickled by its name
    cluster: str = "slurm"  # submitit's name; "local" and "debug" run the workers on this machine

    @property
    def lab(self) -> Lab:
        return self.here.lab

    def check(self, cells: Iterable[Cell]) -> None:
        """See Executor.check: that of the machine that submits."""
        self.here.check(cells)

    def run(
        self, cells: Iterable[Cell], *, keep_going: bool = False, redo: bool = False
    ) -> Generator[Event, None, None]:
        """Submit the cells; gives a Submitted. Raises UsageError when submitit is not installed,
        BenchError when there is no SLURM or it refuses."""
        cells = list(cells)
        if self.lab.fresh:
            self.here.drop_checkpoints(cells)
        names = self._submit(self.make_worker(cells, keep_going=keep_going, redo=redo))
        yield Submitted(len(cells), f"{self.cluster} job {', '.join(names)}", self._folder)

    def make_worker(self, cells: Iterable[Cell], *, keep_going: bool, redo: bool) -> "Worker":
        """What each job of the array runs. With redo, what is recorded already settles no cell."""
        found = records.read_all(self.lab.results)
        known = frozenset(str(r.path) for r in found if r.complete)
        job = Job.of(self.lab, redo=redo, known=known)
        order = tuple(forecast.order_longest_first(list(cells), found))
        return Worker(job, order, self.ask.devices, keep_going, self.follow)

    @property
    def _folder(self) -> Path:
        return self.lab.results / records.JOBS

    def _submit(self, worker: "Worker") -> list[str]:
        submitit = import_submitit()
        ask = self.ask
        optional = {
            "slurm_partition": ask.partition,
            "slurm_array_parallelism": ask.array_parallelism,
            "cpus_per_task": ask.cpus_per_task,
            "gpus_per_node": ask.gpus or None,
        }
        try:
            executor = submitit.AutoExecutor(
                self._folder / "%j", cluster=self.cluster, slurm_max_num_timeout=REQUEUES
            )
            executor.update_parameters(
                name="bench", timeout_min=ask.minutes,
                slurm_signal_delay_s=min(WARNING_S, 30 * ask.minutes),
                **{k: v for k, v in optional.items() if v is not None},
            )  # fmt: skip
            with executor.batch():
                jobs = [executor.submit(worker) for _ in range(ask.workers)]
        except (OSError, submitit.core.utils.FailedJobError) as e:
            raise BenchError(f"SLURM refuses the job: {' '.join(str(e).split())}") from e
        except RuntimeError as e:
            raise BenchError(f"no SLURM on this machine ({e}): run it where `sbatch` is") from e
        return list(dict.fromkeys(str(job.job_id).split("_")[0] for job in jobs))


@dataclass(frozen=True)
class Worker:
    """What one job of the array runs; submitit pickles it."""

    job: Job
    cells: tuple[Cell, ...]
    devices: tuple[str, ...]  # that of each cell that it trains at once
    keep_going: bool
    follow: Follow

    def __call__(self) -> None:
        """Run whatever cell nobody has. Interrupted by SLURM's warning, be queued again."""
        if "SLURM_JOB_ID" in os.environ:  # which gives a task one core unless asked for more
            torch.set_num_threads(int(os.environ.get("SLURM_CPUS_PER_TASK", 1)))
        here = Here(self.job.open_lab(self.devices[0]))
        executor = here if len(self.devices) == 1 else Workers(here, self.devices)
        try:
            self.follow(executor.run(self.cells, keep_going=self.keep_going, redo=self.job.redo))
        except Interrupted as e:  # the checkpoints are written
            warning = os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")
            if e.number == signal.Signals[f"SIG{warning}"]:  # whose handler is submitit's again
                signal.raise_signal(e.number)
            sys.exit(128 + e.number)

    def checkpoint(self) -> Any:
        """What submitit runs when the job is queued again: the same, because records know all."""
        return import_submitit().helpers.DelayedSubmission(self)


def import_submitit() -> Any:
    """The library. Raises UsageError when it is not installed."""
    try:
        import submitit
    except ImportError as e:
        raise UsageError('--on slurm needs submitit: pip install "uda-bench[slurm]"') from e
    return submitit
