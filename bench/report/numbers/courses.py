"""How a training went: accuracies and losses over its iterations, and the schedules of a method."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, floor, inf, isinf, tanh
from statistics import mean
from typing import Any

from bench.report.numbers.measures import read_windows
from bench.report.numbers.scores import read_value
from bench.report.numbers.selection import Side
from bench.runs.cell import Cell
from bench.runs.files import read
from bench.runs.records import Record
from bench.suite import catalog
from bench.suite.recipe import Recipe
from bench.suite.suite import Suite


@dataclass(frozen=True)
class Course:
    """What several seeds came to at some iterations."""

    steps: tuple[int, ...]  # iterations done
    mean: tuple[float, ...]  # over the seeds that have a value there
    low: tuple[float, ...]  # the least of them, or the lower edge of another band
    high: tuple[float, ...]  # the largest, or the upper edge


def follow_accuracy(suite: Suite, records: Iterable[Record], side: Side) -> Course:
    """What the suite measures, at each evaluation."""
    return _gather({e.step: read_value(suite, e, side) for e in r.evals} for r in records)


def follow_loss(records: Iterable[Record]) -> Course:
    """The mean loss of each window of iterations, at its end. Reads the files of the records; one
    that cannot be read, and a loss that is not finite, are left out."""
    return _gather(
        {x.step: x.loss for x in read(r.path).train if x.loss is not None} for r in records
    )


def follow_yield(records: Iterable[Record], place: int) -> Course:
    """One of the losses that a method yields: its mean in each window, in a band of its standard
    deviation within the window, both averaged over the seeds. place: which loss, from 0 on.

    Reads the files of the records, and leaves out windows in which the loss was not finite.
    """
    at: dict[int, list[tuple[float, float]]] = {}
    for window in (x for r in records for x in read_windows(r) if len(x.losses) > place):
        loss = window.losses[place]
        if loss.mean is not None and loss.sd is not None:
            at.setdefault(window.step, []).append((loss.mean, loss.sd))
    steps = tuple(sorted(at))
    means, spreads = ([mean(x[i] for x in at[k]) for k in steps] for i in (0, 1))
    low, high = (
        tuple(m + side * sd for m, sd in zip(means, spreads, strict=True)) for side in (-1, 1)
    )
    return Course(steps, tuple(means), low, high)


def _gather(series: Iterable[Mapping[int, float]]) -> Course:
    at: dict[int, list[float]] = {}
    for one in series:
        for step, value in one.items():
            at.setdefault(step, []).append(value)
    steps = sorted(at)
    found = [(mean(at[k]), min(at[k]), max(at[k])) for k in steps]
    means, low, high = zip(*found, strict=True) if found else ((), (), ())
    return Course(tuple(steps), means, low, high)


@dataclass(frozen=True)
class Schedule:
    """A weight that a method changes as it trains."""

    symbol: str  # λ or α
    steps: tuple[float, ...]  # iterations done
    values: tuple[float, ...]


POINTS = 200  # of a schedule


def find_schedule(cell: Cell) -> Schedule | None:
    """The schedule of a cell's method; None for a method that has none, or that is not the
    program's own, whose formula nobody knows.

    Every method with the hyper-parameters lam and gamma has λ(p) = lam·(2/(1 + e^(−γp)) − 1), as
    `methods/_parts.py` has it; its lead, where it has one, is added to p. One with gamma alone, as
    NoGRL, has α(p) = 1/(1 + e^(−γp)). p begins anew with the second stage of a training, and a
    method that needs two stages weighs nothing in the first.
    """
    hyper, entry, T = cell.hyper_all, catalog.find_method(cell.method), cell.recipe.iterations
    if "gamma" not in hyper or entry.path.parent != catalog.SHIPPED:
        return None
    begin = cell.recipe.second_stage if "first_stage" in entry.needs else 0
    times = [begin + i / POINTS * (T - begin) for i in range(POINTS + 1)]
    return Schedule(
        "λ" if "lam" in hyper else "α",
        tuple(times),
        tuple(_weigh(hyper, _progress(t, cell.recipe)) for t in times),
    )


def _weigh(hyper: Mapping[str, Any], p: float) -> float:
    gamma = float(hyper["gamma"])  # a record has an infinity by its name
    if epochs := hyper.get("epochs"):  # SymNets: λ stays for each of so many stretches
        p = floor(p * epochs + 1e-9) / epochs
    if "lam" not in hyper:
        return 1.0 if isinf(gamma) and p > 0 else 1 / (1 + exp(-min(gamma, 700.0) * p))
    at = p + float(hyper.get("lead", 0.0))
    return float(hyper["lam"]) * (1.0 if gamma == inf else tanh(gamma * at / 2))


def _progress(step: float, recipe: Recipe) -> float:
    first = recipe.second_stage
    begin, end = (0, first) if step < first else (first, recipe.iterations)
    return (step - begin) / (end - begin)
