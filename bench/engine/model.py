"""A kept model: a trained network as a module, made anew from what its record says."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench import nets
from bench.data.resize import Square
from bench.data.views import Views
from bench.engine.artefacts import read_weights
from bench.errors import BenchError, UsageError
from bench.runs import artefacts, records
from bench.runs.lines import Run
from bench.suite import catalog, released
from bench.suite.recipe import Recipe, modernized
from methods import Method, Network, get

if TYPE_CHECKING:
    from PIL.Image import Image


class Model(nn.Module):
    """A trained network with its method, in evaluation mode.

    `model(x)` gives logits; `model.preprocess(picture)` makes such an x of a PIL image.
    """

    def __init__(self, net: Network, method: Method, recipe: Recipe, run: Run) -> None:
        """recipe: that of the run, completed."""
        super().__init__()
        self.net, self.method = net, method
        self.row, self.recipe = run.row, recipe
        self.classes = next((d.classes for d in run.data.values() if d.classes), ())
        """The names of the classes; () where they have none."""
        own = run.normalization and (run.normalization.mean, run.normalization.std)
        self.square = Square(recipe.size, recipe.resize, run.target.get("crop"))
        """How a picture becomes pixels: that of the run's target."""
        self._views = Views(recipe, torch.device("cpu"), seed=run.seed, own=own or None)
        self.eval()

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def forward(self, x: Tensor) -> Tensor:
        """Class logits, float32 (B, classes), of normalized images, float (B, 3, H, W) on the
        model's device, H = W = `recipe.pixels`.

        bf16 as in the run. Whether a GPU takes TF32 for float32 is torch's own setting, which
        stays as it is."""
        bf16 = self.recipe.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16) if bf16 else nullcontext():
            return self.method.predict(self.net, x).float()

    def preprocess(self, picture: "Image") -> Tensor:
        """What a test shows the network of a picture, float (V, 3, H, W) on the model's device.

        V, the number of views, is 1, or 10 where the recipe tests on ten crops. A PIL image of any
        size, grey or colored; raises BenchError when it is smaller than the run's target is cropped
        to.
        """
        pixels = torch.from_numpy(self.square.convert(picture).copy())
        return torch.cat(self._view(pixels[None]))

    def _view(self, pixels: Tensor) -> list[Tensor]:
        return [v.to(self.device) for v in self._views.test(pixels)]

    @torch.no_grad()
    def classify(self, pixels: Tensor) -> Tensor:
        """Class probabilities, float32 (B, classes), of pictures that `square` made, uint8
        (B, 3, size, size); of several views the mean."""
        return torch.stack([self(v).softmax(1) for v in self._view(pixels)]).mean(0)


def load_model(path: Path, device: torch.device) -> Model:
    """The model that the run of a record kept, built from the record's recipe and hyper-parameters
    alone. Torch's random numbers stay as they are.

    Raises BenchError, in a sentence, when the record is no whole one, kept no weights, they are
    absent or damaged, or this program or its method builds another network than the run's did.
    """
    record = records.read_record(path)
    raw = artefacts.read_artefact(record, "weights")
    assert record.run is not None
    if record.run.metric:
        raise UsageError(f"{path} is of a task of its own, whose network only that task can build")
    catalog.find_method(record.run.method)
    with _same_network(path, record.run), torch.random.fork_rng(devices=[]):
        model = _build(record.run)
        net, method = read_weights(raw)
        model.net.load_state_dict(net, strict=True)
        model.method.load_state_dict(method, strict=True)
    return model.to(device)


def _build(run: Run) -> Model:
    recipe = Recipe.model_validate(released.completed(modernized(run.recipe)))
    net = nets.build(recipe, run.classes)
    net.n_t = list(run.data.values())[-1].train.images
    hyper = {k: _number(v) for k, v in run.hyper_all.items()}
    return Model(net, get(run.method)(net, **hyper), recipe, run)


def _number(value: Any) -> Any:
    """A hyper-parameter as the method takes it: a record has an infinity by its name."""
    return float(value) if value in ("inf", "-inf") else value


@contextmanager
def _same_network(path: Path, run: Run) -> Iterator[None]:
    """Turns what a method or network of today raises over the state of another into a sentence."""
    try:
        yield
    except BenchError:
        raise
    except Exception as e:  # a method of one's own can raise anything
        reason = " ".join(str(e).split())[:200] or type(e).__name__
        made = f"commit {run.code.commit}" if run.code.commit else f"version {run.code.bench}"
        raise BenchError(
            f"the weights of {path} do not fit what this program builds ({reason}): "
            f"use the code that trained it, {made}"
        ) from e
