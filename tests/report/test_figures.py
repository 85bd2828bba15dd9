"""Figures show the numbers of the tables, the same bytes for the same records, and never an empty plot."""

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from fakes import (
    CPU,
    GPU,
    PER_CLASS,
    cell,
    everything,
    keep_samples,
    lines,
    made,
    made_records,
    measurements,
    record,
    toy,
    write,
    write_generated,
)
from matplotlib import pyplot

from bench.errors import BenchError, UsageError
from bench.report.figures import FIGURES, draw, kept, samples, style, tsne
from bench.report.figures import maps as drawn_maps
from bench.report.figures.cost import find_front
from bench.report.numbers.aggregate import build_table
from bench.report.numbers.costs import summarize_costs
from bench.report.numbers.measures import build_board
from bench.report.numbers.stats import estimate_interval
from bench.runs.files import encode
from bench.runs.lines import Counts, Eval
from bench.runs.maps import Maps
from bench.runs.plan import settle_suite
from bench.runs.records import read_record
from bench.suite import suites

TOY = toy()
EVERY = everything(TOY)


@pytest.fixture(autouse=True)
def _pyplot_is_left_alone() -> Iterator[None]:
    before = dict(matplotlib.rcParams)
    yield
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def marked(figure, word):
    """gid -> the artists of that name, over all axes."""
    found = {}
    for ax in figure.axes:
        for artist in (*ax.lines, *ax.patches):
            if str(artist.get_gid()).startswith(f"{word} "):
                found.setdefault(artist.get_gid().removeprefix(f"{word} "), []).append(artist)
    return found


def point(line):
    (x,), (y,) = line.get_data()
    return float(x), float(y)


def caption(figure):
    return " ".join(figure.get_supxlabel().split())


def ours(table, row):
    return next(g for g in table.groups if g.row and g.row.id == row).ours[table.select]


def runs(row, task, *values, **about):
    return [record(cell(TOY, row, task, seed), (v,), **about) for seed, v in enumerate(values)]


def test_forest_plots_hold_gap_interval_and_verdict_of_each_claim():
    figure = draw("forest", TOY, EVERY)
    claims = [
        [v for c in table.columns if (v := claim.verdicts.get(c)) and v.gap is not None]
        for table in [build_table(TOY, EVERY)]
        for group in table.groups
        if group.row
        for claim in group.claims
    ]
    claims = [c for c in claims if c]
    assert len(claims) == len(figure.axes) == 3
    for ax, verdicts in zip(figure.axes, claims, strict=True):
        dots = [x for x in ax.lines if str(x.get_gid()).startswith("gap")]
        assert [point(x) for x in dots] == [(v.gap, y) for y, v in enumerate(verdicts)]
        looks = {"match": "o", "differs": "s", "unresolved": "D"}
        assert [x.get_marker() for x in dots] == [looks[v.word] for v in verdicts]
        spans = [tuple(x.get_xdata()) for x in ax.lines if len(x.get_xdata()) == 2 and x.get_ydata()[0] == x.get_ydata()[1]]  # fmt: skip
        assert spans == [v.interval for v in verdicts if v.interval]
        (band,) = ax.patches
        assert (band.get_x(), band.get_width()) == (-TOY.tolerance, 2 * TOY.tolerance)
    assert "‡" in figure.axes[2].get_title(loc="left")


def test_bars_are_mean_interval_and_seeds_of_the_table():
    figure, table = draw("bars", TOY, EVERY), build_table(TOY, EVERY)
    means = marked(figure, "mean")
    for row in ("plain", "dann", "dann-strong"):
        for column, score in ours(table, row).items():
            if not score.by_seed:
                assert f"{row} {column}" not in means
                continue
            (mark,) = means[f"{row} {column}"]
            x, y = point(mark)
            assert y == score.summary.mean
            bars = [tuple(i.get_ydata()) for i in figure.axes[0].lines if list(i.get_xdata()) == [x, x]]  # fmt: skip
            interval = estimate_interval(score.by_seed.values(), confidence=TOY.confidence)
            assert bars == ([interval] if interval else [])
    dots = sorted(y for i in figure.axes[0].lines if i.get_marker() == "." for y in i.get_ydata())
    several = [s for row in ("plain", "dann", "dann-strong") for s in ours(table, row).values() if len(s.by_seed) > 1]  # fmt: skip
    assert dots == sorted(v for s in several for v in s.by_seed.values())
    published = {y for i in figure.axes[0].lines if i.get_color() == style.INK and len(i.get_ydata()) == 2 for y in i.get_ydata()}  # fmt: skip
    assert published == {75.2, 57.1, 66.2, 82.0, 70.0, 77.0, 85.5}
    assert "1 to 3 seeds" in caption(figure) and "1 diverged, 1 failed" in caption(figure)
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert {"published", "published, chosen on the target ‡", "collapsed †"} < set(legend)


