"""What a network looks at in target images, and the source patches that look alike to it."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bench.report.figures import style
from bench.report.figures.kept import Found, choose_rows, find_kept, name_others
from bench.report.figures.request import Request
from bench.report.numbers.stats import estimate_interval
from bench.report.page.text import format_count
from bench.runs.maps import ORDERS, Maps, read_maps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    from bench.runs.records import Record
    from bench.suite.suite import Row

SEEN = 3  # rows of the suite beside each other
IMAGES = 5  # whose responses are drawn
EXPLAINED = 3  # images whose patches are drawn
WAYS = (("response", "response"), ("grad_cam", "Grad-CAM"), ("grad_cam_pp", "Grad-CAM++"))
HEAT = "inferno"  # from dark to bright, in grey too
Kept = Sequence[tuple["Row", "Record", Maps]]


def draw_responses(request: Request) -> "Figure":
    """A line for each target image; for each row, its response, Grad-CAM and Grad-CAM++."""
    request.check_runs()
    task, found = find_kept(request, "maps")
    rows = choose_rows(request, found, SEEN)
    kept = _read(rows, found)
    shown = _spread(len(kept[0][2].image), IMAGES)
    columns = 1 + len(WAYS) * len(kept)
    side = min(0.95, (style.PAGE - 0.2) / columns)
    figure = style.open_figure(
        (side + 0.02) * len(shown) + 0.55, _caption_responses(request, task, found, rows)
    )
    axes = figure.subplots(len(shown), columns, squeeze=False)
    for line, i in zip(axes, shown, strict=True):
        first = kept[0][2]
        _show(line[0], first.pixels[i])
        line[0].set_ylabel(_name_class(kept[0][1], int(first.label[i])), fontsize=6)
        for at, (_, record, maps) in enumerate(kept):
            for j, (field, _) in enumerate(WAYS):
                _overlay(line[1 + at * len(WAYS) + j], maps.pixels[i], getattr(maps, field)[i])
            said = _name_prediction(record, maps, i)
            line[1 + at * len(WAYS) + 1].set_xlabel(said, fontsize=6, labelpad=1)
    axes[0, 0].set_title("target image", fontsize=6)
    for at, (row, _, _) in enumerate(kept):
        for j, (_, label) in enumerate(WAYS):
            ax = axes[0, 1 + at * len(WAYS) + j]
            above = f"{fill(row.label, int(1.5 * 72 * side / (style.LETTER * 6)))}\n" * (j == 0)
            ax.set_title(above + label, fontsize=6)
    return figure


def draw_knowledge(request: Request) -> "Figure":
    """For some target images, the source patches like those that the prediction rests on; below,
    how far the explanation can be trusted."""
    request.check_runs()
    task, found = find_kept(request, "maps")
    rows = choose_rows(request, found, 2)
    kept = _read(rows, found)
    shown = _spread(len(kept[0][2].image), EXPLAINED)
    figure = style.open_figure(5.2, _caption_knowledge(request, task, found, rows, kept))
    grid = figure.add_gridspec(2, 1, height_ratios=(3.1, 2.1))
    above, below = (figure.add_subfigure(grid[i]) for i in (0, 1))
    _draw_patches(above, kept, shown)
    axes = below.subplots(1, 2 * len(kept), sharey=True, squeeze=False)[0]
    for at, (row, _, maps) in enumerate(kept):
        for ax, name in zip(axes[2 * at : 2 * at + 2], ("deletion", "insertion"), strict=True):
            _draw_curve(ax, maps.erased, getattr(maps, name))
            ax.set_title(f"{row.label}: {name}" if name == "deletion" else name, fontsize=7)
            ax.set_xlabel("places erased" if name == "deletion" else "places shown")
    axes[0].set_ylabel("probability of the class")
    return figure


def _read(rows: "Sequence[Row]", found: Found) -> Kept:
    """Of each row the run with the lowest seed."""
    return [(row, found[row.id][0][1], read_maps(found[row.id][0][1])) for row in rows]


def _spread(n: int, most: int) -> list[int]:
    """Evenly spread, so that nobody chose what is shown."""
    k = min(n, most)
    return [(2 * i + 1) * n // (2 * k) for i in range(k)]


def _name_class(record: "Record", k: int) -> str:
    names = (
        next((d.classes for d in record.run.data.values() if d.classes), ()) if record.run else ()
    )
    return names[k] if k < len(names) else str(k)


def _name_prediction(record: "Record", maps: Maps, i: int) -> str:
    mark = "" if maps.prediction[i] == maps.label[i] else "✗ "
    return f"{mark}{_name_class(record, int(maps.prediction[i]))} {maps.probability[i]:.2f}"


def _show(ax: "Axes", pixels: "NDArray[Any]") -> None:
    ax.imshow(pixels.transpose(1, 2, 0), interpolation="bilinear")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)


def _overlay(ax: "Axes", pixels: "NDArray[Any]", values: "NDArray[Any]") -> None:
    """A map over the grey picture, from its own smallest to its own largest value."""
    side = pixels.shape[-1]
    ax.imshow(pixels.mean(0), cmap="gray", vmin=0, vmax=255)
    ax.imshow(values, cmap=HEAT, alpha=0.6, interpolation="bilinear", extent=(0, side, side, 0))
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)


def _draw_patches(figure: "SubFigure", kept: Kept, shown: Sequence[int]) -> None:
    """A line for each image; for each row the image with its patches, and their like."""
    patches = kept[0][2].patch.shape[1]
    axes = figure.subplots(len(shown), len(kept) * (1 + patches), squeeze=False)
    for line, i in zip(axes, shown, strict=True):
        for at, (row, record, maps) in enumerate(kept):
            part = line[at * (1 + patches) : (at + 1) * (1 + patches)]
            _show(part[0], maps.pixels[i])
            side, shape = maps.pixels.shape[-1], maps.grad_cam.shape[1:]
            above = f"{row.label}\n" if i == shown[0] else ""
            part[0].set_title(above + _name_prediction(record, maps, i), fontsize=6)
            for j, ax in enumerate(part[1:]):
                _frame(part[0], int(maps.patch[i, j]), shape, side, j)
                _show(ax, maps.source_pixels[i, j])
                _frame(ax, int(maps.source_patch[i, j]), shape, side, j)
                label = _name_class(record, int(maps.source_label[i, j]))
                ax.set_title(
                    f"{label}\n{100 * maps.share[i, j]:.0f} %, cos {maps.similarity[i, j]:.2f}",
                    fontsize=5.5,
                )


def _frame(ax: "Axes", place: int, shape: Sequence[int], side: int, j: int) -> None:
    """The j-th patch, with its number."""
    from matplotlib.patches import Rectangle

    h, w = side / shape[0], side / shape[1]
    y, x = (place // shape[1]) * h, (place % shape[1]) * w
    for color, width in (("white", 2.2), (style.pick_ink(j).color, 1.2)):
        ax.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor=color, linewidth=width))
    ax.text(
        x + w / 2, y + h / 2, str(j + 1), fontsize=6, ha="center", va="center", color="white",
        bbox={"boxstyle": "circle,pad=0.15", "facecolor": "0.1", "linewidth": 0},
    )  # fmt: skip


def _draw_curve(ax: "Axes", erased: "NDArray[Any]", values: "NDArray[Any]") -> None:
    """Mean over the images with its 95 % Student interval, for each order."""
    for i, order in enumerate(ORDERS):
        ink = style.pick_ink(i)
        bands = [estimate_interval(v) for v in values[:, i].T.tolist()]
        mean = values[:, i].mean(0)
        area = f"{_measure_area(erased, mean):.2f}"
        ax.plot(erased, mean, **ink.line, label=f"{order} ({area})", gid=f"curve {order}")
        low, high = zip(
            *((b if b else (m, m)) for b, m in zip(bands, mean, strict=True)), strict=True
        )
        ax.fill_between(erased, low, high, color=ink.color, alpha=0.15, linewidth=0)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.legend(fontsize=5.5, loc="best", handlelength=1.6)


def _measure_area(erased: "NDArray[Any]", mean: "NDArray[Any]") -> float:
    """The area below a curve."""
    import numpy as np

    return float(np.trapezoid(mean, erased))


def _caption_responses(request: Request, task: str, found: Found, rows: "Sequence[Row]") -> str:
    return request.describe(
        f"What networks look at in target test images of {request.name(task)}, evenly spread over "
        "the test set; the lowest seed of each row. Response: mean over the channels of the last "
        "maps; Grad-CAM and Grad-CAM++ are for the predicted class, which stands below (✗: wrong) "
        "with its probability. Each map from its smallest (dark) to its largest value (bright).",
        more=name_others(request, found, rows),
    )


def _caption_knowledge(
    request: Request, task: str, found: Found, rows: "Sequence[Row]", kept: Kept
) -> str:
    fidelity = "; ".join(f"{row.label} {_describe_fidelity(maps)}" for row, _, maps in kept)
    n = len(kept[0][2].deletion)
    return request.describe(
        f"Target test images of {request.name(task)}, evenly spread, with the three places of the "
        "last maps that have the largest part of Grad-CAM (%), and the source training patches "
        "most like them (cosine of the maps), with the class of their image. ✗: wrong. Below: "
        f"mean over {format_count(n, 'image')} and its 95 % Student interval of the probability of "
        "the predicted class while places are erased, or shown, the most important ones first; in "
        "brackets the area; random order is the control. With every patch replaced by its nearest "
        f"source patch, images that keep their class (in brackets: by a random one): {fidelity}.",
        more=name_others(request, found, rows),
    )


def _describe_fidelity(maps: Maps) -> str:
    alike, chance = (100 * x.mean() for x in (maps.same_by_alike, maps.same_by_chance))
    return f"{alike:.0f} % ({chance:.0f} %)"
