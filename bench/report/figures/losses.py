"""The losses of discriminator and generator over the iterations, row by row."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.report.figures import style
from bench.report.figures.kept import Found, find_runs
from bench.report.figures.request import Request
from bench.report.numbers.courses import Course, follow_yield
from bench.report.page.text import format_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.runs.records import Record

NAMES = ("loss of D", "loss of G")  # in the order in which the methods yield them
HEIGHT = 1.75  # of a panel, inches


def draw(request: Request) -> "Figure":
    """A panel for each row, all on the same axes."""
    request.check_generates()
    task, found = find_runs(request)
    every = {row.id: _follow(found[row.id]) for row in request.rows if row.id in found}
    courses = {row: both for row, both in every.items() if all(c.steps for c in both)}
    if not courses:
        raise UsageError(
            f"the records of {request.suite.name} cannot be read, or have no losses of D and G"
        )
    columns = min(len(courses), 3)
    lines = -(-len(courses) // columns)
    figure = style.open_figure(HEIGHT * lines, _caption(request, task, found, courses), _legend())
    axes = style.lay_out_panels(figure, len(courses), columns, sharex=True, sharey=True)
    for i, (ax, (row, both)) in enumerate(zip(axes, courses.items(), strict=True)):
        _draw_losses(ax, row, both)
        style.write_title(ax, request.suite.by_id[row].label, style.PAGE / columns - 0.4)
        ax.margins(x=0.02)
        if i + columns >= len(courses):
            ax.set_xlabel("iterations")
            ax.tick_params(labelbottom=True)
        if i % columns == 0:
            ax.set_ylabel("loss, nats")
    return figure


def _follow(runs: Sequence[tuple[int, "Record"]]) -> list[Course]:
    """Of each of NAMES, over the seeds."""
    return [follow_yield((r for _, r in runs), place) for place in range(len(NAMES))]


def _draw_losses(ax: "Axes", row: str, both: Sequence[Course]) -> None:
    for place, c in enumerate(both):
        ink = style.pick_ink(place)
        ax.plot(c.steps, c.mean, **ink.line, gid=f"{'DG'[place]} {row}", zorder=3)
        ax.fill_between(c.steps, c.low, c.high, color=ink.color, alpha=0.2, linewidth=0)


def _legend() -> style.Entries:
    from matplotlib.lines import Line2D

    return [
        (Line2D([], [], **style.pick_ink(place).line), name) for place, name in enumerate(NAMES)
    ]


def _caption(request: Request, task: str, found: Found, shown: Iterable[str]) -> str:
    seeds = format_counts({len(found[row]) for row in shown}, "seed")
    others = " --tasks chooses another task." * (len(request.suite.tasks) > 1)
    return request.describe(
        f"Losses on {request.name(task)}: mean of each window of iterations (line) ± the standard "
        f"deviation within it (band), both averaged over the seeds; n = {seeds}.",
        more=others,
    )
