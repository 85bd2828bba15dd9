"""Artefacts as files beside records: arrays there and back, on disk before they have a name, merged."""

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import cell, lines, toy, write
from typer.testing import CliRunner

from bench.cli.app import app
from bench.errors import BenchError, UsageError
from bench.runs import artefacts, merge, records
from bench.runs.artefacts import Arrays
from bench.runs.cell import Cell
from bench.runs.files import encode
from bench.runs.lines import End

TOY = toy()
A, B = cell(TOY, "plain", "A-B", 0), cell(TOY, "plain", "A-B", 1)
rng = np.random.default_rng(0)
ARRAYS = Arrays(
    side=np.array(["source", "source", "target"]),
    image=np.array([0, 1, 0]),
    label=np.array([2, 0, 1]),
    prediction=np.array([2, 1, 1]),
    values=rng.normal(size=(3, 4)).astype(np.float32),
)


def keep(root: Path, cell: Cell, *, attempt: int = 1, **about: Any) -> Path:
    """A record of a cell with logits and weights, as a run writes them."""
    path = root / cell.folder / f"{cell.stem}-{attempt}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    made: Any = {
        "logits": artefacts.store(path, "logits", ARRAYS.write),
        "weights": artefacts.store(path, "weights", lambda f: f.write(cell.key.encode() * 100)),
    }
    *body, end = lines(cell, **about)
    assert isinstance(end, End)
    sha = sha256()
    path.write_bytes(
        b"".join(encode(x, sha) for x in (*body, end.model_copy(update={"artefacts": made})))
    )
    return path


def damage(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:50] + bytes([raw[50] ^ 1]) + raw[51:])


def of(record: Path, file: str = "weights.safetensors") -> Path:
    return artefacts.locate(record, file)


def states(root: Path) -> list[str]:
    """What is wrong with each artefact of each record, '' for an intact one."""
    return [
        artefacts.find_problem(r.path, made)
        for r in records.read_all(root)
        if r.end
        for made in r.end.artefacts.values()
    ]


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    found = artefacts.read_arrays(records.read_record(keep(tmp_path, A)), "logits")
    for name, written in vars(ARRAYS).items():
        read = getattr(found, name)
        assert np.array_equal(read, written) and read.dtype == written.dtype, name


def test_arrays_are_parquet_that_others_read(tmp_path: Path) -> None:
    import pandas

    frame = pandas.read_parquet(of(keep(tmp_path, A), "logits.parquet"))
    assert list(frame) == ["side", "image", "label", "prediction", "values"]
    assert list(frame["side"]) == ["source", "source", "target"]
    assert np.array_equal(np.stack(frame["values"].to_list()), ARRAYS.values)


def test_a_file_of_other_columns_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / A.folder / f"{A.stem}-1.jsonl"
    path.parent.mkdir(parents=True)
    for content in (b"no parquet at all", b"PAR1"):
        made = artefacts.store(path, "logits", lambda f, c=content: f.write(c))
        *body, end = lines(A)
        sha = sha256()
        sealed = (*body, end.model_copy(update={"artefacts": {"logits": made}}))
        path.write_bytes(b"".join(encode(x, sha) for x in sealed))
        with pytest.raises(BenchError, match="holds no logits that this program can read"):
            artefacts.read_arrays(records.read_record(path), "logits")


def test_names_are_those_of_artefacts_each_once() -> None:
    assert artefacts.check_names(["weights", "logits", "weights"]) == ("logits", "weights")
    with pytest.raises(UsageError, match="unknown artefact 'logit'; did you mean 'logits'"):
        artefacts.check_names(["logit"])


def test_it_is_known_what_a_record_lacks(tmp_path: Path) -> None:
    path = keep(tmp_path, A)
    record = records.read_record(path)
    assert artefacts.find_lacking(record, ("logits", "features", "weights")) == ["features"]
    of(path).write_bytes(of(path).read_bytes()[:-1])
    assert artefacts.find_lacking(record, ("logits", "weights")) == ["weights"]
    of(path).unlink()
    assert artefacts.find_lacking(record, ("weights",)) == ["weights"]
    bare = records.read_record(write(tmp_path, B))
    assert artefacts.find_lacking(bare, ("weights",)) == ["weights"]


