"""What was run, as a user looks at it: `bench ls runs`, `bench show`, `bench diff`."""

import re
from hashlib import sha256
from pathlib import Path

import fakes
import pytest
from children import Ended
from fakes import GOLDEN, cell, toy, write
from typer.testing import CliRunner

from bench.cli.app import app
from bench.errors import BenchError
from bench.paths import write_text
from bench.runs.files import encode
from bench.runs.lines import Counts, Eval, Run
from bench.runs.records import read_record
from bench.suite import suites

TOY = toy()
SUITE = ("--suite", str(GOLDEN / "toy.toml"))
WIDTH = 120


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def bench(*args: object) -> Ended:
    """A command within this process, because there are many of them."""
    done = CliRunner().invoke(app, list(map(str, args)))
    if isinstance(done.exception, BenchError):
        return Ended(done.exception.exit_code, done.stdout, f"bench: {done.exception}")
    return Ended(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder `r` in which each state occurs."""
    root = tmp_path / "r"
    write(root, cell(TOY, "plain", "A-B", 0), (71.0,))
    write(root, cell(TOY, "plain", "A-B", 0), (72.0,), attempt=2, started="2026-12-01T08:00:00Z")
    write(root, cell(TOY, "plain", "A-B", 1, lr=0.003), (73.0,))
    write(root, cell(TOY, "plain", "B-A", 0), (74.0,), generated=True)
    write(root, cell(TOY, "dann", "A-B", 0), (75.0,), ms=1234.5)
    write(root, cell(TOY, "dann", "A-B", 1), status=None)
    write(root, cell(TOY, "dann", "A-B", 2), status="diverged", reason="the loss was no number")
    write(root, cell(TOY, "dann", "B-A", 0), status="failed", reason="no memory")
    bad = write(root, cell(TOY, "dann", "B-A", 1), (76.0,))
    bad.write_bytes(bad.read_bytes().replace(b'"B-A"', b'"B_A"', 1))
    return tmp_path


def lines(ended: Ended) -> list[str]:
    assert ended.code == 0, ended.text
    return ended.out.splitlines()


def test_runs_are_listed_with_their_state_and_the_reason(folder: Path) -> None:
    shown = lines(bench("ls", "runs", *SUITE, "--results", "r"))
    assert max(map(len, shown)) <= WIDTH
    table = [re.sub(r"s\d-[0-9a-f]{12}-\d", "NAME", " ".join(line.split())) for line in shown]
    for line in (
        "plain A-B 0 2026-11-26 71.00 10.0 replaced NAME a later attempt counts",
        "plain A-B 0 2026-12-01 72.00 10.0 counted NAME",
        "plain A-B 1 2026-11-26 73.00 10.0 stale NAME lr 0.003 instead of 0.01",
        "plain B-A 0 2026-11-26 74.00 10.0 made up NAME its images are made up",
        "dann A-B 0 2026-11-26 75.00 1,234.5 counted NAME",
        "dann A-B 1 2026-11-26 unfinished NAME it has no end",
        "dann A-B 2 2026-11-26 diverged counted NAME the loss was no number",
        "dann B-A 0 2026-11-26 failed failed NAME no memory",
    ):
        assert line in table
    assert any("damaged NAME damaged: its" in line for line in table)
    assert "9 records under r: 3 counted, " in shown[-2]


def test_filters_choose_among_runs(folder: Path) -> None:
    def names(*asked: str) -> list[str]:
        shown = lines(bench("ls", "runs", *SUITE, "--results", "r", "--paths", *asked))
        return ["/".join(Path(x).parts[2:4]) + f"/{Path(x).name[:2]}" for x in shown]

    assert len(names()) == 9
    assert names("--methods", "plain", "--tasks", "B-A") == ["plain/B-A/s0"]
    assert names("--seeds", "2") == ["dann/A-B/s2"]
    assert names("--state", "stale,made up") == ["plain/A-B/s1", "plain/B-A/s0"]
    assert names("--since", "2026-12-01") == ["plain/A-B/s0"]
    for asked, words in (
        (("--methods", "dan"), "unknown row among the records 'dan'; did you mean 'dann'?"),
        (("--tasks", "A-C"), "unknown task among the records 'A-C'"),
        (("--state", "stael"), "unknown state 'stael'; did you mean 'stale'?"),
        (("--since", "today"), "cannot read the day 'today'; write it as 2026-11-20"),
        (("--seeds", "0-"), "cannot read the seeds '0-'"),
    ):
        refused = bench("ls", "runs", *SUITE, "--results", "r", *asked)
        assert refused.code == 2 and words in refused.err
    refused = bench("ls", "suites", "--state", "stale")
    assert refused.code == 2 and "the other filters are for runs" in refused.err


def test_records_of_a_suite_that_is_not_here_are_listed(folder: Path) -> None:
    shown = " ".join(bench("ls", "runs", "--results", "r").out.split())
    assert shown.count("no suite is called toy") == 8
    assert "9 records under r: 8 no suite, 1 damaged" in shown or "8 no suite" in shown


def test_what_is_listed_can_be_shown(folder: Path) -> None:
    listing = bench("ls", "runs", *SUITE, "--results", "r", "--state", "counted").out
    names = re.findall(r"s\d-[0-9a-f]{12}-\d", listing)
    paths = lines(bench("ls", "runs", *SUITE, "--results", "r", "--state", "counted", "--paths"))
    assert len(names) == 3 and "bench show RECORD --results r" in listing
    for name, path in zip(names, paths, strict=True):
        by_name = bench("show", name, "--results", "r")
        assert by_name.code == 0 and bench("show", path).out == by_name.out
    assert bench("show", names[0]).code == 2, "not under ./results"
    for file in ("toy.toml", "references.bib"):
        write_text(folder / "tables" / file, (GOLDEN / file).read_text("utf-8"))
    (stale,) = lines(bench("ls", "runs", "--results", "r", "--state", "stale", "--paths"))
    for path, state in ((paths[0], "counted"), (stale, "stale: lr 0.003 instead of 0.01")):
        shown = [" ".join(line.split()) for line in lines(bench("show", path))]
        assert f"state {state}" in shown
    twin = folder / "r/toy/twin/A-B" / f"{names[0]}.jsonl"
    twin.parent.mkdir(parents=True)
    twin.write_bytes(Path(folder / paths[0]).read_bytes())
    several = bench("show", names[0], "--results", "r")
    assert several.code == 2 and f"{names[0]} is several records, give one path: " in several.err


def with_confusion(path: Path, matrix: list[list[int]], names: tuple[str, ...]) -> None:
    """Writes a record whose evaluation on the target is this, and whose classes have names."""
    of = cell(TOY, "dann", "A-B", 0)
    run, train, evaluation, end = fakes.lines(of)
    assert isinstance(run, Run) and isinstance(evaluation, Eval)
    domains = {k: d.model_copy(update={"classes": names}) for k, d in run.data.items()}
    counts = Counts(
        total=tuple(map(sum, matrix)),
        correct=tuple(row[k] for k, row in enumerate(matrix)),
        predicted=tuple(map(sum, zip(*matrix, strict=True))),
        confusion=tuple(map(tuple, matrix)),
    )
    before = sha256()
    path.parent.mkdir(parents=True)
    lines = (
        run.model_copy(update={"data": domains}),
        train,
        evaluation.model_copy(update={"target": counts}),
        end,
    )
    path.write_bytes(b"".join(encode(line, before) for line in lines))


def test_a_record_is_shown_class_by_class(tmp_path: Path) -> None:
    n = TOY.classes
    matrix = [[1000 if j == k else 0 for j in range(n)] for k in range(n)]
    matrix[0] = [600, 0, 300, 100, *[0] * (n - 4)]
    names = tuple(f"kind {k}" for k in range(n))
    with_confusion(tmp_path / "r/one.jsonl", matrix, names)
    shown = lines(bench("show", "r/one.jsonl"))
    assert max(map(len, shown)) <= WIDTH
    percent = 100 - 40 / n
    assert any(
        line.startswith(f"target B, last evaluation: {percent:.2f} % of the images")
        for line in shown
    )
    table = [" ".join(line.split()) for line in shown]
    assert "kind 0 1,000 600 60.00 600 kind 2 300, kind 3 100" in table
    assert "kind 2 1,000 1,000 100.00 1,300" in table
    (at,) = (i for i, line in enumerate(table) if line.startswith("target B: images of a class"))
    assert table[at + 4] == " ".join(map(str, ("kind 0", *matrix[0])))
    assert "source A: no confusion matrix, because an older program wrote the record" in table


def test_a_record_is_shown_with_the_scores_of_its_evaluations(tmp_path: Path) -> None:
    """One evaluation has them all, one a few, one comes from an older program."""
    of = cell(TOY, "dann", "A-B", 0)
    run, train, *evals, end = fakes.lines(of, (70.0, 80.0, 90.0))
    given = ({"entropy": 0.25, "snd": 3.0}, {"entropy": 1.23456}, None)
    scored = [e.model_copy(update={"scores": s}) for e, s in zip(evals, given, strict=True)]
    before = sha256()
    (tmp_path / "r").mkdir()
    path = tmp_path / "r/one.jsonl"
    path.write_bytes(b"".join(encode(line, before) for line in (run, train, *scored, end)))
    table = [" ".join(line.split()) for line in lines(bench("show", "r/one.jsonl"))]
    assert "evaluations, with scores that know no label of the target" in table
    assert "step measured entropy snd" in table
    rows = [line for line in table if "source 99.00 %" in line]
    ends = [re.sub(r".*source 99\.00 %", "", line).split() for line in rows]
    assert ends == [["0.2500", "3.0000"], ["1.2346"], []]
    found = read_record(path)
    assert found.status == "ok" and [e.scores for e in found.evals] == [s or {} for s in given]


def test_two_records_are_compared(folder: Path) -> None:
    a, b = cell(TOY, "plain", "A-B", 0), cell(TOY, "plain", "A-B", 1, lr=0.003)
    shown = bench("diff", f"{a.stem}-2", f"r/{b.folder}/{b.stem}-1.jsonl", "--results", "r")
    table = [" ".join(line.split()) for line in lines(shown)]
    assert "recipe.lr 0.01 0.003" in table and "seed 0 1" in table and "target % 72.0 73.0" in table
    assert not any(line.startswith(("method", "hyper", "env", "started")) for line in table)
    same = bench("diff", f"{a.stem}-1", f"{a.stem}-2", "--results", "r").out
    assert "the same was run on the same machine" in same and "71.0" in same
    for other in ("demo", "r"):
        mixed = bench("diff", f"{a.stem}-1", other, "--results", "r")
        assert mixed.code == 2 and "give two of a kind" in mixed.err


def test_two_results_folders_are_compared(folder: Path) -> None:
    other = folder / "other"
    write(other, cell(TOY, "plain", "A-B", 0), (72.0,))
    write(other, cell(TOY, "plain", "A-B", 1), (70.0,))
    write(other, cell(TOY, "dann", "A-B", 0), (60.0,))
    write(other, cell(TOY, "nogrl", "A-B", 3), (61.0,))
    write(other, cell(TOY, "nogrl", "A-B", 4), (61.0,))
    table = [" ".join(line.split()) for line in lines(bench("diff", "r", "other"))]
    only_r, only_other = table.index("only in r"), table.index("only in other")
    assert "toy plain B-A full 0" in table[only_r:only_other]
    assert "toy plain A-B full 1 the other folder has another recipe" in table[only_r:only_other]
    assert "toy nogrl A-B full 3, 4" in table[only_other:]
    assert "toy dann A-B full 0 75.00 60.00" in table
    assert "1 cell alike in both, 1 with other scores, 4 only in r, 3 only in other" in table
    assert "r: 2 files left out, damaged or without an end" in table


def test_a_folder_that_is_not_there_is_named(folder: Path) -> None:
    for command in (("ls", "runs", "--results", "r/none"), ("diff", "r", "r/none")):
        refused = bench(*command)
        assert refused.code == 2 and "there is no " in refused.err and "r/none" in refused.err


def test_files_of_a_suite_and_records_below_the_results_are_compared(folder: Path) -> None:
    (folder / "suites").mkdir()
    for name in ("toy.toml", "references.bib"):
        (folder / "suites" / name).write_bytes((GOLDEN / name).read_bytes())
    assert "method" in bench("diff", "suites/toy.toml:plain", "suites/toy.toml:dann").out
    names = [f"{c.folder}/{c.stem}-1.jsonl" for c in (cell(TOY, "dann", "A-B", s) for s in (0, 1))]
    assert bench("diff", *names, "--results", "r").code == 0


def test_damage_is_told_once(folder: Path) -> None:
    path = write(folder / "r", cell(suites.find("demo"), "dann", "MNIST-UCI", 0), (76.0,))
    path.write_bytes(path.read_bytes().replace(b'"seed":0', b'"seed":1', 1))
    told = bench("show", path.absolute(), "--results", "r").out
    assert "its seal does not fit" in told and "damaged: damaged" not in told