def test_curves_are_means_over_seeds_with_last_and_best_of_the_tables():
    records = [
        record(cell(TOY, "dann", "A-B", seed), target, source=(90.0, 91.0, 92.0))
        for seed, target in enumerate([(60.0, 80.0, 70.0), (70.0, 74.0, 78.0)])
    ]
    figure = draw("curves", TOY, records)
    (curve,), (last,), (best,) = (
        marked(figure, word)["dann"] for word in ("target", "last", "best")
    )
    assert list(curve.get_ydata()) == [65.0, 77.0, 74.0]
    for mark, select in ((last, "last"), (best, "best-on-target")):
        table = build_table(TOY, records, select=select)
        assert point(mark)[1] == ours(table, "dann")["A-B"].summary.mean
    assert (
        point(best)[0] == (998 + 1 + 998 + 2) / 2
    )  # each seed's own best, at the mean of its steps
    assert [y for x in figure.axes[0].lines for y in x.get_ydata() if y > 85] == [90, 91, 92]


def test_curves_show_the_losses_that_the_files_hold(tmp_path: Path):
    paths = [write(tmp_path, cell(TOY, "plain", "A-B", s), (60.0, 61.0)) for s in range(2)]
    figure = draw("curves", TOY, [read_record(p) for p in paths])
    (loss,) = marked(figure, "loss")["plain"]
    assert list(loss.get_ydata()) == [1.5]


def test_two_gpus_have_panels_of_their_own():
    other = GPU._replace(env=GPU.env.model_copy(update={"gpu": "Other GPU"}))
    records = [*runs("plain", "A-B", 70, machine=GPU, ms=10), *runs("dann", "A-B", 70, machine=GPU, ms=20)]  # fmt: skip
    records += runs("dann", "B-A", 70, machine=other, ms=90)
    figure = draw("cost", TOY, records)
    costs = summarize_costs(TOY, records)
    assert len(costs) == 2 and len(figure.axes) == 4
    for (machine, found), ax in zip(costs.items(), figure.axes[::2], strict=True):
        assert ax.get_title(loc="left") == machine
        assert [p.get_width() for p in ax.patches] == [c.ms for c in found]
    shown = [t.get_text() for t in figure.axes[2].texts]
    assert shown == ["10.0  ×1.00", "20.0  ×2.00"]


def test_published_ratios_of_cost_stand_at_our_baseline():
    figure = draw("cost", TOY, EVERY, budget="timing")
    (ms, memory) = marked(figure, "claim")["dann"]
    assert [float(x) for x in ms.get_xdata()] == [pytest.approx(3.0 * 1100 / 1000)]
    assert [float(x) for x in memory.get_xdata()] == [pytest.approx((700 - 86.4) * 2)]


def test_times_of_training_are_the_table_of_costs_times_the_iterations():
    records = [*runs("plain", "A-B", 70, 72, ms=10), *runs("dann", "A-B", 80, ms=36)]
    figure = draw("pareto", TOY, records)
    (plain,), (dann,) = (marked(figure, "at")[row] for row in ("plain", "dann"))
    assert point(plain) == (pytest.approx(1000 * 10 / 60e3), 71.0)  # minutes
    assert point(dann) == (pytest.approx(1000 * 36 / 60e3), 80.0)


def test_a_front_holds_what_nothing_beats():
    points = [(3.0, 5.0), (1.0, 2.0), (2.0, 1.0), (2.0, 4.0), (4.0, 5.0)]
    assert find_front(points) == [(1.0, 2.0), (2.0, 4.0), (3.0, 5.0)]
    assert find_front(points, lower=True) == [(1.0, 2.0), (2.0, 1.0)]


