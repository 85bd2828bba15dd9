"""What a run measures: the contract between the engine and a task."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from bench.errors import BenchError, UsageError
from bench.runs.artefacts import Arrays
from bench.runs.lines import ArtefactName, Eval, LoadedDomain, Normalization, Weights
from bench.runs.maps import Maps
from bench.runs.samples import Samples
from methods import Batch, Method, Network


@dataclass(frozen=True)
class Materials:
    """What a run is made of besides its code, as the `run` line of its record holds it."""

    data: dict[str, LoadedDomain]  # the domains, by the suite's names: source, then target
    weights: Weights  # the pretrained weights
    normalization: Normalization | None = None  # the numbers that `normalize = "model"` stands for


@dataclass(frozen=True)
class Placement:
    """Where the data of a run were kept, as the `end` line of its record holds it."""

    mib: float = 0.0  # size of the data that lay on the run's device, MiB
    places: dict[str, str] = field(default_factory=dict)  # of each domain's images: "cuda:0", "cpu"


class Task(ABC):
    """Builds a network and a method, serves their batches, and measures what they learnt.

    A task is made before the record of its run is begun and raises BenchError when something that
    it needs is missing, so that nothing is recorded then. The engine calls `build`, `open`, then
    `batches` and `measure` in turns, and `close` in the end, however the run ended. Nothing outside
    a task knows what it measures: an accuracy, a distance, any numbers.
    """

    keeps: ClassVar[tuple[ArtefactName, ...]] = ("weights",)
    """What of a finished run can be kept; the engine itself keeps the weights."""

    @classmethod
    def check_kept(cls, names: Iterable[ArtefactName]) -> None:
        """Raise UsageError when a run makes none of these."""
        if missing := [n for n in names if n not in cls.keeps]:
            raise UsageError(
                f"this task makes no {' and no '.join(missing)}: keep {', '.join(cls.keeps)}"
            )

    @abstractmethod
    def describe(self) -> Materials:
        """What the run is made of."""

    @abstractmethod
    def build(self) -> tuple[Network, Method]:
        """A new network and method on the run's device, drawn from torch's random numbers."""

    def open(self) -> None:  # noqa: B027  # most tasks have nothing to open
        """Get ready to serve batches and to measure. Called after `build`."""

    @abstractmethod
    def batches(self, step: int) -> tuple[Batch, Batch]:
        """Source and target batch of an iteration (0 is the first), on the run's device.

        A function of the step alone, so that a training can start at any step.
        """

    @abstractmethod
    def measure(self, net: Network, method: Method, step: int) -> Eval:
        """The `eval` line after `step` iterations: counts of predictions, or values by name.

        Both modules are in evaluation mode while it is called.
        """

    def keep(
        self, net: Network, method: Method, names: Collection[ArtefactName]
    ) -> dict[ArtefactName, Arrays]:
        """What a trained network makes of the test images: logits, features, whichever are named.

        A name may be left out where the method makes no such thing. Called after the last
        measurement, with both modules in evaluation mode. Raises BenchError where nothing can be
        had. The run counts without what is missing, and says so.
        """
        return {}

    def explain(self, net: Network, method: Method) -> Maps:
        """What a trained network looks at in some images, for a task whose `keeps` has "maps".

        Called as `keep` is. Raises BenchError where the network has no maps.
        """
        raise BenchError("this task explains nothing")

    def show(self, net: Network, method: Method) -> Samples:
        """What was generated at each measurement, for a task whose `keeps` has "samples"."""
        raise BenchError("this task generates nothing")

    def placement(self) -> Placement:
        """Where the data were kept. Called before `close`."""
        return Placement()

    def close(self) -> None:  # noqa: B027  # see `open`
        """Give back threads and memory. Called in the end, also when `open` was never called."""
