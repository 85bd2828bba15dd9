"""What rows cost: time and memory machine by machine, and accuracy against the time it takes."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.report.figures import style
from bench.report.figures.request import Request
from bench.report.numbers.costs import Cost, summarize_costs
from bench.report.page.layout import MEMORY
from bench.report.page.text import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLAIM: Mapping[str, Any] = {
    "marker": "D", "markerfacecolor": "white", "markeredgecolor": style.INK, "markersize": 4.0,
    "linestyle": "none",
}  # fmt: skip
BAR = 0.21  # height of a bar with its gap, inches


def draw_costs(request: Request) -> "Figure":
    """Two panels a machine: milliseconds for an iteration, and memory. Machines are never mixed."""
    from matplotlib.lines import Line2D

    machines = _find_costs(request)
    claims = _find_ratios(request)
    rows = [len(costs) for costs in machines.values()]
    legend = [(Line2D([], [], **CLAIM), "where the published ratio would be")] if claims else []
    body = BAR * sum(rows) + 0.75 * len(rows)
    figure = style.open_figure(body, _caption_costs(request, machines), legend)
    grid = figure.subplots(len(machines), 2, squeeze=False, height_ratios=rows, sharey="row")
    for (left, right), (machine, costs) in zip(grid, machines.items(), strict=True):
        _draw_times(left, request, costs, claims)
        _draw_memory(right, request, costs, claims)
        style.write_title(left, machine, style.PAGE / 2)
    return figure


Ratios = Mapping[str, Sequence[tuple[float, float]]]
"""Row id -> published ratios to the cost baseline, of time and of memory."""


def _find_ratios(request: Request) -> Ratios:
    """Those of claims whose paper has the baseline, too, at the budget asked for."""
    base = request.suite.cost_row
    claims = [c for c in request.suite.costs if request.budget in c.budgets]
    bases = {c.cite: c for c in reversed(claims) if c.row == base}
    found: dict[str, list[tuple[float, float]]] = {}
    for c in claims:
        if c.row != base and c.cite in bases:
            under = bases[c.cite]
            found.setdefault(c.row, []).append((c.ms / under.ms, c.mb / under.mb))
    return found


def _draw_claims(ax: "Axes", costs: Sequence[Cost], places: Mapping[str, Sequence[float]]) -> None:
    """Published ratios, times what the baseline costs on this machine."""
    for y, c in enumerate(costs):
        at = places.get(c.row, ())
        ax.plot(at, [y] * len(at), **CLAIM, gid=f"claim {c.row}", zorder=4)


def _base_cost(request: Request, costs: Sequence[Cost]) -> Cost | None:
    base = request.suite.cost_row
    return next((c for c in costs if c.row == base), None)


def _find_costs(request: Request) -> Mapping[str, Sequence[Cost]]:
    """Machine -> what the rows asked for cost there, as the table has it."""
    request.check_runs()
    rows = {row.id for row in request.rows}
    records = request.records
    if request.tasks is not None:
        counted = request.table.ledger.counted  # a record may be another suite's, of another name
        shown = {r.path for cell, r in counted if cell.task in request.tasks}
        records = tuple(r for r in records if r.path in shown)
    every = summarize_costs(request.suite, records, request.budget)
    found = {m: [c for c in costs if c.row in rows] for m, costs in every.items()}
    return {m: costs for m, costs in found.items() if costs}


def _draw_times(ax: "Axes", request: Request, costs: Sequence[Cost], claims: Ratios) -> None:
    top = max(c.p95 for c in costs)
    at: dict[str, list[float]] = {}
    if (base := _base_cost(request, costs)) and not base.busy:
        at = {row: [base.ms * ms for ms, _ in found] for row, found in claims.items()}
    for y, c in enumerate(costs):
        ink = request.inks[c.row]
        ax.barh(y, c.ms, 0.7, facecolor=ink.color, hatch=ink.hatch, gid=f"ms {c.row}", zorder=2)
        ax.plot([c.p5, c.p95], [y, y], color=style.INK, linewidth=0.9, zorder=3)
        ratio = "" if c.ratio is None else f"  ×{c.ratio:.2f}"
        text = f"{c.ms:,.1f}{' §' * bool(c.busy)}{ratio}"
        _write(ax, text, y, max([c.ms, c.p95, *at.get(c.row, ())]), top)
    _draw_claims(ax, costs, at)
    _finish(ax, request, costs, 1.48 * top)
    ax.set_xlabel("ms per iteration")


def _draw_memory(ax: "Axes", request: Request, costs: Sequence[Cost], claims: Ratios) -> None:
    kind = next(k for k in MEMORY if k in costs[0].memory)
    values = [c.memory.get(kind, 0.0) for c in costs]
    top = max(values)
    at: dict[str, list[float]] = {}
    if base := _base_cost(request, costs):
        under = base.memory.get(kind, 0.0)
        at = {row: [under * mb for _, mb in found] for row, found in claims.items()}
    for y, (c, value) in enumerate(zip(costs, values, strict=True)):
        ink = request.inks[c.row]
        ax.barh(y, value, 0.7, facecolor=ink.color, hatch=ink.hatch, gid=f"mib {c.row}", zorder=2)
        ratio = "" if c.memory_ratio is None else f"  ×{c.memory_ratio:.2f}"
        text = f"{value:,.0f}{ratio}"
        _write(ax, text, y, max([value, *at.get(c.row, ())]), top)
    _draw_claims(ax, costs, at)
    _finish(ax, request, costs, 1.48 * top)
    ax.tick_params(labelleft=False)
    ax.set_xlabel(MEMORY[kind])


def _write(ax: "Axes", text: str, y: float, end: float, top: float) -> None:
    """The numbers of a bar, behind the bar and all marks on its line. end: of the farthest."""
    ax.text(end + 0.04 * top, y, text, va="center", fontsize=style.SMALL)


def _finish(ax: "Axes", request: Request, costs: Sequence[Cost], right: float) -> None:
    labels = [fill(request.suite.by_id[c.row].label, 30) for c in costs]
    ax.set_yticks(range(len(costs)), labels)
    ax.set_ylim(len(costs) - 0.4, -0.6)
    ax.set_xlim(0, right or 1.0)
    ax.locator_params(axis="x", nbins=4)
    ax.grid(False, axis="y")


def _caption_costs(request: Request, machines: Mapping[str, Sequence[Cost]]) -> str:
    base = request.suite.cost_row
    over = f" ×: ratio to {request.suite.by_id[base].label}." if base else ""
    every = [c for costs in machines.values() for c in costs]
    few, many = min(c.n for c in every), max(c.n for c in every)
    n = format_count(few, "record") if few == many else f"{few} to {many} records"
    busy = " § others computed on the machine: no measure of a method." * any(c.busy for c in every)
    left = sum(c.left_out for c in every)
    out = f" Left out, of a busy machine: {left}." if left else ""
    return request.describe(
        "Time of an iteration (bar: median; line: 5th to 95th percentile) and peak memory, without "
        f"the resident data on a GPU. Medians over n = {n}.{over}{busy}{out}"
    )


def draw_pareto(request: Request) -> "Figure":
    """Accuracy against the time of a training: a panel for each machine and column."""
    request.check_accuracies()
    machines = _find_costs(request)
    places = [(m, c) for m in machines for c in request.compared]
    points = {
        place: found
        for place in places
        if len(found := _find_points(request, machines, *place)) > 1
    }
    if not points:
        raise UsageError(
            f"accuracy against time needs two rows of {request.suite.name} on one machine: "
            f"run another one with `{request.command}`"
        )
    rows = [row for row in request.rows if any(row.id in found for found in points.values())]
    columns = min(3, len(points))
    pieces = style.cut_evenly([c for _, c in points], columns)
    from matplotlib.lines import Line2D

    entries = [(Line2D([], [], **request.inks[row.id].mark), row.label) for row in rows]
    front = (Line2D([], [], color="0.5", linestyle="--"), "Pareto front")
    width = style.PAGE if columns > 1 else 4.5
    shown = list(dict.fromkeys(c for _, c in points))
    figure = style.open_figure(
        2.3 * len(pieces), _caption_pareto(request, shown), [*entries, front], width
    )
    axes = style.lay_out_panels(figure, len(points), columns)
    for ax, ((machine, column), found) in zip(axes, points.items(), strict=True):
        _draw_points(ax, request, found)
        style.write_title(ax, f"{request.name(column)}, {machine}", width / columns - 0.5)
    return figure


def _find_points(
    request: Request, machines: Mapping[str, Sequence[Cost]], machine: str, column: str
) -> dict[str, tuple[float, float]]:
    """Row id -> hours of a training and accuracy.

    The hours are the median time of an iteration, as the table of costs has it, times the
    iterations; where the column is the average over tasks, the mean over them.
    """
    found = {}
    for cost in machines[machine]:
        row = request.suite.by_id[cost.row]
        tasks = [column] if column in request.suite.tasks else request.suite.tasks
        steps = mean(request.suite.recipe_for(row, t, request.budget).iterations for t in tasks)
        accuracy = request.score(row, column).summary.mean
        if accuracy is not None:
            found[row.id] = (cost.ms * steps / 3.6e6, accuracy)
    return found


def _draw_points(ax: "Axes", request: Request, points: Mapping[str, tuple[float, float]]) -> None:
    longest = max(hours for hours, _ in points.values())
    unit, factor = ("hours", 1.0) if longest >= 1 else ("minutes", 60.0)
    lower = request.suite.lower_is_better
    front = find_front(points.values(), lower=lower)
    ax.plot(
        [factor * x for x, _ in front], [y for _, y in front], color="0.5", linestyle="--",
        linewidth=0.8, drawstyle="steps-post", zorder=1,
    )  # fmt: skip
    for row, (hours, accuracy) in points.items():
        ink = request.inks[row]
        ax.plot([factor * hours], [accuracy], **(ink.mark | {"markersize": 6}), gid=f"at {row}")
    ax.margins(0.12)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"{unit} of training")
    ax.set_ylabel(fill(request.measure, 34))


def find_front(
    points: Iterable[tuple[float, float]], *, lower: bool = False
) -> list[tuple[float, float]]:
    """Those points (time, value) to which no other is preferable in both, the quickest first.

    lower: whether small values are good.
    """
    front: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda p: (p[0], p[1] if lower else -p[1])):
        if not front or (y < front[-1][1] if lower else y > front[-1][1]):
            front.append((x, y))
    return front


def _caption_pareto(request: Request, columns: Sequence[str]) -> str:
    return request.describe(
        "Accuracy against the time of one training: the median time of an iteration, as the table "
        "of costs has it, times the iterations; evaluations are not in it.",
        columns=columns,
    )