def test_ranks_are_means_over_tasks():
    rows = {"plain": (70, 60), "dann": (80, 90), "nogrl": (75, 95)}
    records = [r for row, (a, b) in rows.items() for r in (*runs(row, "A-B", a), *runs(row, "B-A", b))]  # fmt: skip
    figure = draw("ranks", TOY, records)
    found = {row: point(x[0])[0] for row, x in marked(figure, "rank").items()}
    assert found == {"plain": 3.0, "dann": 1.5, "nogrl": 1.5}
    assert "critical difference 2.34" in [
        t.get_text() for t in figure.axes[0].texts
    ]  # 2.343·√(12/12)


def test_profiles_count_how_often_a_row_is_how_close():
    records = [*runs("plain", "A-B", 70, 80), *runs("dann", "A-B", 75, 78)]
    figure = draw("profile", TOY, records)
    (plain,), (dann,) = (marked(figure, "profile")[row] for row in ("plain", "dann"))
    assert list(zip(*plain.get_data(), strict=True))[1:-1] == [(0.0, 0.5), (5.0, 1.0)]
    assert list(zip(*dann.get_data(), strict=True))[1:-1] == [(0.0, 0.5), (2.0, 1.0)]


def write_matrix(root: Path, row: str, seed: int, matrix: np.ndarray) -> Path:
    """A record whose last evaluation has this confusion matrix (10, 10)."""
    asked, before = cell(TOY, row, "A-B", seed), sha256()
    counts = Counts(
        total=tuple(map(int, matrix.sum(1))), correct=tuple(map(int, matrix.diagonal())),
        predicted=tuple(map(int, matrix.sum(0))), confusion=tuple(tuple(map(int, x)) for x in matrix),
    )  # fmt: skip
    written = [
        x.model_copy(update={"target": counts}) if isinstance(x, Eval) else x for x in lines(asked)
    ]
    path = root / asked.folder / f"{asked.stem}-1.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(encode(x, before) for x in written))
    return path


def test_confusion_and_gains_are_means_over_seeds_of_each_class(tmp_path: Path):
    right = np.eye(10, dtype=int) * PER_CLASS
    wrong = right.copy()
    wrong[0, 0], wrong[0, 1] = 0.4 * PER_CLASS, 0.6 * PER_CLASS
    paths = [write_matrix(tmp_path, "dann", 0, right), write_matrix(tmp_path, "dann", 1, wrong)]
    paths += [write_matrix(tmp_path, "plain", s, wrong) for s in range(2)]
    records = [read_record(p) for p in paths]
    assert all(r.status == "ok" for r in records)
    plain, dann = draw("confusion", TOY, records).axes
    for ax, expected in ((plain, (40, 60)), (dann, (70, 30))):
        cells = np.asarray(ax.collections[0].get_array()).reshape(10, 10)
        assert tuple(cells[0, :2]) == pytest.approx(expected) and cells[5, 5] == 100
    figure = draw("classes", TOY, records)
    gains = [point(x[0])[0] for _, x in sorted(marked(figure, "gain").items())]
    assert gains == [pytest.approx(30.0)] + [0.0] * 9
    only = draw("classes", TOY, records, methods=["dann"])
    assert len(only.axes) == 1  # the baseline counts, though it is not shown


def test_the_scale_ablation_is_accuracy_over_s():
    suite = suites.find("officehome-scale")
    records = [
        record(cell(suite, row, task, seed), (60 + i + seed,))
        for i, row in enumerate(("dannp", "s1", "s8", "s64"))
        for task in suite.tasks
        for seed in range(2)
    ]
    figure = draw("scale", suite, records)
    (line,) = [x for x in figure.axes[0].lines if x.get_gid() == "ours"]
    assert list(zip(*line.get_data(), strict=True)) == [(1, 61.5), (8, 62.5), (64, 63.5)]
    with pytest.raises(UsageError, match="does not vary"):
        draw("scale", TOY, EVERY)


def keep(monkeypatch, name, rows):
    """Let the runs of these rows have kept something."""
    for module in (kept, tsne):
        monkeypatch.setattr(
            module, "list_kept", lambda r: {name: None} if r.run.row in rows else {}
        )


