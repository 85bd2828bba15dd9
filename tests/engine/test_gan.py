"""The task of generated images, on the digits that come with a package."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from engine.test_resume import lines_of
from helpers import ended
from safetensors.torch import load
from torch import Tensor, nn

from bench.data.load import load_domain
from bench.data.views import Pixels
from bench.engine import gan, samples
from bench.engine.events import Ended
from bench.engine.gan import ALWAYS, GAN, OF_CLASSES, OF_STYLES
from bench.engine.judge import Judge
from bench.engine.lab import Lab
from bench.engine.run import run_cell
from bench.engine.tasks import make_task
from bench.errors import BenchError, UsageError
from bench.execute.here import Here
from bench.runs import files, plan
from bench.runs.artefacts import read_artefact
from bench.runs.cell import Cell
from bench.runs.records import read_record
from bench.runs.samples import read_samples
from bench.suite import suites
from methods import Method

SMALL: dict[str, Any] = {"backbone": "dcgan-4", "iterations": 6, "eval_every": 3, "batch": 16}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gan, "MADE", 200)
        patch.setattr(gan, "STYLES", 4)
        yield Lab(folder, folder / "results", torch.device("cpu"))


def make_cell(row: str = "cdcgan", seed: int = 0, **knobs: Any) -> Cell:
    suite = suites.find("gan")
    [cell] = plan.cells(
        suite, methods=[row], tasks=["MNIST-5k"], seeds=[seed], override=SMALL | knobs
    )
    return cell


@pytest.fixture(scope="module")
def run(lab: Lab) -> Ended:
    return ended(make_cell(), replace(lab, keep=("samples", "weights")))


def test_a_record_has_all_values_of_each_measurement(run: Ended) -> None:
    content = files.read(run.path)
    assert content.problem == "" and content.run and content.run.metric == "frechet"
    first, last = content.evals
    assert set(first.values) == {*ALWAYS, *OF_CLASSES}
    # one that has learnt nothing may make a single class, of whose variance there are no shares
    assert {*last.values, "z_class", "y_class"} == {*ALWAYS, *OF_CLASSES, *OF_STYLES}
    [domain] = content.run.data.values()
    assert domain.train.images == 4000 and domain.test.images == 1000


def test_a_window_tells_the_two_losses_apart(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    genuine = make_task(make_cell(), lab).method.step

    def watched(self: Method, *given: Any) -> Iterator[Any]:
        for loss, module in genuine(self, *given):
            seen.append(loss.item())
            yield loss, module

    monkeypatch.setattr(make_task(make_cell(), lab).method, "step", watched)
    content = files.read(ended(make_cell(seed=5), lab).path)
    trained = torch.tensor(seen[-12:]).view(6, 2)  # those before are the probe's
    found = [(w.n, *((x.mean, x.sd) for x in w.losses)) for w in content.train]
    begin = 0
    for n, *both in found:
        part = trained[begin : begin + n].double()
        torch.testing.assert_close(
            torch.tensor(both),
            torch.stack([part.mean(0), part.std(0)], 1).float(),
            atol=2e-6,
            rtol=0,
        )
        begin += n
    assert begin == 6 and len(found) == 2


def test_who_is_told_no_class_is_measured_without_one(lab: Lab) -> None:
    content = files.read(ended(make_cell("dcgan"), lab).path)
    assert all(set(e.values) == set(ALWAYS) for e in content.evals)


class Copy(nn.Module):
    """A generator that gives back real images of the class that it is asked for."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        super().__init__()
        self.x = [x[y == label] for label in range(10)]
        self.given = [0] * 10

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        out = []
        for label in y.tolist():
            out.append(self.x[label][self.given[label] % len(self.x[label])])
            self.given[label] += 1
        return torch.stack(out)


class Blank(nn.Module):
    """A generator that has collapsed."""

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return -torch.ones(len(z), 1, 32, 32)


def measured(lab: Lab, make: Any, step: int = 3) -> dict[str, float]:
    """What is measured of another generator."""
    task = GAN(make_cell(), lab)
    net, method = task.build()
    net.F = make(task)
    return task.measure(net.eval(), method.eval(), step).values


def copy(task: GAN) -> Copy:
    """Training images of each class, as if they were generated."""
    train = task.domain.train
    return Copy(task.pixels(train.x)[:, :1], train.y)


def test_real_digits_imitate_real_digits(lab: Lab) -> None:
    found = measured(lab, copy)
    blank = measured(lab, lambda task: Blank())
    assert found["consistency"] > 0.97 and found["clear"] > 0.95 and found["modes"] == 10
    assert min(found["precision"], found["recall"], found["coverage"]) > 0.5
    assert found["frechet"] < 0.05 * blank["frechet"] and 0.9 < found["diversity"] < 1.1
    assert blank["modes"] == 1 and blank["consistency"] == 0.1 and blank["diversity"] < 1e-6


