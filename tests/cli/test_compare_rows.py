"""`bench compare`: the sentence, rows and folders, and one clear sentence where there is nothing to compare."""

from itertools import product
from pathlib import Path

import pytest
from children import Ended
from fakes import GOLDEN, cell, made, measurements, toy, write, write_generated
from typer.testing import CliRunner

from bench.cli.app import app
from bench.errors import BenchError

TOY = toy()
SUITE = ("--suite", str(GOLDEN / "toy.toml"))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def bench(*args: object) -> Ended:
    done = CliRunner().invoke(app, list(map(str, args)))
    if isinstance(done.exception, BenchError):
        return Ended(done.exception.exit_code, done.stdout, f"bench: {done.exception}")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Ended(done.exit_code, done.stdout, done.stderr)


def compare(*args: object) -> Ended:
    return bench("compare", *SUITE, *args)


def record(root: str, row: str, task: str, *values: float, first: int = 0, **about: object) -> None:
    for seed, x in enumerate(values, first):
        write(Path(root), cell(TOY, row, task, seed), (x,), **about)


def test_two_rows_in_a_sentence_and_a_table():
    for row, up in (("plain", 0), ("dann", 8)):
        record("results", row, "A-B", 70.0 + up, 71.0 + 1.2 * up, 72.0 + up)
        record("results", row, "B-A", 60.0, 61.0 + up / 8, 62.0)
    record("results", "dann", "A-B", 1.0, first=7)  # which plain has not
    done = compare("plain", "dann")
    assert done.code == 0, done.text
    assert done.out.startswith(
        "DANN is better than Source only on average over 2 tasks: +4.4 points"
    )
    table = [" ".join(line.split()) for line in done.out.splitlines()]
    assert any(
        line.startswith("A→B 71.00 79.53 +8.5 [6.2, 10.8] 0.0039 0.0078 3 ") for line in table
    )
    assert any(line.startswith("Average ") for line in table)
    assert "exceeds one of Source only: 0." in done.out and "Interquartile mean" in done.out
    back = compare("dann", "plain")
    assert back.out.startswith(
        "Source only is worse than DANN on average over 2 tasks: −4.4 points"
    )


def test_rows_of_one_label_go_by_their_ids(tmp_path: Path):
    text = (GOLDEN / "toy.toml").read_text("utf-8").replace('"DANN, λ = 10"', '"DANN"')
    (tmp_path / "toy.toml").write_text(text, encoding="utf-8")
    (tmp_path / "references.bib").write_bytes((GOLDEN / "references.bib").read_bytes())
    record("results", "dann", "A-B", 70.0, 71.0)
    for seed, x in enumerate((80.0, 81.2)):
        write(Path("results"), cell(TOY, "dann-strong", "A-B", seed), (x,))
    done = bench("compare", "--suite", "toy.toml", "dann", "dann-strong")
    assert done.out.startswith("dann-strong is better than dann on A→B: +10.1 points [8.8, 11.4]")


def test_folders_are_compared_row_by_row():
    record("one", "plain", "A-B", 70.0, 71.0, 72.0)
    record("two", "plain", "A-B", 75.0, 76.1, 77.0)
    record("one", "dann", "A-B", 80.0, 81.0)
    record("two", "dann", "A-B", 80.5, 80.0)
    record("two", "nogrl", "A-B", 80.0)
    done = compare("one", "two")
    assert done.code == 0, done.text
    assert "Source only in two is better than Source only in one on A→B: +5.0 points" in done.out
    assert "No difference between DANN in two and DANN in one is shown on A→B: −0.2" in done.out
    assert "without a seed at a task in both folders: nogrl" in done.out


def test_seeds_that_were_lost_or_collapsed_are_named():
    record("results", "plain", "A-B", 70.0, 71.0, 72.0)
    record("results", "dann", "A-B", 80.0, 82.0)
    record("results", "dann", "A-B", 0.0, first=2, status="diverged", reason="nan")
    record("results", "dann", "B-A", 0.0, constant=3)
    done = compare("plain", "dann")
    assert "left out: DANN, A→B, seed 2: diverged\n" in done.out
    assert "collapsed, and counted: DANN, B→A, seed 0\n" in done.out
    assert "over 2 seeds" in done.out


