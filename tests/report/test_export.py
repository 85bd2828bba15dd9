"""Records as files for other programs say what the records say."""

import json
import math
import sys
import types
from pathlib import Path

import pandas as pd
import pytest
from fakes import cell, toy, write
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from bench.cli.app import app
from bench.errors import BenchError, UsageError
from bench.report.write import export
from bench.runs.records import read_all

TOY = toy()
TASK = TOY.tasks[0]


@pytest.fixture
def root(tmp_path) -> Path:
    """Two runs of three evaluations, a failed one, and a damaged one."""
    folder = tmp_path / "results"
    row = TOY.rows[0].id
    for seed in (0, 1):
        write(folder, cell(TOY, row, TASK, seed), [50.0, 60.0 + seed, 70.0 + seed])
    write(folder, cell(TOY, row, TASK, 2), [], status="failed", reason="it was a test")
    broken = write(folder, cell(TOY, row, TASK, 3), [50.0])
    broken.write_bytes(broken.read_bytes().replace(b'"kind":"eval"', b'"kind":"evil"'))
    return folder


def run(*args: object):
    return CliRunner().invoke(app, ["export", *map(str, args)])


def test_every_record_is_a_cell_and_every_evaluation_a_row(root, tmp_path):
    assert run(tmp_path / "out", "--results", root).exit_code == 0
    cells = pd.read_csv(tmp_path / "out" / "cells.csv")
    evaluations = pd.read_csv(tmp_path / "out" / "evaluations.csv")
    assert sorted(cells["seed"]) == [0, 1, 2, 3] and len(evaluations) == 3 + 3 + 1 + 1
    last = cells.set_index("seed")["target_accuracy"]
    assert last[0] == 70.0 and last[1] == 71.0 and math.isnan(last[2]) and math.isnan(last[3])
    status = cells.set_index("seed")["status"]
    assert (status[2], status[3]) == ("failed", "damaged")


def test_records_that_are_not_evaluated_yet_are_cells_all_the_same(tmp_path):
    write(tmp_path / "results", cell(TOY, TOY.rows[0].id, TASK, 0), [], status=None)
    assert run(tmp_path / "out", "--results", tmp_path / "results").exit_code == 0
    assert list(pd.read_csv(tmp_path / "out" / "cells.csv")["status"]) == ["unfinished"]


def test_both_formats_hold_the_same(root, tmp_path):
    run(tmp_path / "out", "--results", root)
    for name in ("cells", "evaluations", "iterations"):
        a = pd.read_csv(tmp_path / "out" / f"{name}.csv", low_memory=False)
        b = pd.read_parquet(tmp_path / "out" / f"{name}.parquet")
        assert list(a.columns) == list(b.columns) and len(a) == len(b)
        for column in b.select_dtypes("number").columns:
            pd.testing.assert_series_equal(
                a[column].astype(float), b[column].astype(float), check_exact=False, rtol=1e-12
            )


def test_iterations_are_the_windows_of_the_records(root, tmp_path):
    run(tmp_path / "out", "--results", root, "--format", "parquet")
    table = pd.read_parquet(tmp_path / "out" / "iterations.parquet")
    lines = [json.loads(x) for f in root.rglob("*.jsonl") for x in f.read_text().splitlines()]
    windows = [x for x in lines if x["kind"] == "train"]
    assert len(table) == len(windows) > 0
    assert sorted(table["loss"]) == sorted(x["loss"] for x in windows)
    assert set(table["ms.p50"]) == {x["ms"]["p50"] for x in windows}


def test_what_tensorboard_reads_is_what_was_recorded(root, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert run(tmp_path / "out", "--results", root, "--format", "tensorboard").exit_code == 0
    row = TOY.rows[0].id
    (folder,) = (tmp_path / "out" / "tensorboard" / TOY.name / row / TASK).glob("s1-*")
    events = EventAccumulator(str(folder)).Reload()
    found = {e.step: e.value for e in events.Scalars("accuracy/target")}
    (one,) = (r for r in read_all(root) if r.run.seed == 1)
    assert found == pytest.approx({e.step: e.target.accuracy for e in one.evals})
    assert {"train/loss", "train/lr", "time/ms"} <= set(events.Tags()["scalars"])


def test_trackio_gets_each_run_step_by_step(root, monkeypatch):
    calls: list[tuple] = []
    stand_in = types.SimpleNamespace(
        init=lambda **kw: calls.append(("init", kw["name"], kw["config"])),
        log=lambda values, step: calls.append(("log", step, values)),
        finish=lambda: calls.append(("finish",)),
    )
    monkeypatch.setitem(sys.modules, "trackio", stand_in)
    found = read_all(root)
    assert export.write_trackio(found, "p") == sum(not r.problem for r in found) == 3
    begins = [i for i, c in enumerate(calls) if c[0] == "init"]
    first = calls[begins[0] : begins[1]]
    steps = [c[1] for c in first if c[0] == "log"]
    assert steps == sorted(set(steps)) and first[-1] == ("finish",)
    logged = [c[2]["accuracy/target"] for c in first if "accuracy/target" in c[-1]]
    assert logged == [50.0, 60.0, 70.0]


@pytest.mark.parametrize("package", ["tensorboard", "trackio"])
def test_a_package_that_is_not_installed_is_named(package, root, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    for name in [m for m in sys.modules if m.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    result = run(tmp_path / "out", "--results", root, "--format", package)
    assert isinstance(result.exception, BenchError)
    assert f"pip install 'uda-bench[{package}]'" in str(result.exception)


def test_every_line_of_a_record_fits_the_schema_and_others_do_not(root):
    schema = json.loads(run("--schema").stdout)
    Draft202012Validator.check_schema(schema)
    fits = Draft202012Validator(schema).is_valid
    lines = [
        json.loads(x)
        for f in root.rglob("*.jsonl")
        for x in f.read_text().splitlines()
        if "evil" not in x
    ]
    assert {x["kind"] for x in lines} == {"run", "train", "eval", "end"}
    for line in lines:
        assert fits(line), line["kind"]
        assert not fits(line | {"surplus": 1})
        assert not fits({**line, "kind": "evil"})


@pytest.mark.parametrize(
    ("args", "kind", "says"),
    [
        ([], UsageError, "name a folder"),
        (["out", "--format", "xlsx"], UsageError, "unknown format 'xlsx'"),
        (["out", "--suite", "nothing"], BenchError, "no records of nothing under"),
    ],
)
def test_bad_input_is_one_sentence(args, kind, says, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*args, "--results", root)
    assert isinstance(result.exception, kind) and says in str(result.exception)
    assert not (tmp_path / "out").exists()