def test_an_artefact_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *x, n=name, f=call: (order.append(n), f(*x))[1])
    artefacts.store(tmp_path / "s0-x-1.jsonl", "weights", lambda f: f.write(b"weights"))
    assert order == ["fsync", "replace", "fsync"], "the bytes, the name, the names in the folder"
    assert [p.name for p in tmp_path.iterdir()] == ["s0-x-1.weights.safetensors"]


@pytest.mark.parametrize(
    ("status", "file", "problem"),
    [
        ("diverged", "weights.safetensors", "a training that did not go well"),
        ("ok", "logits.parquet", "by the name of another"),
    ],
)
def test_a_record_that_contradicts_its_artefacts_is_damaged(
    status: str, file: str, problem: str, tmp_path: Path
) -> None:
    path = keep(tmp_path, A)
    end = records.read_record(path).end
    assert end
    made = end.artefacts["weights"].model_copy(update={"file": file})
    *body, last = lines(A, status=status)
    sha = sha256()
    sealed = (*body, last.model_copy(update={"artefacts": {"weights": made}}))
    path.write_bytes(b"".join(encode(x, sha) for x in sealed))
    assert problem in records.read_record(path).problem


def test_a_name_that_leads_out_of_the_folder_is_no_name(tmp_path: Path) -> None:
    path = keep(tmp_path, A)
    raw = path.read_bytes().replace(b'"weights.safetensors"', b'"../../weights.pth"')
    path.write_bytes(raw)
    assert records.read_record(path).status == "damaged"


# merging


def test_merged_records_bring_their_artefacts(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    mine = keep(a, A, target=(70.0,))
    theirs = keep(b, A, target=(71.0,))
    before = of(theirs).read_bytes(), of(theirs).stat().st_mtime_ns
    (one,) = merge.merge(a, b)
    assert (one.fate, one.artefacts, one.absent, one.left) == ("copied", 2, 0, ())
    assert states(b) == [""] * 4, "under the number of the copy, 2"
    assert of(theirs.with_name(f"{A.stem}-2.jsonl")).read_bytes() == of(mine).read_bytes()
    assert (of(theirs).read_bytes(), of(theirs).stat().st_mtime_ns) == before
    stamps = {p: p.stat().st_mtime_ns for p in b.rglob("*.safetensors")}
    (again,) = merge.merge(a, b)
    assert (again.fate, again.artefacts) == ("there already", 0)
    assert {p: p.stat().st_mtime_ns for p in b.rglob("*.safetensors")} == stamps


def test_merged_again_it_brings_what_was_lost_or_damaged(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    mine = keep(a, A)
    list(merge.merge(a, b))
    copy = b / mine.relative_to(a)
    of(copy).unlink()
    damage(of(copy, "logits.parquet"))
    (dry,) = merge.merge(a, b, write=False)
    assert (dry.artefacts, states(b).count("")) == (2, 0)
    (one,) = merge.merge(a, b)
    assert (one.fate, one.artefacts) == ("there already", 2) and states(b) == ["", ""]


def test_merging_leaves_damaged_artefacts_and_says_so(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    path = keep(a, A)
    damage(of(path))
    done = CliRunner().invoke(app, ["merge", str(a), str(b)])
    assert done.exit_code == 1
    assert f"left: {of(path)} is damaged: its sha256 is not the one in its record" in done.stderr
    assert f"1 record and 1 artefact copied into {b}, 0 there already" in done.stdout
    assert not of(b / path.relative_to(a)).exists()


def test_merging_a_checkout_without_artefacts_goes_well(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    path = keep(a, A)
    of(path).unlink(), of(path, "logits.parquet").unlink()
    done = CliRunner().invoke(app, ["merge", str(a), str(b)])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "2 artefacts in neither" in done.stdout and "1 record copied" in done.stdout
