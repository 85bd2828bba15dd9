"""Generated images: how they got better, and all that were kept of the last measurement."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.report.figures import style
from bench.report.figures.kept import Found, choose_rows, find_kept, name_others
from bench.report.figures.request import Request
from bench.report.numbers.measures import count_steps
from bench.runs.samples import Samples, read_samples
from bench.suite import catalog

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bench.runs.records import Record
    from bench.suite.suite import Row

ROWS = 3  # of the suite, in one figure
TIMES = 5  # measurements beside each other
EACH = 6  # images of a class at each of them
GAP = 2  # pixels between images
GREY = 128  # of the gaps: images are dark with bright digits
SIDE = 0.19  # of an image, inches
Shown = Sequence[tuple["Row", int, "Record", Samples]]  # with the seed


def draw_samples(request: Request) -> "Figure":
    """For each row, images at some measurements from the first to the last: a line for a class."""
    request.check_generates()
    task, found = find_kept(request, "samples")
    shown = _read(choose_rows(request, found, ROWS), found)
    block = SIDE * len(shown[0][3].pixels[0]) + 0.55
    figure = style.open_figure(block * len(shown), _caption_samples(request, task, found, shown))
    for part, (row, _, record, kept) in zip(
        figure.subfigures(len(shown), 1, squeeze=False).flat, shown, strict=True
    ):
        part.suptitle(row.label, x=0.01, ha="left", fontsize=8)
        times = _spread(len(kept.step), TIMES)
        axes = part.subplots(1, TIMES, squeeze=False)[0]
        for ax, time in zip(axes, times, strict=False):
            _show(ax, kept.pixels[time, :, :EACH])
            epochs = int(kept.step[time]) / count_steps(record)
            ax.set_title(f"epoch {epochs:.3g}", fontsize=style.SMALL, loc="center")
        for ax in axes[len(times) :]:
            ax.remove()
        _name_classes(axes[0], row, kept)
    return figure


def draw_grid(request: Request) -> "Figure":
    """For each row, every image that was kept of the last measurement: a line for a class."""
    request.check_generates()
    task, found = find_kept(request, "samples")
    shown = _read(choose_rows(request, found, ROWS), found)
    classes = len(shown[0][3].pixels[0])
    figure = style.open_figure(SIDE * classes + 0.45, _caption_grid(request, task, found, shown))
    axes = style.lay_out_panels(figure, len(shown), ROWS)
    for ax, (row, _, _, kept) in zip(axes, shown, strict=True):
        _show(ax, kept.pixels[-1])
        _name_classes(ax, row, kept)
        style.write_title(ax, row.label, style.PAGE / ROWS - 0.3)
    return figure


def _read(rows: "Sequence[Row]", found: Found) -> Shown:
    """Of each row the run with the lowest seed that kept its images."""
    return [(row, *found[row.id][0], read_samples(found[row.id][0][1])) for row in rows]


def _spread(n: int, most: int) -> list[int]:
    """At most so many of n places, evenly from the first to the last."""
    if n <= most:
        return list(range(n))
    return [round(i * (n - 1) / (most - 1)) for i in range(most)]


def _show(ax: "Axes", pixels: "NDArray[Any]") -> None:
    """pixels: (lines, columns, channels, S, S)."""
    image = join_images(pixels)
    ax.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def join_images(pixels: "NDArray[Any]") -> "NDArray[Any]":
    """(lines, columns, channels, S, S) -> one image (height, width, channels) with gaps."""
    import numpy as np

    gaps = ((0, 0), (0, 0), (0, 0), (0, GAP), (0, GAP))
    padded = np.pad(pixels, gaps, constant_values=GREY)
    lines, columns, channels, side, _ = padded.shape
    joined = padded.transpose(0, 3, 1, 4, 2).reshape(lines * side, columns * side, channels)
    return joined[:-GAP, :-GAP]


def _name_classes(ax: "Axes", row: "Row", kept: Samples) -> None:
    """The class that was asked for beside each line; nothing where none was."""
    if not _is_told(row):
        return
    classes, side = kept.pixels.shape[1], kept.pixels.shape[-1]
    ax.set_yticks([k * (side + GAP) + side / 2 for k in range(classes)], map(str, range(classes)))
    ax.tick_params(axis="y", length=0)


def _is_told(row: "Row") -> bool:
    return catalog.find_method(row.method).generates == "classes"


def _describe(request: Request, task: str, shown: Shown) -> str:
    """Where the images are from, and what their lines are."""
    seeds = sorted({seed for _, seed, _, _ in shown})
    which = f"seed {seeds[0]}" if len(seeds) == 1 else "the lowest seed of each row that kept them"
    lines = "The number beside a line is the class that was asked for."
    if not all(_is_told(row) for row, *_ in shown):
        lines += " Lines without a number: this generator is told no class."
    return f"{request.name(task)}, {which}. {lines}"


def _caption_samples(request: Request, task: str, found: Found, shown: Shown) -> str:
    return request.describe(
        f"Generated images in the course of the training on {_describe(request, task, shown)} The "
        f"first {EACH} of each line, not selected; every measurement has the same noise.",
        more=name_others(request, found, [row for row, *_ in shown]),
    )


def _caption_grid(request: Request, task: str, found: Found, shown: Shown) -> str:
    return request.describe(
        f"Generated images at the end of the training on {_describe(request, task, shown)} Where a "
        "class was asked for, the images of a column are made of the same noise. Not selected.",
        more=name_others(request, found, [row for row, *_ in shown]),
    )
