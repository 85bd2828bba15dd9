"""What the cells of a command share: read once, refused where it does not fit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import write_pictures, write_suite

from bench.engine import lab as labs
from bench.engine.lab import Lab, find_device
from bench.errors import BenchError, UsageError
from bench.runs import plan
from bench.runs.cell import Cell
from bench.suite import suites

CPU = torch.device("cpu")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_pictures(tmp_path / "data", "A", "B", each=5)
    return Lab(tmp_path / "data", tmp_path / "results", CPU)


def cells(folder: Path, budget: str = "full", more: str = "", **recipe: Any) -> list[Cell]:
    rows = {"one": {"method": "source_only"}, "two": {"method": "dann"}}
    suite = suites.load(write_suite(folder, rows=rows, more=more, **recipe))
    return plan.cells(suite, budget=budget, seeds=[0, 1])


def watch(monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> list[Any]:
    """What a function is called with from now on."""
    genuine, asked = getattr(place, name), []
    monkeypatch.setattr(
        place, name, lambda *args, **kw: asked.append((*args, kw)) or genuine(*args, **kw)
    )
    return asked


def test_domains_are_read_once_for_all_cells(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = watch(monkeypatch, labs, "load_domain")
    found = [lab.domains(c) for c in cells(tmp_path)]
    assert len(found) == 4 and len(asked) == 2
    assert all(a is b for pair in found for a, b in zip(pair, found[0], strict=True))
    (other, *_) = cells(tmp_path, size=32)
    assert lab.domains(other)[0].train.x.shape[-1] == 32 and len(asked) == 4


@pytest.mark.slow
def test_arrays_that_were_read_for_a_check_serve_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = watch(monkeypatch, labs, "load_domain")
    lab = Lab(tmp_path, tmp_path / "results", CPU)
    demo, *_ = plan.cells(suites.find("demo"))
    checked = lab.domains(demo, pixels=False)
    run = lab.domains(demo)
    assert len(asked) == 2 and all(a is b for a, b in zip(checked, run, strict=True))


def test_the_limits_are_each_of_its_own_split(lab: Lab, tmp_path: Path) -> None:
    (first, *_) = cells(tmp_path, train_limit=7, test_limit=2)
    for domain in lab.domains(first):
        assert (len(domain.train), len(domain.test)) == (7, 2)


def test_weights_are_read_once_for_all_cells(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ({"x": torch.zeros(1)}, {"asked": "IMAGENET"})
    monkeypatch.setattr(labs.nets, "load_weights", lambda *_: told)
    asked = watch(monkeypatch, labs.nets, "load_weights")
    found = [lab.pretrained(c) for c in cells(tmp_path, backbone="vgg16", weights="imagenet")]
    assert len(asked) == 1 and all(x is found[0] for x in found)
    assert found[0].facts.asked == "IMAGENET" and found[0].state is told[0]


def test_only_a_smoke_run_does_without_the_weights_that_it_names(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = watch(monkeypatch, labs.nets, "load_weights")
    (smoke, *_) = cells(tmp_path, budget="smoke", backbone="vgg16", weights="imagenet")
    assert lab.pretrained(smoke).state is None and asked == []
    missing = replace(lab, weights=tmp_path / "w.pth", _weights={})
    with pytest.raises(BenchError, match="no weights file"):
        missing.pretrained(smoke)


def test_a_smoke_run_does_without_data_and_not_with_a_wrong_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path / "none", tmp_path / "results", CPU)
    (smoke, *_), (full, *_) = cells(tmp_path, budget="smoke"), cells(tmp_path)
    assert all(d.generated for d in lab.domains(smoke)) and lab.stood_in == {"A", "B"}
    with pytest.raises(BenchError, match="no folder"):
        Lab(tmp_path / "none", tmp_path / "results", CPU).domains(full)
    name, spec = smoke.target
    wrong = replace(smoke, target=(name, spec.model_copy(update={"path": None})))
    with pytest.raises(UsageError, match="say which with `path`"):
        lab.domains(wrong)


def test_domains_whose_labels_mean_different_things_are_refused(lab: Lab, tmp_path: Path) -> None:
    (lab.data / "B" / "class2").rename(lab.data / "B" / "class9")
    with pytest.raises(BenchError, match="have different class folders"):
        lab.domains(cells(tmp_path)[0])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_gpu_is_one_of_those_that_there_are(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n)
    for k in range(n):
        assert find_device(f"cuda:{k}") == torch.device("cuda", k)
    for name in (f"cuda:{n}", *(["cuda"] if n == 0 else [])):
        with pytest.raises(UsageError, match=f"no GPU {name}: torch sees {n}; use --device"):
            find_device(name)
