"""One cell: what is counted, what is written, what a failure leaves."""

import copy
import threading
import weakref
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import fakes
import pytest
import torch
from helpers import CLASSES, ended, state, write_pictures, write_suite
from rich.console import Console
from torch import Tensor, nn

from bench.cli import screen
from bench.data.images import Images, place_images
from bench.data.stream import Stream
from bench.data.views import Views
from bench.engine import env, memory, run, scores, uda
from bench.engine import lab as lab_module
from bench.engine.clock import Clock, Lap
from bench.engine.lab import Lab, find_device
from bench.engine.probe import probe
from bench.engine.run import without_folders
from bench.engine.training import set_precision
from bench.errors import BenchError, UsageError
from bench.execute.here import Here
from bench.runs import files, plan, records
from bench.runs.cell import Cell
from bench.suite import suites
from bench.suite.recipe import Recipe
from methods import Batch, Method, Network, get

CPU = torch.device("cpu")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_pictures(tmp_path / "data", "A", "B")
    return tmp_path / "data"


def cell(folder: Path, budget: str = "full", seed: int = 0, **asked: Any) -> Cell:
    (one,) = plan.cells(suites.load(write_suite(folder, **asked)), budget=budget, seeds=[seed])
    return one


def trained(folder: Path, **asked: Any) -> files.Content:
    path = ended(cell(folder, **asked), Lab(folder / "data", folder / "results", CPU)).path
    assert path
    return files.read(path)


RECIPE = Recipe(backbone="any", size=2, iterations=1, batch=2, lr=0.1)


class Echo(Method):
    """Predicts what the grey level of the first pixel says."""

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Any:
        raise NotImplementedError

    def predict(self, net: Network, x: Tensor) -> Tensor:
        return nn.functional.one_hot((x[:, 0, 0, 0] * 255).round().long(), CLASSES).float()


