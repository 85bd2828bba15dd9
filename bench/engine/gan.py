"""The task of generated images: how well digits that a network makes of noise imitate real ones."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bench.data.chance import make_generator
from bench.data.images import Images, place_images, send
from bench.data.stream import Ahead, Drawn, Stream, check_batch
from bench.data.views import Pixels
from bench.engine import samples
from bench.engine.clock import MIB
from bench.engine.events import Working
from bench.engine.judge import CLASSES, Judge
from bench.engine.lab import Lab
from bench.engine.task import Materials, Placement, Task
from bench.engine.training import Stops
from bench.engine.uda import state_facts
from bench.errors import UsageError
from bench.nets.dcgan import NOISE, build_gan, find_width
from bench.runs import lines
from bench.runs.cell import Cell
from bench.runs.lines import ArtefactName, Eval
from bench.runs.samples import Samples
from methods import Batch, Method, Network, get

MADE = 2000  # images are generated at each measurement, of each class as many
STYLES = 100  # noise vectors that are combined with every class at the last one
SHOWN = 10  # images of each class are kept of each measurement
AT_ONCE = 500  # images are generated at once

ALWAYS = (
    "frechet", "kernel", "precision", "recall", "density", "coverage", "clear", "modes",
    "diversity",
)  # fmt: skip
"""Values of every measurement; see `bench.engine.samples`. clear: `samples.recognizable`."""

OF_CLASSES = ("consistency",)
"""Those of a generator that is told a class."""

OF_STYLES = (
    "z_class", "y_class", "z_pixels", "y_pixels", "z_thickness", "y_thickness",
    "z_slant", "y_slant",
)  # fmt: skip
"""Shares of a variance that noise and class explain, at the last measurement of such a one."""


def estimate_bytes(cell: Cell) -> dict[ArtefactName, int]:
    """About how many bytes a cell leaves of what can be kept, its images being grey."""
    measured = len(Stops.of(cell.recipe).measured)
    with torch.device("meta"):
        cls = get(cell.method)
        told = cls.generates == "classes"
        net = build_gan(cell.recipe, cell.classes, 1, conditional=told)
        state = [*net.state_dict().values(), *cls(net, **cell.hyper).state_dict().values()]
    shown = measured * cell.classes * SHOWN * cell.recipe.size**2
    return {"samples": shown, "weights": shown + sum(t.nbytes for t in state)}


@dataclass(frozen=True)
class Reference:
    """What the judge makes of real test images, once for all cells of a command."""

    judge: Judge
    features: Tensor  # float (N, dim), of at most MADE of them
    y: Tensor  # int64 (N,), on the CPU


class GAN(Task):
    """Trains a generator and a discriminator on a domain; measures generated images against its
    test set, by what a classifier of real digits makes of both.

    z and the order of the real images are functions of (seed, step). Images are generated in
    evaluation mode, at every measurement of the same noise.
    """

    keeps: ClassVar[tuple[ArtefactName, ...]] = ("samples", "weights")

    def __init__(self, cell: Cell, lab: Lab) -> None:
        """Reads the domain and judges its test images. Raises BenchError when it is missing, or
        when the judge does not know its images."""
        check_recipe(cell, lab)
        self.cell, self.device, self.tell = cell, lab.device, lab.tell
        self.domain = lab.domain(cell, *cell.source)
        self.method = get(cell.method)
        self.pixels = Pixels(cell.recipe.normalize, lab.device)
        self.channels = self.domain.train.x.shape[1]
        self.reference = judge_domain(cell, lab)
        self.steps = sorted(Stops.of(cell.recipe).measured)
        self._train: Images | None = None
        self._threads = ExitStack()

    @property
    def conditional(self) -> bool:
        """Whether the generator is told a class."""
        return self.method.generates == "classes"

    def describe(self) -> Materials:
        return Materials({self.domain.name: state_facts(self.domain)}, lines.Weights(asked="none"))

    def build(self) -> tuple[Network, Method]:
        c = self.cell
        net = build_gan(c.recipe, c.classes, self.channels, conditional=self.conditional)
        shape = len(self.steps), c.classes, SHOWN, self.channels, *2 * (c.recipe.size,)
        # with the network, so that an interrupted run still has those of its first part
        net.register_buffer("shown", torch.zeros(shape, dtype=torch.uint8))
        return net.to(self.device), self.method(net, **c.hyper).to(self.device)

    def open(self) -> None:
        c = self.cell
        self._train = place_images(self.domain.train, self.device)
        stream = Stream(self._train, c.recipe.batch, seed=c.seed, name="source", device=self.device)
        ahead = self._threads.enter_context(Ahead(stream)) if stream.away else stream
        self._stream: Callable[[int], Drawn] = ahead

    def batches(self, step: int) -> tuple[Batch, Batch]:
        real = self._stream(step)
        z, nobody = self._noise(str(step), len(real.y)), None
        x = view_grey(self.pixels, real.x)
        return Batch(x, real.y, real.i), Batch(z, nobody)  # type: ignore[arg-type]

    def _noise(self, what: str, n: int) -> Tensor:
        """z (n, NOISE) from N(0, 1), which the seed and a text alone decide."""
        generator = make_generator(f"{self.cell.seed}/noise/{what}")
        return send(torch.randn(n, NOISE, generator=generator), self.device)

    @torch.no_grad()
    def measure(self, net: Network, method: Method, step: int) -> Eval:
        c, last = self.cell, step == self.cell.recipe.iterations
        self.tell(Working(f"judging {c}", 0, 1))
        y = torch.arange(c.classes, device=self.device).repeat_interleave(MADE // c.classes)
        x = self._generate(net, self._noise("measured", len(y)), y)
        self._show(net, step)
        values = self._compare(x, y.cpu())
        if last and self.conditional:
            values |= self._explain_styles(net)
        self.tell(Working(f"judging {c}", 1, 1))
        # shares of the variance of images that are all alike are none
        return Eval(
            step=step, values={k: round(v, 6) for k, v in values.items() if math.isfinite(v)}
        )

    def _generate(self, net: Network, z: Tensor, y: Tensor) -> Tensor:
        """Images (N, channels, S, S) in [−1, 1]; y counts where the generator is told a class."""
        parts = zip(z.split(AT_ONCE), y.split(AT_ONCE), strict=True)
        return torch.cat([net.F(*(pair if self.conditional else pair[:1])) for pair in parts])

    def _show(self, net: Network, step: int) -> None:
        """Keep some images of each class, made of the same noise in every class; where no class is
        asked for, as many images, each of noise of its own."""
        n = self.cell.classes
        y = torch.arange(n, device=self.device).repeat_interleave(SHOWN)
        one_each = self._noise("shown", n * SHOWN)
        z = one_each[:SHOWN].repeat(n, 1) if self.conditional else one_each
        x = self._generate(net, z, y).view(n, SHOWN, self.channels, *2 * (self.cell.recipe.size,))
        grey = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        net.shown[self.steps.index(step)] = grey  # type: ignore[operator]

    def _compare(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """The values of ALWAYS and, where classes were asked for, OF_CLASSES."""
        real, judge = self.reference, self.reference.judge
        f = judge.features(x)
        logits = judge.rate(f)
        # the judge says what a digit is: of the class asked for, wrong ones would pass for diverse
        f_r, labels = real.features, logits.argmax(1).cpu()
        found: dict[str, float] = {
            "frechet": samples.frechet(f_r, f),
            "kernel": samples.kernel(f_r, f),
            "precision": samples.precision(f_r, f),
            "recall": samples.recall(f_r, f),
            "density": samples.density(f_r, f),
            "coverage": samples.coverage(f_r, f),
            "clear": samples.recognizable(logits),
            "modes": samples.modes(logits, self.cell.classes),
        }
        # of a few made-up images there may be none of a class to compare with
        twice = torch.isin(labels, (real.y.bincount(minlength=self.cell.classes) > 1).nonzero())
        if twice.any():
            found["diversity"] = samples.relative_diversity(
                f[twice.to(f.device)], labels[twice], f_r, real.y
            )
        if self.conditional:
            found["consistency"] = samples.consistency(logits, y)
        return found

    def _explain_styles(self, net: Network) -> dict[str, float]:
        """The values of OF_STYLES: every class made of each of some noise vectors."""
        n = self.cell.classes
        z = self._noise("styles", STYLES).repeat_interleave(n, 0)
        x = self._generate(net, z, torch.arange(n, device=self.device).repeat(STYLES))
        grey = x.mean(1, keepdim=True).cpu()
        judge = self.reference.judge
        seen = {
            "class": one_hot(judge.logits(x).argmax(1), n),
            "pixels": grey.flatten(1),
            "thickness": samples.thickness(grey),
            "slant": samples.slant(grey),
        }
        shares = {k: samples.explained(v.view(STYLES, n, -1)) for k, v in seen.items()}
        return {f"{by}_{k}": share for k, s in shares.items() for by, share in s._asdict().items()}

    def show(self, net: Network, method: Method) -> Samples:
        return Samples(
            step=torch.tensor(self.steps).numpy(),
            pixels=net.shown.cpu().numpy(),  # type: ignore[operator]
        )

    def placement(self) -> Placement:
        assert self._train
        here = self._train.x.device.type == self.device.type
        size = (self._train.x.nbytes + self._train.y.nbytes) / MIB if here else 0.0
        return Placement(size, {"source": str(self._train.x.device)})

    def close(self) -> None:
        self._threads.close()
        self._train = None


def view_grey(pixels: Pixels, x: Tensor) -> Tensor:
    """uint8 (B, channels, S, S) -> float in [−1, 1] with as many channels: views are in colour."""
    return pixels(x)[:, : x.shape[1]]


def check_recipe(cell: Cell, _: Lab) -> None:
    """Raise UsageError when the recipe is none of a generator, or the metric is not measured."""
    find_width(cell.recipe)
    if cell.recipe.normalize != "half":
        raise UsageError('a generator makes pixels from −1 to 1: set normalize = "half"')
    if cell.metric not in ALWAYS:
        raise UsageError(
            f"{cell.suite} asks for {cell.metric!r}, and generated images have {', '.join(ALWAYS)}"
        )
    if cell.classes != CLASSES:
        raise UsageError(f"the judge knows {CLASSES} digits, and {cell.suite} has {cell.classes}")


def check_domain(cell: Cell, lab: Lab) -> None:
    """Raise BenchError when the domain is missing, of other classes, or smaller than a batch."""
    domain = lab.domain(cell, *cell.source, pixels=False)
    check_batch(cell.recipe.batch, domain.train, domain.name)


CHECKS = (check_recipe, check_domain)
"""What can be found out about a cell before it is run: each raises BenchError."""


def judge_domain(cell: Cell, lab: Lab) -> Reference:
    """What the judge makes of the test images of a cell's domain.

    Raises BenchError when it knows too few of them. A smoke run, whose few or random images measure
    nothing, does without.
    """
    test = lab.domain(cell, *cell.source).test
    key = "judged", test.fingerprint(), cell.budget == "smoke"
    if key not in lab.worked_out:
        judge, pixels = Judge.load(lab.device), Pixels("half", torch.device("cpu"))
        if cell.budget != "smoke":
            judge.check(view_grey(pixels, test.x), test.y)
        # as many as are generated: distances between all pairs grow with the square
        some = test.thin(MADE)
        features = judge.features(view_grey(pixels, some.x))
        lab.worked_out[key] = Reference(judge, features, some.y.cpu())
    found: Reference = lab.worked_out[key]
    return found
