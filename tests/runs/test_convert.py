"""Records of schema 1 become records of today's, with nothing measured lost."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import fakes
import pytest
from helpers import write_suite

from bench.errors import BenchError
from bench.runs import plan
from bench.runs.cell import Cell
from bench.runs.convert import convert, outdated
from bench.runs.files import read
from bench.runs.ledger import settle
from bench.runs.lines import Probe
from bench.runs.records import read_all
from bench.suite import suites


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    rows = {"only": {"method": "dann", "hyper": {"gamma": float("inf")}}}
    path = write_suite(tmp_path, rows=rows)
    path.write_text(path.read_text("utf-8").replace("split = 0.2", "transductive = true"), "utf-8")
    return plan.cells(suites.load(path))[0]


def old(cell: Cell, **changes: Any) -> list[dict[str, Any]]:
    """The lines of a record as an older program wrote them."""
    part = {"images": 30, "fingerprint": "ab" * 8}
    domain = {"origin": "folder A", "train": part, "test": part}
    spread = {"p50": 1.0, "p5": 0.5, "p95": 2.0}
    counts = {"total": [10, 10, 10], "correct": [9, 8, 7], "predicted": [12, 10, 8]}
    run = {
        "kind": "run", "schema": 1, "cell": "c662b2c18b84", "suite": cell.suite, "row": cell.row,
        "method": cell.method, "hyper": {"gamma": "inf"}, "task": cell.task, "seed": 0, "budget": "full",
        "classes": 3, "source": {"set": "folder", "path": "A", "transductive": True},
        "target": {"set": "folder", "path": "B", "transductive": True},
        "recipe": cell.recipe.model_dump(mode="json"), "hyper_all": cell.hyper_all,
        "data": {"A": domain, "B": domain | {"origin": "folder B"}}, "weights": {"asked": "none"},
        "env": {"bench": "0.1.0", "git": {"commit": "43c9de53c0e7", "dirty": False}, "python": "3.11.7",
                "torch": "2.15.0", "system": "Linux x86_64", "cpu": "AMD", "cores": 2, "threads": 1,
                "load": 3.05, "device": "cpu", "torchvision": "0.29.2", "numpy": "2.4.6"},
        "started": "2026-11-20T07:41:45Z", "renamed_from": {"row": "naive", "cell": "e21952de06a0"},
    }  # fmt: skip
    train = {
        "kind": "train", "step": 12, "n": 12, "warmup": False, "loss": None, "lr": 0.001,
        "ms": spread, "wait_ms": spread, "memory": {"rss_mib": 5.0},
    }  # fmt: skip
    end = {
        "kind": "end", "status": "ok", "step": 12, "ms": spread, "wait_ms": spread, "images_per_s": 34.8,
        "memory": {"rss_mib": 5.0}, "data_mib": 1.5, "wall_s": 158.7, "finished": "2026-11-20T07:44:24Z",
        "placed": ["2 MiB of images are resident on cuda:0"],
    }  # fmt: skip
    return [
        run | changes,
        train,
        {"kind": "eval", "step": 12, "source": counts, "target": counts},
        end,
    ]


def put(root: Path, lines: list[dict[str, Any]]) -> Path:
    path = root / "tiny" / "only" / "A-B" / "s0-c662b2c18b84-3.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps(x, separators=(",", ":")) + "\n" for x in lines), encoding="utf-8"
    )
    return path


def test_everything_measured_is_kept_and_counts_for_its_cell(tmp_path: Path, cell: Cell) -> None:
    path, root = put(tmp_path / "results", old(cell)), tmp_path / "results"
    assert outdated(root) == [path]
    asked = []
    probe = Probe(subject="0" * 12, losses=(1.5,))
    digits = sha256(path.read_bytes()).hexdigest()
    new = convert(path, root, lambda run: asked.append(run["method"]) or probe)
    assert asked == ["dann"] and not path.exists() and outdated(root) == []
    assert new == root / cell.folder / f"{cell.stem}-3.jsonl"

    found, was = read(new), old(cell)
    assert found.problem == "" and found.run and found.end
    assert found.run.key == cell.key and found.run.hyper == {"gamma": "inf"}
    assert found.run.code.model_dump() == {
        "bench": "0.1.0", "commit": "43c9de53c0e7", "dirty": False, "probe": probe.model_dump(),
    }  # fmt: skip
    assert found.run.converted and found.run.converted.key == "c662b2c18b84"
    assert found.run.converted.sha256 == digits and found.run.converted.schema_ == 1
    assert found.run.converted.renamed_from == {"row": "naive", "cell": "e21952de06a0"}
    env = {k: v for k, v in was[0]["env"].items() if k not in ("bench", "git")}
    assert found.run.env.model_dump(exclude_none=True, exclude={"shared"}) == env
    assert found.train[0].model_dump(mode="json", exclude={"losses"}) == was[1]
    assert found.evals[0].model_dump(mode="json", exclude_defaults=True) == {
        k: v for k, v in was[2].items() if k != "kind"
    }
    kept = found.end.model_dump(mode="json", exclude_defaults=True, exclude={"seal", "placement"})
    assert kept == {k: v for k, v in was[3].items() if k not in ("kind", "placed")}
    assert found.end.placement == {"source": "cuda:0", "target": "cuda:0"}
    assert [r.path for _, r in settle([cell], read_all(root)).counted] == [new]


def test_a_folder_whose_split_was_not_stated_keeps_its_key_and_counts_for_no_cell(
    tmp_path: Path, cell: Cell
) -> None:
    unstated = {"source": {"set": "folder", "path": "A"}, "target": {"set": "folder", "path": "B"}}
    path, root = put(tmp_path / "results", old(cell, **unstated)), tmp_path / "results"
    found = read(convert(path, root, lambda run: None))
    assert found.problem == "" and found.run and found.run.source == unstated["source"]
    suite = suites.load(tmp_path / "tiny.toml")
    specs = {
        name: spec.model_copy(update={"transductive": False}).complete()
        for name, spec in suite.domains.items()
    }
    today = plan.cells(suite.model_copy(update={"domains": specs}))
    assert not settle([cell, *today], read_all(root)).counted


@pytest.mark.parametrize(
    ("origin", "generated"),
    [("synthetic", True), ("made-up images at scale 1, seed 0", True), ("folder A", False)],
)
def test_what_a_text_said_of_made_up_images_becomes_a_fact(
    origin: str, generated: bool, tmp_path: Path, cell: Cell
) -> None:
    lines = old(cell)
    lines[0]["data"]["A"]["origin"] = origin
    run = read(convert(put(tmp_path, lines), tmp_path, lambda _: None)).run
    assert run and [d.generated for d in run.data.values()] == [generated, False]
    assert run.code.probe is None


def test_uncommitted_changes_are_not_forgotten(tmp_path: Path, cell: Cell) -> None:
    lines = old(cell)
    lines[0]["env"]["git"]["dirty"] = True
    run = read(convert(put(tmp_path, lines), tmp_path, lambda _: None)).run
    assert run and run.code.dirty


def test_a_null_where_infinity_had_no_name_yet_is_infinity(tmp_path: Path, cell: Cell) -> None:
    lines = old(cell, hyper={"gamma": None}, hyper_all=cell.hyper_all | {"gamma": None})
    assert read(convert(put(tmp_path, lines), tmp_path, lambda _: None)).run == read(
        convert(put(tmp_path, old(cell)), tmp_path, lambda _: None)
    ).run.model_copy(update={"converted": read(next(tmp_path.rglob("*-3.jsonl"))).run.converted})  # type: ignore[union-attr]


BAD = {
    "no end": lambda lines: lines[:-1],
    "two ends": lambda lines: [*lines, lines[-1]],
    "more right than there are": lambda lines: [lines[0], lines[1], lines[2] | {"target": {"total": [1] * 3, "correct": [2] * 3, "predicted": [1] * 3}}, lines[3]],
    "a method that is gone": lambda lines: [lines[0] | {"method": "sorcery"}, *lines[1:]],
    "a knob that is gone": lambda lines: [lines[0] | {"recipe": lines[0]["recipe"] | {"sorcery": 1}}, *lines[1:]],
    "an unknown line": lambda lines: [lines[0], {"kind": "song"}, *lines[1:]],
    "no environment": lambda lines: [{k: v for k, v in lines[0].items() if k != "env"}, *lines[1:]],
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_what_cannot_be_converted_is_said_and_stays(fault: str, tmp_path: Path, cell: Cell) -> None:
    path = put(tmp_path, BAD[fault](old(cell)))
    before = path.read_bytes()
    with pytest.raises(
        BenchError, match=r"s0-c662b2c18b84-3.jsonl cannot be converted \(.+\): it stays as it is"
    ):
        convert(path, tmp_path, lambda _: None)
    assert path.read_bytes() == before and len(list(tmp_path.rglob("*.jsonl"))) == 1


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path, cell: Cell) -> None:
    taken = fakes.write(tmp_path, cell, attempt=3)
    before = taken.read_bytes()
    assert (
        convert(put(tmp_path, old(cell)), tmp_path, lambda _: None).name == f"{cell.stem}-4.jsonl"
    )
    assert taken.read_bytes() == before
