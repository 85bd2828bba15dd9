"""The task of this project: how well an adapted network classifies images of both domains."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench import nets
from bench.data import Domain, Images
from bench.data.place import place
from bench.data.stream import Ahead, Stream, sent
from bench.data.views import Views
from bench.engine.clock import MIB
from bench.engine.lab import Lab
from bench.engine.memory import within_memory
from bench.engine.task import Materials, Placement, Task
from bench.runs.plan import Cell
from bench.suite.recipe import Recipe
from methods import Batch, Method, Network, get

EVAL_BATCH = 500  # at most so many images are evaluated at once
EVAL_PIXELS = 6_000_000  # and at most so many pixels: 119 images of 224×224


@dataclass(frozen=True)
class Side:
    """Source or target of a run, ready to be served."""

    train: Images  # where they were placed
    test: Images  # the same object as `train` when the domain is trained and tested on
    notes: tuple[str, ...]  # where that is, a sentence for each of the two
    stream: Callable[[int], Images]  # step -> the images of a batch, on the run's device
    view: Callable[[Tensor, int], Tensor]  # (uint8 images, step) -> what the network sees of them


class UDA(Task):
    """Trains on labelled source and unlabelled target images; measures both test sets.

    An `eval` line holds the counts that `evaluate` gives, for "source" and for "target".
    """

    def __init__(self, cell: Cell, lab: Lab) -> None:
        """Reads domains and weights. Raises BenchError when something is missing."""
        self.cell, self.device = cell, lab.device
        self.domains = dict(zip(("source", "target"), lab.domains(cell), strict=True))
        self.pretrained = lab.pretrained(cell)
        self.views = Views(cell.recipe, lab.device, seed=cell.seed)
        self.method = get(cell.method)
        self._sides: dict[str, Side] = {}
        self._threads = ExitStack()

    def describe(self) -> Materials:
        return Materials({d.name: _facts(d) for d in self.domains.values()}, self.pretrained.facts)

    def build(self) -> tuple[Network, Method]:
        cell = self.cell
        net = nets.build(cell.recipe, cell.classes, self.pretrained.state).to(self.device)
        return net, self.method(net, **cell.hyper).to(self.device)

    def open(self) -> None:
        self._sides = {name: self._side(name, d) for name, d in self.domains.items()}

    def _side(self, name: str, domain: Domain) -> Side:
        train, note = place(domain.train, self.device)
        test, test_note = train, note
        if domain.test is not domain.train:
            test, test_note = place(domain.test, self.device)
        r, seed = self.cell.recipe, self.cell.seed
        stream = Stream(train, r.batch, seed=seed, name=name, device=self.device)
        ahead = self._threads.enter_context(Ahead(stream)) if stream.away else stream
        return Side(train, test, (note, test_note), ahead, self.views.train(name))

    def batches(self, step: int) -> tuple[Batch, Batch]:
        source, target = self._sides["source"], self._sides["target"]
        s, t = source.stream(step), target.stream(step)
        y_t = t.y if self.method.supervised_target else None
        return Batch(source.view(s.x, step), s.y), Batch(target.view(t.x, step), y_t)  # type: ignore[arg-type]

    def measure(self, net: Network, method: Method) -> dict[str, Any]:
        r = self.cell.recipe
        with within_memory(self.device, self.cell.row, r, evaluated=_images_at_once(r)):
            return {
                name: evaluate(method, net, side.test, self.views, self.device, self.cell.classes)
                for name, side in self._sides.items()
            }

    def placement(self) -> Placement:
        sides = self._sides.values()
        kept = [side.train for side in sides]
        kept += [side.test for side in sides if side.test is not side.train]
        here = [images for images in kept if images.x.device.type == self.device.type]
        nbytes = sum(images.x.nbytes + images.y.nbytes for images in here)
        notes = {note for side in sides for note in side.notes}
        return Placement(nbytes / MIB, tuple(sorted(notes)))

    def close(self) -> None:
        self._sides = {}
        self._threads.close()


def _facts(domain: Domain) -> dict[str, Any]:
    """What a record says of a domain: its origin, and the count and fingerprint of its images."""
    parts = {"train": domain.train, "test": domain.test}
    counted = {k: {"images": len(v), "fingerprint": v.fingerprint()} for k, v in parts.items()}
    return {"origin": domain.origin} | counted


def _images_at_once(r: Recipe) -> int:
    return min(EVAL_BATCH, EVAL_PIXELS // r.pixels**2)


@torch.no_grad()
def evaluate(
    method: Method,
    net: Network,
    images: Images,
    views: Views,
    device: torch.device,
    classes: int,
) -> dict[str, list[int]]:
    """Predict every image once and count, for each class, a list of `classes` numbers:

    "total": its images; "correct": those of them predicted to be of it; "predicted": all images
    predicted to be of it. An image seen in several views (ten crops) gets the class whose mean
    softmax over the views is largest.
    """

    def predict(x: Tensor) -> Tensor:
        logits = [method.predict(net, v) for v in views.test(sent(x, device))]
        scores = logits[0] if len(logits) == 1 else torch.stack(logits).softmax(2).mean(0)
        return scores.argmax(1)

    batches = images.x.split(_images_at_once(views.recipe))
    guess, y = torch.cat([predict(x) for x in batches]).to(images.y.device), images.y
    counted = {"total": y, "correct": y[guess == y], "predicted": guess}
    return {k: torch.bincount(v, minlength=classes).tolist() for k, v in counted.items()}
