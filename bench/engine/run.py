"""One Cell -> one record file."""

import math
import re
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench import nets
from bench.data import Domain, Images, load
from bench.data.images import agree
from bench.data.place import place
from bench.data.stream import Ahead, Stream, sent
from bench.data.views import Views
from bench.engine import env
from bench.engine.clock import MIB, Clock, spread
from bench.engine.loop import Window, train
from bench.engine.memory import OutOfMemory, free, within_memory
from bench.errors import BenchError, UsageError
from bench.runs import plan, records
from bench.runs.plan import Cell
from bench.suite.recipe import Recipe
from methods import Batch, Method, Network, Progress, get

WARMUP, WINDOW = 10, 100  # iterations
EVAL_BATCH, EVAL_PIXELS = 500, 6_000_000  # how many images and pixels are evaluated at once: 119 of 224×224


@dataclass
class Lab:
    """What the cells of one command share: a device, where data and weights are, and what was already loaded."""

    data: Path
    results: Path
    device: torch.device
    weights: Path | None = None
    skip_unreadable: bool = False
    stood_in: set[str] = field(default_factory=set)
    """Domains that could not be read, for which random images stand in a smoke run."""
    _domains: dict[str, Domain] = field(default_factory=dict)
    _weights: dict[str, tuple[dict[str, Tensor] | None, dict[str, Any]]] = field(default_factory=dict)

    def domains(self, cell: Cell) -> tuple[Domain, Domain]:
        """Source and target, read once. A smoke run makes do with synthetic images where there are no others."""
        source, target = self._domain(cell, *cell.source), self._domain(cell, *cell.target)
        agree(source, target)
        return source, target

    def _domain(self, cell: Cell, name: str, spec: Any) -> Domain:
        r = cell.recipe
        key = repr((name, spec, r.size, r.resize, r.train_limit, r.test_limit, cell.classes))
        if key not in self._domains:
            how: dict[str, Any] = {
                "root": self.data, "size": r.size, "resize": r.resize,
                "train_limit": r.train_limit, "test_limit": r.test_limit, "classes": cell.classes,
                "skip_unreadable": self.skip_unreadable,
            }  # fmt: skip
            try:
                self._domains[key] = load(name, spec, **how)
            except BenchError as e:
                if cell.budget != "smoke" or isinstance(e, UsageError):
                    raise
                self.stood_in.add(name)
                self._domains[key] = load(name, spec, **how, synthetic=True)
        return self._domains[key]

    def pretrained(self, cell: Cell) -> tuple[dict[str, Tensor] | None, dict[str, Any]]:
        """The recipe's weights, read once. A smoke run makes do with random ones."""
        key = f"{cell.recipe.backbone}/{cell.recipe.weights}"
        if key not in self._weights:
            if cell.budget == "smoke" and self.weights is None and cell.recipe.weights != "none":
                self._weights[key] = None, {"asked": cell.recipe.weights, "file": None}
            else:
                self._weights[key] = nets.load_weights(cell.recipe, self.weights)
        return self._weights[key]


def device(name: str) -> torch.device:
    """auto, cpu, cuda or cuda:N -> a device that is there. Raises UsageError."""
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        d = torch.device(name)
    except RuntimeError as e:
        raise UsageError(f"unknown device {name!r}; use auto, cpu or cuda:N") from e
    if d.type == "cuda" and (d.index or 0) >= torch.cuda.device_count():
        n = torch.cuda.device_count()
        raise UsageError(f"no GPU {name}: torch sees {n}; use --device {'cpu' if n == 0 else f'cuda:0 to cuda:{n - 1}'}")
    return d


def run(
    cell: Cell, lab: Lab, on_window: Callable[[Window], None] = lambda w: None, *, redo: bool = True
) -> tuple[str, str, Path]:
    """Train one cell and write its record; returns (status, reason, path).

    Raises Busy when another process has the cell, or finished it first and it is not to be redone, and BenchError, with
    nothing recorded, when data or weights are missing.
    Whatever goes wrong from then on ends the record as diverged or failed, with the reason; a full disk alone raises.
    """
    source, target = lab.domains(cell)
    weights, about_weights = lab.pretrained(cell)
    began = time.perf_counter()
    folder = lab.results / cell.folder

    def wanted() -> bool:
        return redo or not plan.states([cell], records.read_all(folder))[0].done

    with records.create(folder, cell.stem, wanted) as out:
        out.line(
            "run", schema=records.SCHEMA, cell=cell.key, **cell.identity() | {"recipe": cell.recipe.model_dump(mode="json")},
            hyper_all=cell.hyper_all,
            data={d.name: _describe(d) for d in (source, target)}, weights=about_weights,
            env=env.describe(lab.device), started=records.now(),
        )  # fmt: skip
        try:
            with ExitStack() as ending, within_memory(lab.device, cell.row, cell.recipe):
                end = _train(cell, lab, source, target, weights, out, on_window, ending)
        except OutOfMemory as e:
            end = {"status": "failed", "reason": str(e), "out_of_memory": True}
        except BenchError as e:  # weights of another network, a batch larger than the data
            end = {"status": "failed", "reason": str(e)}
        except Exception as e:
            reason = " ".join(f"{type(e).__name__}: {e}".split())[:500]
            end = {"status": "failed", "reason": reason, "trace": _trace()}
        out.line("end", **end, wall_s=round(time.perf_counter() - began, 3), finished=records.now())
        free()
        return end["status"], end.get("reason", ""), out.path


def _trace() -> str:
    """The traceback being handled, without the folders of this machine: records are published."""
    return re.sub(r'File ".*[/\\]', 'File "', traceback.format_exc())[-4000:]


