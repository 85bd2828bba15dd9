"""Records to figures: what the tables say, drawn. One figure a file.

Every number comes from `bench.report.numbers`, so a figure shows what the table shows. The same
records give the same bytes. No display, no state of pyplot, and what is heavy is imported inside.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import unknown
from bench.report.figures import (
    bars,
    confusion,
    cost,
    curves,
    forest,
    losses,
    maps,
    measures,
    profile,
    ranks,
    samples,
    scale,
    tsne,
)
from bench.report.figures.request import Request
from bench.report.figures.style import look
from bench.report.numbers.selection import Select
from bench.runs.records import Record
from bench.suite.suite import Suite

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Kind:
    """A kind of figure."""

    draw: Callable[[Request], "Figure"]  # raises UsageError where there is nothing to show
    about: str  # what it shows, in a line


FIGURES: Mapping[str, Kind] = {
    "forest": Kind(forest.draw, "ours − published, the tolerance and the verdicts"),
    "bars": Kind(bars.draw, "mean, Student interval and every seed of each task, and the claims"),
    "curves": Kind(curves.draw, "accuracy, or another measure, and loss over the iterations"),
    "cost": Kind(cost.draw_costs, "time of an iteration and memory, machine by machine"),
    "pareto": Kind(cost.draw_pareto, "accuracy against the time of a training"),
    "ranks": Kind(ranks.draw, "mean ranks over tasks and the critical difference"),
    "profile": Kind(profile.draw, "how often a row comes how close to the best one"),
    "confusion": Kind(confusion.draw_confusion, "which classes are taken for which"),
    "classes": Kind(confusion.draw_gains, "what each class gains over the baseline"),
    "tsne": Kind(tsne.draw, "features of both domains, naive and adapted, and their distance"),
    "responses": Kind(maps.draw_responses, "where networks look in target images"),
    "knowledge": Kind(maps.draw_knowledge, "the source patches that predictions rest on"),
    "scale": Kind(scale.draw, "accuracy over the scale s of ToAlign"),
    "measures": Kind(measures.draw, "every measure that a statement is about, seed by seed"),
    "losses": Kind(losses.draw, "losses of discriminator and generator and how they fluctuate"),
    "samples": Kind(samples.draw_samples, "generated images in the course of the training"),
    "grid": Kind(samples.draw_grid, "generated images at its end, a line for each class"),
}


def draw(
    name: str,
    suite: Suite,
    records: Iterable[Record],
    *,
    select: Select = "last",
    budget: str = "full",
    methods: Iterable[str] | None = None,
    tasks: Iterable[str] | None = None,
) -> "Figure":
    """One figure of a suite.

    name: of FIGURES. select: which evaluation of a run counts. methods: ids of the rows to show;
    None for all that were run. tasks: likewise. Raises UsageError, in a sentence, for a name,
    budget, row or task that there is not, and where there is nothing to show; BenchError for what
    was kept of a run and is missing or damaged.
    """
    request = Request(
        suite,
        tuple(records),
        select,
        budget,
        None if methods is None else tuple(methods),
        None if tasks is None else tuple(tasks),
    )
    return draw_request(name, request)


def draw_request(name: str, request: Request) -> "Figure":
    """The same, for several figures of one request: what they share is worked out once."""
    if name not in FIGURES:
        raise unknown("figure", name, FIGURES)
    with look():
        return FIGURES[name].draw(request)
