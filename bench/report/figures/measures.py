"""The measures that a suite's statements are about: every seed, mean and Student interval."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.report.figures import style
from bench.report.figures.kept import find_runs
from bench.report.figures.request import Request
from bench.report.numbers.measures import Board
from bench.report.numbers.stats import Interval, estimate_interval
from bench.report.page.text import format_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.suite.suite import Metric, Row

COLUMNS = 4
HEIGHT = 1.35  # of a panel, inches
REACH = 0.28  # half the width of what is drawn of a row, in rows


def draw(request: Request) -> "Figure":
    """A panel for each measure that a statement names and a row has, with a place for each row."""
    if not request.suite.measures:
        raise UsageError(f"{request.suite.name} has no measures: `bench figures bars` draws it")
    request.check_accuracies()
    task, _ = find_runs(request)
    board = request.board(task)
    measures = [m for m in list_stated(board) if any(_read(board, m.name, r) for r in board.rows)]
    if not measures:
        raise UsageError(f"no run of {request.suite.name} has a value that a statement is about")
    rows = [r for r in board.rows if any(_read(board, m.name, r) for m in measures)]
    lines = -(-len(measures) // COLUMNS)
    figure = style.open_figure(HEIGHT * lines, _caption(request, board), _legend(request, rows))
    axes = style.lay_out_panels(figure, len(measures), COLUMNS)
    for ax, measure in zip(axes, measures, strict=True):
        _draw_panel(ax, request, board, measure, rows)
    return figure


def list_stated(board: Board) -> "list[Metric]":
    """The measures that statements compare, in the suite's order."""
    named = {x for s in board.suite.statements for x in (s.measure, s.than)}
    return [m for m in board.suite.measures if m.name in named]


def _draw_panel(
    ax: "Axes", request: Request, board: Board, measure: "Metric", rows: "Sequence[Row]"
) -> None:
    limits = _find_limits(board, measure)
    for at, row in enumerate(rows):
        values, name = _read(board, measure.name, row), f"mean {measure.name} {row.id}"
        interval = _estimate(board, values)
        style.draw_seeds(ax, at, REACH, values, interval, limits, request.inks[row.id], name)
    ax.set_xlim(-0.6, len(rows) - 0.4)
    ax.set_ylim(*limits)
    ax.set_xticks([])
    style.write_title(ax, measure.title, style.PAGE / COLUMNS - 0.3)


def _find_limits(board: Board, measure: "Metric") -> Interval:
    """Of an axis; measures that a statement compares with each other have the same one."""
    pairs = ({s.measure, s.than} for s in board.suite.statements)
    together = {measure.name}.union(*(pair for pair in pairs if measure.name in pair))
    found = [x for name in sorted(together) for row in board.rows if (x := _read(board, name, row))]
    intervals = (_estimate(board, values) for values in found)
    every = [x for values in found for x in values]
    return style.find_limits(every, [i for i in intervals if i], least=0.0)


def _read(board: Board, measure: str, row: "Row") -> list[float]:
    """The values of the seeds."""
    return list(board.read(measure, row.id).by_seed.values())


def _estimate(board: Board, values: Sequence[float]) -> Interval | None:
    return estimate_interval(values, confidence=board.suite.confidence)


def _legend(request: Request, rows: "Sequence[Row]") -> style.Entries:
    from matplotlib.lines import Line2D

    return [(Line2D([], [], **request.inks[row.id].mark), row.label) for row in rows]


def _caption(request: Request, board: Board) -> str:
    counts = {len(_read(board, m.name, r)) for m in list_stated(board) for r in board.rows} - {0}
    seeds = format_counts(counts, "seed")
    level = f"{100 * board.suite.confidence:.3g} %"
    open_ended = any(reading.least for reading in board.readings.values())
    others = "Runs that never reach a value count with their whole length. " * open_ended
    others += "--tasks chooses another task." * (len(request.suite.tasks) > 1)
    return request.describe(
        f"What the statements are about, on {request.name(board.task)}. Marker and bar: mean over "
        f"seeds and its {level} Student interval (none for one seed; an arrow where it goes on); "
        f"dots: the seeds; n = {seeds}. A row without a marker has no such value.",
        more=others,
    )