def _describe(d: Domain) -> dict[str, Any]:
    return {
        "origin": d.origin,
        "train": {"images": len(d.train), "fingerprint": d.train.fingerprint()},
        "test": {"images": len(d.test), "fingerprint": d.test.fingerprint()},
    }


def _train(
    cell: Cell, lab: Lab, source: Domain, target: Domain, weights: dict[str, Tensor] | None,
    out: records.Writer, on_window: Callable[[Window], None], ending: ExitStack,
) -> dict[str, Any]:  # fmt: skip
    """The training of one cell; returns the fields of the record's `end`. ending: what is left when it ends, well or not."""
    r = cell.recipe
    views = Views(r, lab.device, seed=cell.seed)
    torch.manual_seed(cell.seed)
    net = nets.build(r, cell.classes, weights).to(lab.device)
    method = get(cell.method)(net, **cell.hyper).to(lab.device)
    optimiser = nets.optimizer(net, method, r)

    # a domain that is trained and tested on is one object, and is kept once
    different = {id(i): i for d in (source, target) for i in (d.train, d.test)}
    kept = {key: place(i, lab.device) for key, i in different.items()}
    test = {k: kept[id(d.test)][0] for k, d in (("source", source), ("target", target))}
    streams = (
        Stream(kept[id(d.train)][0], r.batch, seed=cell.seed, name=k, device=lab.device)
        for k, d in (("source", source), ("target", target))
    )
    s, t = (ending.enter_context(Ahead(stream)) if stream.away else stream for stream in streams)
    view_s, view_t = views.train("source"), views.train("target")

    def batches(step: int) -> tuple[Batch, Batch]:
        a, b = s(step), t(step)
        y_t = b.y if method.supervised_target else None
        return Batch(view_s(a.x, step), a.y), Batch(view_t(b.x, step), y_t)  # type: ignore[arg-type]

    every = r.eval_every or r.iterations
    evals = {*range(every, r.iterations, every), r.iterations}
    warm = min(WARMUP, r.iterations // 2)
    stops = evals | {*range(WINDOW, r.iterations, WINDOW)} | {warm}
    clock, cast = Clock(lab.device), precision(r, lab.device)
    ms: list[float] = []
    wait: list[float] = []
    peaks: list[dict[str, float]] = []  # of what was trained between two evaluations, whose own memory is not the method's
    net.train(), method.train()
    for w in train(
        method, net, batches, optimiser, r.lr_at, clock, iterations=r.iterations, stops=stops, autocast=cast, progress=Progress
    ):
        loss, memory, warmup = sum(w.loss) / len(w.loss), clock.memory(), w.step <= warm
        out.line(
            "train", step=w.step, n=len(w.loss), warmup=warmup, loss=round(loss, 6) if math.isfinite(loss) else None, lr=w.lr,
            ms=spread(w.lap.ms), wait_ms=spread(w.lap.wait_ms), memory=memory,
        )  # fmt: skip
        if not math.isfinite(loss):
            first = w.step - len(w.loss) + next(i for i, x in enumerate(w.loss, 1) if not math.isfinite(x))
            return {"status": "diverged", "reason": f"the loss was no longer finite at iteration {first}"}
        if warmup:
            clock.reset_peak()
        else:
            ms += w.lap.ms
            wait += w.lap.wait_ms
            peaks.append(memory)
        on_window(w)
        if w.step in evals:
            net.eval(), method.eval()
            with cast, within_memory(lab.device, cell.row, r, evaluated=_at_once(r)):
                scores = {k: _evaluate(method, net, i, views, lab.device, cell.classes) for k, i in test.items()}
            out.line("eval", step=w.step, **scores)
            net.train(), method.train()
            free()
            clock.reset_peak()
    resident = [i for i, _ in kept.values() if i.x.device.type == lab.device.type]
    return {
        "status": "ok", "step": r.iterations, "ms": spread(ms), "wait_ms": spread(wait),
        "images_per_s": round(2 * r.batch / spread(ms)["p50"] * 1e3, 1),
        "memory": {kind: max(p[kind] for p in peaks) for kind in peaks[0]},
        "data_mib": round(sum(i.x.nbytes + i.y.nbytes for i in resident) / MIB, 1),
        "placed": sorted({note for _, note in kept.values()}),
    }  # fmt: skip


def _at_once(r: Recipe) -> int:
    """How many images are evaluated at once."""
    return min(EVAL_BATCH, EVAL_PIXELS // r.pixels**2)


@torch.no_grad()
def _evaluate(
    method: Method, net: Network, images: Images, views: Views, device: torch.device, classes: int
) -> dict[str, list[int]]:
    """Per class: how many images there are, how many are right, how many were predicted to be of it."""

    def predicted(x: Tensor) -> Tensor:
        logits = [method.predict(net, v) for v in views.test(sent(x, device))]
        scores = logits[0] if len(logits) == 1 else torch.stack(logits).softmax(2).mean(0)
        return scores.argmax(1)

    batches = images.x.split(_at_once(views.recipe))
    guess, y = torch.cat([predicted(x) for x in batches]).to(images.y.device), images.y
    counted = {"total": y, "correct": y[guess == y], "predicted": guess}
    return {k: torch.bincount(v, minlength=classes).tolist() for k, v in counted.items()}


def precision(r: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """Set float32 arithmetic for the run as the recipe says; returns the autocast context that its forwards run in."""
    tf32 = r.precision != "fp32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    return torch.autocast(device.type, torch.bfloat16) if r.precision == "bf16" else nullcontext()