class Strokes(nn.Module):
    """A generator of upright strokes, as thick as z or y says."""

    def __init__(self, by: str) -> None:
        super().__init__()
        self.by = by

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        width = 2 + (y if self.by == "y" else (z[:, 0] > 0) * 3 + (z[:, 1] > 0) * 3)
        columns = torch.arange(32)
        stroke = (columns >= 8) & (columns < 8 + width[:, None])
        return (stroke[:, None, None] * 2.0 - 1).expand(-1, 1, 32, 32)


@pytest.mark.parametrize("by", ["z", "y"])
def test_the_shares_say_what_decides(by: str, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gan, "STYLES", 12)
    found = measured(lab, lambda task: Strokes(by), step=6)
    other = {"z": "y", "y": "z"}[by]
    for what in ("pixels", "thickness"):
        assert found[f"{by}_{what}"] == pytest.approx(1) and abs(found[f"{other}_{what}"]) < 1e-6


def test_of_real_digits_the_class_asked_for_decides_the_class_seen(lab: Lab) -> None:
    found = measured(lab, copy, step=6)
    assert found["y_class"] > 0.9 and abs(found["z_class"]) < 0.05


def test_every_measurement_is_of_the_same_noise(lab: Lab) -> None:
    """A generator that learns nothing measures the same, and shows the same images."""
    task = GAN(make_cell(), lab)
    net, method = task.build()
    first, second = (task.measure(net.eval(), method.eval(), step).values for step in (3, 6))
    assert first == {k: v for k, v in second.items() if k not in OF_STYLES}
    shown = net.shown
    assert isinstance(shown, Tensor) and shown.any() and torch.equal(*shown)


def test_images_of_the_wrong_class_are_not_diverse(lab: Lab) -> None:
    """Real digits whose class is not the one asked for differ from one another as real ones do."""

    def shuffled(task: GAN) -> nn.Module:
        wrong, genuine = torch.arange(10).roll(1), copy(task)

        class Mixed(nn.Module):
            def forward(self, z: Tensor, y: Tensor) -> Tensor:
                mixed: Tensor = genuine(z, torch.where(z[:, 0] > 0, y, wrong[y]))
                return mixed

        return Mixed()

    found = measured(lab, shuffled)
    assert found["consistency"] < 0.6 and 0.9 < found["diversity"] < 1.1


@pytest.mark.slow
@pytest.mark.skipif("BENCH_DATA" not in os.environ, reason="MNIST itself: set BENCH_DATA")
def test_what_is_perfect_is_what_the_suite_says() -> None:
    suite = suites.find("gan")
    found = load_domain(
        "MNIST", suite.domains["MNIST"], root=Path(os.environ["BENCH_DATA"]), size=32,
        resize="bilinear", classes=10,
    )  # fmt: skip
    judge, pixels = Judge.load(torch.device("cpu")), Pixels("half", torch.device("cpu"))
    test, train = found.test.thin(2000), found.train.thin(2000)
    f_r, f = (judge.features(gan.view_grey(pixels, part.x)) for part in (test, train))
    u = judge.rate(f)
    values = (
        samples.frechet(f_r, f), samples.kernel(f_r, f), samples.consistency(u, train.y),
        samples.recognizable(u), samples.precision(f_r, f), samples.recall(f_r, f),
        samples.coverage(f_r, f), samples.relative_diversity(f, u.argmax(1), f_r, test.y),
    )  # fmt: skip
    (said,) = (text for text in suite.differences if text.startswith("What is perfect"))
    assert [float(x) for x in re.findall(r"\d\.\d{3}", said)] == pytest.approx(values, abs=1e-3)


def test_a_batch_is_a_function_of_seed_and_step(lab: Lab) -> None:
    task, other, again = (GAN(make_cell(seed=s), lab) for s in (0, 1, 0))
    for one in (task, other, again):
        one.open()
    s, t = task.batches(7)
    assert s.x.shape == (16, 1, 32, 32) and s.x.abs().max() < 1 + 1e-6
    assert t.x.shape == (16, 100) and t.y is None
    again.batches(3)
    s_again, t_again = again.batches(7)
    assert torch.equal(s.x, s_again.x) and torch.equal(s.y, s_again.y)
    assert torch.equal(t.x, t_again.x)
    assert not torch.equal(t.x, task.batches(8)[1].x)
    assert not torch.equal(t.x, other.batches(7)[1].x)
    z = torch.cat([task.batches(i)[1].x for i in range(60)])
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01


