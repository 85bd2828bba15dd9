"""One look for all figures: fonts, colours that tell apart without colour, captions, layout.

Nothing here keeps pyplot's state: a figure belongs to whoever asked for it and to nobody else.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from math import ceil
from statistics import mean
from textwrap import fill, wrap
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

from bench.report.numbers.stats import Interval

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE = 7.0  # width of a figure across a page, inches
COLUMN = 3.5  # width of a figure in one of two columns, inches
SMALL = 7.0  # font size of captions, legends and ticks, points
LETTER = 0.53  # mean width of a letter, as a part of the font size
INK = "0.15"  # the colour of text, edges and published figures
PALE = "0.88"  # the colour of bands that lie behind the data
FORMATS: dict[str, dict[str, None] | None] = {
    # format -> metadata without which two files of one figure differ, or name a day
    "png": {"Software": None},
    "webp": None,  # has none; a tenth of a PNG where there are photographs
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}  # fmt: skip
MARKERS = "osD^vPX<>hpd*"
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (8, 2, 2, 2)),  # no dots: these are of the source
    (0, (5, 1, 1, 1)),
    (0, (3, 1, 1, 1, 1, 1)),
)
# lines alone: a pattern of dots makes an SVG ten times as large
HATCHES = ("", "////", "xxxx", "----", "\\\\\\\\", "++++", "||||", "//", "xx", "--")
LOOK = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same bytes everywhere
    "text.parse_math": False,  # a label may hold dollars
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "0.4",
    "axes.linewidth": 0.6,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "axes.titlelocation": "left",
    "axes.titlepad": 4.0,
    "axes.labelpad": 2.5,
    "xtick.major.pad": 2.5,
    "ytick.major.pad": 2.5,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.0,
    "patch.edgecolor": INK,
    "hatch.linewidth": 0.5,
    "hatch.color": INK,
    "figure.dpi": 150.0,
    "savefig.dpi": 300.0,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "uda-bench",  # the names of a drawing's parts are no chance
    "pdf.fonttype": 42,
}  # fmt: skip


@contextmanager
def look() -> Iterator[None]:
    """Figures made or written within have our look, whatever the user's own settings are; those
    are back afterwards."""
    import seaborn
    from matplotlib import style

    theme = seaborn.axes_style("whitegrid") | seaborn.plotting_context("paper") | LOOK
    with style.context(theme, after_reset=True):
        yield


@dataclass(frozen=True)
class Ink:
    """How a row is drawn: each of these tells it apart, so that no reader has to see colours."""

    color: Any  # of seaborn's palette for the colour-blind
    marker: str
    dash: Any  # the style of its line
    hatch: str  # the pattern of its bar

    @property
    def mark(self) -> dict[str, Any]:
        """For a marker without a line."""
        edge = {"markeredgecolor": INK, "markeredgewidth": 0.5}
        return {"color": self.color, "marker": self.marker, "linestyle": "none", **edge}

    @property
    def line(self) -> dict[str, Any]:
        """For a line without markers."""
        return {"color": self.color, "linestyle": self.dash}


def pick_ink(i: int) -> Ink:
    """The ink of the i-th row, counted from 0."""
    colors = _palette()
    return Ink(
        colors[i % len(colors)],
        MARKERS[i % len(MARKERS)],
        DASHES[i % len(DASHES)],
        HATCHES[i % len(HATCHES)],
    )


@cache
def _palette() -> list[Any]:
    import seaborn

    return list(seaborn.color_palette("colorblind"))


Entries = Sequence[tuple["Artist", str]]  # of a legend: what is drawn, and what it means


def open_figure(body: float, caption: str, legend: Entries = (), width: float = PAGE) -> "Figure":
    """An empty figure with its legend above and its caption below.

    body: height of what lies between them, inches. The figure is as much higher as these two need.
    """
    from matplotlib.figure import Figure

    lines = wrap(caption, int(72 * width / (LETTER * SMALL)))
    longest = max((len(label) for _, label in legend), default=0)
    most = max(1, int(72 * width / (LETTER * SMALL * (longest + 7))))
    rows = ceil(len(legend) / most)
    columns = ceil(len(legend) / rows) if rows else 1  # all about equally long
    above = 0.17 * rows + 0.15 if legend else 0.0
    figure = Figure((width, body + 0.13 * len(lines) + 0.1 + above), layout="constrained")
    figure.supxlabel("\n".join(lines), x=0.008, ha="left", fontsize=SMALL, linespacing=1.25)
    if legend:
        names = [f" {label}" if label.startswith("_") else label for _, label in legend]
        figure.legend(
            [artist for artist, _ in legend], names, loc="outside upper left", ncols=columns
        )
    return figure


def lay_out_panels(figure: "Figure", n: int, columns: int, **shared: Any) -> "list[Axes]":
    """n axes in a grid of so many columns, row by row. shared: as `Figure.subplots` takes it."""
    columns = max(1, min(n, columns))
    grid = figure.subplots(ceil(n / columns), columns, squeeze=False, **shared)
    axes = list(grid.flat)
    for empty in axes[n:]:
        empty.remove()
    return axes[:n]


def measure_text(label: str, size: float = SMALL) -> float:
    """About how wide a text is, inches."""
    return max(map(len, label.split("\n"))) * LETTER * size / 72


def write_title(ax: "Axes", text: str, width: float) -> None:
    """A title above a panel, broken into lines that are no wider than `width` inches."""
    ax.set_title(fill(text, max(12, int(72 * width / (LETTER * 8.0)))))


def find_limits(
    points: Sequence[float],
    intervals: Sequence[Interval],
    bounds: tuple[float, float] = (float("-inf"), float("inf")),
    least: float = 1.0,
) -> tuple[float, float]:
    """Limits of an axis that shows all points, and intervals as far as they leave the points room.

    The interval of two seeds can be twelve times as wide as they are apart: it may take up as much
    of the axis as the points on each side, and is cut there. bounds: those of what is measured.
    least: the points have at least as much room as if they lay so far apart.
    """
    lo, hi = min(points), max(points)
    room = max(hi - lo, least)
    lowest = max(min([lo, *(a for a, _ in intervals)]), lo - room, bounds[0])
    highest = min(max([hi, *(b for _, b in intervals)]), hi + room, bounds[1])
    margin = 0.06 * (highest - lowest or 1.0)
    return lowest - margin, highest + margin


def draw_interval(
    ax: "Axes",
    at: float,
    interval: Interval | None,
    limits: tuple[float, float],
    color: Any,
    *,
    upright: bool,
) -> None:
    """An interval as a line across `at`, with an arrow where the axis cuts it.

    upright: along the y axis.
    """
    if interval is None:
        return
    ends, places = list(interval), [at, at]
    ax.plot(*((places, ends) if upright else (ends, places)), color=color, linewidth=1.1, zorder=2)
    low, high = limits
    for limit, arrow, cut in (
        (low, "v" if upright else "<", interval[0] < low),
        (high, "^" if upright else ">", interval[1] > high),
    ):
        if cut:
            where = ([at], [limit]) if upright else ([limit], [at])
            ax.plot(*where, arrow, color=color, markersize=3, clip_on=False, zorder=2)


def draw_seeds(
    ax: "Axes",
    at: float,
    reach: float,
    values: Sequence[float],
    interval: Interval | None,
    limits: tuple[float, float],
    ink: Ink,
    name: str,
) -> tuple[float, float]:
    """One place of an axis: the interval, the mean, and the seeds to the right of it.

    reach: half the width of what is drawn. name: of the mean's marker. Returns where the mean and
    the seeds stand.
    """
    middle, seeds = at - 0.35 * reach, at + 0.6 * reach
    draw_interval(ax, middle, interval, limits, ink.color, upright=True)
    if values:
        ax.plot([middle], [mean(values)], **ink.mark, gid=name, zorder=4)
    if len(values) > 1:
        ax.plot([seeds] * len(values), values, ".", color=ink.color, markersize=3, zorder=3)
    return middle, seeds


def cut_evenly(items: Sequence[str], most: int) -> list[Sequence[str]]:
    """The items in as few pieces as possible of at most so many, all about equally long."""
    n = ceil(len(items) / max(1, most))
    return [items[i * len(items) // n : (i + 1) * len(items) // n] for i in range(n)]


def render_figure(figure: "Figure", fmt: str) -> bytes:
    """The file of a figure: png, svg, pdf or webp. The same figure gives the same bytes."""
    out = BytesIO()
    with look(), catch_warnings():
        filterwarnings("ignore", "Glyph .* missing")  # a label in a script that our font lacks
        figure.savefig(out, format=fmt, metadata=FORMATS[fmt])
    return out.getvalue()
