"""Forest plot: ours − published with its interval, the tolerance and the verdict of each claim."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.report.figures import style
from bench.report.figures.request import Request
from bench.report.numbers.scores import AVERAGE
from bench.report.numbers.stats import Verdict
from bench.report.page.cites import name_papers
from bench.suite.references import read_references

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS: Mapping[str, dict[str, Any]] = {  # verdict -> how its marker looks
    "match": {"color": "#0173b2", "marker": "o"},
    "differs": {"color": "#d55e00", "marker": "s"},
    "unresolved": {"color": "0.35", "marker": "D", "markerfacecolor": "white"},
}
LINE = 0.17  # height of a line, inches
LABEL = 36  # letters of a label before it is broken


@dataclass(frozen=True)
class Panel:
    """A claim, or all claims where each is about one task alone."""

    title: str
    lines: tuple[tuple[str, Verdict], ...]  # a label and what our seeds say, from top to bottom


def draw(request: Request) -> "Figure":
    """A panel for each claim, a line for each task that was measured."""
    request.check_accuracies()
    panels = _panels(request)
    columns = min(3, len(panels))
    verdicts = [v for p in panels for _, v in p.lines]
    gaps = [v.gap for v in verdicts if v.gap is not None]
    intervals = [v.interval for v in verdicts if v.interval]
    tolerance = request.suite.tolerance
    limits = style.find_limits([-2 * tolerance, *gaps, 2 * tolerance], intervals)
    tallest = max(len(p.lines) for p in panels)
    lines = max(sum(1 + label.count("\n") for label, _ in p.lines) for p in panels)
    labels = max(style.measure_text(label) for p in panels for label, _ in p.lines)
    body = ceil(len(panels) / columns) * (LINE * lines + 0.8)
    width = style.PAGE if len(panels) > 1 else style.COLUMN + 1.5
    figure = style.open_figure(body, _caption(request), _legend(request), width)
    axes = style.lay_out_panels(figure, len(panels), columns, sharex=True)
    for ax, panel in zip(axes, panels, strict=True):
        _draw_panel(ax, panel, limits, tolerance, tallest)
        style.write_title(ax, panel.title, width / columns - labels - 0.25)
    return figure


def _panels(request: Request) -> list[Panel]:
    suite = request.suite
    names = name_papers(
        dict.fromkeys(c.cite for c in suite.published), read_references(suite.folder)
    )
    found = []
    for row in request.rows:
        for c in request.groups[row.id].claims:
            oracle = " ‡" if c.select == "best-on-target" else ""
            title = f"{row.label}{oracle} − {c.claim.label} ({names[c.claim.cite]})"
            lines = tuple(
                (request.name(k), c.verdicts[k])
                for k in (*request.suite.tasks, AVERAGE)
                if k in request.columns and k in c.verdicts and c.verdicts[k].gap is not None
            )
            found += [Panel(title, lines)] if lines else []
    if not found:
        claimed = ", ".join(dict.fromkeys(c.row for c in suite.published if c.row)) or "none"
        raise UsageError(
            f"{suite.name} has no published figure of anything that was measured at the budget "
            f"{request.budget!r}, so there is nothing to compare; rows with published figures: "
            f"{claimed}"
        )
    if all(len(p.lines) == 1 for p in found):
        return [
            Panel(_only_place(found), tuple((fill(p.title, LABEL), p.lines[0][1]) for p in found))
        ]
    return found


def _only_place(panels: list[Panel]) -> str:
    """The column that all panels are about; '' where they differ."""
    places = {p.lines[0][0] for p in panels}
    return places.pop() if len(places) == 1 else ""


def _draw_panel(
    ax: "Axes", panel: Panel, limits: tuple[float, float], tolerance: float, tallest: int
) -> None:
    """tallest: the lines of the longest panel; all panels have room for as many."""
    ax.axvspan(-tolerance, tolerance, color=style.PALE, linewidth=0, zorder=0)
    ax.axvline(0, color="0.45", linewidth=0.7, zorder=1)
    for y, (_, v) in enumerate(panel.lines):
        look = LOOKS[v.word]
        style.draw_interval(ax, y, v.interval, limits, look["color"], upright=False)
        ax.plot([v.gap or 0.0], [y], **look, linestyle="none", gid=f"gap {y}", zorder=3)
    ax.set_yticks(range(len(panel.lines)), [label for label, _ in panel.lines])
    ax.set_ylim(tallest - 0.4, -0.6)
    ax.set_xlim(*limits)
    ax.grid(False, axis="y")
    ax.tick_params(labelbottom=True)
    ax.set_xlabel("ours − published, points")


def _legend(request: Request) -> style.Entries:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = {v.word for p in _panels(request) for _, v in p.lines}
    words = [w for w in LOOKS if w in shown]
    marks = [Line2D([], [], linestyle="none", **LOOKS[w]) for w in words]
    band = Patch(facecolor=style.PALE, edgecolor="none")
    return [*zip(marks, words, strict=True), (band, f"±{request.suite.tolerance:g} points")]


def _caption(request: Request) -> str:
    suite = request.suite
    claims = [c for g in request.groups.values() for c in g.claims]
    oracle = any(c.select == "best-on-target" for c in claims)
    welch = " (Welch's where ± and n of the claim are stated)" * any(c.claim.error for c in claims)
    return request.describe(
        f"Our mean − the published figure with its {100 * suite.confidence:.3g} % Student interval"
        f"{welch} over seeds (no line: one seed, or seeds that agree; an arrow: it goes on). "
        "Match: the interval lies within the band; differs: wholly outside.",
        columns=request.columns,
        more="‡ chosen on the target's test labels, as the claim was." if oracle else "",
    )
