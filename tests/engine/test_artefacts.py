"""What a cell leaves beside its record: the numbers of its own evaluation, whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import torch
from helpers import ended, tiny_net, write_pictures, write_suite
from PIL import Image
from torch import Tensor, nn

import bench
from bench.data.decode import decode_rgb
from bench.data.images import Images
from bench.engine import uda
from bench.engine.artefacts import estimate, write_weights
from bench.engine.collect import Collector, average, choose, join
from bench.engine.lab import Lab
from bench.engine.model import Model
from bench.engine.training import Training
from bench.errors import BenchError, UsageError
from bench.runs import artefacts, files, plan, records
from bench.runs.cell import Cell
from bench.runs.lines import Normalization
from bench.runs.maps import read_maps
from bench.runs.records import Record
from bench.suite import suites
from bench.suite.recipe import Recipe
from methods import Method, get

CPU = torch.device("cpu")
ALL = ("logits", "features", "weights")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "data", "A", "B")


def cell(**asked: Any) -> Cell:
    (one,) = plan.cells(suites.load(write_suite(Path.cwd(), **asked)))
    return one


def lab(*keep: Any) -> Lab:
    return Lab(Path("data"), Path("results"), CPU, keep=keep or ALL)


@pytest.fixture(scope="module", autouse=True)
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The results folders of cells that tests of this file trained: each is trained once."""
    TRAINED.clear()
    TRAINED["top"] = tmp_path_factory.mktemp("trained")
    yield TRAINED


TRAINED: dict[str, Path] = {}


def kept(*keep: Any, **asked: Any) -> Record:
    """The record of a tiny cell and what it kept, everything unless named; a copy of this test's own."""
    one, key = cell(**asked), repr((keep, asked))
    if key not in TRAINED:
        TRAINED[key] = TRAINED["top"] / str(len(TRAINED))
        end = ended(one, replace(lab(*keep), results=TRAINED[key]))
        assert end.status == "ok", end.reason
    shutil.copytree(TRAINED[key], "results")
    (record,) = records.read_all(Path("results"))
    return record


def target_pictures() -> list[Path]:
    """Those of B that the suite tests on, every fifth, in its order."""
    return [p for c in range(3) for p in sorted(Path("data/B", f"class{c}").iterdir())][4::5]


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


