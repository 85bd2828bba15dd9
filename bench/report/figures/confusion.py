"""Class by class: mean confusion matrices, and what each class gains over the baseline."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from bench.errors import UsageError
from bench.report.figures import style
from bench.report.figures.request import Request
from bench.report.numbers.classes import ClassRates, find_gains, find_rates
from bench.report.numbers.scores import AVERAGE
from bench.report.numbers.stats import Gain
from bench.report.page.text import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = 12  # that fit on a page
NAMED = 12  # classes whose names and numbers can be read in a matrix
MATRIX = 2.05  # height of a matrix, inches
CLASS = 0.15  # height of a class among the gains, inches

Place = tuple[str, str]  # task, row id
T = TypeVar("T")


def draw_confusion(request: Request) -> "Figure":
    """A matrix for each task and row: % of the images of a class (line) by prediction (column)."""
    request.check_accuracies()
    if request.select != "last":
        raise UsageError(
            "records hold a confusion matrix of the last evaluation alone: leave --select out"
        )
    found = _fit({p: x for p, x in _rates(request) if x.confusion})
    if not found:
        raise UsageError(
            f"no record of {request.suite.name} at the budget {request.budget!r} holds a confusion "
            f"matrix, because older programs wrote none: `{request.command} --redo` makes new ones"
        )
    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    width = style.PAGE if columns > 1 else 4.2
    height = MATRIX if columns > 1 else 3.2
    figure = style.open_figure(
        (height + 0.5) * lines, _caption_confusion(request, found), width=width
    )
    for ax, (place, rates) in zip(
        style.lay_out_panels(figure, len(found), columns), found.items(), strict=True
    ):
        _draw_matrix(ax, rates)
        style.write_title(ax, _name_place(request, place, rates), width / columns - 0.4)
    return figure


def _rates(request: Request) -> Iterable[tuple[Place, ClassRates]]:
    for task in (c for c in request.columns if c != AVERAGE):
        for row in request.rows:
            runs = [(c.seed, r) for c, r in request.runs() if (c.row, c.task) == (row.id, task)]
            if rates := find_rates(request.suite, runs, request.select):
                yield (task, row.id), rates


def _fit(found: Mapping[Place, T]) -> dict[Place, T]:
    """Those of as many tasks as fit on a page, of the first task in any case."""
    tasks = list(dict.fromkeys(task for task, _ in found))
    rows = max((sum(t == task for t, _ in found) for task in tasks), default=1)
    kept = tasks[: max(1, PANELS // rows)]
    return {place: x for place, x in found.items() if place[0] in kept}


def _name_place(request: Request, place: Place, rates: ClassRates) -> str:
    task, row = place
    n = format_count(len(rates.seeds), "seed")
    return f"{request.suite.by_id[row].label}, {request.name(task)} ({n})"


def _draw_matrix(ax: "Axes", rates: ClassRates) -> None:
    import seaborn

    many = len(rates.names) > NAMED
    labels = False if many else list(rates.names)
    seaborn.heatmap(
        rates.confusion, ax=ax, vmin=0, vmax=100, cmap="Blues", cbar=False, square=True,
        annot=not many, fmt=".0f", annot_kws={"fontsize": 5.5}, xticklabels=labels,
        yticklabels=labels, linewidths=0 if many else 0.3, linecolor="0.9", rasterized=many,
    )  # fmt: skip
    for text in ax.texts:  # zeros would hide what matters
        text.set_text("" if text.get_text() in ("0", "-0") else text.get_text())
    ax.tick_params(axis="x", labelrotation=90, labelsize=6)
    ax.tick_params(axis="y", labelrotation=0, labelsize=6)
    ax.set_xlabel("predicted", fontsize=style.SMALL)
    ax.set_ylabel("true", fontsize=style.SMALL)
    for spine in ax.spines.values():
        spine.set_visible(True)


def _caption_confusion(request: Request, found: Mapping[Place, object]) -> str:
    tasks = list(dict.fromkeys(task for task, _ in found))
    return request.describe(
        "Images of a class (line) by prediction (column), in %, mean over the seeds whose records "
        "hold a matrix; a line adds up to 100." + _left_out(request, tasks),
        columns=tasks,
    )


def _left_out(request: Request, tasks: Sequence[str]) -> str:
    rest = len([c for c in request.columns if c != AVERAGE]) - len(tasks)
    return f" {format_count(rest, 'further task')}: choose with --tasks." if rest > 0 else ""


def draw_gains(request: Request) -> "Figure":
    """For each task and row, what each class gains over the baseline row, seed by seed."""
    request.check_accuracies()
    base = request.suite.baseline
    if base is None:
        raise UsageError(
            f"{request.suite.name} names no baseline row: state `baseline` in its file"
        )
    every = dict(_rates(_with_baseline(request, base)))
    found = {}
    for (task, row), rates in every.items():
        under = every.get((task, base))
        asked = row != base and row in {r.id for r in request.rows}
        if under and asked and (gains := find_gains(rates, under, request.suite.confidence)):
            found[task, row] = gains
    shown = _fit(found)
    if not shown:
        raise UsageError(
            f"gains of classes need a run of {base} and one of another row with the same task and "
            f"seed: `{request.command}`"
        )
    return _draw_all_gains(request, shown, base)


def _with_baseline(request: Request, base: str) -> Request:
    return replace(request, methods=None if request.methods is None else (*request.methods, base))


def _draw_all_gains(
    request: Request, shown: Mapping[Place, "Sequence[tuple[str, Gain]]"], base: str
) -> "Figure":
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    tallest = max(len(x) for x in shown.values())
    width = style.PAGE if columns > 1 else 4.5
    step = CLASS if tallest <= 30 else 0.105
    figure = style.open_figure(
        (step * tallest + 0.85) * lines, _caption_gains(request, shown, base), width=width
    )
    axes = style.lay_out_panels(figure, len(shown), columns, sharex=True)
    gaps = [g.gap for x in shown.values() for _, g in x]
    intervals = [g.interval for x in shown.values() for _, g in x if g.interval]
    limits = style.find_limits([*gaps, 0.0], intervals, (-100.0, 100.0))
    for ax, ((task, row), gains) in zip(axes, shown.items(), strict=True):
        color = request.inks[row].color
        for y, (_, gain) in enumerate(gains):
            style.draw_interval(ax, y, gain.interval, limits, color, upright=False)
            ax.plot(
                [gain.gap], [y], **(request.inks[row].mark | {"markersize": 3.5}), gid=f"gain {y}"
            )
        ax.axvline(0, color="0.45", linewidth=0.7, zorder=1)
        ax.set_yticks(range(len(gains)), [name for name, _ in gains])
        ax.tick_params(axis="y", labelsize=style.SMALL if step == CLASS else 5.5)
        ax.tick_params(labelbottom=True)
        ax.set_ylim(len(gains) - 0.4, -0.6)
        ax.set_xlim(*limits)
        ax.set_xlabel("gain, points")
        n = format_count(max(g.n for _, g in gains), "seed")
        label = f"{request.suite.by_id[row].label}, {request.name(task)} ({n})"
        style.write_title(ax, label, width / columns - 0.6)
    return figure


def _caption_gains(request: Request, shown: Mapping[Place, object], base: str) -> str:
    tasks = list(dict.fromkeys(task for task, _ in shown))
    return request.describe(
        f"Accuracy on each class minus that of {request.suite.by_id[base].label}, over the seeds "
        f"that both have, with the {100 * request.suite.confidence:.3g} % Student interval (none "
        "for one seed)." + _left_out(request, tasks),
        columns=tasks,
    )
