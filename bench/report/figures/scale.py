"""The scale ablation: accuracy over a fixed s of ToAlign, beside the adaptive one (figure 7)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.report.figures import style
from bench.report.figures.request import Request
from bench.report.numbers.stats import estimate_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.suite.suite import Row

OURS: dict[str, Any] = {"color": "#0173b2", "marker": "o"}
THEIRS: dict[str, Any] = {"color": style.INK, "marker": "D", "markerfacecolor": "white"}
LEVELS: tuple[Any, ...] = ("--", ":")  # of rows without a fixed s


def draw(request: Request) -> "Figure":
    """A panel for the average over tasks, else one for each task."""
    fixed, others = _split_rows(request)
    request.check_accuracies()
    columns = [c for c in request.compared if any(request.score(r, c).by_seed for r in fixed)]
    if not columns:
        raise UsageError(
            f"no row of {request.suite.name} with a fixed scale has a finished run at the budget "
            f"{request.budget!r}: `{request.command} --methods "
            f"{','.join(r.id for r in fixed)}`"
        )
    across = min(3, len(columns))
    rows = style.cut_evenly(columns, across)
    width = style.PAGE if across > 1 else 4.5
    figure = style.open_figure(
        2.4 * len(rows), _caption(request, columns), _legend(request, others), width
    )
    axes = style.lay_out_panels(figure, len(columns), across)
    for ax, column in zip(axes, columns, strict=True):
        _draw_panel(ax, request, fixed, others, column)
        ax.set_title(request.name(column))
    return figure


def _split_rows(request: Request) -> tuple[list["Row"], list["Row"]]:
    """The rows of the suite with a fixed scale, by it; and the others that were run."""
    fixed = [r for r in request.suite.rows if _scale(r) > 0]
    if len(fixed) < 2:
        raise UsageError(
            f"{request.suite.name} does not vary the hyper-parameter `scale`: "
            "the suite officehome-scale does"
        )
    return (
        sorted((r for r in request.rows if _scale(r) > 0), key=_scale) or sorted(fixed, key=_scale),
        [r for r in request.rows if not _scale(r) > 0],
    )


def _scale(row: "Row") -> float:
    return float(row.hyper.get("scale", 0.0))


def _draw_panel(
    ax: "Axes", request: Request, fixed: Sequence["Row"], others: Sequence["Row"], column: str
) -> None:
    rows = [r for r in fixed if request.score(r, column).by_seed]
    at = [_scale(r) for r in rows]
    means = [request.score(r, column).summary.mean or 0.0 for r in rows]
    confidence = request.suite.confidence
    intervals = [
        estimate_interval(request.score(r, column).by_seed.values(), confidence=confidence)
        for r in rows
    ]
    levels = [(r, request.score(r, column).summary.mean) for r in others]
    theirs = _published(request, fixed, column)
    points = [*means, *(m for _, m in levels if m is not None), *(y for _, y in theirs)]
    limits = style.find_limits(points, [i for i in intervals if i], request.bounds)
    for x, interval in zip(at, intervals, strict=True):
        style.draw_interval(ax, x, interval, limits, OURS["color"], upright=True)
    ax.plot(at, means, **OURS, gid="ours", zorder=3)
    for i, (_, level) in enumerate(levels):
        if level is not None:
            ax.axhline(level, color="0.35", linestyle=LEVELS[i % 2], linewidth=1.0)
    ax.plot(
        [x for x, _ in theirs], [y for _, y in theirs], **THEIRS, linestyle=(0, (1, 2)), zorder=2
    )
    ax.set_xscale("log", base=2)
    ax.set_xticks(at, [f"{x:g}" for x in at])
    ax.minorticks_off()
    ax.set_ylim(*limits)
    ax.set_xlabel("scale s")
    ax.set_ylabel(request.measure)


def _published(request: Request, rows: Sequence["Row"], column: str) -> list[tuple[float, float]]:
    return [
        (_scale(row), c.figures[column].value)
        for row in rows
        for c in request.groups[row.id].claims
        if column in c.figures
    ]


def _has_oracles(request: Request) -> bool:
    return any(c.select == "best-on-target" for c in request.suite.published)


def _legend(request: Request, others: Sequence["Row"]) -> style.Entries:
    from matplotlib.lines import Line2D

    entries = [(Line2D([], [], **OURS), "ours, fixed s")]
    entries += [
        (Line2D([], [], color="0.35", linestyle=LEVELS[i % 2]), r.label)
        for i, r in enumerate(others)
    ]
    if any(_published(request, request.suite.rows, c) for c in request.compared):
        word = "published, chosen on the target ‡" if _has_oracles(request) else "published"
        entries.append((Line2D([], [], **THEIRS, linestyle=(0, (1, 2))), word))
    return entries


def _caption(request: Request, columns: Sequence[str]) -> str:
    return request.describe(
        "Accuracy over the scale s of f⁺ = s·ω⊙f: mean over seeds with its "
        f"{100 * request.suite.confidence:.3g} % Student interval (none for one seed).",
        columns=columns,
    )
