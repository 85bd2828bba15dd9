"""The task of this project: how well an adapted network classifies images of both domains."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from bench import nets
from bench.data.images import Domain, Images, place_images, send
from bench.data.stream import Ahead, Drawn, Stream, check_batch
from bench.data.views import MeanStd, Views
from bench.engine import scores
from bench.engine.clock import MIB
from bench.engine.collect import Collector, choose, join
from bench.engine.events import Working
from bench.engine.lab import Lab
from bench.engine.maps import explain
from bench.engine.memory import within_memory
from bench.engine.task import Materials, Placement, Task
from bench.errors import UsageError
from bench.runs import lines
from bench.runs.artefacts import Arrays
from bench.runs.cell import Cell
from bench.runs.lines import ArtefactName, Counts, Eval
from bench.runs.maps import Maps
from bench.suite.recipe import Recipe
from methods import Batch, Method, Network, get

EVAL_BATCH = 500  # at most so many images are evaluated at once
EVAL_PIXELS = 6_000_000  # and at most so many pixels: 119 images of 224×224


@dataclass(frozen=True)
class ServedDomain:
    """Source or target of a run, ready to be served."""

    train: Images  # where they were placed
    test: Images  # the same object as `train` when the domain is trained and tested on
    stream: Callable[[int], Drawn]  # step -> the images of a batch, on the run's device
    view: Callable[[Tensor, int], Tensor]  # (uint8 images, step) -> what the network sees of them
    strong: Callable[[Tensor, int], Tensor] | None  # the same, strongly augmented


class UDA(Task):
    """Trains on labelled source and unlabelled target images; measures both test sets.

    An `eval` line holds the counts on both, the last one with the confusion matrix, and how good
    the predictions on the target look without its labels.
    """

    keeps = ("logits", "features", "maps", "weights")

    def __init__(self, cell: Cell, lab: Lab) -> None:
        """Reads domains and weights. Raises BenchError when something is missing."""
        check_metric(cell, lab)
        self.cell, self.device, self.tell = cell, lab.device, lab.tell
        self.domains = dict(zip(("source", "target"), lab.domains(cell), strict=True))
        self.pretrained = lab.pretrained(cell)
        own = nets.find_backbone(cell.recipe).mean_std
        self.normalization = _state_normalization(cell.recipe, own)
        self.views = Views(cell.recipe, lab.device, seed=cell.seed, own=own)
        self.method = get(cell.method)
        self._sides: dict[str, ServedDomain] = {}
        self._threads = ExitStack()

    def describe(self) -> Materials:
        data = {d.name: state_facts(d) for d in self.domains.values()}
        return Materials(data, self.pretrained.facts, self.normalization)

    def build(self) -> tuple[Network, Method]:
        cell = self.cell
        net = nets.build(cell.recipe, cell.classes, self.pretrained.state).to(self.device)
        net.n_t = len(self.domains["target"].train)
        return net, self.method(net, **cell.hyper).to(self.device)

    def open(self) -> None:
        self._sides = {name: self._side(name, d) for name, d in self.domains.items()}

    def _side(self, name: str, domain: Domain) -> ServedDomain:
        train = place_images(domain.train, self.device)
        same = domain.test is domain.train
        test = train if same else place_images(domain.test, self.device)
        r, seed = self.cell.recipe, self.cell.seed
        stream = Stream(train, r.batch, seed=seed, name=name, device=self.device)
        ahead = self._threads.enter_context(Ahead(stream)) if stream.away else stream
        strong = self.views.strong(name) if "strong_view" in self.method.needs else None
        return ServedDomain(train, test, ahead, self.views.train(name), strong)

    def batches(self, step: int) -> tuple[Batch, Batch]:
        source, target = (self._batch(side, step) for side in self._sides.values())
        if not self.method.supervised_target:
            target = replace(target, y=None)  # type: ignore[arg-type]
        return source, target

    def _batch(self, side: ServedDomain, step: int) -> Batch:
        drawn = side.stream(step)
        strong = side.strong(drawn.x, step) if side.strong else None
        whole = partial(self._whole, side.train.x)
        return Batch(side.view(drawn.x, step), drawn.y, drawn.i, strong, whole)  # type: ignore[arg-type]

    def _whole(self, images: Tensor) -> Iterator[Batch]:
        """All images of a training set, without labels, as a test sees them from its first view."""
        n, nobody = images_at_once(self.cell.recipe), None
        for start in range(0, len(images), n):
            x = send(images[start : start + n], self.device)
            i = torch.arange(start, start + len(x), device=self.device)
            yield Batch(self.views.test(x)[0], nobody, i)  # type: ignore[arg-type]

    def measure(self, net: Network, method: Method, step: int) -> Eval:
        r = self.cell.recipe
        last = step == r.iterations
        seen = [Seen(side.test) for side in self._sides.values()]
        source, target = self._evaluate(net, method, seen, "evaluating")
        return Eval(
            step=step,
            source=count(source, confusion=last),
            target=count(target, confusion=last),
            scores=score(*seen),
        )

    def keep(
        self, net: Network, method: Method, names: Collection[ArtefactName]
    ) -> dict[ArtefactName, Arrays]:
        seen = {name: Collector(side.test, names) for name, side in self._sides.items()}
        self._evaluate(net, method, list(seen.values()), "keeping what is made by")
        return join(seen)

    def explain(self, net: Network, method: Method) -> Maps:
        r, source, target = self.cell.recipe, self._sides["source"], self._sides["target"]
        n = images_at_once(r)
        self.tell(Working(f"explaining {self.cell}", 0, len(target.test)))
        with within_memory(self.device, self.cell.row, r, evaluated=n):
            return explain(net, method, self.views, source.train, target.test, self.device, n)

    def _evaluate(
        self, net: Network, method: Method, seen: "Sequence[Seen | Collector]", doing: str
    ) -> list[Tensor]:
        """What `evaluate` gives of each test set. doing: what it is called while it goes on."""
        r = self.cell.recipe
        done, total = 0, sum(len(it.images) for it in seen)

        def advance(images: int) -> None:
            nonlocal done
            done += images
            self.tell(Working(f"{doing} {self.cell}", done, total))

        with within_memory(self.device, self.cell.row, r, evaluated=images_at_once(r)):
            return [
                evaluate(
                    method, net, it.images, self.views, self.device, self.cell.classes, advance, it
                )
                for it in seen
            ]

    def placement(self) -> Placement:
        sides = self._sides.values()
        kept = [side.train for side in sides]
        kept += [side.test for side in sides if side.test is not side.train]
        here = [images for images in kept if images.x.device.type == self.device.type]
        nbytes = sum(images.x.nbytes + images.y.nbytes for images in here)
        places = {name: str(side.train.x.device) for name, side in self._sides.items()}
        return Placement(nbytes / MIB, places)

    def close(self) -> None:
        self._sides = {}
        self._threads.close()


def check_metric(cell: Cell, _: Lab) -> None:
    """Raise UsageError when the suite measures something else."""
    if cell.metric:
        raise UsageError(
            f"{cell.suite} asks for {cell.metric!r}, and this task measures accuracies: "
            "run it with a task of its own (bench.execute.here.Here)"
        )


def check_network(cell: Cell, lab: Lab) -> None:
    """Raise BenchError when backbone or weights are missing, or do not go with the rest.

    Network and method are built without numbers, once for all cells that share them.
    """
    parts = cell.recipe.model_dump_json(), cell.method, repr(cell.hyper_all), cell.classes
    if parts in lab.built:
        return
    nets.find_backbone(cell.recipe)  # before the minutes that a download takes
    state = lab.pretrained(cell).state
    with torch.device("meta"):
        net = nets.build(cell.recipe, cell.classes, state)
        try:
            get(cell.method)(net, **cell.hyper)
        except ValueError as e:  # what a method says of values that do not go together
            raise UsageError(f"the method {cell.method} refuses its hyper-parameters: {e}") from e
    lab.built.add(parts)


def check_domains(cell: Cell, lab: Lab) -> None:
    """Raise BenchError when a domain is missing, of other classes, or smaller than a batch.

    No picture is decoded.
    """
    for domain in lab.domains(cell, pixels=False):
        check_batch(cell.recipe.batch, domain.train, domain.name)


def check_target(cell: Cell, lab: Lab) -> None:
    """As `check_domains`, for the target alone: it is found missing even where the source is."""
    lab.domain(cell, *cell.target, pixels=False)


CHECKS = (check_metric, check_network, check_domains, check_target)
"""What can be found out about a cell before it is run: each raises BenchError."""


def state_facts(domain: Domain) -> lines.LoadedDomain:
    """What a record says of a domain."""
    train, test = (
        lines.LoadedImages(images=len(x), fingerprint=x.fingerprint())
        for x in (domain.train, domain.test)
    )
    return lines.LoadedDomain(
        origin=domain.origin,
        generated=domain.generated,
        train=train,
        test=test,
        classes=domain.classes,
    )


def _state_normalization(r: Recipe, own: MeanStd | None) -> lines.Normalization | None:
    """What `normalize = "model"` stands for; None where the recipe says it all by itself."""
    if r.normalize != "model" or own is None:
        return None
    return lines.Normalization(mean=own[0], std=own[1])


def images_at_once(r: Recipe) -> int:
    """How many images an evaluation shows the network at once: fewer of larger ones, 1 at least."""
    return max(1, min(EVAL_BATCH, EVAL_PIXELS // r.pixels**2))


class Seen:
    """What a network makes of a test set, batch by batch in the order of its images."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self.chosen = scores.spread(len(images), scores.EMBEDDED)  # those whose features are kept
        self.p: list[Tensor] = []  # float (B, classes), probabilities, of each batch
        self.f: list[Tensor] = []  # float (n, dim), features of the chosen ones among them

    def add(self, logits: list[Tensor], made: list[Tensor]) -> None:
        """A batch. logits: of each view of its images. made: what F made of them, if it was asked.

        Of several views it is the mean that counts.
        """
        begin = sum(map(len, self.p))
        self.p.append(torch.stack([y.float().softmax(1) for y in logits]).mean(0))
        if made:
            here = (self.chosen >= begin) & (self.chosen < begin + len(self.p[-1]))
            f = torch.stack(made).float().mean(0)
            self.f.append(f[(self.chosen[here] - begin).to(f.device)])

    def mistaken(self) -> Tensor:
        """Whether the prediction is wrong, bool (n,), of the chosen images."""
        guess = torch.cat(self.p).argmax(1).cpu()
        return (guess != self.images.y.cpu())[self.chosen]