SUITES: dict[str, dict[str, Any]] = {
    "one view": {},
    "ten views": {"size": 32, "crop": 28, "train_crop": "random", "test_crop": "ten"},
    "bfloat16": {"precision": "bf16"},
    "a method with a head of its own": {"rows": {"m": {"method": "mcd"}}},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", SUITES)
def test_kept_logits_are_those_that_the_record_counted(case: str) -> None:
    record = kept(**SUITES[case])
    found = artefacts.read_arrays(record, "logits")
    last = files.read(record.path).evals[-1]
    assert found.values.shape == (18, 3) and found.values.dtype == np.float32
    assert found.side.tolist() == ["source"] * 9 + ["target"] * 9
    assert found.image.tolist() == [*range(9), *range(9)]
    for side, counts in (("source", last.source), ("target", last.target)):
        here = found.side == side
        label, guess = found.label[here], found.values[here].argmax(1)
        right = np.bincount(label[guess == label], minlength=3)
        assert counts and right.tolist() == list(counts.correct)
        assert np.bincount(guess, minlength=3).tolist() == list(counts.predicted)
        assert found.prediction[here].tolist() == guess.tolist()


def test_kept_features_are_those_that_the_classifier_read() -> None:
    """C of the kept features gives the kept logits, by numpy and the kept weights alone."""
    from safetensors.numpy import load

    record = kept()
    features, logits = (artefacts.read_arrays(record, name) for name in ("features", "logits"))
    state = load(artefacts.read_artefact(record, "weights"))
    made = features.values @ state["net.C.0.weight"].T + state["net.C.0.bias"]
    assert features.values.shape == (18, 768)
    np.testing.assert_allclose(made, logits.values, atol=1e-5)
    for name in ("side", "image", "label", "prediction"):
        assert np.array_equal(getattr(features, name), getattr(logits, name))


def test_nothing_is_kept_unless_asked_and_the_training_is_the_same() -> None:
    without = records.read_record(
        ended(cell(), Lab(Path("data"), Path("bare"), CPU)).path or Path()
    )
    with_all = kept()
    beside = {p.name for p in without.path.parent.iterdir()}
    assert beside == {without.path.name}
    assert with_all.path.name == without.path.name, "the key is the same"
    assert without.end and with_all.end and not without.end.artefacts
    assert without.end.parameters == with_all.end.parameters
    assert b"artefacts" not in without.path.read_bytes()
    stem = with_all.path.stem
    assert {p.name for p in with_all.path.parent.iterdir()} == {
        f"{stem}.jsonl", f"{stem}.logits.parquet", f"{stem}.features.parquet",
        f"{stem}.weights.safetensors",
    }  # fmt: skip


def test_only_what_is_named_is_kept() -> None:
    record = kept("features")
    assert record.end and list(record.end.artefacts) == ["features"]
    with pytest.raises(UsageError, match=r"kept no logits: .* --keep logits --redo"):
        artefacts.read_arrays(record, "logits")
    with pytest.raises(UsageError, match="kept no weights"):
        bench.load_model(record.path)
    with pytest.raises(UsageError, match="weights are no rows"):
        artefacts.read_arrays(record, "weights")


def test_maps_are_of_the_predictions_that_the_record_counted() -> None:
    record = kept("logits", "maps")
    found, logits = read_maps(record), artefacts.read_arrays(record, "logits")
    target = logits.side == "target"
    assert found.image.tolist() == [*range(9)], "of nine test images none is left out"
    assert found.prediction.tolist() == logits.prediction[target].tolist()
    assert found.label.tolist() == logits.label[target].tolist()
    shown = [np.asarray(decode_rgb(p)) for p in target_pictures()]
    assert (found.pixels == np.stack(shown)).all()
    path = record.path.with_name(f"{record.path.stem}.maps.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(BenchError, match="is damaged: its sha256"):
        read_maps(record)


def test_maps_that_cannot_be_had_cost_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> None:
        raise BenchError("the features of this backbone are not made of maps")

    monkeypatch.setattr(uda, "explain", refuse)
    end = records.read_record(ended(cell(), lab("logits", "maps")).path or Path()).end
    assert end and list(end.artefacts) == ["logits"]
    assert end.reason.startswith("maps could not be kept: the features of this backbone are not")


# the model


def test_a_loaded_model_predicts_what_was_kept() -> None:
    """From the pictures in their files: its own reading, its own view, its own network."""
    record = kept(rows={"m": {"method": "hda"}}, normalize="imagenet")
    model = bench.load_model(record.path.stem, device="cpu")
    assert model.classes == ("class0", "class1", "class2")
    assert not any(m.training for m in model.modules())
    target = target_pictures()
    found = artefacts.read_arrays(record, "logits")
    with torch.no_grad():
        mine = torch.cat([model(model.preprocess(Image.open(p))) for p in target]).numpy()
    np.testing.assert_allclose(mine, found.values[found.side == "target"], atol=1e-6)
    pixels = torch.from_numpy(np.stack([decode_rgb(p) for p in target]))
    np.testing.assert_allclose(model.classify(pixels).numpy(), softmax(mine), atol=1e-6)


def test_a_loaded_model_averages_the_views_of_a_picture() -> None:
    record = kept(**SUITES["ten views"])
    model = bench.load_model(record.path, device="cpu")
    views = model.preprocess(Image.open(target_pictures()[2]))
    assert views.shape == (10, 3, 28, 28)
    p = softmax(model(views).detach().numpy()).mean(0)
    found = artefacts.read_arrays(record, "logits")
    mine = softmax(found.values[found.side == "target"][2])
    np.testing.assert_allclose(p, mine, atol=1e-6)


def test_a_loaded_model_normalizes_by_the_run_s_own_normalization() -> None:
    recipe = Recipe(backbone="timm/any", normalize="model", size=2, iterations=1, batch=2, lr=0.1)
    own = Normalization(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    run = fakes.run_line(cell()).model_copy(update={"normalization": own})
    model = Model(tiny_net(), get("source_only")(tiny_net()), recipe, run)
    x = model.preprocess(Image.new("RGB", (5, 3), (255, 255, 255)))
    assert x.shape == (1, 3, 2, 2)
    torch.testing.assert_close(x[0, :, 0, 0], torch.tensor([1.0, 3.0, 0.5]))


def test_a_loaded_model_has_the_parameters_of_the_record() -> None:
    record = kept(rows={"m": {"method": "cdan"}})
    state = torch.get_rng_state()
    model = bench.load_model(record.path, device="cpu")
    assert torch.equal(torch.get_rng_state(), state), "no random number is drawn"
    digest = Training(model.net, model.method, None).digest()  # type: ignore[arg-type]
    assert record.end and digest == record.end.parameters


@pytest.mark.slow
def test_a_model_is_built_from_its_record_whatever_the_suite_says_now() -> None:
    record = kept(rows={"m": {"method": "dann", "hyper": {"gamma": float("inf")}}})
    write_suite(Path.cwd(), backbone="vgg16", size=32, rows={"m": {"method": "mcd"}})
    model = bench.load_model(record.path, device="cpu")
    assert model.recipe.backbone == "ganin-mnist" and type(model.method).__name__ == "DANN"
    assert model.method.gamma == float("inf")


@pytest.mark.slow
def test_weights_that_today_s_code_does_not_fit_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = kept()
    from bench.nets import backbones

    wider = lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 28 * 28, 768))  # noqa: E731
    monkeypatch.setitem(backbones.BACKBONES, "ganin-mnist", backbones.Backbone(wider))
    with pytest.raises(BenchError, match="do not fit what this program builds") as e:
        bench.load_model(record.path, device="cpu")
    assert "\n" not in str(e.value)


# damage


@pytest.mark.parametrize("name", ALL)
def test_a_byte_that_changed_is_found_wherever_it_is(name: Any) -> None:
    record = kept()
    assert record.end
    made = record.end.artefacts[name]
    path = artefacts.locate(record.path, made.file)
    raw = path.read_bytes()
    assert len(raw) == made.bytes and artefacts.find_problem(record.path, made) == ""
    for place in (*range(0, len(raw), max(1, len(raw) // 40)), len(raw) - 1):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        assert "is damaged: its sha256" in artefacts.find_problem(record.path, made)
    for wrong in (b"", raw[:-1], raw + b"\0"):
        path.write_bytes(wrong)
        with pytest.raises(BenchError, match="is damaged"):
            artefacts.read_artefact(record, name)
    path.unlink()
    with pytest.raises(BenchError, match="is not there"):
        artefacts.read_artefact(record, name)
    path.mkdir()
    with pytest.raises(BenchError, match="cannot be read"):
        artefacts.read_artefact(record, name)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(BenchError, match="is a FIFO, not a file"):
        artefacts.read_artefact(record, name)


def test_a_record_that_is_no_whole_one_has_no_artefacts() -> None:
    record = kept()
    raw = record.path.read_bytes()
    record.path.write_bytes(raw[: raw.rindex(b'{"kind":"end"')])
    with pytest.raises(BenchError, match=r"no whole record: unfinished"):
        bench.load_model(record.path)
    record.path.write_bytes(raw.replace(b'"logits.parquet"', b'"logits.pirquet"'))
    with pytest.raises(BenchError, match=r"no whole record: damaged"):
        artefacts.read_arrays(records.read_record(record.path), "logits")


@pytest.mark.slow
def test_what_cannot_be_written_is_no_reason_to_lose_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(arrays: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artefacts.Arrays, "write", full)
    record = records.read_record(ended(cell(), lab()).path or Path())
    assert record.status == "ok" and record.end and list(record.end.artefacts) == ["weights"]
    assert record.end.reason == (
        f"logits could not be kept: cannot write {record.path.stem}.logits.parquet "
        "(No space left on device); "
        f"features could not be kept: cannot write {record.path.stem}.features.parquet "
        "(No space left on device)"
    )
    assert not list(Path("results").rglob("*.part")), "nothing half-written is left"
    assert artefacts.find_lacking(record, ALL) == ["logits", "features"]


@pytest.mark.slow
def test_leftovers_of_a_killed_attempt_are_removed_and_no_others() -> None:
    one = cell()
    folder = Path("results", one.folder)
    folder.mkdir(parents=True)
    mine, other = folder / f"{one.stem}-1.weights.safetensors.part", folder / "s7-x-1.part"
    mine.touch(), other.touch()
    ended(one, lab("weights"))
    assert not mine.exists() and other.exists()


# sizes


@pytest.mark.slow
@pytest.mark.parametrize("method", ["source_only", "mcd", "atdoc"])
def test_sizes_are_told_before(method: str) -> None:
    rows = {"m": {"method": method}}
    (told,) = estimate([cell(rows=rows)], lab(), ALL)
    end = kept(rows=rows).end
    assert end
    true: dict[str, int] = {name: made.bytes for name, made in end.artefacts.items()}
    header = 8000  # bytes at most, of either format
    assert told["weights"] < true["weights"] < told["weights"] + header
    assert told["features"] / 2 < true["features"] < told["features"] + header, "zeros are packed"
    assert true["logits"] < told["logits"] + header and told["logits"] == 18 * (3 * 4 + 25)


def test_cells_without_data_are_left_out_of_the_sizes() -> None:
    one = cell()
    nowhere = replace(lab(), data=Path("none"))
    assert list(estimate([one], nowhere, ALL)) == []


# pieces


def test_several_views_are_averaged_as_they_are_counted() -> None:
    torch.manual_seed(0)
    views = [30 * torch.randn(50, 4) for _ in range(10)]
    p = torch.stack(views).double().softmax(2).mean(0)
    torch.testing.assert_close(average(views).double().exp(), p, atol=1e-6, rtol=1e-4)
    assert torch.equal(choose(views), p.argmax(1))
    far = [torch.tensor([[0.0, 1000.0]]), torch.tensor([[0.0, 900.0]])]
    assert average(far).isfinite().all(), "no logarithm of 0"
    assert torch.equal(average(views[:1]), views[0])


def test_a_method_that_predicts_without_the_backbone_has_no_features() -> None:
    images = Images(torch.zeros(2, 1, 1, 1, dtype=torch.uint8), torch.zeros(2, dtype=torch.long))
    seen = Collector(images, ["logits", "features"])
    seen.add([torch.zeros(2, 3)], [])
    assert list(join({"source": seen, "target": seen})) == ["logits"]


@pytest.mark.slow
def test_a_run_without_features_says_so_and_keeps_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = uda.UDA.keep
    monkeypatch.setattr(uda.UDA, "keep", lambda *x: {"logits": genuine(*x)["logits"]})
    end = records.read_record(ended(cell(), lab()).path or Path()).end
    assert end and list(end.artefacts) == ["logits", "weights"]
    assert end.reason == "features could not be kept: the method predicts without them"


class Shares(Method):
    """L = 0, with a layer that is the network's own."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.mine = net.C

    def step(self, net: Any, s: Any, t: Any, p: float) -> Iterator[Tensor]:
        yield net.C.weight.sum() * 0


def test_a_layer_that_method_and_network_share_is_written(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    net = tiny_net()
    with (tmp_path / "w").open("wb") as file:
        write_weights(net, Shares(net), file)
    state = load_file(tmp_path / "w")
    assert torch.equal(state["net.C.weight"], state["method.mine.weight"])
    assert {*uda.UDA.keeps} == {*ALL, "maps"}