def fake_arrays(gap):
    """Ten classes of two domains that lie `gap` apart."""
    chance = np.random.default_rng(3)
    n = 60
    return SimpleNamespace(
        side=np.repeat(["source", "target"], n),
        label=np.tile(np.arange(10), 2 * n // 10),
        values=chance.normal(size=(2 * n, 8)) + gap * np.repeat([0, 1], n)[:, None],
    )


@pytest.mark.slow
def test_features_are_drawn_with_the_distance_of_each_seed(monkeypatch: pytest.MonkeyPatch):
    made = {"plain": fake_arrays(8.0), "dann": fake_arrays(0.0)}
    keep(monkeypatch, "features", made)
    monkeypatch.setattr(tsne, "read_arrays", lambda r, layer: made[r.run.row])
    records = [*runs("plain", "A-B", 70, 71), *runs("dann", "A-B", 80)]
    figure = draw("tsne", TOY, records)
    naive, adapted = (figure.axes[i].get_title(loc="left") for i in (0, 1))
    assert "features: 2.00, 2.00" in " ".join(naive.split())
    (near,) = re.findall(r"features: (\S+)$", " ".join(adapted.split()))
    assert abs(float(near)) < 1
    monkeypatch.setattr(tsne, "read_arrays", lambda r, layer: damaged())
    with pytest.raises(BenchError, match="is damaged"):
        draw("tsne", TOY, records)


@pytest.mark.parametrize("shape", [(120, 8), (120, 1)])
def test_features_of_a_collapsed_network_are_drawn(shape, monkeypatch: pytest.MonkeyPatch):
    flat = fake_arrays(0.0)
    flat.values = np.zeros(shape, dtype=np.float32)
    keep(monkeypatch, "features", ["plain"])
    monkeypatch.setattr(tsne, "read_arrays", lambda r, layer: flat)
    figure = draw("tsne", TOY, runs("plain", "A-B", 70))
    assert "features: 0.00" in " ".join(figure.axes[0].get_title(loc="left").split())


def fake_maps(n=12, shown=4, side=8):
    """Maps of 2×2 places; half of the images keep their class by the nearest patches."""
    chance = np.random.default_rng(5)
    pixels = chance.integers(0, 255, (shown, 4, 3, side, side), dtype=np.uint8)
    places = chance.integers(0, 4, (shown, 3))
    falls = np.linspace(1, 0, 5, dtype=np.float32) ** 3 * chance.uniform(0.5, 1, (n, 3, 1))
    maps = {f: chance.random((shown, 2, 2)) for f in ("response", "grad_cam", "grad_cam_pp")}
    return Maps(
        **maps, image=np.arange(shown), label=np.arange(shown), prediction=np.zeros(shown, int),
        probability=chance.random(shown), pixels=pixels[:, 0], patch=places,
        share=np.full((shown, 3), 0.25), source_image=places, source_label=places,
        source_patch=places, similarity=np.full((shown, 3), 0.5), source_pixels=pixels[:, 1:],
        erased=np.linspace(0, 1, 5), deletion=falls, insertion=falls[:, :, ::-1],
        same_by_alike=np.arange(n) % 2 == 0, same_by_chance=np.zeros(n, bool),
    )  # fmt: skip


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch):
    """Records whose rows plain and dann kept maps, and these."""
    made = fake_maps()
    keep(monkeypatch, "maps", ["plain", "dann"])
    monkeypatch.setattr(drawn_maps, "read_maps", lambda r: made)
    return [*runs("plain", "A-B", 70, 71), *runs("dann", "A-B", 80)], made


def test_responses_stand_beside_each_other_with_what_is_predicted(mapped):
    records, made = mapped
    figure = draw("responses", TOY, records)
    lines = np.array(figure.axes).reshape(4, 1 + 2 * 3)
    assert lines[0, 1].get_title(loc="left").endswith("response")
    assert [ax.get_ylabel() for ax in lines[:, 0]] == ["0", "1", "2", "3"]
    said = [ax.get_xlabel() for ax in lines[:, 2]]
    assert said[0] == f"0 {made.probability[0]:.2f}" and said[1].startswith("✗ 0")
    heat = lines[2, 3].images[-1].get_array()
    assert (heat == made.grad_cam_pp[2]).all()


