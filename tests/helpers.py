"""Small things to test with: a network of a hundred parameters, batches, a suite file of pictures made on the spot."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from bench.engine.events import Ended
from bench.engine.lab import Lab
from bench.engine.run import run_cell
from bench.runs.plan import Cell
from bench.suite import catalog, suites
from methods import Batch, Method, Network, Progress

ROOT = Path(__file__).resolve().parents[1]
CLASSES, BATCH = 3, 5


def tiny_net(*, joint: bool = False, dropout: float = 0.0) -> Network:
    """F: (B, 3, 2, 2) -> (B, 6), C: -> (B, 3); smooth everywhere, so that finite differences hold. F's maps are the image."""
    return Network(
        nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(12, 6), nn.Tanh()),
        nn.Linear(6, CLASSES),
        dim=6, classes=CLASSES, joint=joint, n_t=2 * BATCH, maps=("0", (3, 2, 2)),
        discriminator=lambda n, k=1: nn.Sequential(
            nn.Linear(n, 4), nn.Tanh(), nn.Dropout(dropout), nn.Linear(4, k), nn.Flatten(0 if k == 1 else 1)
        ),
    )  # fmt: skip


def tiny_batches(
    n: int = BATCH, dtype: torch.dtype = torch.float32, seed: int = 1
) -> tuple[Batch, Batch]:
    """A labelled source batch and an unlabelled target batch of another size."""
    g = torch.Generator().manual_seed(seed)
    draw = lambda m: torch.randn(m, 3, 2, 2, generator=g, dtype=torch.float64).to(dtype)  # noqa: E731
    x_s, x_t, i = draw(n), draw(n - 1) + 0.5, torch.arange(n)

    def whole() -> Iterator[Batch]:
        """The target: the images of the batch, then more of them, a little brighter."""
        yield Batch(x_t, None, i[:-1])
        yield Batch(torch.cat([x_t, x_s[:2]]) + 0.1, None, torch.arange(n - 1, 2 * n))

    s = Batch(x_s, i % CLASSES, i, 0.9 * x_s.roll(1, 3))
    return s, Batch(x_t, None, i[:-1], 0.9 * x_t.roll(1, 3), whole)


def on_meta(b: Batch) -> Batch:
    """The batch on torch's meta device, where tensors have shapes and no numbers."""
    tensors = {k: v.to("meta") for k, v in vars(b).items() if isinstance(v, torch.Tensor)}
    whole = [on_meta(part) for part in b.whole()]
    return replace(b, **tensors, whole=lambda: iter(whole))


def at(p: float, *, first: bool = False) -> Progress:
    """Progress p, to a thousandth: of the only or the last stage, or of the first of two."""
    return Progress(round(1000 * p), 2001, 1001) if first else Progress(round(1000 * p), 1000)


def stages(method: str) -> tuple[bool, ...]:
    """For each stage of a method's training whether it is the first of two."""
    return (True, False) if "first_stage" in catalog.find_method(method).needs else (False,)


def course(method: str, *ps: float) -> list[Progress]:
    """A short training: these values of progress in each stage of the method."""
    return [at(p, first=first) for first in stages(method) for p in ps]


def descend(
    method: Method, net: Network, s: Batch, t: Batch, p: float, lr: float = 0.1
) -> list[float]:
    """One iteration by plain gradient descent; the losses that the method yielded."""
    losses = []
    params = list(net.parameters()) + list(method.parameters())
    for out in method.step(net, s, t, p if isinstance(p, Progress) else at(p)):
        loss, only = out if isinstance(out, tuple) else (out, None)
        for q in params:
            q.grad = None
        loss.backward()
        with torch.no_grad():
            for q in params if only is None else only.parameters():
                if q.grad is not None:
                    q -= lr * q.grad
        losses.append(loss.item())
    return losses


def state(*modules: nn.Module) -> dict[str, Any]:
    """Every parameter and buffer, copied."""
    return {
        f"{i}.{k}": v.detach().clone()
        for i, m in enumerate(modules)
        for k, v in m.state_dict().items()
    }


def ended(cell: Cell, lab: Lab) -> Ended:
    """Run a cell; how it ended."""
    *_, last = run_cell(cell, lab)
    assert isinstance(last, Ended)
    return last


def write_pictures(root: Path, *names: str, classes: int = CLASSES, each: int = 15) -> None:
    """Folders of 28×28 pictures, one sub-folder per class: a bright bar whose place is the class, on the folder's noise."""
    for k, name in enumerate(names):
        rng = np.random.default_rng(k)
        for y in range(classes):
            (root / name / f"class{y}").mkdir(parents=True)
            for i in range(each):
                pixels = rng.integers(0, 120, (28, 28), dtype=np.uint8)
                pixels[8 * y : 8 * y + 8] += 120
                Image.fromarray(pixels).save(root / name / f"class{y}" / f"{i}.png")


def needed(method: str) -> dict[str, Any]:
    """Values of the knobs that a method cannot do without."""
    values = {"strong_view": "randaugment", "first_stage": 0.4}
    return {knob: values[knob] for knob in catalog.find_method(method).needs}


def write_suite(
    folder: Path,
    name: str = "tiny",
    rows: Mapping[str, Mapping[str, Any]] | None = None,
    more: str = "",
    **recipe: Any,
) -> Path:
    """A suite of `write_pictures`' folders A and B: one task, rows by their id (what each says besides id and label)."""
    small = {
        "backbone": "ganin-mnist",
        "discriminator": {"hidden": [16]},
        "size": 28,
        "iterations": 12,
        "batch": 4,
        "lr": 0.001,
    }
    settings = small | recipe
    blocks = [f'[domains.{x}]\nset = "folder"\npath = "{x}"\nsplit = 0.2' for x in "AB"]
    blocks.append("[recipe]\n" + "\n".join(f"{k} = {toml(v)}" for k, v in settings.items()))
    for row, about in (rows or {"only": {"method": "source_only"}}).items():
        blocks.append(
            f'[[rows]]\nid = "{row}"\nlabel = "{row}"\n'
            + "\n".join(f"{k} = {toml(v)}" for k, v in about.items())
        )
    head = f'title = "Tiny"\nclasses = {CLASSES}\nseeds = 1\ntasks = ["A-B"]'
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text("\n\n".join([head, *blocks, more]) + "\n", encoding="utf-8")
    return path


def toml(v: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(v, Mapping):
        return "{ " + ", ".join(f"{k} = {toml(x)}" for k, x in v.items()) + " }"
    return repr(v) if isinstance(v, float) else json.dumps(v)


def stands_in(text: str, figure: str) -> bool:
    """Whether a text has a figure, and not as the end of a longer one."""
    return bool(re.search(rf"(?<![\d.]){re.escape(figure)}", text))


def variants() -> list[tuple[str, dict[str, Any]]]:
    """Every method with its defaults, and with the hyper-parameters of every row of every suite."""
    found: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in catalog.adapting()]
    found += [
        (r.method, dict(r.hyper))
        for name in suites.names()
        for r in suites.find(name).rows
        if r.method in catalog.adapting()
    ]
    return list({f"{name}-{json.dumps(hyper)}": (name, hyper) for name, hyper in found}.values())
