"""What the cells of one command share: the device, the folders, and what was already read."""

import re
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from bench import nets
from bench.data.images import Domain, require_same_classes
from bench.data.listing import find_domain_set, has_pictures
from bench.data.load import load_domain
from bench.engine.events import Listener, Working, ignore
from bench.errors import BenchError, UsageError
from bench.nets.namings import StateDict
from bench.runs.cell import Cell
from bench.runs.lines import ArtefactName, Weights
from bench.suite.suite import DomainSpec

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class DomainRequest:
    """A domain as a cell asks for it: requests that are equal get the same images."""

    name: str  # of the domain in its suite
    spec: DomainSpec  # the published set that it is made of
    size: int  # side of the square that images are resized to, pixels
    resize: str  # by which filter
    train_limit: int | None  # at most so many images to train on
    test_limit: int | None  # at most so many images to test on
    classes: int  # how many the suite has


@dataclass(frozen=True)
class Pretrained:
    """Pretrained weights of a backbone."""

    state: StateDict | None  # the tensors by name; None: the network starts at random
    facts: Weights  # which they are, as a record names them


@dataclass
class Lab:
    """The device and folders of a command; reads each domain and each file of weights once."""

    data: Path  # folder of the data sets
    results: Path  # folder of the records
    device: torch.device  # where networks are trained
    weights: Path | None = None  # file of pretrained weights; None: downloaded from their publisher
    skip_unreadable: bool = False  # leave out images that cannot be decoded
    listener: Listener = ignore  # hears how far decoding and evaluating are
    keep: tuple[ArtefactName, ...] = ()  # what a finished cell leaves beside its record
    checkpoint_every: float = 300.0  # seconds between two checkpoints of a cell; 0: none is written
    fresh: bool = False  # begin cells anew, whatever checkpoints there are
    shared: int = 1  # how many cells train at once on the device
    known: frozenset[str] | None = None
    """Where several processes share cells: the records that were there when they began. A newer one
    settles its cell, however it ended. None: there is no such beginning."""
    built: set[Hashable] = field(default_factory=set)  # networks that were found to go together
    worked_out: dict[Hashable, Any] = field(default_factory=dict)  # by a task, once for all cells
    stood_in: set[str] = field(default_factory=set)  # domains that random images stood in for
    _domains: dict[Hashable, Domain | BenchError] = field(default_factory=dict)
    _weights: dict[Hashable, Pretrained | BenchError] = field(default_factory=dict)

    def tell(self, event: Working) -> None:
        """Pass it to the listener. That a screen cannot show it, because its pipe is closed or its
        disk is full, is no fault of the training that goes on here."""
        with suppress(OSError):
            self.listener(event)

    def domains(self, cell: Cell, *, pixels: bool = True) -> tuple[Domain, Domain]:
        """Source and target of a cell. Raises BenchError when one is missing or both disagree.

        pixels: whether images are wanted, or labels alone, which takes no decoding. A smoke run
        makes do with random images where a domain cannot be read.
        """
        source, target = (
            self.domain(cell, *end, pixels=pixels) for end in (cell.source, cell.target)
        )
        require_same_classes(source, target)
        return source, target

    def domain(self, cell: Cell, name: str, spec: DomainSpec, *, pixels: bool = True) -> Domain:
        """One of a cell's domains; see `domains`."""
        r = cell.recipe
        asked = DomainRequest(
            name, spec, r.size, r.resize, r.train_limit, r.test_limit, cell.classes
        )
        smoke = cell.budget == "smoke"
        # arrays are read whole for their labels, so what was read is kept for the run
        pixels = pixels or not has_pictures(find_domain_set(name, spec))
        return _once(
            self._domains, (asked, pixels, smoke), lambda: self._read(asked, pixels, smoke)
        )

    def _read(self, asked: DomainRequest, pixels: bool, smoke: bool) -> Domain:
        try:
            return self._load(asked, pixels)
        except BenchError as e:
            if not smoke or isinstance(e, UsageError):
                raise
            self.stood_in.add(asked.name)
            return self._load(asked, pixels, synthetic=True)

    def _load(self, asked: DomainRequest, pixels: bool, *, synthetic: bool = False) -> Domain:
        return load_domain(
            asked.name,
            asked.spec,
            root=self.data,
            size=asked.size,
            resize=asked.resize,
            classes=asked.classes,
            train_limit=asked.train_limit,
            test_limit=asked.test_limit,
            synthetic=synthetic,
            skip_unreadable=self.skip_unreadable,
            progress=lambda done, n: self.tell(Working(f"decoding {asked.name}", done, n)),
            pixels=pixels,
        )

    def pretrained(self, cell: Cell) -> Pretrained:
        """The pretrained weights of a cell's recipe. Raises BenchError when they are missing.

        A smoke run without a file of weights starts at random instead of downloading any.
        """
        r = cell.recipe
        key = (r.backbone, r.weights, r.head)
        if cell.budget == "smoke" and self.weights is None and r.weights != "none":
            return Pretrained(None, Weights(asked=r.weights))

        def read() -> Pretrained:
            state, facts = nets.load_weights(r, self.weights)
            return Pretrained(state, Weights(**facts))

        return _once(self._weights, key, read)


def _once(known: dict[K, T | BenchError], key: K, make: Callable[[], T]) -> T:
    """What is known by this key, else what is made now; a failure is remembered and raised again,
    so that sixty cells do not wait for a network sixty times."""
    if key not in known:
        try:
            known[key] = make()
        except BenchError as e:
            known[key] = e
    found = known[key]
    if isinstance(found, BenchError):
        raise found
    return found


def find_device(name: str) -> torch.device:
    """auto, cpu, cuda or cuda:N -> a device that is there. Raises UsageError."""
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d{1,4})?", name):
        raise UsageError(f"unknown device {name!r}; use auto, cpu or cuda:N")
    device = torch.device(name)
    n = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= n:
        instead = "cpu" if n == 0 else f"cuda:0 to cuda:{n - 1}"
        raise UsageError(f"no GPU {name}: torch sees {n}; use --device {instead}")
    return device