def score(source: Seen, target: Seen) -> dict[str, float] | None:
    """The scores of predictions on the target; none that is not finite, None without any.

    Of the source's labels they use which images are mistaken, of the target's nothing. Without
    "dev" for a method that predicts without F.
    """
    if not target.p:
        return None
    found = scores.score_target(torch.cat(target.p))
    if source.f and target.f:
        f_s, f_t = torch.cat(source.f), torch.cat(target.f)
        found["dev"] = scores.validate_embedded(f_s, f_t, source.mistaken())
    return {name: round(x, 6) for name, x in found.items() if math.isfinite(x)} or None


@torch.no_grad()
def evaluate(
    method: Method,
    net: Network,
    images: Images,
    views: Views,
    device: torch.device,
    classes: int,
    advance: Callable[[int], object] = lambda images: None,
    seen: Seen | Collector | None = None,
) -> Tensor:
    """Predict every image once and count, int64 (classes, classes): of each class (row), how many
    images are predicted to be of each class (column).

    advance: called with the number of images of each batch when it is through.
    seen: gets what the network makes of the images.
    An image seen in several views (ten crops) gets the class whose mean softmax over the views is
    largest.
    """

    made: list[Tensor] = []  # by F, of each view of a batch
    hook = net.F.register_forward_hook(lambda F, given, f: made.append(f))

    def predict(x: Tensor) -> Tensor:
        made.clear()
        logits = [method.predict(net, v) for v in views.test(send(x, device))]
        if seen:
            seen.add(logits, made)
        return choose(logits)

    batches = images.x.split(images_at_once(views.recipe))
    guesses = []
    try:
        for x in batches:
            guesses.append(predict(x))
            advance(len(x))
    finally:
        hook.remove()
    guess, y = torch.cat(guesses).to(images.y.device), images.y
    return torch.bincount(y * classes + guess, minlength=classes**2).view(classes, classes)


def count(predictions: Tensor, *, confusion: bool) -> Counts:
    """The counts of a record from those of `evaluate`. confusion: keep the whole matrix, too."""
    rows = tuple(map(tuple, predictions.tolist()))
    return Counts(
        total=tuple(predictions.sum(1).tolist()),
        correct=tuple(predictions.diag().tolist()),
        predicted=tuple(predictions.sum(0).tolist()),
        confusion=rows if confusion else None,
    )