def test_measuring_more_often_changes_nothing_that_is_trained(lab: Lab) -> None:
    runs = [ended(make_cell(eval_every=n), replace(lab, keep=("weights",))) for n in (2, 6)]
    often, once = (load(read_artefact(read_record(e.path), "weights")) for e in runs)
    assert len(often["net.shown"]) == 3 and len(once["net.shown"]) == 1
    assert all(torch.equal(v, once[k]) for k, v in often.items() if k != "net.shown")


def test_samples_lie_beside_the_record(run: Ended) -> None:
    record = read_record(run.path)
    kept = read_samples(record)
    assert kept.step.tolist() == [3, 6] and kept.pixels.shape == (2, 10, 10, 1, 32, 32)
    assert kept.pixels.any() and (kept.pixels[0] != kept.pixels[1]).any()


@pytest.mark.slow
@pytest.mark.parametrize("row", ["dcgan", "cdcgan"])
def test_interrupted_it_ends_to_the_bit(row: str, lab: Lab, tmp_path: Path) -> None:
    """With what was shown before the interruption."""
    cell = make_cell(row, iterations=9, eval_every=3)
    ways = [
        replace(lab, results=tmp_path / name, keep=("samples",), checkpoint_every=1e-9)
        for name in ("whole", "cut")
    ]
    ended(cell, ways[0])
    events = run_cell(cell, ways[1])
    next(e for e in events if getattr(getattr(e, "found", None), "step", 0) == 6)
    events.close()
    ended(cell, ways[1])
    assert lines_of(ways[1].results) == lines_of(ways[0].results)
    a, b = (read_samples(read_record(next(w.results.rglob("*.jsonl")))) for w in ways)
    assert (a.pixels == b.pixels).all() and a.pixels[0].any()


def test_a_rate_that_is_too_high_diverges_in_a_sentence(lab: Lab) -> None:
    end = ended(make_cell(lr=1e30, optimizer="sgd"), lab)
    assert end.status == "diverged" and "no longer finite" in end.reason


def test_a_last_step_that_spoils_the_generator_diverges_too(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its losses were those of the step before; the judge sees the images first."""

    def spoilt(task: GAN, net: Any, z: Tensor, y: Tensor) -> Tensor:
        return torch.full((len(z), 1, 32, 32), torch.nan)

    monkeypatch.setattr(GAN, "_generate", spoilt)
    end = ended(make_cell(seed=7), lab)
    assert (end.status, end.reason) == ("diverged", "the images hold nan or infinite values")


@pytest.mark.parametrize(
    ("knobs", "text"),
    [
        ({"size": 28}, "dcgan-4 makes images of 32×32 pixels, not of 28: set size = 32"),
        ({"backbone": "resnet50"}, "unknown generator 'resnet50'; write dcgan-WIDTH"),
        ({"normalize": "unit"}, 'pixels from −1 to 1: set normalize = "half"'),
        ({"batch": 5000}, "a batch of 5000 does not fit MNIST-5k's 4000 training images"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_is(
    knobs: dict[str, Any], text: str, lab: Lab
) -> None:
    with pytest.raises(BenchError) as refused:
        Here(lab).check([make_cell(**knobs)])
    assert text in str(refused.value)


def test_a_metric_that_nobody_measures_is_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match="asks for 'accuracy', and generated images have frechet,"):
        Here(lab).check([replace(make_cell(), metric="accuracy")])


def test_images_that_the_judge_does_not_know_are_refused(lab: Lab) -> None:
    """Digits of 8×8 pixels, which it reads less well; nothing is recorded."""
    suite = suites.find("gan")
    uci = suites.find("demo").domains["UCI"]
    cell = replace(make_cell(), source=("UCI", uci), target=("UCI", uci))
    before = list(lab.results.rglob("*.jsonl"))
    with pytest.raises(BenchError, match=r"the judge names \d\d\.\d\d% of these real images"):
        ended(cell, lab)
    assert list(lab.results.rglob("*.jsonl")) == before and suite.generates


def test_a_smoke_run_needs_no_data(lab: Lab) -> None:
    suite = suites.find("gan")
    [cell] = plan.cells(suite, methods=["dcgan"], tasks=["MNIST"], seeds=[0], budget="smoke")
    small = replace(cell, recipe=cell.recipe.model_copy(update={"backbone": "dcgan-4"}))
    end = ended(small, lab)
    assert end.status == "ok", end.reason
    assert "MNIST" in lab.stood_in
