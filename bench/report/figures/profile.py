"""Performance profiles: how often a row comes how close to the best one."""

from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.report.figures import style
from bench.report.figures.request import Request
from bench.report.numbers.profiles import find_regrets
from bench.report.numbers.scores import AVERAGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(request: Request) -> "Figure":
    """A stair for each row: the share of (task, seed) at which it is no more than so many points
    behind the best row (Dolan and Moré 2002, with differences in place of ratios)."""
    from matplotlib.lines import Line2D

    request.check_accuracies()
    values, places = _find_values(request)
    lower = request.suite.lower_is_better
    regrets = find_regrets(values, lower=lower)
    rows = [row for row in request.rows if row.id in regrets]
    legend = [
        (Line2D([], [], **request.inks[r.id].line, marker=request.inks[r.id].marker), r.label)
        for r in rows
    ]
    figure = style.open_figure(2.6, _caption(request, places), legend, width=5.5)
    ax = figure.subplots()
    end = 1.05 * max(max(x) for x in regrets.values()) or 1.0
    for row in rows:
        found, ink = regrets[row.id], request.inks[row.id]
        n = len(found)
        x, y = [0.0, *found, end], [0.0, *((k + 1) / n for k in range(n)), 1.0]
        ax.plot(
            x, y, **ink.line, marker=ink.marker, markevery=slice(1, -1), drawstyle="steps-post",
            markersize=3.5, gid=f"profile {row.id}",
        )  # fmt: skip
    ax.set_xlim(-0.01 * end, end)
    ax.set_ylim(-0.02, 1.04)
    ax.set_xlabel("points behind the best row")
    ax.set_ylabel("share of tasks and seeds")
    return figure


def _find_values(request: Request) -> tuple[dict[str, list[float]], list[tuple[str, int]]]:
    """The values of each row at the (task, seed) that all rows have, and these."""
    tasks = [c for c in request.columns if c != AVERAGE]
    own = {
        row.id: {(t, s): v for t in tasks for s, v in request.score(row, t).by_seed.items()}
        for row in request.rows
    }
    own = {row: found for row, found in own.items() if found}
    shared = sorted(set.intersection(*(set(found) for found in own.values())))
    if len(own) < 2 or not shared:
        raise UsageError(
            f"a profile needs two rows of {request.suite.name} that have a task and a seed in "
            f"common; {len(own)} rows share {len(shared)}: choose rows with --methods, or run "
            f"`{request.command}`"
        )
    return {row: [found[place] for place in shared] for row, found in own.items()}, shared


def _caption(request: Request, places: list[tuple[str, int]]) -> str:
    tasks = list(dict.fromkeys(task for task, _ in places))
    return request.describe(
        "The share of trainings in which a row stays no more than so many points behind the best "
        f"row at the same task and seed; of {len(places)} such places that all rows have.",
        columns=tasks,
    )
