"""Error bars: mean, Student interval and every seed of each row at each task, beside what is
published."""

from collections.abc import Mapping, Sequence
from itertools import chain
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bench.report.figures import style
from bench.report.figures.request import Request
from bench.report.numbers.stats import Interval, estimate_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.suite.suite import Row

PLACES = 44  # rows × columns that fit beside each other
PLACE = 0.3  # width of one where there is room, inches
REACH = 0.1  # half the width of what is drawn there, inches
LOST: Mapping[str, Any] = {
    "marker": "x",
    "color": style.INK,
    "linestyle": "none",
    "markersize": 4.5,
}
RING: Mapping[str, Any] = {
    "marker": "o", "markerfacecolor": "none", "markeredgecolor": style.INK, "linestyle": "none",
    "markersize": 5.5,
}  # fmt: skip


def draw(request: Request) -> "Figure":
    """Columns beside each other, in as many panels as they need; rows within a column."""
    request.check_accuracies()
    rows = [r for r in request.rows if any(_shown(request, r, c) for c in request.columns)]
    pieces = style.cut_evenly(request.columns, PLACES // len(rows))
    widest = max(map(len, pieces))
    width = min(style.PAGE, max(4.5, PLACE * len(rows) * widest + 1.2))
    figure = style.open_figure(2.1 * len(pieces), _caption(request), _legend(request, rows), width)
    reach = REACH * widest / (width - 0.8)  # in columns
    for ax, piece in zip(style.lay_out_panels(figure, len(pieces), 1), pieces, strict=True):
        _draw_panel(ax, request, rows, piece, reach)
        ax.set_xlim(-0.5, widest - 0.5)
        ax.set_ylabel(fill(request.measure, 26))
    return figure


def _shown(request: Request, row: "Row", column: str) -> bool:
    score = request.score(row, column)
    return bool(score.by_seed or score.lost)


def _interval(request: Request, row: "Row", column: str) -> Interval | None:
    values = request.score(row, column).by_seed.values()
    return estimate_interval(values, confidence=request.suite.confidence)


def _published(request: Request, row: "Row", column: str) -> list[tuple[float, bool]]:
    """The published figures, each with whether it is an oracle's."""
    claims = request.groups[row.id].claims
    return [
        (c.figures[column].value, c.select == "best-on-target")
        for c in claims
        if column in c.figures
    ]


def _draw_panel(
    ax: "Axes", request: Request, rows: Sequence["Row"], columns: Sequence[str], reach: float
) -> None:
    places = [(row, c) for c in columns for row in rows]
    seeds = [v for row, c in places for v in request.score(row, c).by_seed.values()]
    claims = [v for row, c in places for v, _ in _published(request, row, c)]
    intervals = [x for row, c in places if (x := _interval(request, row, c))]
    limits = style.find_limits([*seeds, *claims], intervals, request.bounds)
    width = 0.84 / len(rows)
    for j, column in enumerate(columns):
        for i, row in enumerate(rows):
            at = j + (i - (len(rows) - 1) / 2) * width
            _draw_place(ax, request, row, column, at, min(reach, 0.45 * width), limits)
    ax.set_ylim(*limits)
    ax.set_xticks(range(len(columns)), [request.name(c) for c in columns])
    ax.grid(False, axis="x")
    for j in range(1, len(columns)):
        ax.axvline(j - 0.5, color="0.85", linewidth=0.6)


def _draw_place(
    ax: "Axes",
    request: Request,
    row: "Row",
    column: str,
    at: float,
    reach: float,
    limits: tuple[float, float],
) -> None:
    """One row at one column: the published figures, the interval, the mean, then the seeds to the
    right of it, and below those that have no accuracy."""
    score, ink = request.score(row, column), request.inks[row.id]
    for value, oracle in _published(request, row, column):
        dash = (0, (1, 1)) if oracle else "-"
        ax.plot([at - reach, at + reach], [value] * 2, color=style.INK, linestyle=dash, zorder=1)
    name, dots = f"mean {row.id} {column}", list(score.by_seed.values())
    interval = _interval(request, row, column)
    mean, seeds = style.draw_seeds(ax, at, reach, dots, interval, limits, ink, name)
    fallen = [score.by_seed[seed] for seed in score.collapsed]
    where = seeds if score.summary.n > 1 else mean
    ax.plot([where] * len(fallen), fallen, **RING, zorder=5)
    if score.lost:
        bottom = limits[0] + 0.03 * (limits[1] - limits[0])
        ax.plot([seeds], [bottom], **LOST, zorder=5)


def _legend(request: Request, rows: Sequence["Row"]) -> style.Entries:
    from matplotlib.lines import Line2D

    scores = [request.score(row, c) for row in rows for c in request.columns]
    claims = list(chain(*(_published(request, r, c) for r in rows for c in request.columns)))
    entries = [(Line2D([], [], **request.inks[row.id].mark), row.label) for row in rows]
    if any(not oracle for _, oracle in claims):
        entries.append((Line2D([], [], color=style.INK), "published"))
    if any(oracle for _, oracle in claims):
        line = Line2D([], [], color=style.INK, linestyle=(0, (1, 1)))
        entries.append((line, "published, chosen on the target ‡"))
    if any(s.collapsed for s in scores):
        entries.append((Line2D([], [], **RING), "collapsed †"))
    if any(s.lost for s in scores):
        entries.append((Line2D([], [], **LOST), "seeds without an accuracy"))
    return entries


def _caption(request: Request) -> str:
    level = f"{100 * request.suite.confidence:.3g} %"
    return request.describe(
        f"Marker and bar: mean over seeds and its {level} Student interval (none for one seed; an "
        "arrow where it goes on); dots: the seeds.",
        columns=request.columns,
    )