def test_a_row_goes_before_a_folder_of_its_name():
    Path("plain").mkdir()
    record("results", "plain", "A-B", 70.0)
    record("results", "dann", "A-B", 71.0)
    done = compare("plain", "dann")
    assert done.out.startswith("Whether DANN is better than Source only on A→B cannot be told from")
    assert "Interquartile" not in done.out


def test_what_cannot_be_compared_is_said():
    record("results", "plain", "A-B", 70.0, 71.0)
    record("results", "nogrl", "B-A", 70.0)
    record("results", "dann-strong", "A-B", 70.0, first=5)
    record("results", "target", "A-B", 0.0, status="failed", reason="no memory")
    Path("empty").mkdir()
    for names, code, words in (
        (("plain", "dann"), 1, "no run of dann in results counts for the suite toy (budget full): train it with"),
        (("plain", "target"), 1, "no run of target has a value, all failed"),
        (("plain", "nogrl"), 1, "plain and nogrl have no task in common: plain has A-B, nogrl has B-A"),
        (("plain", "dann-strong"), 1, "share no seed at any task, and pairs need the same seed: plain has 0, 1, dann-strong has 5"),
        (("plain", "plain"), 2, "plain is named twice"),
        (("plain", "dan"), 2, "unknown row of toy (or results folder) 'dan'; did you mean 'dann'?"),
        (("plain", "empty"), 2, "plain is a row, empty a results folder: give two of a kind"),
        (("results", "empty"), 1, "results and empty share no row, task and seed of the suite toy"),
        (("plain", "dann", "--budget", "shrt"), 2, "unknown budget 'shrt'"),
        (("plain", "nogrl", "--select", "snd"), 1, "the runs of plain have no such scores"),
        (("results", "empty", "--results", "r"), 2, "--results is for two rows"),
    ):  # fmt: skip
        refused = compare(*names)
        assert (refused.code, words in refused.err) == (code, True), (names, refused.text)


def test_a_row_that_ran_at_another_budget_alone_names_it():
    for row in ("plain", "dann"):
        write(Path("results"), cell(TOY, row, "A-B", 0, "short"), (70.0,))
    refused = compare("plain", "dann")
    assert refused.code == 1 and "compare the two by `--budget short`, or train it" in refused.err
    assert compare("plain", "dann", "--budget", "short").code == 0
    write(Path("results"), cell(TOY, "target", "A-B", 0), (70.0,))
    refused = compare("plain", "target")
    assert "--budget" not in refused.err, "no budget has runs of both"
    write(Path("results"), cell(TOY, "nogrl", "A-B", 0, "timing"), (70.0,))
    assert "--budget timing" not in compare("plain", "nogrl").err, "which measures no accuracy"


def test_a_suite_that_measures_no_accuracy_says_what_it_compares():
    suite = made()
    for row, seed in product(("dcgan", "cdcgan"), range(3)):
        values = measurements(row, seed)
        write_generated(Path("results"), cell(suite, row, "digits", seed), values)
    done = bench("compare", "--suite", GOLDEN / "made.toml", "dcgan", "cdcgan")
    assert done.out.startswith(
        "Conditional DCGAN is better than DCGAN on digits: Fréchet distance, lower is better, −5.0"
    )
    assert "exceeds one of DCGAN: 0.00. Interquartile" in done.out, "no spread of what never varies"


def test_a_row_is_explained_by_the_statements_that_name_it():
    suite = made()
    ask = ("explain", "--suite", GOLDEN / "made.toml", "--row")
    assert "Conditional DCGAN: not measured.\n" in bench(*ask, "cdcgan").out
    for row, seed in product(("dcgan", "cdcgan"), range(3)):
        values = measurements(row, seed)
        write_generated(Path("results"), cell(suite, row, "digits", seed), values)
    for row in ("dcgan", "cdcgan"):
        told = "digits: “the conditional samples are of higher quality”: holds."
        assert told in bench(*ask, row).out
    assert "decides the slant" not in bench(*ask, "dcgan").out
