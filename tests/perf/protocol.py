"""A row of `officehome` as `bench run` trains it: ResNet-50, 224×224 crops of 256×256 images, batches of 8."""

from collections.abc import Iterator
from typing import Any

import torch

from bench import nets
from bench.data.images import Images
from bench.data.stream import Stream
from bench.data.views import Views
from bench.engine.clock import Clock
from bench.engine.loop import Window, train
from bench.engine.training import set_precision
from bench.suite import suites
from bench.suite.recipe import Recipe
from methods import Batch, Progress, get

CPU = torch.device("cpu")
BATCH, IMAGES = 8, 64
SUITE = suites.find("officehome")


def images(seed: int, n: int = IMAGES, size: int = 256) -> Images:
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=g)
    return Images(x, torch.arange(n) % SUITE.classes)


def recipe_of(row: str, **knobs: Any) -> Recipe:
    override = {"batch": BATCH} | knobs
    return SUITE.recipe_for(SUITE.by_id[row], "Ar-Cl", override=override)


def training(row: str, **knobs: Any) -> Iterator[Window]:
    """An iteration at every `next`. knobs: of the recipe, as --set changes them."""
    recipe = recipe_of(row, **knobs)
    torch.manual_seed(0)
    net = nets.build(recipe, SUITE.classes)
    method = get(SUITE.by_id[row].method)(net, **SUITE.by_id[row].hyper)
    views = Views(recipe, CPU, seed=0)
    s, t = (
        Stream(images(k), BATCH, seed=0, name=name) for k, name in enumerate(("source", "target"))
    )
    view_s, view_t = views.train("source"), views.train("target")

    def batches(step: int) -> tuple[Batch, Batch]:
        a, b = s(step), t(step)
        return Batch(view_s(a.x, step), a.y), Batch(view_t(b.x, step), None)

    return train(
        method, net, batches, nets.optimizer(net, method, recipe), recipe.lr_at, Clock(CPU),
        iterations=recipe.iterations, stops=set(range(recipe.iterations)),
        autocast=set_precision(recipe, CPU), progress=Progress,
    )  # fmt: skip
