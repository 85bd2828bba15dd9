"""t-SNE of what a network makes of source and target, naive beside adapted; proxy A-distances."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.report.figures import style
from bench.report.figures.kept import Found, choose_rows, find_kept, list_kept, name_others
from bench.report.figures.request import Request
from bench.report.numbers.distance import proxy_distance
from bench.runs.artefacts import read_arrays
from bench.runs.lines import ArtefactName

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bench.runs.records import Record
    from bench.suite.suite import Row

IMAGES = 500  # of each domain that are drawn: more hide each other
COLUMNS = 4  # rows of the suite beside each other
SIDES = (("source", "o", "#0173b2"), ("target", "^", "#d55e00"))
LAYERS: tuple[ArtefactName, ...] = ("features", "logits")


def draw(request: Request) -> "Figure":
    """A column for each row, by domain above, by class below; the baseline is the first.

    The picture is of the lowest seed at the first task that several rows have features of.
    """
    request.check_runs()
    task, found = find_kept(request, "features")
    rows = choose_rows(request, found, COLUMNS)
    figure = style.open_figure(4.9, _caption(request, task, rows, found), _legend())
    axes = figure.subplots(2, len(rows), squeeze=False)
    for (above, below), row in zip(axes.T, rows, strict=True):
        seed, record = found[row.id][0]
        arrays = read_arrays(record, "features")
        chosen, at = _embed(arrays)
        _draw_sides(above, arrays, chosen, at)
        _draw_classes(below, arrays, chosen, at)
        title = f"{row.label}, seed {seed}"
        distances = _describe_distances(found[row.id])
        width = int(72 * style.PAGE / len(rows) / (style.LETTER * 8.5))
        above.set_title(
            "\n".join(fill(line, width) for line in (title, *distances)), fontsize=style.SMALL
        )
    axes[0, 0].set_ylabel("by domain")
    axes[1, 0].set_ylabel("by class")
    return figure


def _embed(arrays: Any) -> "tuple[NDArray[Any], NDArray[Any]]":
    """The places of the images that are drawn, and where (images, 2)."""
    import numpy as np
    from sklearn.manifold import TSNE

    chance = np.random.default_rng(0)
    sides = [np.flatnonzero(arrays.side == side) for side, *_ in SIDES]
    chosen = np.concatenate([np.sort(chance.permutation(x)[:IMAGES]) for x in sides])
    x = arrays.values[chosen]
    if len(x) < 4 or not np.isfinite(x).all():
        raise BenchError("t-SNE needs the features of four images, and all of them finite")
    flat = x.shape[1] < 2 or not np.ptp(x, axis=0).any()  # a collapsed network has no components
    init = "random" if flat else "pca"
    tsne = TSNE(perplexity=min(30.0, (len(x) - 1) / 3), init=init, random_state=0)
    return chosen, tsne.fit_transform(x)


def _draw_sides(ax: "Axes", arrays: Any, chosen: "NDArray[Any]", at: "NDArray[Any]") -> None:
    for side, marker, color in SIDES:
        own = at[arrays.side[chosen] == side]
        ax.scatter(own[:, 0], own[:, 1], 5, color=color, marker=marker, linewidths=0, alpha=0.7)
    _strip(ax)


def _draw_classes(ax: "Axes", arrays: Any, chosen: "NDArray[Any]", at: "NDArray[Any]") -> None:
    """The number of a class in place of a dot, so that classes differ without colours, too."""
    for (x, y), label in zip(at, arrays.label[chosen], strict=True):
        color = style.pick_ink(int(label)).color
        ax.text(x, y, str(label), color=color, fontsize=4, ha="center", va="center")
    ax.set_xlim(at[:, 0].min() - 1, at[:, 0].max() + 1)
    ax.set_ylim(at[:, 1].min() - 1, at[:, 1].max() + 1)
    _strip(ax)


def _strip(ax: "Axes") -> None:
    """Without ticks: the axes of t-SNE mean nothing."""
    ax.set_xticks([])
    ax.set_yticks([])


def _describe_distances(runs: "Sequence[tuple[int, Record]]") -> list[str]:
    """'A-distance of features: 1.92, 1.88', a value a seed, for each layer that was kept."""
    lines = []
    for layer in LAYERS:
        values = [measure_distance(r, layer) for _, r in runs if layer in list_kept(r)]
        if values:
            lines.append(f"A-distance, {layer}: " + ", ".join(f"{v:.2f}" for v in values))
    return lines


def measure_distance(record: "Record", layer: ArtefactName) -> float:
    """The proxy A-distance between the two test sets of a record, by what a layer makes of them."""
    arrays = read_arrays(record, layer)
    return proxy_distance(*(arrays.values[arrays.side == side] for side, *_ in SIDES))


def _legend() -> style.Entries:
    from matplotlib.lines import Line2D

    return [
        (Line2D([], [], color=color, marker=marker, linestyle="none"), side)
        for side, marker, color in SIDES
    ]


def _caption(request: Request, task: str, rows: "Sequence[Row]", found: Found) -> str:
    return request.describe(
        f"t-SNE of the features F(x) of up to {IMAGES} test images of each domain of "
        f"{request.name(task)}, drawn at random; below, each image is the number of its class. "
        "A-distance: the proxy 2(1 − 2ε) of a linear SVM on held-out features, a value for each "
        "seed; 2: the domains lie apart, 0: they cannot be told apart.",
        more=name_others(request, found, rows),
    )
