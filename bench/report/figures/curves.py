"""Learning curves: accuracy on target and source and the loss over the iterations, with λ or α."""

from collections.abc import Mapping, Sequence
from statistics import mean
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.report.figures import style
from bench.report.figures.request import Request
from bench.report.numbers.courses import Course, find_schedule, follow_accuracy, follow_loss
from bench.report.numbers.scores import pick_evaluation, score_row
from bench.report.numbers.selection import Select

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.runs.cell import Cell
    from bench.runs.records import Record
    from bench.suite.suite import Row

ACCURACY, LOSS, SCHEDULE = 1.75, 0.95, 0.9  # heights of the axes, inches
BURST = 15  # a loss that exceeds the median by so much has an axis of its own kind
TICKS = 5  # of a logarithmic axis, about
CUT = 1e4  # a loss beyond it leaves the axis: it would press all others together
LAST: Mapping[str, Any] = {"markersize": 5.0, "zorder": 5}
BEST: Mapping[str, Any] = {
    "markersize": 7.5,
    "markerfacecolor": "none",
    "linestyle": "none",
    "zorder": 5,
}


def draw(request: Request) -> "Figure":
    """For each task a panel of accuracies and one of losses; the schedules once for all tasks."""
    request.check_accuracies()
    runs = _find_runs(request)
    tasks = [t for t in request.columns if any(task == t for _, task in runs)]
    rows = [row for row in request.rows if any(r == row.id for r, _ in runs)]
    columns = min(len(tasks), 2 if len(tasks) < 5 else 3)
    pieces = style.cut_evenly(tasks, columns)
    schedules = _schedules(runs, rows)
    losses = {place: follow_loss(r for _, r in found) for place, found in runs.items()}
    block = [ACCURACY, LOSS] if any(c.steps for c in losses.values()) else [ACCURACY]
    heights = block * len(pieces) + ([SCHEDULE] if schedules else [])
    figure = style.open_figure(sum(heights), _caption(request, tasks), _legend(request, rows))
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    for i, task in enumerate(tasks):
        at, column = len(block) * (i // columns), i % columns
        above = figure.add_subplot(grid[at, column])
        _draw_accuracies(above, request, rows, task, runs)
        above.set_title(request.name(task))
        axes = [above]
        if len(block) > 1:
            axes.append(figure.add_subplot(grid[at + 1, column], sharex=above))
            above.tick_params(labelbottom=False)
            _draw_losses(axes[1], request, {r.id: losses.get((r.id, task)) for r in rows})
        axes[-1].set_xlabel("iterations")
        if column == 0:
            loss = "Loss\n(log scale)" if axes[-1].get_yscale() == "symlog" else "Loss"
            for ax, label in zip(
                axes, (request.measure.replace(" on the target", ""), loss), strict=False
            ):
                ax.set_ylabel("\n".join(fill(line, 24) for line in label.split("\n")))
    if schedules:
        _draw_schedules(figure.add_subplot(grid[-1, :]), request, schedules)
    return figure


Runs = Mapping[tuple[str, str], Sequence[tuple["Cell", "Record"]]]  # by row id and task


def _find_runs(request: Request) -> Runs:
    """The runs that were evaluated several times. Raises UsageError where none was."""
    found: dict[tuple[str, str], list[tuple[Cell, Record]]] = {}
    for cell, r in request.runs():
        if len(r.evals) > 1:
            found.setdefault((cell.row, cell.task), []).append((cell, r))
    if not found:
        raise UsageError(
            f"every run of {request.suite.name} at the budget {request.budget!r} was evaluated "
            "once, which makes no curve: give its recipe a smaller `eval_every` and run it again"
        )
    return found


def _records(runs: Runs, row: "Row", task: str) -> "list[Record]":
    return [r for _, r in runs.get((row.id, task), ())]


def _draw_accuracies(
    ax: "Axes", request: Request, rows: Sequence["Row"], task: str, runs: Runs
) -> None:
    for row in rows:
        records, ink = _records(runs, row, task), request.inks[row.id]
        if not records:
            continue
        if not request.suite.metric:
            source = follow_accuracy(request.suite, records, "source")
            ax.plot(
                source.steps, source.mean, color=ink.color, linewidth=0.8, linestyle=(0, (2, 2))
            )
        target = follow_accuracy(request.suite, records, "target")
        _draw_course(ax, target, request, row.id, "target")
        ax.plot(
            [target.steps[-1]],
            [_reached(request, row, task, "last")],
            **{**ink.mark, **LAST},
            gid=f"last {row.id}",
        )
        best: Select = "best-on-target"
        place = mean(_best_step(request, r) for r in records)
        value = _reached(request, row, task, best)
        ax.plot(
            [place],
            [value],
            marker=ink.marker,
            markeredgecolor=ink.color,
            **BEST,
            gid=f"best {row.id}",
        )
    ax.margins(x=0.02)


def _draw_course(ax: "Axes", course: Course, request: Request, row: str, name: str) -> None:
    ink = request.inks[row]
    ax.plot(course.steps, course.mean, **ink.line, gid=f"{name} {row}", zorder=3)
    ax.fill_between(course.steps, course.low, course.high, color=ink.color, alpha=0.18, linewidth=0)


def _reached(request: Request, row: "Row", task: str, select: Select) -> float:
    """The mean over seeds, as the table of that selection has it."""
    scores = score_row(request.suite, request.table.ledger, row.id, select, "target")
    return scores[task].summary.mean or 0.0


def _best_step(request: Request, record: "Record") -> int:
    best = pick_evaluation(request.suite, record, "best-on-target")
    return best.step if best else 0


def _draw_losses(ax: "Axes", request: Request, courses: Mapping[str, Course | None]) -> None:
    """courses: by row id."""
    found = {row: c for row, c in courses.items() if c and c.steps}
    for row, course in found.items():
        _draw_course(ax, course, request, row, "loss")
    _bend(ax, [y for course in found.values() for y in course.mean])
    if not found:
        ax.text(0.5, 0.5, "no losses recorded", transform=ax.transAxes, ha="center", fontsize=6)


def _bend(ax: "Axes", losses: Sequence[float]) -> None:
    """A logarithmic axis beyond ±1 where single losses are so large that they hide all others."""
    from matplotlib.ticker import SymmetricalLogLocator

    values = sorted(map(abs, losses))
    if values and values[-1] > BURST * max(1.0, values[len(values) // 2]):
        ax.set_yscale("symlog", linthresh=1.0)
        locator = SymmetricalLogLocator(base=10, linthresh=1.0)
        locator.set_params(numticks=TICKS)
        ax.set_ylim(top=min(ax.get_ylim()[1], CUT))
        ax.yaxis.set_major_locator(locator)
        ax.yaxis.set_major_formatter(lambda y, _: f"{y:g}")


Schedules = Mapping[str, tuple["Row", "Cell"]]  # what to call it -> whose it is


def _schedules(runs: Runs, rows: Sequence["Row"]) -> Schedules:
    """One for each row that has a schedule, at its first task."""
    first: dict[str, tuple[Row, Cell]] = {}
    for row in rows:
        cell = next(found[0][0] for (r, _), found in runs.items() if r == row.id)
        if find_schedule(cell):
            first[row.id] = (row, cell)
    return first


def _draw_schedules(ax: "Axes", request: Request, schedules: Schedules) -> None:
    symbols = []
    for row, cell in schedules.values():
        if schedule := find_schedule(cell):
            ax.plot(schedule.steps, schedule.values, **request.inks[row.id].line)
            symbols.append(schedule.symbol)
    ax.set_ylabel(" or ".join(dict.fromkeys(symbols)))
    ax.set_xlabel("iterations")
    ax.margins(x=0.02)


def _legend(request: Request, rows: Sequence["Row"]) -> style.Entries:
    from matplotlib.lines import Line2D

    entries = [
        (Line2D([], [], color=i.color, linestyle=i.dash, marker=i.marker), row.label)
        for row in rows
        for i in [request.inks[row.id]]
    ]
    if not request.suite.metric:
        line = Line2D([], [], color=style.INK, linewidth=0.8, linestyle=(0, (2, 2)))
        entries.append((line, "on the source"))
    full = Line2D([], [], color=style.INK, marker="o", linestyle="none")
    best = Line2D([], [], marker="o", markeredgecolor=style.INK, **BEST)
    return [
        *entries,
        (full, "last"),
        (best, "best ‡" if request.suite.metric else "best on target ‡"),
    ]


def _caption(request: Request, tasks: Sequence[str]) -> str:
    return request.describe(
        "Mean over seeds; bands reach from the lowest to the highest seed. Last and best are those "
        "of the tables: best is each seed's own, set at the mean of their iterations. The loss is "
        "the method's own, so it compares with itself alone.",
        columns=tasks,
        more="‡ chosen after the fact."
        if request.suite.metric
        else "‡ an oracle: it looks at the target's test labels.",
    )
