"""`bench run --keep`, `bench predict`, `bench show`: what is kept, what it costs, what a mistake says; with real processes."""

import csv
import os
import shutil
import signal
from pathlib import Path

import fakes
import numpy as np
import pytest
from children import Children, Ended, until
from helpers import write_pictures, write_suite
from PIL import Image

from bench.errors import BenchError
from bench.runs import artefacts, records
from bench.runs.records import Record

RUN = ("run", "--suite", "tiny.toml", "--data", "data", "--device", "cpu")
ROWS = {"one": {"method": "source_only"}, "two": {"method": "dann"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "data", "A", "B")
    write_suite(tmp_path, rows=ROWS)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, children: Children) -> Path:
    """Such a folder, with the record of row one and all that can be kept."""
    folder = tmp_path_factory.mktemp("trained")
    write_pictures(folder / "data", "A", "B")
    write_suite(folder, rows=ROWS)
    children.cwd = folder
    ended = children.run(*RUN, "--methods", "one", "--keep", "weights,logits,features")
    assert (ended.code, ended.err) == (0, ""), ended.text
    return folder


@pytest.fixture
def recorded(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def record(folder: Path) -> Record:
    (one,) = records.read_all(folder / "results")
    return one


def weights(folder: Path) -> Path:
    (one,) = (folder / "results").rglob("*.weights.safetensors")
    return one


def assert_one_sentence(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code and "Traceback" not in ended.text, ended.text
    assert ended.err.startswith("bench: ") and ended.err.count("\n") == 1
    for text in words:
        assert text in ended.err


# bench run --keep


@pytest.mark.slow
def test_size_and_time_are_shown_before(folder: Path, bench: Children) -> None:
    """By hand: 18 test images in rows of 25 bytes and floats; C and the 40,880 numbers of the backbone."""
    said = bench.run(*RUN, "--keep", "logits,features", "-n").out
    size = 18 * (4 * 3 + 25) + 18 * (4 * 768 + 25)
    assert (
        f"--keep logits,features: at most {size / 2**20:.1f} MiB a cell, {2 * size / 2**20:.1f} "
        "MiB in all, and about one evaluation longer each\n"
    ) in said
    said = bench.run(*RUN, "--keep", "weights", "-n", "--methods", "one").out
    assert "--keep weights: at most 0.2 MiB a cell, 0.2 MiB in all\n" in said
    assert "--keep" not in bench.run(*RUN, "-n").out
    assert not (folder / "results").exists()


@pytest.mark.slow
def test_recorded_cells_without_it_are_told_of_and_not_trained_again(
    recorded: Path, bench: Children
) -> None:
    weights(recorded).unlink()
    before = sorted((recorded / "results").rglob("*.*"))
    said = bench.run(*RUN, "--methods", "one", "--keep", "weights,logits")
    assert said.code == 0 and "nothing to do" in said.out
    line = "without their weights: 1 recorded cell; add --redo to train it again and keep them\n"
    assert line in said.out and "evaluation longer" not in said.out
    assert sorted((recorded / "results").rglob("*.*")) == before
    again = bench.run(*RUN, "--methods", "one", "--keep", "weights", "--redo")
    assert again.code == 0 and "without" not in again.out
    assert weights(recorded).name.endswith("-2.weights.safetensors")
    assert "without" not in bench.run(*RUN, "--methods", "one", "--keep", "weights").out


@pytest.mark.slow
def test_a_disk_that_is_full_for_it_loses_no_training(folder: Path, bench: Children) -> None:
    """The system refuses to let any file grow beyond 130,000 bytes: the weights need 170,000."""
    full = bench.run(*RUN, "--methods", "one", "--keep", "weights,logits", file_size=130_000)
    assert full.code == 1 and "Traceback" not in full.text
    assert (
        "; weights could not be kept: cannot write s0-" in full.out and "File too large" in full.out
    )
    assert "without their weights: 1 recorded cell; see" in full.out
    end = record(folder).end
    assert end and end.status == "ok" and list(end.artefacts) == ["logits"]
    assert not list((folder / "results").rglob("*.part"))


HEAVY = """
import torch
from torch.nn.functional import cross_entropy

from methods import Method


class Heavy(Method):
    \"\"\"L = L_y, with 128 MB to remember\"\"\"

    def __init__(self, net):
        super().__init__()
        if net.dim == 768:
            self.register_buffer("memory", torch.zeros(32_000_000))

    def step(self, net, s, t, p):
        yield cross_entropy(net.C(net.F(s.x)), s.y)
"""


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["*.weights.safetensors.part", "*.logits.parquet"])
def test_a_kill_leaves_nothing_that_a_reader_takes_for_kept(
    pattern: str, folder: Path, bench: Children
) -> None:
    """While an artefact is written, and when it has its name but the record no end."""
    (folder / "methods").mkdir()
    (folder / "methods" / "heavy.py").write_text(HEAVY, encoding="utf-8")
    write_suite(folder, rows={"heavy": {"method": "heavy"}})
    child = bench.start(*RUN, "--keep", "logits,weights")
    until(lambda: list((folder / "results").rglob(pattern)))
    child.send(signal.SIGKILL)
    assert child.wait().code == -signal.SIGKILL
    cut = record(folder)
    assert cut.status == "unfinished"
    assert list((folder / "results").rglob("*.logits.parquet")), "whole, and no end names it"
    for name in ("weights", "logits"):
        with pytest.raises(BenchError, match="no whole record"):
            artefacts.read_artefact(cut, name)  # type: ignore[arg-type]
    assert_one_sentence(bench.run("predict", cut.path.stem, "data/B"), 1, "no whole record")
    again = bench.run(*RUN, "--keep", "weights")
    assert again.code == 0 and "1 ok; 0 of 1 cell pending" in again.out
    assert not list((folder / "results").rglob("*.part"))
    done = next(r for r in records.read_all(folder / "results") if r.end)
    assert done.end and artefacts.find_problem(done.path, done.end.artefacts["weights"]) == ""


# bench show


def test_artefacts_are_listed_with_size_and_state(recorded: Path, bench: Children) -> None:
    name = record(recorded).path.stem
    said = bench.run("show", name).out
    assert "artefacts" in said and said.count("intact") == 3
    assert f"{name}.weights.safetensors" in said
    raw = weights(recorded).read_bytes()
    weights(recorded).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    said = " ".join(bench.run("show", name).out.split())
    assert said.count("intact") == 2 + 1 and "is damaged: its sha256" in said  # + "an intact copy"


# bench predict


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_folder_is_classified_as_the_run_classified_it(recorded: Path, bench: Children) -> None:
    name = record(recorded).path.stem
    done = bench.run("predict", name, "data/B", "--out", "new/p.csv", "--device", "cpu")
    assert (done.code, done.err) == (0, ""), done.text
    assert "45 pictures classified -> new/p.csv" in done.out
    found = rows(recorded / "new" / "p.csv")
    files = [r["file"] for r in found]
    assert list(found[0]) == ["file", "prediction", "class", "probability"]
    pictures = (recorded / "data" / "B").rglob("*.png")
    assert files == [p.relative_to(recorded / "data" / "B").as_posix() for p in sorted(pictures)]
    logits = artefacts.read_arrays(record(recorded), "logits")
    mine, here = found[4::5], logits.side == "target"  # the suite tests on every fifth
    p = np.exp(logits.values[here].astype(float))
    p /= p.sum(1, keepdims=True)
    assert [int(r["prediction"]) for r in mine] == logits.prediction[here].tolist()
    assert [r["class"] for r in mine] == [f"class{r['prediction']}" for r in mine]
    assert np.allclose([float(r["probability"]) for r in mine], p.max(1), atol=2e-6)


@pytest.mark.slow
def test_pictures_of_any_kind_are_read_and_hostile_ones_are_not(
    recorded: Path, bench: Children
) -> None:
    name, odd = record(recorded).path.stem, recorded / "odd"
    (odd / "sub").mkdir(parents=True)
    Image.new("L", (7, 90), 3).save(odd / "sub" / "gré, y.JPG", "JPEG")
    Image.new("P", (40, 40)).save(odd / "b.png")
    (odd / "notes.txt").write_text("no picture")
    said = bench.run("predict", name, "odd")
    assert said.code == 0 and "2 pictures classified -> predictions.csv" in said.out
    assert [r["file"] for r in rows(recorded / "predictions.csv")] == ["b.png", "sub/gré, y.JPG"]
    (recorded / "predictions.csv").unlink()
    (odd / "a.png").write_bytes(b"%!PS-Adobe")
    os.mkfifo(odd / "c.png")
    refused = bench.run("predict", name, "odd")
    assert_one_sentence(refused, 1, "odd/a.png cannot be read (it is no JPEG", "--skip-unreadable")
    assert not (recorded / "predictions.csv").exists()
    told = bench.run("predict", name, "odd", "--skip-unreadable")
    assert told.code == 0 and "2 pictures classified" in told.out
    assert (
        told.err.splitlines()[1] == "left out: odd/c.png cannot be read (it is a FIFO, not a file)"
    )
    assert len(rows(recorded / "predictions.csv")) == 2


@pytest.mark.slow
def test_what_cannot_be_predicted_is_one_sentence(recorded: Path, bench: Children) -> None:
    name = record(recorded).path.stem
    (recorded / "empty").mkdir()
    assert_one_sentence(bench.run("predict", name, "empty"), 2, "no pictures in empty")
    assert_one_sentence(bench.run("predict", name, "nowhere"), 2, "no folder nowhere")
    assert_one_sentence(bench.run("predict", "s0-none", "data/B"), 2, "no record s0-none")
    full = bench.run("predict", name, "data/B", "--out", "tiny.toml/p.csv")
    assert_one_sentence(full, 1, "cannot write tiny.toml/p.csv")
    weights(recorded).write_bytes(weights(recorded).read_bytes()[:-1])
    assert_one_sentence(bench.run("predict", name, "data/B"), 1, "is damaged: its sha256")
    weights(recorded).unlink()
    assert_one_sentence(bench.run("predict", name, "data/B"), 1, "is not there", "--redo")
    bare = fakes.write(recorded / "results", fakes.cell(fakes.toy(), "plain", "A-B", 0))
    assert_one_sentence(
        bench.run("predict", bare.stem, "data/B"), 2, "kept no weights: run its cell"
    )
    assert not (recorded / "predictions.csv").exists()


@pytest.mark.parametrize("command", [("run", "--dry-run"), ("run",)])
def test_what_a_task_does_not_make_is_refused_before_anything_runs(
    folder: Path, bench: Children, command: tuple[str, ...]
) -> None:
    asked = bench.run(*command, "--suite", "tiny.toml", "--data", "data", "--keep", "samples")
    assert asked.code == 2 and "this task makes no samples: keep logits, features" in asked.err
    assert "Traceback" not in asked.err and not list(folder.glob("results/**/*.jsonl"))
