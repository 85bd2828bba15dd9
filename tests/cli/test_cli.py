"""The command line: exit codes, one clear sentence for each mistake, nothing written unasked."""

import json
import os
import re
import shutil
from pathlib import Path

import fakes
import pytest
import torch
from children import Children, Ended, fresh
from helpers import ROOT, write_pictures, write_suite

import bench as package
from bench.cli.run import note_slow_bf16
from bench.runs import files, plan, records
from bench.runs.files import attempt
from bench.suite import suites

COMMANDS = [
    "",
    "run",
    "tables",
    "figures",
    "report",
    "ls",
    "show",
    "doctor",
    "data",
    "data get",
    "data doctor",
    "data where",
    "data generate",
    "compare",
    "diff",
    "merge",
    "predict",
    "tune",
]
TINY = ("--suite", "tiny.toml", "--data", "data", "--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with pictures in data/ and a suite of two rows."""
    write_pictures(tmp_path / "data", "A", "B")
    write_suite(tmp_path, rows={"one": {"method": "source_only"}, "two": {"method": "dann"}})
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def assert_refused(ended: Ended, *words: str) -> None:
    """Exit code 2, a message that holds all of `words`, no traceback."""
    assert ended.code == 2, ended.text
    assert "Traceback" not in ended.text
    flat = re.sub(r"\s+", " ", ended.err)
    for text in words:
        assert text in flat


MISTAKES = {
    "suite": (
        ("run", "--suite", "dmo"),
        ["unknown suite 'dmo'", "did you mean 'demo'?", "known: ", "digits"],
    ),
    "suite file": (("run", "--suite", "nowhere.toml"), ["no suite file nowhere.toml"]),
    "row": (
        ("run", *TINY, "--methods", "one,tow"),
        ["unknown row 'tow'", "did you mean 'two'?", "known: one, two"],
    ),
    "task": (("run", *TINY, "--tasks", "A-C"), ["unknown task 'A-C'", "did you mean 'A-B'?"]),
    "budget": (
        ("run", *TINY, "--budget", "smke"),
        ["unknown budget 'smke'", "did you mean 'smoke'?"],
    ),
    "seeds": (("run", *TINY, "--seeds", "0-"), ["cannot read the seeds '0-'; write 0-4 or 0,2,5"]),
    "seeds that are none": (
        ("run", *TINY, "--seeds", "5-3"),
        ["the seeds '5-3' are an empty range"],
    ),
    "no row at all": (("run", *TINY, "--methods", ","), ["no row", "known: one, two"]),
    "device": (
        ("run", *TINY, "--device", "gpu"),
        ["unknown device 'gpu'; use auto, cpu or cuda:N"],
    ),
    "device of another kind": (
        ("run", *TINY, "--device", "meta"),
        ["unknown device 'meta'; use auto, cpu or cuda:N"],
    ),
    "device, in a dry run": (
        ("run", *TINY, "--device", "gpu", "--dry-run"),
        ["unknown device 'gpu'"],
    ),
    "artefact": (
        ("run", *TINY, "--keep", "logits,wieghts"),
        [
            "unknown artefact 'wieghts'; did you mean 'weights'? known: features, logits, maps, samples, weights"
        ],
    ),
    "pictures of nowhere": (("predict", "none", "data"), ["no record none"]),
    "precision": (("run", *TINY, "--precision", "fp8"), ["'fp8'", "'fp32', 'tf32', 'bf16'"]),
    "flag": (("run", "--sute", "demo"), ["No such option", "--suite"]),
    "command": (("rum",), ["No such command 'rum'", "run"]),
    "format": (
        ("tables", "--suite", "demo", "--format", "markdown"),
        ["unknown format 'markdown'", "known: html, latex, md"],
    ),
    "a part of the costs": (("tables", "--cost", "--measured"), ["are for accuracies", "--cost"]),
    "a part of no suite": (("tables", "--tasks", "A-Z9"), ["unknown task 'A-Z9'"]),
    "a part of another suite": (("tables", "--suite", "demo", "--methods", "hda"), ["unknown row"]),
    "a report of no suite": (("report", "--suite", "demi"), ["unknown suite", "'demo'"]),
    "a selection of costs": (("tables", "--cost", "--select", "snd"), ["--select is about accur"]),
    "busy times without costs": (("tables", "--busy"), ["--busy", "with --cost"]),
    "selection": (("tables", "--select", "best"), ["'best'", "'best-on-target'"]),
    "list": (("ls", "sweets"), ["'sweets'", "'suites'"]),
    "suite to list": (("ls", "runs", "--suite", "digit"), ["did you mean 'digits'?"]),
    "record": (("show", "results/none.jsonl"), ["no record results/none.jsonl", "bench ls runs"]),
    "settings": (("run", *TINY, "--set", "size=0"), ["recipe.size", "greater than 0"]),
    "a number of 5,000 digits": (
        ("run", *TINY, "--set", f"size={'9' * 5000}"),
        ["--set 'size=999", "…: a number has too many digits"],
    ),
    "lists in lists": (("run", *TINY, "--set", f"size={'[' * 5000}"), ["nested too deeply"]),
    "tables in tables": (("run", *TINY, "--set", f"{'a.' * 5000}b=1"), ["nested too deeply"]),
    "a knob of any length": (("run", *TINY, "--set", f"{'a' * 5000}=1"), ["unknown key 'aaa"]),
    "a suite of any length": (
        ("run", "--suite", "a" * 5000),
        ["unknown suite 'aaa", "aaa…; known"],
    ),
    "a record of any length": (("show", "a" * 5000), ["no record aaa", "aaa…; `bench ls runs`"]),
    "results that are a file": (
        ("run", *TINY, "--results", "tiny.toml"),
        ["records under tiny.toml cannot be read (Not a directory): choose another --results"],
    ),
    "results of any length": (
        ("tables", "--suite", "tiny.toml", "--results", "r" * 5000),
        ["cannot be read (File name too long): choose another --results folder"],
    ),
    "trials without end": (
        ("tune", "--suite", "pacs", "--on", "P-C", "--trials", "999999999999", "--dry-run"),
        ["--trials", "less than or equal to 100000"],
    ),
    "data set": (("data", "where", "mnits"), ["unknown data set 'mnits'", "did you mean 'mnist'?"]),
    "data set to get": (("data", "get", "mnits"), ["did you mean 'mnist'?"]),
    "data set to check": (("data", "doctor", "mnits"), ["did you mean 'mnist'?"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_name_is_refused_with_the_nearest_one(
    mistake: str, folder: Path, bench: Children
) -> None:
    args, words = MISTAKES[mistake]
    before = snapshot(folder)
    assert_refused(bench.run(*args), *words)
    assert snapshot(folder) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_absent_is_refused(folder: Path, bench: Children) -> None:
    for name in ("cuda", "cuda:0", "cuda:7"):
        assert_refused(
            bench.run("run", *TINY[:4], "--device", name),
            f"no GPU {name}: torch sees 0; use --device cpu",
        )
    assert not (folder / "results").exists()


def test_missing_data_is_one_sentence_that_says_what_to_do(folder: Path, bench: Children) -> None:
    for data in ("empty", folder / "nowhere"):
        ended = bench.run(
            "run", "--suite", "digits", "--methods", "dann", "--seeds", "0", "--data", data
        )
        assert ended.code == 1 and "Traceback" not in ended.text
        assert "bench data get mnist" in ended.text
    ended = bench.run("run", "--suite", "tiny.toml", "--data", "nowhere")
    assert ended.code == 1 and "no folder nowhere/A" in ended.text
    assert not list(folder.rglob("*.jsonl")), "a cell without data leaves no record"


def test_missing_weights_are_one_sentence(folder: Path, bench: Children) -> None:
    write_suite(folder, backbone="vgg16", weights="imagenet", size=32)
    ended = bench.run("run", *TINY, "--weights", "none.pth")
    assert (
        ended.code == 1
        and "no weights file none.pth; check the path given with --weights" in ended.text
    )
    assert not list(folder.rglob("*.jsonl"))


def test_weights_that_do_not_exist_for_a_backbone_are_refused(
    folder: Path, bench: Children
) -> None:
    write_suite(folder, weights="imagenet")
    ended = bench.run("run", *TINY)
    assert_refused(ended, 'nobody published weights of ganin-mnist; write weights = "none"')


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does(command: str, bench: Children) -> None:
    shown = bench.run(*command.split(), "--help")
    assert shown.code == 0 and shown.err == ""
    assert re.search(f"Usage: .*bench {command}", shown.out) and "--help" in shown.out
    below = [
        c.removeprefix(command).strip() for c in COMMANDS if c.startswith(command) and c != command
    ]
    assert all(f" {name} " in shown.out for name in below if " " not in name)


def imported(commands: list[list[str]], cwd: Path) -> set[str]:
    """The modules that one new interpreter has loaded after running these commands."""
    code = f"""
import contextlib, io, sys
from bench.cli.app import main
for args in {commands!r}:
    sys.argv = ["bench", *args]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main()
        except SystemExit:
            pass
print(*sys.modules)
"""
    ended = fresh(cwd=cwd, python=("-c", code))
    assert ended.code == 0, ended.err
    return set(ended.out.split())


HEAVY = {"torch", "torchvision", "pandas", "scipy", "sklearn", "matplotlib"}
SLOW = HEAVY | {"numpy", "pyarrow", "pydantic", "rich", "filelock", "jinja2", "pybtex", "optuna"}


def test_help_imports_nothing_slow(tmp_path: Path) -> None:
    assert imported([["--help"]], tmp_path) & SLOW == set()
    asked = [*([*c.split(), "--help"] for c in COMMANDS), ["--version"], ["run", "--version"]]
    assert imported(asked, tmp_path) & SLOW <= {"pydantic"}  # typer reads options with it


def test_what_needs_no_torch_imports_none(folder: Path) -> None:
    """Listings and a dry run with nothing left to do answer at once."""
    for cell in plan.cells(suites.load(folder / "tiny.toml")):
        fakes.write(folder / "results", cell)
    asked = [["ls", what] for what in ("suites", "presets", "methods", "tasks", "runs")]
    asked += [["run", *TINY, "--dry-run"], ["diff", "demo", "digits"]]
    asked += [["data", "where", "mnist", "--data", "data"]]
    assert imported(asked, folder) & HEAVY == set()


@pytest.mark.slow
def test_tables_in_markdown_import_what_markdown_needs(folder: Path) -> None:
    """Not even scipy, although gains over a few seeds have Student intervals."""
    records = str(ROOT / "results")
    ask = ["tables", "--suite", "pacs12", "--results", records, "--out", "out", "--format", "md"]
    assert imported([ask], folder) & (HEAVY | {"numpy", "pyarrow", "jinja2"}) == set()
    assert re.search(r"gains .* \[", (folder / "out/pacs12.md").read_text("utf-8"))


def test_the_version_is_that_of_the_package(bench: Children) -> None:
    for args in (["--version"], ["run", "--version"]):
        assert bench.run(*args).out == f"bench {package.__version__}\n"


def test_no_command_shows_the_help(bench: Children) -> None:
    assert re.search("Usage: .*bench .*COMMAND", bench.run().text)
    assert re.search("Usage: .*bench data .*COMMAND", bench.run("data").text)


def test_a_dry_run_shows_the_plan_and_writes_nothing(folder: Path, bench: Children) -> None:
    before = snapshot(folder)
    shown = bench.run("run", *TINY, "--seeds", "0-2", "--dry-run")
    assert shown.code == 0
    assert "6 cells: 0 done, 6 pending; no recorded time to forecast from" in shown.out
    assert re.search(r"two\s*│\s*0/3", shown.out)
    assert re.search(r"A\s*│\s*36\s*│\s*9 │", shown.out)
    assert snapshot(folder) == before


def test_a_folder_is_trained_and_tested_on_whole_unless_its_split_is_stated(
    folder: Path, bench: Children
) -> None:
    suite = folder / "tiny.toml"
    suite.write_text(suite.read_text("utf-8").replace("split = 0.2\n", "", 1), "utf-8")
    shown = bench.run("run", *TINY, "--dry-run").out
    assert re.search(r"A\s*│\s*45\s*│\s*the same 45 │", shown), shown
    (folder / "data/B/class0/0.png").unlink()
    os.mkfifo(folder / "data/B/class0/0.png")
    checked = bench.run("data", "doctor", *TINY[:4])
    assert checked.code == 1 and checked.err == "", checked.text
    assert "error data/B/class0/0.png cannot be read (it is a FIFO, not a file)\n" in checked.out
    for args in ((), ("mnist", "--suite", "tiny.toml")):
        neither = bench.run("data", "doctor", *args)
        assert neither.code == 2 and "name either a data set" in neither.err


def test_a_dry_run_refuses_what_a_run_refuses_and_in_the_same_words(
    folder: Path, bench: Children
) -> None:
    """All of it at once: weights, a domain that is missing, a class that is."""
    shutil.rmtree(folder / "data/B")
    shutil.rmtree(folder / "data/A/class2")
    asked = (
        "run",
        *TINY,
        "--weights",
        "none.pth",
        "--set",
        "weights=imagenet",
        "--set",
        "backbone=resnet50",
    )
    for more in ((), ("--keep-going",)):
        dry = bench.run(*asked, *more, "--dry-run")
        assert dry.code == 1 and "2 cells: 0 done, 2 pending" in dry.out
        assert "3 things are missing or wrong" in dry.err and "data/B" not in dry.out
        for text in (
            "no weights file none.pth",
            "A has no image of 1 of the suite's 3 classes",
            "data/B",
        ):
            assert text in re.sub(r"\s+", " ", dry.err)
    ran = bench.run(*asked)
    assert (ran.code, ran.err) == (1, dry.err) and not (folder / "results").exists()
    going = bench.run(*asked, "--keep-going")
    assert going.code == 1 and "2 error; 2 of 2 cells pending" in going.out


IMPOSSIBLE = {
    "a backbone": (["backbone=vgg61"], "unknown backbone 'vgg61'; did you mean 'vgg16'?"),
    "a model of timm": (["backbone=timm/resnet19"], "did you mean 'timm/resnet18'?"),
    "its images": (["backbone=alexnet"], "alexnet takes no images of 28 pixels"),
    "a head for another D": (
        [
            "backbone=alexnet",
            "head=alexnet",
            "size=64",
            "discriminator.hidden=[1024, 1024]",
            "discriminator.dropout=0.5",
        ],
        "makes D of the features alone",
    ),
    "weights that nobody has": (["weights=imagenet"], "nobody published weights of ganin-mnist"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_a_dry_run_refuses_what_does_not_go_together(
    what: str, folder: Path, bench: Children
) -> None:
    knobs, message = IMPOSSIBLE[what]
    rows = {"one": {"method": "dannp" if "head" in what else "source_only"}}
    write_suite(folder, rows=rows)
    asked = ("run", *TINY, *(word for knob in knobs for word in ("--set", knob)))
    dry, ran = bench.run(*asked, "--dry-run"), bench.run(*asked)
    assert_refused(dry, message)
    assert (ran.code, ran.err) == (dry.code, dry.err)
    assert not (folder / "results").exists()


def test_a_batch_larger_than_a_domain_is_found_before_anything_runs(
    folder: Path, bench: Children
) -> None:
    for more in (["--dry-run"], []):
        ended = bench.run("run", *TINY, "--set", "batch=1000", *more)
        assert ended.code == 1 and "a batch of 1000 does not fit A's" in ended.err
    assert not (folder / "results").exists()


@pytest.mark.slow
def test_backbones_are_listed_ours_first_then_any_that_match(bench: Children) -> None:
    ours = bench.run("ls", "backbones")
    assert ours.code == 0 and "resnet50_v1" in ours.out and "timm/NAME" in ours.out
    found = bench.run("ls", "backbones", "mobilenet_v2")
    assert re.search(
        r" mobilenet_v2 .*\n(.*\n)?.* torchvision/mobilenet_v2 +IMAGENET1K_V1", found.out
    )
    assert "a1_in1k" in bench.run("ls", "backbones", "resnet18").out
    assert_refused(bench.run("ls", "backbones", "zzz"), "no backbone has 'zzz' in its name")
    assert_refused(bench.run("ls", "suites", "zzz"), "takes no 'zzz'")


def test_what_is_done_is_not_done_again_until_asked(folder: Path, bench: Children) -> None:
    first = bench.run("run", *TINY)
    assert first.code == 0 and "2 ok; 0 of 2 cells pending" in first.out
    kept = snapshot(folder / "results")

    again = bench.run("run", *TINY)
    assert again.code == 0 and "nothing to do; 0 of 2 cells pending" in again.out
    assert snapshot(folder / "results") == kept

    forecast = bench.run("run", *TINY, "--seeds", "0-1", "--dry-run")
    assert re.search(r"4 cells: 2 done, 2 pending; about \d+ s", forecast.out)

    redone = bench.run("run", *TINY, "--methods", "one", "--redo")
    assert redone.code == 0 and "1 ok; 0 of 1 cell pending" in redone.out
    now = snapshot(folder / "results")
    assert {k: now[k] for k in kept} == kept, "old attempts stay as they are"
    (new,) = (k for k in set(now) - set(kept) if k.endswith(".jsonl"))
    assert re.fullmatch(r"tiny/one/A-B/s0-[0-9a-f]{12}-2\.jsonl", new)


@pytest.mark.slow
def test_the_newer_of_two_results_counts(folder: Path, bench: Children) -> None:
    bench.run("run", *TINY, "--methods", "one")
    bench.run("run", *TINY, "--methods", "one", "--redo")
    from bench.runs import plan
    from bench.suite import suites

    suite = suites.load(folder / "tiny.toml")
    (state,) = plan.states(plan.cells(suite, methods=["one"]), records.read_all(folder / "results"))
    assert state.done and attempt(state.done.path.name) == 2


def test_the_same_cell_gives_the_same_accuracy_and_losses(folder: Path, bench: Children) -> None:
    bench.run("run", *TINY, "--methods", "two")
    bench.run("run", *TINY, "--methods", "two", "--redo")
    a, b = (files.read(r.path) for r in records.read_all(folder / "results"))
    assert [w.loss for w in a.train] == [w.loss for w in b.train]
    assert a.end and b.end and a.end.parameters == b.end.parameters
    assert a.evals == b.evals


@pytest.mark.slow
def test_results_go_where_they_are_told(folder: Path, bench: Children) -> None:
    assert bench.run("run", *TINY, "--results", "deep/elsewhere").code == 0
    assert not (folder / "results").exists()
    assert len(list((folder / "deep/elsewhere/tiny").glob("*/*/*.jsonl"))) == 2
    assert "0 done, 2 pending" in bench.run("run", *TINY, "--dry-run").out
    assert (
        "2 done, 0 pending"
        in bench.run("run", *TINY, "--dry-run", "--results", "deep/elsewhere").out
    )


@pytest.mark.slow
def test_budgets_and_precisions_are_kept_apart(folder: Path, bench: Children) -> None:
    bench.run("run", *TINY, "--methods", "one", "--smoke")
    assert "0 done, 1 pending" in bench.run("run", *TINY, "--methods", "one", "--dry-run").out
    assert (
        "1 done, 0 pending"
        in bench.run("run", *TINY, "--methods", "one", "--smoke", "--dry-run").out
    )
    spelled = bench.run("run", *TINY, "--methods", "one", "--budget", "smoke", "--dry-run")
    assert "1 done, 0 pending" in spelled.out, "--budget smoke is --smoke"
    other = bench.run("run", *TINY, "--methods", "one", "--precision", "bf16")
    assert other.code == 0 and "1 ok; 0 of 1 cell pending" in other.out
    assert (
        "0 done, 0 pending, 1 stale" in bench.run("run", *TINY, "--methods", "one", "--dry-run").out
    )


def test_a_smoke_run_needs_no_data_and_is_no_result(folder: Path, bench: Children) -> None:
    ran = bench.run("run", "--suite", "tiny.toml", "--data", "nowhere", "--smoke")
    assert ran.code == 0 and "2 ok; 0 of 2 cells pending" in ran.out
    assert {r.run.budget for r in records.read_all(folder / "results/.smoke") if r.run} == {"smoke"}
    assert not (folder / "results/tiny").exists(), "smoke runs are kept apart from results"
    (origin,) = {
        (d.origin, d.generated)
        for r in records.read_all(folder / "results/.smoke")
        if r.run
        for d in r.run.data.values()
    }
    assert origin == ("synthetic", True)


def test_a_printed_average_that_contradicts_itself_is_told_whole(
    folder: Path, bench: Children
) -> None:
    claim = """
[[published]]
label = "X"
cite = "ganin2016dann"
where = "table 1"
values = { A-B = "70.0" }
average = "80.0"
"""
    write_suite(folder, more=claim)
    shown = bench.run("run", *TINY, "--dry-run").out
    assert (
        "note: X [ganin2016dann, table 1]: "
        "the 1 printed tasks average 70.00, the printed average is 80.0"
    ) in shown


def test_listings_name_what_there_is(folder: Path, bench: Children) -> None:
    suites = bench.run("ls").out
    assert all(name in suites for name in ("demo", "digits", "mnistm"))
    methods = bench.run("ls", "methods").out
    assert "source_only" in methods and "gamma=10.0" in methods
    assert "MNIST-UCI" in bench.run("ls", "tasks", "--suite", "demo").out
    assert "MNIST-UCI" not in bench.run("ls", "tasks", "--suite", "digits").out


def test_own_suites_in_tables_are_found_by_name(folder: Path, bench: Children) -> None:
    write_suite(folder / "tables", "mine")
    assert "mine" in bench.run("ls").out
    assert bench.run("run", "--suite", "mine", "--data", "data").code == 0


@pytest.mark.slow
def test_runs_are_listed_and_shown_torn_ones_too(folder: Path, bench: Children) -> None:
    bench.run("run", *TINY, "--results", "r")
    done, torn = sorted((folder / "r/tiny").glob("*/*/*.jsonl"))
    torn.write_bytes(torn.read_bytes()[:-40])
    listed = bench.run("ls", "runs", "--suite", "tiny.toml", "--results", "r")
    assert listed.code == 0
    assert re.search(rf"counted +{done.stem}", listed.out)
    assert re.search(rf"unfinished +{torn.stem}", listed.out)

    shown = bench.run("show", done)
    assert shown.code == 0
    for text in ("source_only", "folder A", "end: ok", "hidden [16]", "fingerprint"):
        assert text in shown.out
    assert "unfinished: it is still running, or was interrupted" in bench.run("show", torn).out

    for bad in (b"", b'{"kind":"run"', b"\x00\x01\n", b'{"kind":"run","schema":99}\n', b"[]\n"):
        torn.write_bytes(bad)
        empty = bench.run("show", torn)
        assert empty.code == 1 and "cannot be read: " in empty.err and "Traceback" not in empty.err


@pytest.mark.slow
def test_a_copy_of_a_record_beside_it_changes_nothing(folder: Path, bench: Children) -> None:
    bench.run("run", *TINY)
    (file,) = (folder / "results/tiny/one").glob("*/*.jsonl")
    shutil.copy(file, file.with_name(f"{file.stem} (copy).jsonl"))
    shutil.copy(file, file.with_name("notes.jsonl"))
    assert "2 done, 0 pending" in bench.run("run", *TINY, "--dry-run").out
    assert bench.run("run", *TINY, "--redo").code == 0
    assert bench.run("ls", "runs", "--suite", "tiny.toml").code == 0


def test_doctor_says_what_this_installation_is(folder: Path, bench: Children) -> None:
    shown = bench.run("doctor", "--data", "data")
    assert shown.code == 0
    for text in (
        package.__version__,
        torch.__version__,
        "mnist",
        "demo",
        "not found: bench data get",
    ):
        assert text in shown.out


def test_data_where_finds_or_says_how_it_should_lie(folder: Path, bench: Children) -> None:
    absent = bench.run("data", "where", "mnist", "--data", "data")
    assert absent.code == 1 and "Traceback" not in absent.err
    assert "mnist is not under data" in absent.err and "train-images-idx3-ubyte" in absent.err


def test_data_in_the_environment_is_used(folder: Path, bench: Children) -> None:
    ended = bench.run(
        "run", "--suite", "tiny.toml", "--methods", "one", env={"BENCH_DATA": str(folder / "data")}
    )
    assert ended.code == 0 and "1 ok" in ended.out


@pytest.mark.slow
def test_tables_are_written_and_checked_against_the_records(folder: Path, bench: Children) -> None:
    bench.run("run", *TINY, "--seeds", "0-1")
    ask = ("tables", "--suite", "tiny.toml", "--out", "out")
    assert bench.run(*ask, "--check").code == 1, "nothing is written yet"
    assert not (folder / "out").exists()

    written = bench.run(*ask)
    assert written.code == 0 and written.err == ""
    assert sorted(p.name for p in (folder / "out").iterdir()) == [
        "tiny.html",
        "tiny.md",
        "tiny.tex",
    ]
    assert (folder / "out/tiny.md").read_text(encoding="utf-8") in written.out
    assert bench.run(*ask, "--check").code == 0

    first = sorted((folder / "results/tiny/one").glob("*/*.jsonl"))[0]
    lines = first.read_text(encoding="utf-8").splitlines()
    k, last = [(i, json.loads(x)) for i, x in enumerate(lines) if '"kind":"eval"' in x][-1]
    right = last["target"]["correct"]
    last["target"]["correct"] = [0] * len(right) if any(right) else last["target"]["total"]
    lines[k] = json.dumps(last)
    first.write_text("\n".join(lines) + "\n", encoding="utf-8")
    stale = bench.run(*ask, "--check")
    assert (
        stale.code == 1 and "out of date: out/tiny.md" in stale.err and "Traceback" not in stale.err
    )
    bench.run(*ask)
    assert bench.run(*ask, "--check").code == 0

    cost = bench.run(*ask, "--cost", "--format", "md")
    assert cost.code == 0 and (folder / "out/tiny-cost.md").is_file()


@pytest.mark.slow
def test_pages_of_other_records_lie_beside_them(folder: Path, bench: Children) -> None:
    """So that those of the project's own stay as they are."""
    ask = ("tables", "--suite", "tiny.toml", "--format", "md")
    own = bench.run(*ask)
    assert own.code == 0 and own.err == "written to tables/rendered\n"
    assert bench.run(*ask, "--results", "./results/").err == own.err, "the same folder"
    page = folder / "tables/rendered/tiny.md"
    page.write_text("committed", encoding="utf-8")

    other = (*ask, "--results", "other")
    stale = bench.run(*other, "--check")
    assert stale.code == 1 and "out of date: other/tables/tiny.md" in stale.err
    written = bench.run(*other)
    assert written.code == 0 and written.err == "written to other/tables\n"
    assert page.read_text(encoding="utf-8") == "committed"
    assert (folder / "other/tables/tiny.md").read_text(encoding="utf-8") in written.out
    checked = bench.run(*other, "--check")
    assert checked.code == 0 and "every rendered table in other/tables" in checked.out
    ran = bench.run("run", *TINY, "--methods", "one", "--results", "other")
    assert "--results other -> other/tables/tiny.md" in " ".join(ran.out.split())


@pytest.mark.slow
def test_tables_of_the_suites_that_come_with_the_program_render_without_records(
    folder: Path, bench: Children
) -> None:
    ended = bench.run("tables", "--out", "out", "--results", "none")
    assert ended.code == 0 and ended.err == ""
    names = {p.stem for p in (ROOT / "tables").glob("*.toml")}
    assert {p.stem for p in (folder / "out").glob("*.md")} == names


@pytest.mark.parametrize("able", [True, False])
def test_bf16_on_a_processor_without_it_is_noted(
    able: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: able)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    cells = {
        precision: fakes.cell(fakes.toy(), "plain", "A-B", 0, precision=precision)
        for precision in ("fp32", "bf16")
    }
    for cell, device, noted in (
        (cells["bf16"], "cpu", not able),
        (cells["bf16"], "cuda", False),
        (cells["fp32"], "cpu", False),
    ):
        note_slow_bf16([cell], torch.device(device))
        assert ("no instructions for bfloat16" in capsys.readouterr().out) is noted
