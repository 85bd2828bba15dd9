"""Rank plot: the mean rank of each row over tasks, with the critical difference."""

from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.report.figures import style
from bench.report.figures.request import Request
from bench.report.numbers.ranks import Ranks, rank_rows
from bench.report.numbers.scores import AVERAGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = 0.24  # height of a row, inches


def draw(request: Request) -> "Figure":
    """The best row on top; lines on the right join rows that are not told apart."""
    request.check_accuracies()
    if len(request.suite.tasks) < 2:
        raise UsageError(f"ranks are over tasks, and {request.suite.name} has one")
    values = _find_values(request)
    lower = request.suite.lower_is_better
    ranks = rank_rows(values, lower=lower)
    if ranks is None or len(values) < 3 or len(ranks.tasks) < 2:
        shared = len(ranks.tasks) if ranks else 0
        raise UsageError(
            f"ranks need three rows of {request.suite.name} that have the same two tasks; "
            f"{len(values)} rows share {shared}: `{request.command}` "
            "runs what is missing"
        )
    figure = style.open_figure(LINE * len(values) + 0.95, _caption(request, ranks), width=5.5)
    ax = figure.subplots()
    _draw_rows(ax, request, ranks)
    _draw_strokes(ax, ranks, values, lower=lower)
    _draw_difference(ax, ranks)
    return figure


def _find_values(request: Request) -> dict[str, dict[str, float]]:
    """Row id -> task -> mean over seeds.

    A row with less than half of the tasks that another one has is left out, because otherwise a row
    that was only begun would leave no task to compare.
    """
    tasks = [c for c in request.columns if c != AVERAGE]
    means = {
        row.id: {t: m for t in tasks if (m := request.score(row, t).summary.mean) is not None}
        for row in request.rows
    }
    most = max(map(len, means.values()))
    return {row: found for row, found in means.items() if found and 2 * len(found) >= most}


def _draw_rows(ax: "Axes", request: Request, ranks: Ranks) -> None:
    names = list(ranks.mean)
    for y, name in enumerate(names):
        mark = request.inks[name].mark | {"markersize": 6, "zorder": 3}
        ax.plot([ranks.mean[name]], [y], **mark, gid=f"rank {name}")
    right = max(len(names), 1 + ranks.critical) + 0.25
    for i, group in enumerate(ranks.groups):
        first, last = names.index(group[0]), names.index(group[-1])
        x = right + 0.14 * i
        ax.plot([x, x], [first - 0.15, last + 0.15], color=style.INK, linewidth=2.2, gid="group")
    labels = [f"{request.suite.by_id[n].label}  ({ranks.mean[n]:.2f})" for n in names]
    ax.set_yticks(range(len(names)), labels)
    ax.set_ylim(len(names) - 0.4, -1.4)
    ax.set_xlim(0.7, right + 0.14 * max(1, len(ranks.groups)) + 0.1)
    ax.set_xticks(range(1, len(names) + 1))
    ax.grid(False, axis="y")
    ax.set_xlabel("rank among the rows, 1 is the best")


def _draw_strokes(
    ax: "Axes", ranks: Ranks, values: dict[str, dict[str, float]], *, lower: bool
) -> None:
    """The rank of each row at each task."""
    from scipy.stats import rankdata

    sign, names = 1 if lower else -1, list(ranks.mean)
    for task in ranks.tasks:
        single = rankdata([sign * values[name][task] for name in names])
        ax.plot(single, range(len(names)), "|", color="0.6", zorder=1)


def _draw_difference(ax: "Axes", ranks: Ranks) -> None:
    """A ruler as long as the critical difference, above the rows."""
    ax.plot([1, 1 + ranks.critical], [-0.8, -0.8], "|-", color=style.INK, gid="difference")
    text = f"critical difference {ranks.critical:.2f}"
    ax.text(1, -0.92, text, fontsize=style.SMALL, va="bottom")


def _caption(request: Request, ranks: Ranks) -> str:
    p = ranks.p or 0.0
    shown = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return request.describe(
        f"Mean rank (in brackets) of {len(ranks.mean)} rows over {len(ranks.tasks)} tasks, by the "
        "mean over seeds; strokes: the single ranks. Thick lines on the right join rows whose mean "
        "ranks differ by less than the critical difference (Nemenyi, 5 %). Friedman's test that "
        f"all rows are alike: {shown}.",
        columns=ranks.tasks,
    )