def test_the_knowledge_is_drawn_with_its_fidelity(mapped):
    records, made = mapped
    figure = draw("knowledge", TOY, records)
    assert "Source only 50 % (0 %); DANN 50 % (0 %)" in caption(figure).replace(
        "only model", "only"
    )
    curves = [line for ax in figure.axes for line in ax.lines if line.get_gid() == "curve grad-cam"]
    assert len(curves) == 2 * 2, "deletion and insertion of both rows"
    np.testing.assert_allclose(curves[0].get_ydata(), made.deletion[:, 0].mean(0))
    np.testing.assert_allclose(curves[3].get_ydata(), made.insertion[:, 0].mean(0))
    mean = made.deletion[:, 0].mean(0)
    area = (mean[:-1] + mean[1:]).sum() / 8
    assert f"grad-cam ({area:.2f})" in [
        t.get_text() for ax in figure.axes if ax.get_legend() for t in ax.get_legend().texts
    ]


def test_the_patch_that_is_framed_is_the_one_of_the_map(mapped):
    records, made = mapped
    figure = draw("knowledge", TOY, records)
    corners = [p.get_xy() for p in figure.axes[0].patches]
    assert corners[::2] == [(4.0 * (p % 2), 4.0 * (p // 2)) for p in made.patch[0]]


@pytest.mark.parametrize("name", ["responses", "knowledge"])
def test_maps_that_are_missing_or_damaged_are_said(name, mapped, monkeypatch: pytest.MonkeyPatch):
    records, _ = mapped
    monkeypatch.setattr(drawn_maps, "read_maps", lambda r: damaged())
    with pytest.raises(BenchError, match="is damaged"):
        draw(name, TOY, records)
    keep(monkeypatch, "maps", [])
    with pytest.raises(
        UsageError, match="kept its maps: `bench run --suite toy --keep maps --redo`"
    ):
        draw(name, TOY, records)


def damaged():
    raise BenchError("the file is damaged")


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes_in_any_order():
    for fmt in style.FORMATS:
        one, two = (
            style.render_figure(draw("profile", TOY, records), fmt)
            for records in (EVERY, EVERY[::-1])
        )
        assert one == two
    svg = style.render_figure(draw("profile", TOY, EVERY), "svg").decode()
    assert "DANN, λ = 10</text>" in svg.replace("\n", "") and "dc:date" not in svg


def test_labels_may_hold_anything():
    odd = "_$\\nosuch$ {50 %} <b> & \\frac " + "very long " * 8
    rows = tuple(r.model_copy(update={"label": odd}) for r in TOY.rows)
    suite = TOY.model_copy(update={"rows": rows, "title": "$\\oops"})
    suite.__dict__.pop("by_id", None)
    records = [record(cell(suite, "plain", "A-B", s), (70 + s,)) for s in range(2)]
    for name in ("forest", "bars", "cost"):
        assert b"50 %" in style.render_figure(draw(name, suite, records), "svg")


MADE = made()


def test_measures_are_drawn_seed_by_seed_with_mean_and_interval(tmp_path: Path):
    records = made_records(tmp_path)
    board = build_board(MADE, settle_suite(MADE, records, "full"), "full", "digits", MADE.rows)
    figure = draw("measures", MADE, records)
    titles = [" ".join(ax.get_title(loc="left").split()) for ax in figure.axes]
    stated = ("frechet", "consistency", "fluctuation_D", "epoch_s", "z_slant", "y_slant")
    assert titles == [m.title for m in MADE.measures if m.name in stated]
    means = marked(figure, "mean")
    for name in stated:
        for row in MADE.rows:
            reading = board.read(name, row.id)
            found = means.get(f"{name} {row.id}", [])
            assert [point(x)[1] for x in found] == [reading.summary.mean] * bool(reading.by_seed)
    ax = figure.axes[0]
    dots = sorted(y for x in ax.lines if x.get_marker() == "." for y in x.get_ydata())
    every = [v for row in MADE.rows for v in board.read("frechet", row.id).by_seed.values()]
    assert dots == sorted(every)
    bars = [tuple(x.get_ydata()) for x in ax.lines if len(x.get_ydata()) == 2 and x.get_xdata()[0] == x.get_xdata()[1] and x.get_marker() == "None"]  # fmt: skip
    values = (board.read("frechet", row.id).by_seed.values() for row in MADE.rows)
    assert bars == [estimate_interval(v) for v in values]
    assert figure.axes[-2].get_ylim() == figure.axes[-1].get_ylim(), "they are compared"
    assert "n = 1 to 3 seeds" in caption(figure)


def test_losses_have_a_band_of_their_deviation_within_a_window(tmp_path: Path):
    places = [cell(MADE, "cdcgan", "digits", s) for s in range(2)]
    records = [
        write_generated(tmp_path, c, measurements("cdcgan", 0), spread=(0.1 + s / 5, 0.5))
        for s, c in enumerate(places)
    ]
    figure = draw("losses", MADE, records)
    (d,), (g,) = (marked(figure, word)["cdcgan"] for word in ("D", "G"))
    assert list(d.get_xdata()) == [200, 400, 600, 800]
    assert list(d.get_ydata()) == pytest.approx([0.8 + 0.4 / k for k in (1, 2, 3, 4)])
    assert list(g.get_ydata()) == pytest.approx([2.0 + 0.4 / k for k in (1, 2, 3, 4)])
    for band, sd in zip(figure.axes[0].collections, (0.2, 0.5), strict=True):
        at = band.get_paths()[0].vertices
        ys = [y for x, y in at if x == 800]
        assert max(ys) - min(ys) == pytest.approx(2 * sd)
    assert "n = 2 seeds" in caption(figure)


def write_samples(root: Path) -> list:
    """A record of each of two rows with images whose pixels say what they are."""
    shape = (4, 10, 10, 1, 8, 8)
    pixels = np.broadcast_to(
        20 * np.arange(10).reshape(1, 10, 1, 1, 1, 1) + np.arange(4).reshape(4, 1, 1, 1, 1, 1),
        shape,
    ).astype(np.uint8)
    found = []
    for row in ("dcgan", "cdcgan"):
        asked = cell(MADE, row, "digits", 0)
        artefact = keep_samples(root, asked, [200, 400, 600, 800], pixels)
        values = measurements(row, 0)
        found.append(write_generated(root, asked, values, artefacts={"samples": artefact}))
    return found


def test_samples_are_those_kept_at_each_measurement(tmp_path: Path):
    figure = draw("samples", MADE, write_samples(tmp_path))
    assert [ax.get_title() for ax in figure.axes] == ["epoch 2", "epoch 4", "epoch 6", "epoch 8"] * 2  # fmt: skip
    for time, ax in enumerate(figure.axes[:4]):
        image = np.asarray(ax.images[0].get_array())
        side = 8 + samples.GAP
        assert image.shape == (10 * side - samples.GAP, samples.EACH * side - samples.GAP)
        assert [image[k * side, 0] for k in range(10)] == [20 * k + time for k in range(10)]
    told, untold = figure.axes[4], figure.axes[0]
    assert [t.get_text() for t in told.get_yticklabels()] == list("0123456789")
    assert [t.get_text() for t in untold.get_yticklabels()] == []
    assert "seed 0" in caption(figure)
    style.render_figure(figure, "png")  # a warning of the layout is an error here


def test_a_grid_is_of_the_last_measurement(tmp_path: Path):
    figure = draw("grid", MADE, write_samples(tmp_path))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["DCGAN", "Conditional DCGAN"]
    image = np.asarray(figure.axes[1].images[0].get_array())
    assert image.shape == (98, 98) and image[-1, -1] == 183 and image[8, 0] == samples.GREY


def test_images_are_joined_in_their_places():
    pixels = np.arange(2 * 3 * 3).reshape(2, 3, 3, 1, 1) * np.ones((1, 1, 1, 4, 4), int)
    image = samples.join_images(pixels)
    side = 4 + samples.GAP
    assert image.shape == (2 * side - samples.GAP, 3 * side - samples.GAP, 3)
    assert image[side, 2 * side].tolist() == pixels[1, 2, :, 0, 0].tolist()


def test_figures_of_generators_are_refused_in_a_sentence(tmp_path: Path):
    for name in ("samples", "grid", "losses"):
        with pytest.raises(UsageError, match="toy generates no images; the suite gan does"):
            draw(name, TOY, EVERY)
    with pytest.raises(UsageError, match="toy has no measures"):
        draw("measures", TOY, EVERY)
    records = made_records(tmp_path)
    with pytest.raises(UsageError, match=r"kept its samples: .*--keep samples --redo"):
        draw("samples", MADE, records)
    gone = [replace(r, path=tmp_path / "gone" / r.path.name) for r in records]
    with pytest.raises(UsageError, match="cannot be read, or have no losses of D and G"):
        draw("losses", MADE, gone)


ONE = [runs("plain", "A-B", 70)[0], runs("dann", "A-B", 75)[0]]
FAILED = [record(cell(TOY, "plain", "A-B", s), status="failed", reason="no memory") for s in (0, 1)]
TORN = [record(cell(TOY, "plain", "A-B", 0), status=None)]
BAD = {
    "no record": ([], {}, "toy has no finished run at the budget 'full': `bench run --suite toy`"),
    "only failures": (FAILED, {}, r"no finished run .*\(2 runs failed\)"),
    "interrupted": (TORN, {}, r"no finished run .*\(1 record set aside: unfinished\)"),
    "another budget": (
        runs("plain", "A-B", 70),
        {"budget": "short"},
        r"at the budget 'short'.*--budget short` makes one, or give --budget full,",
    ),
    "row": (ONE, {"methods": ["dan"]}, "unknown row 'dan'; did you mean 'dann'"),
    "no row": (ONE, {"methods": []}, "no row is named"),
    "row that was not run": (ONE, {"methods": ["nogrl"]}, "no finished run of nogrl"),
    "task": (ONE, {"tasks": ["A-C"]}, "unknown task 'A-C'"),
    "budget": (ONE, {"budget": "fast"}, "unknown budget 'fast'"),
    "scores": (ONE, {"select": "snd"}, "'snd' chooses by"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_drawn_is_said_in_a_sentence(case: str):
    records, asked, said = BAD[case]
    with pytest.raises(UsageError, match=said):
        draw("bars", TOY, records, **asked)


@pytest.mark.slow
def test_each_figure_is_drawn_or_refused_whatever_there_is():
    for records in ([], FAILED, TORN, ONE, EVERY):
        for name in FIGURES:
            try:
                figure = draw(name, TOY, records)
            except UsageError as e:
                assert str(e).count("\n") == 0
                continue
            assert figure.axes and all(
                ax.lines or ax.patches or ax.collections for ax in figure.axes
            )


def test_accuracies_of_runs_for_costs_are_not_drawn():
    with pytest.raises(UsageError, match="measure no accuracy: `bench figures cost --suite toy"):
        draw("bars", TOY, EVERY, budget="timing")
    assert draw("cost", TOY, EVERY, budget="timing").axes


def test_an_unknown_figure_is_refused():
    with pytest.raises(UsageError, match="unknown figure 'forrest'; did you mean 'forest'"):
        draw("forrest", TOY, EVERY)


def test_rows_and_tasks_can_be_chosen_without_another_number():
    figure = draw("bars", TOY, EVERY, methods=["dann"], tasks=["A-B"])
    assert list(marked(figure, "mean")) == ["dann A-B"]
    (mark,) = marked(figure, "mean")["dann A-B"]
    assert point(mark)[1] == ours(build_table(TOY, EVERY), "dann")["A-B"].summary.mean


def test_intervals_take_no_more_room_than_the_points():
    low, high = style.find_limits([70.0, 72.0], [(-30.0, 180.0)])
    assert 67 < low < 68.1 and 73.9 < high < 75
    assert style.find_limits([99.0, 100.0], [(98.5, 108.0)], (0.0, 100.0))[1] < 100.3
    low, high = style.find_limits([70.0, 72.0], [(69.5, 72.5)])
    assert low < 69.5 and high > 72.5
    low, high = style.find_limits([0.001, 0.002], [(-0.6, 0.6)], least=0.0)
    assert -0.001 < low < 0 and 0.003 < high < 0.004


@pytest.mark.slow
def test_twelve_tasks_of_eight_rows_fit_on_pages():
    suite = suites.find("pacs12")
    rows = [r.id for r in suite.rows][:8]
    records = [
        record(cell(suite, row, task, 0), (50.0 + i,), machine=replace_gpu(i))
        for i, row in enumerate(rows)
        for task in suite.tasks
    ]
    figure = draw("bars", suite, records)
    assert len(figure.axes) == 3 and figure.get_figheight() < 9.5
    style.render_figure(figure, "svg")  # a warning of the layout is an error here


def replace_gpu(i):
    return GPU if i % 2 else CPU