def test_the_load_is_that_of_before_the_images_are_read(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding keeps every core busy, which would look as if others did."""
    read: list[str] = []
    load_domain = lab_module.load_domain
    monkeypatch.setattr(env, "read_load", lambda: float(len(read)))
    monkeypatch.setattr(
        lab_module,
        "load_domain",
        lambda name, *a, **k: read.append(name) or load_domain(name, *a, **k),
    )
    run = trained(data.parent).run
    assert run and run.env.load == 0.0 and read == ["A", "B"]


@pytest.mark.parametrize("n", [1, 7, uda.EVAL_BATCH, uda.EVAL_BATCH + 1])
def test_an_evaluation_counts_every_image_once(n: int) -> None:
    g = torch.Generator().manual_seed(n)
    guess, truth = (torch.randint(0, CLASSES, (n,), generator=g) for _ in range(2))
    images = Images(guess.to(torch.uint8).view(n, 1, 1, 1).expand(n, 1, 2, 2), truth)
    net = Network(nn.Identity(), nn.Identity(), dim=1, classes=CLASSES, discriminator=nn.Linear)  # type: ignore[arg-type]
    found = uda.evaluate(Echo(), net, images, Views(RECIPE, CPU, seed=0), CPU, CLASSES)
    pairs = list(zip(guess.tolist(), truth.tolist(), strict=True))
    counts = uda.count(found, confusion=True)
    assert counts.total == tuple(sum(y == k for _, y in pairs) for k in range(CLASSES))
    assert counts.correct == tuple(sum(x == y == k for x, y in pairs) for k in range(CLASSES))
    assert counts.predicted == tuple(sum(x == k for x, _ in pairs) for k in range(CLASSES))
    assert counts.confusion == tuple(
        tuple(sum((y, x) == (a, b) for x, y in pairs) for b in range(CLASSES))
        for a in range(CLASSES)
    )
    assert uda.count(found, confusion=False).confusion is None


def test_a_record_says_all_of_its_run(data: Path) -> None:
    r = trained(
        data.parent,
        iterations=230,
        eval_every=100,
        rows={"only": {"method": "dann", "hyper": {"gamma": float("inf")}}},
    )
    assert r.problem == "" and r.run and r.end and r.end.status == "ok"
    assert [(w.step, w.n, w.warmup) for w in r.train] == [
        (10, 10, True),
        (100, 90, False),
        (200, 100, False),
        (230, 30, False),
    ]
    assert [e.step for e in r.evals] == [100, 200, 230]
    assert all(c and sum(c.total) == 9 for e in r.evals for c in (e.source, e.target))
    kept = [e.target is not None and e.target.confusion is not None for e in r.evals]
    assert kept == [False, False, True]
    names = ["entropy", "im", "snd", "bnm", "dev"]
    assert all(e.scores and list(e.scores) == names for e in r.evals)
    rows = {"only": {"method": "dann", "hyper": {"gamma": float("inf")}}}
    asked = cell(data.parent, iterations=230, eval_every=100, rows=rows)
    assert r.run.key == asked.key and r.run.hyper == {"gamma": "inf"}
    assert r.run.hyper_all == asked.hyper_all and asked.hyper_all["lam"] == 1.0
    assert r.run.recipe["momentum"] == 0.9, "defaults are written out"
    assert {k: v.train.images for k, v in r.run.data.items()} == {"A": 36, "B": 36}
    assert all(v.classes == ("class0", "class1", "class2") for v in r.run.data.values())
    assert r.run.env.torch == torch.__version__ and r.run.env.device == "cpu"
    assert r.run.code.probe == probe(asked) is not None
    assert r.end.step == 230 and r.end.ms and r.end.ms["p50"]
    assert r.end.images_per_s == pytest.approx(8e3 / r.end.ms["p50"], rel=1e-2)
    assert r.end.memory["rss_mib"] > 0 and r.end.wall_s > 0
    assert (
        r.end.placement == {"source": "cpu", "target": "cpu"} and len(r.end.parameters or "") == 16
    )


def test_what_is_recorded_is_what_the_network_predicts_in_evaluation_mode(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout off, batch norm by its running statistics, which no measurement moves: by hand, image
    by image. The training goes on in training mode."""
    genuine, step, counts, modes = uda.evaluate, get("hda").step, [], []

    def watched(method: Method, net: Network, images: Images, views: Views, *rest: Any) -> Tensor:
        before, plain = state(net, method), copy.deepcopy((net, method))
        assert not any(m.training for m in (*net.modules(), *method.modules()))
        graphs: set[bool] = set()
        hook = net.C.register_forward_hook(lambda *_: graphs.add(torch.is_grad_enabled()))
        found = genuine(method, net, images, views, *rest)
        hook.remove()
        for k, v in state(net, method).items():
            assert torch.equal(v, before[k]), k
        hand = torch.zeros_like(found)
        for module in plain:
            module.eval()
        with torch.no_grad():
            for x, y in zip(images.x, images.y, strict=True):
                (seen,) = views.test(x[None])
                hand[y, plain[1].predict(plain[0], seen).argmax()] += 1
        assert graphs == {False}, "an evaluation keeps nothing for gradients"
        counts.append((hand.tolist(), found.tolist()))
        return found

    def stepped(self: Method, net: Network, *rest: Any) -> Any:
        modes.append({m.training for m in (*net.modules(), *self.modules())})
        return step(self, net, *rest)

    monkeypatch.setattr(uda, "evaluate", watched)
    monkeypatch.setattr(get("hda"), "step", stepped)
    bottleneck = {"width": 16, "batch_norm": True, "relu": True, "dropout": 0.9}
    r = trained(
        data.parent,
        iterations=9,
        eval_every=3,
        bottleneck=bottleneck,
        rows={"only": {"method": "hda"}},
    )
    assert r.end and r.end.status == "ok", r.end
    assert len(counts) == 2 * 3 and all(hand == found for hand, found in counts)
    assert {False} not in modes[-9:] and all(m == {True} for m in modes[-9:])


class Told(Clock):
    """A clock that is told its times and memories, one for each window, and keeps what it is asked."""

    ms = (1000.0, 1.0, 2.0, 3.0)
    mib = (900.0, 50.0, 60.0, 40.0)

    def __init__(self, device: torch.device) -> None:
        self.asked: list[str] = []
        super().__init__(device)

    def end(self) -> Lap:
        self.asked.append("window")
        n = len(super().end().ms)
        ms = self.ms[self.asked.count("window") - 1]
        return Lap([ms] * n, [ms / 10] * n)

    def memory(self) -> dict[str, float]:
        return {"rss_mib": self.mib[self.asked.count("window") - 1]}

    def reset_peak(self) -> None:
        self.asked.append("reset")


@pytest.mark.slow
def test_the_end_counts_what_follows_the_warm_up_and_the_peak_is_none_of_a_measurement(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks: list[Told] = []
    monkeypatch.setattr(run, "Clock", lambda device: clocks.append(Told(device)) or clocks[0])
    evaluate = uda.evaluate
    monkeypatch.setattr(
        uda, "evaluate", lambda *args: clocks[0].asked.append("measured") or evaluate(*args)
    )
    r = trained(data.parent, iterations=40, eval_every=15)
    assert [(w.n, w.warmup) for w in r.train] == [(10, True), (5, False), (15, False), (10, False)]
    assert [w.ms["p50"] for w in r.train] == list(Told.ms), "a window's own times"
    assert [w.memory["rss_mib"] for w in r.train] == list(Told.mib)
    assert r.end and r.end.ms == {"p50": 2.0, "p5": 1.0, "p95": 3.0}
    assert r.end.wait_ms == {"p50": 0.2, "p5": 0.1, "p95": 0.3}
    assert r.end.images_per_s == 2 * 4 / 2e-3 and r.end.memory == {"rss_mib": 60.0}
    both = ["measured", "measured", "reset"]
    assert clocks[0].asked == ["reset", "window", "reset", *(["window", *both] * 3)]


def test_a_run_depends_on_its_seed_alone(data: Path) -> None:
    losses = [
        [w.loss for w in trained(data.parent, seed=s, iterations=30).train] for s in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.slow
def test_evaluating_more_often_does_not_change_the_training(data: Path) -> None:
    often, once = (
        trained(data.parent, iterations=40, eval_every=e, rows={"only": {"method": "dann"}})
        for e in (10, 40)
    )
    assert often.evals[-1] == once.evals[-1] and often.end.parameters == once.end.parameters  # type: ignore[union-attr]
    mean = lambda r: sum(w.loss * w.n for w in r.train) / 40  # noqa: E731
    assert mean(often) == pytest.approx(mean(once), abs=1e-5)


@pytest.mark.slow
def test_very_short_runs_end_well(data: Path) -> None:
    for n in (1, 2, 3):
        r = trained(data.parent, iterations=n)
        assert (
            r.end
            and r.end.status == "ok"
            and sum(w.n for w in r.train) == n
            and r.evals[-1].step == n
        )


def test_missing_data_leaves_nothing_and_a_smoke_run_does_without(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "none", tmp_path / "results", CPU)
    with pytest.raises(BenchError, match="no folder"):
        ended(cell(tmp_path), lab)
    assert records.list_files(tmp_path / "results") == []
    path = ended(cell(tmp_path, budget="smoke"), lab).path
    assert path and (made := files.read(path)).end and made.end.status == "ok" and made.run
    assert all(d.generated for d in made.run.data.values()), "and says so"


def test_a_batch_larger_than_the_domain_ends_as_failed_with_its_sentence(data: Path) -> None:
    r = trained(data.parent, batch=37)
    assert r.end and r.end.status == "failed"
    assert r.end.reason == "a batch of 37 does not fit source's 36 training images; lower the batch"


@pytest.mark.slow
def test_weights_of_another_network_end_as_failed_with_their_sentence(data: Path) -> None:
    file = data.parent / "w.pth"
    torch.save({"conv1.weight": torch.zeros(3)}, file)
    lab = Lab(data, data.parent / "results", CPU, file)
    found = ended(cell(data.parent, backbone="vgg16", weights="imagenet"), lab)
    assert found.status == "failed" and found.path
    assert found.reason.startswith("these weights are not vgg16's: features.0.weight and 25 more")
    assert "Traceback" not in found.path.read_text()


def test_a_matrix_that_cannot_be_decomposed_is_a_training_that_diverged(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CORAL at a rate of 2.5: LAPACK gives up before the loss is no number."""

    def give_up(*_: object) -> Any:
        raise torch.linalg.LinAlgError("linalg.eigh: The algorithm failed to converge")

    monkeypatch.setattr(get("source_only"), "step", give_up)
    end = trained(data.parent).end
    assert end and end.status == "diverged" and not end.trace
    assert end.reason.startswith("a matrix could not be decomposed any more (linalg.eigh: The")


def test_what_went_wrong_is_kept_without_the_folders_of_this_machine(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uda, "evaluate", lambda *_: {}["absent"])
    r = trained(data.parent)
    assert r.end and r.end.status == "failed" and r.end.reason == "KeyError: 'absent'"
    assert 'File "run.py"' in r.end.trace and str(Path(uda.__file__).parent) not in r.end.trace


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("[Errno 2] No such file: '/home/me/data/x.png'", "[Errno 2] No such file: 'x.png'"),
        ("A: /srv/a/b.png cannot be read (it is /tmp/q)", "A: b.png cannot be read (it is q)"),
        (r"C:\Users\me\x.npz is damaged", "x.npz is damaged"),
        ("see https://a.org/b/c, 3 and/or 4, m/s", "see https://a.org/b/c, 3 and/or 4, m/s"),
    ],
)
def test_a_reason_names_files_without_their_folders(told: str, kept: str) -> None:
    assert without_folders(told) == kept
    assert without_folders(f"in {Path.home()}/my data/x") == "in my data/x"


class Pair(Method):
    """Two classes, whose logits are the grey levels of the first and of the last pixel, in tens."""

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Any:
        raise NotImplementedError

    def predict(self, net: Network, x: Tensor) -> Tensor:
        return 25.5 * torch.stack([x[:, 0, 0, 0], x[:, 0, -1, -1]], 1)


def test_of_several_views_the_mean_softmax_decides_and_not_that_of_the_logits() -> None:
    """One of the ten crops is sure of the first class, all others lean towards the second."""
    x = torch.zeros(1, 1, 6, 6, dtype=torch.uint8)
    x[0, 0, 0, 0] = 255  # the upper left corner, by itself and mirrored: logits 25.5 and 0
    x[0, 0, 3:, :] = 10  # what every other crop ends with: logits 0 and 1
    recipe = Recipe(backbone="any", size=6, iterations=1, batch=2, lr=1, crop=4, test_crop="ten")
    views = Views(recipe, CPU, seed=0)
    logits = torch.cat([Pair().predict(None, v) for v in views.test(x)])  # type: ignore[arg-type]
    assert logits.mean(0).argmax() == 0 and logits.softmax(1).mean(0).argmax() == 1
    net = Network(nn.Identity(), nn.Identity(), dim=1, classes=2, discriminator=nn.Linear)  # type: ignore[arg-type]
    found = uda.evaluate(Pair(), net, Images(x, torch.zeros(1, dtype=torch.long)), views, CPU, 2)
    assert found.tolist() == [[0, 1], [0, 0]]


def test_an_evaluation_scores_the_predictions_on_the_target(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all images, whatever the batches; with the features of the source's and their mistakes."""
    asked = cell(data.parent, rows={"only": {"method": "dann"}})
    task = uda.UDA(asked, Lab(data, data.parent / "results", CPU))
    torch.manual_seed(0)
    net, method = task.build()
    net.eval(), method.eval()
    task.open()
    found = []
    for at_once in (1000, 2):
        monkeypatch.setattr(uda, "images_at_once", lambda _, n=at_once: n)
        found.append(task.measure(net, method, 5).scores)
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert not net.F._forward_hooks, "nothing watches a training"

    s, t = (task.domains[side].test for side in ("source", "target"))
    with torch.no_grad():
        x_s, x_t = (task.views.test(images.x)[0] for images in (s, t))
        wanted = scores.score_target(method.predict(net, x_t).softmax(1))
        wrong = method.predict(net, x_s).argmax(1) != s.y
        assert 0 < wrong.sum() < len(wrong)
        wanted["dev"] = scores.validate_embedded(net.F(x_s), net.F(x_t), wrong)
    assert found[0] == pytest.approx(wanted, abs=1e-5)
    task.close()


def test_the_scores_of_several_views_are_of_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(backbone="any", size=6, iterations=1, batch=2, lr=1, crop=4, test_crop="ten")
    views = Views(recipe, CPU, seed=0)
    x = torch.randint(0, 255, (7, 1, 6, 6), dtype=torch.uint8)
    F = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    net = Network(F, nn.Linear(3, 2), dim=3, classes=2, discriminator=nn.Linear)
    monkeypatch.setattr(scores, "EMBEDDED", 3)
    seen = uda.Seen(Images(x, torch.zeros(7, dtype=torch.long)))
    monkeypatch.setattr(uda, "images_at_once", lambda _: 3)
    source_only = get("source_only")(net)
    uda.evaluate(source_only, net, seen.images, views, CPU, 2, lambda images: None, seen)
    with torch.no_grad():
        f = torch.stack([net.F(v) for v in views.test(x)])
        p = net.C(f).softmax(2).mean(0)
    torch.testing.assert_close(torch.cat(seen.p), p)
    torch.testing.assert_close(torch.cat(seen.f), f.mean(0)[[0, 2, 4]])
    assert seen.mistaken().tolist() == (p.argmax(1) != 0)[[0, 2, 4]].tolist()


def test_what_is_no_number_is_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    images = Images(torch.zeros(2, 1, 1, 1, dtype=torch.uint8), torch.zeros(2, dtype=torch.long))
    source, target = uda.Seen(images), uda.Seen(images)
    assert uda.score(source, target) is None, "nothing was seen"
    for seen in (source, target):
        seen.add([torch.tensor([[1.0, 0.0], [0.0, 1.0]])], [])
    found = uda.score(source, target)
    assert found and list(found) == ["entropy", "im", "snd", "bnm"], "without features no dev"
    assert all(x == round(x, 6) for x in found.values())
    source.f = target.f = [torch.zeros(2, 1)]
    assert "dev" in (uda.score(source, target) or {})
    monkeypatch.setattr(scores, "validate_embedded", lambda *_: float("inf"))
    assert uda.score(source, target) == found
    target.p = [torch.full((2, 2), float("nan"))]
    assert uda.score(source, target) is None


@pytest.mark.parametrize(
    ("pixels", "images"), [(28, 500), (109, 500), (110, 495), (224, 119), (8192, 1)]
)
def test_at_once_so_many_images_are_evaluated_as_their_pixels_allow(
    pixels: int, images: int
) -> None:
    assert uda.images_at_once(RECIPE.model_copy(update={"size": pixels})) == images


def test_the_domains_of_a_task_are_its_own(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labelled source and unlabelled target images, each cropped by chances of its own; the counts
    of each; the size of all that was placed."""
    asked = cell(
        data.parent, size=28, crop=20, train_crop="random", test_crop="center", rows={"only": {"method": "dann"}}
    )  # fmt: skip
    task = uda.UDA(asked, Lab(data, data.parent / "results", CPU))
    net, method = task.build()
    task.open()
    source, target = task.domains["source"], task.domains["target"]
    for step in (0, 3):
        s, t = task.batches(step)
        for batch, domain, name in ((s, source, "source"), (t, target, "target")):
            kept = Stream(domain.train, asked.recipe.batch, seed=0, name=name)(step)
            shown = Views(asked.recipe, CPU, seed=0).train(name)(kept.x, step)
            assert torch.equal(batch.x, shown)
            assert batch.y is None if name == "target" else torch.equal(batch.y, kept.y)
    ones, twos = (torch.full((CLASSES, CLASSES), n) for n in (1, 2))
    found_on = {id(source.test): ones, id(target.test): twos}
    monkeypatch.setattr(uda, "evaluate", lambda method, net, images, *_: found_on[id(images)])
    found = task.measure(net, method, 5)
    assert found.source == uda.count(ones, confusion=False)
    assert found.target == uda.count(twos, confusion=False)
    every = [i for d in (source, target) for i in (d.train, d.test)]
    assert task.placement().mib == sum(i.x.nbytes + i.y.nbytes for i in every) / 2**20
    task._sides = {
        k: replace(side, test=side.train) for k, side in task._sides.items()
    }  # trained and tested on the same images
    assert task.placement().mib == sum(i.x.nbytes + i.y.nbytes for i in every[::2]) / 2**20
    task.close()


def test_an_evaluation_in_bfloat16_is_of_the_network_in_bfloat16(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate, seen = uda.evaluate, set()

    def watched(method: Method, net: Network, *rest: Any) -> Tensor:
        net.C.register_forward_hook(lambda _, given, out: seen.add(out.dtype))
        return evaluate(method, net, *rest)

    monkeypatch.setattr(uda, "evaluate", watched)
    assert trained(data.parent, iterations=1, precision="bf16").problem == ""
    assert seen == {torch.bfloat16}


def test_a_default_that_a_row_states_is_no_difference(data: Path) -> None:
    rows = {"only": {"method": "dann", "hyper": {"lam": 1, "gamma": 5}}}
    r = trained(data.parent, iterations=1, rows=rows)
    assert r.problem == "" and r.run and r.run.hyper == {"gamma": 5.0}
    assert r.run.hyper_all["lam"] == 1.0 and r.run.hyper_all["gamma"] == 5.0


# where the images are


def test_images_that_the_gpu_has_no_room_for_are_recorded_as_such(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU as far as the placing goes; the training is on the CPU."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2 << 20, 8 << 20))
    monkeypatch.setattr(
        uda,
        "place_images",
        lambda images, _: place_images(images, torch.device("cuda", 0), budget_fraction=0.001),
    )
    r = trained(data.parent)
    assert r.end and r.end.status == "ok"
    assert r.end.placement == {"source": "cpu", "target": "cpu"}


@pytest.mark.slow
def test_gathering_ahead_changes_no_loss_and_leaves_no_thread(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"iterations": 30, "rows": {"only": {"method": "dann"}}}
    plain, before = trained(data.parent, **asked), threading.enumerate()
    names = set()
    gathered = Stream.gather

    def watched(self: Stream, step: int) -> Images:
        names.add(threading.current_thread().name)
        return gathered(self, step)

    monkeypatch.setattr(Stream, "away", True)
    monkeypatch.setattr(Stream, "gather", watched)
    ahead = trained(data.parent, **asked)
    assert [w.loss for w in ahead.train] == [
        w.loss for w in plain.train
    ] and ahead.evals == plain.evals
    assert {name.partition("_")[0] for name in names} == {"gathers source", "gathers target"}
    monkeypatch.setattr(get("dann"), "step", lambda *_: {}["absent"])
    failed = trained(data.parent, **asked).end
    assert failed and failed.status == "failed"
    assert threading.enumerate() == before


# a memory that is full


def too_much(*_: object) -> Any:
    return torch.empty(1 << 62, dtype=torch.uint8)  # more than any address space holds


def raising(error: Exception) -> Any:
    def step(*_: object) -> Any:
        raise error

    return step


FULL = {
    "torch on a CPU": too_much,
    "torch on a GPU": raising(
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")
    ),
    "below torch": raising(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")),
    "Python": raising(MemoryError()),
}


def two_cells(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: Any, **recipe: Any
) -> tuple[dict[str, int], str]:
    """Run two rows, the first with that step; how the cells ended, and what was printed."""
    suite = suites.load(
        write_suite(
            folder, rows={"large": {"method": "dann"}, "small": {"method": "source_only"}}, **recipe
        )
    )
    monkeypatch.setattr(get("dann"), "step", step)
    out = StringIO()
    executor = Here(Lab(folder / "data", folder / "results", CPU))
    tally = screen.Screen(Console(file=out, width=400)).follow(executor.run(plan.cells(suite)))
    return dict(tally), out.getvalue()


@pytest.mark.parametrize("what", FULL)
def test_out_of_memory_is_told_with_the_sizes_and_the_grid_goes_on(
    what: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally, printed = two_cells(data.parent, monkeypatch, FULL[what])
    assert tally == {"out of memory": 1, "ok": 1}
    reason = (
        "out of memory on cpu in row large: batches of 2 × 4 images of 28×28 through ganin-mnist; "
        "try --set batch=2, --set precision=bf16, a device with more memory"
    )
    assert (
        f"large A-B seed 0: failed: {reason}\n" in printed
        and "small A-B seed 0: target " in printed
    )
    large, small = records.read_all(data.parent / "results")
    assert large.complete and large.status == "failed" and small.status == "ok"
    assert (
        large.end
        and large.end.reason == reason
        and large.end.out_of_memory is True
        and large.end.trace == ""
    )


def test_anything_else_still_stops_the_grid(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tally, printed = two_cells(
        data.parent, monkeypatch, raising(RuntimeError("the memory of an elephant"))
    )
    assert tally == {"failed": 1} and "failed: RuntimeError: the memory of an elephant" in printed


@pytest.mark.parametrize(
    ("batch", "evaluated", "advice"),
    [
        (8, None, "--set batch=4, --set precision=bf16, a device with more memory"),
        (4, None, "--set batch=2, --set precision=bf16, a device with more memory"),
        (3, None, "--set precision=bf16, a device with more memory"),
        (8, 500, "--set precision=bf16, a device with more memory"),
    ],
)
def test_the_sentence_for_a_full_memory_advises_what_can_help(
    batch: int, evaluated: int | None, advice: str
) -> None:
    recipe = RECIPE.model_copy(update={"batch": batch})
    with (
        pytest.raises(memory.OutOfMemory) as e,
        memory.within_memory(CPU, "r", recipe, evaluated=evaluated),
    ):
        raise MemoryError
    assert str(e.value).endswith(f"; try {advice}")


def test_out_of_memory_in_an_evaluation_gives_its_own_sizes(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get("dann"), "predict", FULL["torch on a GPU"])
    r = trained(data.parent, rows={"only": {"method": "dann"}}, precision="bf16")
    assert r.end and r.end.reason == (
        "out of memory on cpu in row only: evaluating 500 images of 28×28 through ganin-mnist; "
        "try a device with more memory"
    )
    assert r.train and not r.evals


def test_after_out_of_memory_nothing_of_the_cell_is_left(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets: list[weakref.ref[Network]] = []

    def step(method: Method, net: Network, *_: object) -> Any:
        nets.append(weakref.ref(net))
        net.cycle = [net]  # type: ignore[assignment]  # kept alive until the collector comes
        return too_much()

    freed: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(nets[0]() is None))
    two_cells(data.parent, monkeypatch, step)
    assert len(freed) > 1 and all(freed)  # after the cell, and whenever the next one frees


def test_precision_sets_the_arithmetic_of_the_run() -> None:
    recipe = Recipe.model_validate(
        {"backbone": "x", "size": 1, "iterations": 1, "batch": 2, "lr": 0.5}
    )
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        for name, tf32, dtype in (
            ("fp32", False, torch.float32),
            ("tf32", True, torch.float32),
            ("bf16", True, torch.bfloat16),
        ):
            with set_precision(recipe.model_copy(update={"precision": name}), CPU):
                assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
            assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == tf32
            assert torch.backends.cudnn.enabled and torch.backends.cudnn.deterministic
            assert not torch.backends.cudnn.benchmark, "which algorithm is fastest is chance"
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept


def test_devices_are_those_that_are_there() -> None:
    assert find_device("cpu") == CPU
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UsageError, match="no GPU cuda:99"):
        find_device("cuda:99")
    for name in ("gpu", "meta", "mps", "cpu:7", "cuda:-1", ""):
        with pytest.raises(UsageError, match=f"unknown device '{name}'"):
            find_device(name)


def test_a_cell_that_other_code_ran_is_run_again(data: Path) -> None:
    """The newest record of a subject tells what today's code is; an older one of other code is stale."""
    folder = data.parent
    first, second = (cell(folder, seed=s, rows={"only": {"method": "dann"}}) for s in (0, 1))
    now = probe(first)
    assert now
    other = now.model_copy(update={"losses": tuple(x + 0.1 for x in now.losses)})
    about = {"started": "2026-01-01T00:00:00Z", "probe": other}
    fakes.write(folder / "results", first, **about)
    fakes.write(folder / "results", second, started="2026-01-02T00:00:00Z", probe=now)
    found = records.read_all(folder / "results")
    assert [s.label for s in plan.states([first, second], found)] == ["stale", "done"]
    lab = Lab(folder / "data", folder / "results", CPU)
    tally = screen.Screen(Console(file=StringIO())).follow(Here(lab).run([first, second]))
    assert tally == {"ok": 1, "busy": 1}
    found = records.read_all(folder / "results")
    assert [s.label for s in plan.states([first, second], found)] == ["done", "done"]


def test_a_suite_that_measures_no_accuracy_is_not_run_as_one_that_does(data: Path) -> None:
    path = write_suite(data.parent)
    text = path.read_text(encoding="utf-8")
    metric = 'seeds = 1\nmetric = { name = "distance", title = "Distance" }'
    path.write_text(text.replace("seeds = 1", metric), encoding="utf-8")
    lab = Lab(data, data.parent / "results", CPU)
    (end,) = Here(lab).run(plan.cells(suites.load(path)))
    assert end.status == "error" and "this task measures accuracies" in end.reason  # type: ignore[union-attr]
