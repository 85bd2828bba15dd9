"""`bench tune`: what it may read, what it tries, what a cut search leaves, what row it writes."""

import re
import shutil
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import pytest
import torch
from children import Children, Ended, fresh, until
from helpers import ROOT, write_pictures, write_suite

from bench import paths
from bench.cli.run import run_here
from bench.data.generate import generate
from bench.engine.events import ignore
from bench.engine.lab import Lab
from bench.errors import BenchError, UsageError
from bench.runs import plan, records
from bench.runs.files import attempt
from bench.runs.plan import CellState
from bench.runs.records import Record
from bench.suite import settings, suites
from bench.suite.search import Range
from bench.suite.suite import Suite
from bench.tuning import row as tuned
from bench.tuning import sampler, trials, tune
from bench.tuning.trials import Search

# the suite reports A-B; nothing of B is on the disk in any of these tests
OTHERS = '[domains.C]\nset = "folder"\npath = "C"\n\n[domains.D]\nset = "folder"\npath = "D"\n\n'
LAM = "hyper.lam = { low = 1e-3, high = 1.0, log = true }"
WIDE = f"[search]\nlr = {{ low = 1e-4, high = 1e-1, log = true }}\nbatch = [4, 8]\n{LAM}"
ROWS = {
    "plain": {"method": "source_only"},
    "dann": {"method": "dann", "hyper": {"lam": 0.05, "gamma": float("inf")}},
}
TUNE = ("tune", "--suite", "tiny.toml", "--data", "data", "--device", "cpu", "--on", "A-C,A-D")
ONE = (*TUNE, "--methods", "dann")


def write(folder: Path, space: str = WIDE, rows: Any = ROWS, **recipe: Any) -> Path:
    return write_suite(folder, rows=rows, more=OTHERS + space, **{"iterations": 6} | recipe)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a suite of two rows, and in data/ pictures of A, C and D, but none of B."""
    write_pictures(tmp_path / "data", "A", "C", "D", each=10)
    write(tmp_path)
    return tmp_path


def kept(folder: Path) -> list[Record]:
    return records.read_all(folder / "results" / "tuning")


def complete(folder: Path) -> Counter[str]:
    """How often each cell was run to its end."""
    return Counter(r.run.key for r in kept(folder) if r.complete and r.run)


def accuracy(r: Record) -> float:
    last = r.evals[-1].target
    assert last
    return last.accuracy


def refused(ended: Ended, *message: str, code: int = 2) -> None:
    assert ended.code == code, ended.text
    assert "Traceback" not in ended.text
    flat = re.sub(r"[\s│╭╮╰╯─]+", " ", ended.err)
    for text in message:
        assert text in flat


@pytest.mark.slow
def test_the_best_values_become_a_row_and_nothing_of_the_target_is_there_to_be_read(
    folder: Path, bench: Children
) -> None:
    before = (folder / "tiny.toml").read_text(encoding="utf-8")
    shown = bench.run(*ONE, "--trials", "3", "--seeds", "0-1", "--dry-run")
    assert (
        shown.code == 0
        and re.search(r"hyper\.lam 0\.001 to 1\.0, log", shown.out)
        and re.search(r"dann .* 0/3", shown.out)
    )
    assert "a trial is 4 runs: A-C, A-D × seed 0, 1, budget full" in shown.out
    assert (
        not (folder / "results").exists()
        and (folder / "tiny.toml").read_text(encoding="utf-8") == before
    )

    ended = bench.run(*ONE, "--trials", "3", "--seeds", "0-1")
    assert (ended.code, ended.err) == (0, ""), ended.text
    found = kept(folder)
    assert len(found) == 12 and all(
        r.path.parts[-5:-2] == ("tuning", "tiny", "dann") for r in found
    )
    assert {name for r in found if r.run for name in r.run.data} == {"A", "C", "D"}
    by_lr: dict[float, list[float]] = {}
    for r in found:
        by_lr.setdefault(r.run.recipe["lr"], []).append(accuracy(r))
    assert [len(x) for x in by_lr.values()] == [4] * 3 and 0.001 in by_lr, (
        "the row's own values are tried too"
    )
    means = {lr: sum(x) / 4 for lr, x in by_lr.items()}

    text = (folder / "tiny.toml").read_text(encoding="utf-8")
    assert text.startswith(before), "the file is added to"
    row = suites.load(folder / "tiny.toml").by_id["dann-tuned"]
    assert row.recipe.keys() == {"lr", "batch"} and means[row.recipe["lr"]] == max(means.values())
    assert (
        row.hyper["gamma"] == float("inf")
        and row.label == f"dann, tuned on A→C, A→D (lam {row.hyper['lam']})"
    )
    chosen = f"lr {row.recipe['lr']}, batch {row.recipe['batch']}, hyper.lam {row.hyper['lam']}"
    best = f"{max(means.values()):.2f} % there"
    message = f"the best of 3 tried on A→C, A→D (budget full, seeds 0, 1), {best}"
    assert row.note == f"{chosen}: {message}"
    assert (
        "row dann-tuned of tiny.toml: bench run --suite tiny.toml --methods dann-tuned" in ended.out
    )

    write_pictures(folder / "data", "B")
    assert bench.run("run", *TUNE[1:-2], "--methods", "dann-tuned").code == 0
    assert (
        len(re.findall(r"s0-[0-9a-f]{12}-1", bench.run("ls", "runs", "--suite", "tiny.toml").out))
        == 1
    ), "trials are no results"


@pytest.mark.slow
def test_a_search_cut_short_goes_on_as_if_it_had_not_been(folder: Path, bench: Children) -> None:
    ask = (*ONE, "--trials", "4")
    write(folder, iterations=60)  # a cell lasts a third of a second
    child = bench.start(*ask)
    until(lambda: len(kept(folder)) == 4 and kept(folder))  # in the second cell of the second trial
    child.send(signal.SIGKILL)
    assert child.wait().code == -signal.SIGKILL
    before = {r.path: r.path.read_bytes() for r in kept(folder)}
    finished = complete(folder)
    assert 3 <= sum(finished.values()) < 8

    again = bench.run(*ask)
    assert (again.code, again.err) == (0, ""), again.text
    assert {path: path.read_bytes() for path in before} == before
    assert set(complete(folder).values()) == {1}, "no cell is trained twice"
    assert again.out.count(": target ") == 8 - sum(finished.values())

    after = complete(folder)
    assert bench.run(*ask, "--results", "other").code == 0
    assert (
        Counter(r.run.key for r in records.read_all(folder / "other" / "tuning") if r.run) == after
    ), "the same sets of values"

    more = bench.run(*ONE, "--trials", "5")
    assert more.code == 0 and more.out.count(": target ") == 2 and "trial 5 of 5: " in more.out
    text = (folder / "tiny.toml").read_text(encoding="utf-8")
    assert text.count('id = "dann-tuned"') == 1 and "the best of 5 tried" in text
    assert bench.run(*ONE, "--trials", "5").out.count(": target ") == 0


@pytest.mark.slow
def test_two_processes_share_a_search(folder: Path, bench: Children) -> None:
    first, second = bench.start(*ONE, "--trials", "4"), bench.start(*ONE, "--trials", "4")
    for ended in (first.wait(), second.wait()):
        if ended.code:
            refused(ended, "run by another process: run the same command when it has ended", code=1)
    assert bench.run(*ONE, "--trials", "4").out.count(": target ") == 0
    assert len(complete(folder)) == 8 and set(complete(folder).values()) == {1}


@pytest.mark.slow
def test_a_validation_domain_that_is_absent_is_one_sentence(folder: Path, bench: Children) -> None:
    shutil.rmtree(folder / "data" / "C")
    before = (folder / "tiny.toml").read_text(encoding="utf-8")
    refused(bench.run(*ONE), "no folder data/C", code=1)
    assert not kept(folder) and (folder / "tiny.toml").read_text(encoding="utf-8") == before
    alone = bench.run(*ONE, "--on", "A-D", "--trials", "1")
    assert alone.code == 0, alone.text
    assert (
        "the best of 1 tried on A→D" in suites.load(folder / "tiny.toml").by_id["dann-tuned"].note
    )


@pytest.mark.slow
def test_pacs_needs_neither_the_target_nor_the_domains_not_asked_for(
    tmp_path: Path, bench: Children
) -> None:
    pacs = generate("pacs", tmp_path / "data", scale=0.004)
    for absent in ("art_painting", "cartoon"):
        shutil.rmtree(pacs / absent)
    text = write(
        tmp_path, space="[search]\nbatch = [2, 3]", rows={"plain": ROWS["plain"]}
    ).read_text(encoding="utf-8")
    text = text.replace("classes = 3", "classes = 7").replace("split = 0.2\n", "")
    for name, domain in zip("ABCD", ("photo", "art_painting", "cartoon", "sketch"), strict=True):
        text = text.replace(
            f'set = "folder"\npath = "{name}"', f'set = "pacs"\ndomain = "{domain}"'
        )
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    refused(bench.run(*TUNE, "--trials", "1"), "pacs is incomplete", "cartoon", code=1)
    assert not kept(tmp_path)
    assert bench.run(*TUNE, "--trials", "1", "--on", "A-D").code == 0


MISTAKES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "row": (("--methods", "dan"), ("unknown row 'dan'; did you mean 'dann'?",)),
    "budget": (("--budget", "ful"), ("unknown budget 'ful'; did you mean 'full'?",)),
    "a budget without a meaning": (
        ("--budget", "smoke"),
        ("accuracies of the budget 'smoke' mean nothing",),
    ),
    "task": (
        ("--on", "A-E"),
        ("unknown task to choose on 'A-E'; did you mean 'A-D'?", "known: A-C, A-D, C-A"),
    ),
    "no task": (("--on", ","), ("no task is named to choose on; known: A-C, A-D",)),
    "a domain onto itself": (("--on", "C-C"), ("unknown task to choose on 'C-C'",)),
    "the task reported": (
        ("--on", "A-B"),
        ("A-B would read labels of B, on which tiny reports: choose on A-C, A-D, C-A",),
    ),
    "another task of the target": (("--on", "A-D,C-B"), ("C-B would read labels of B",)),
    "the target as a source": (("--on", "B-C"), ("B-C would read labels of B",)),
    "a knob both set and searched": (
        ("--set", "lr=0.1"),
        ("lr is fixed by --set and searched by the suite",),
    ),
    "a hyper-parameter both set and searched": (
        ("--set", "hyper.lam=0.1"),
        ("hyper.lam is fixed by --set and searched by the suite",),
    ),
    "a knob that is none": (("--set", "lrate=0.1"), ("did you mean 'lr'?",)),
    "a hyper-parameter that is none": (("--set", "hyper.lamb=0.1"), ("did you mean 'lam'?",)),
    "device": (("--device", "gpu"), ("unknown device 'gpu'; use auto, cpu or cuda:N",)),
    "no trial": (("--trials", "0"), ("greater than or equal to 1",)),
    "seeds": (("--seeds", "0-"), ("cannot read the seeds '0-'",)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_before_anything_is_written(
    mistake: str, folder: Path, bench: Children
) -> None:
    args, message = MISTAKES[mistake]
    before = (folder / "tiny.toml").read_text(encoding="utf-8")
    refused(bench.run(*TUNE, *args), *message)
    assert (
        not (folder / "results").exists()
        and (folder / "tiny.toml").read_text(encoding="utf-8") == before
    )


def test_nothing_is_chosen_in_a_suite_that_measures_no_accuracy() -> None:
    suite = suites.find("gan").model_copy(update={"search": {"lr": (0.1, 0.2)}})
    with pytest.raises(UsageError, match="hyper-parameters are chosen by accuracies, and gan meas"):
        tune.searches(suite, None, ["MNIST-MNIST"], [0], "full", {})


def test_a_search_leaves_checkpoints_as_a_run_does(tmp_path: Path) -> None:
    lab = run_here(tmp_path, tmp_path, None, device="cpu", tell=ignore).lab
    assert lab.checkpoint_every == Lab(tmp_path, tmp_path, torch.device("cpu")).checkpoint_every > 0


def test_the_note_of_a_row_has_settings_that_can_be_typed(tmp_path: Path) -> None:
    suite = load(tmp_path, WIDE)
    fixed = {"flip": True, "classifier": {"hidden": [8]}}
    (s,) = tune.searches(suite, ["dann"], ["A-C"], [0], "full", fixed)
    (cell,) = s.cells({})
    done = CellState(cell, fakes.record(cell, [50.0]))
    note = tuned.choose(s, [trials.Trial({}, [done])]).note
    typed = re.findall(r"--set ([^,)]+)", note)
    assert settings.parse_settings(typed) == fixed


def test_a_target_by_another_name_is_still_a_target(tmp_path: Path) -> None:
    suite = load(
        tmp_path, '[domains.E]\nset = "folder"\npath = "B"\ntransductive = true\n\n' + WIDE
    )
    with pytest.raises(UsageError, match="A-E would read labels of E"):
        tune.free_tasks(suite, ["A-E"])
    for other in ('path = "./B"', 'path = "B"\nlist = "b.txt"'):
        suite = load(tmp_path, f'[domains.E]\nset = "folder"\n{other}\n\n' + WIDE)
        with pytest.raises(UsageError, match="A-E would read labels of E"):
            tune.free_tasks(suite, ["A-E"])
    assert tune.free_tasks(suite, ["C-D", "A-C", "C-D"]) == ("C-D", "A-C")


def test_a_suite_that_says_nothing_to_search_is_told_what_to_add(
    folder: Path, bench: Children
) -> None:
    write(folder, space="")
    refused(
        bench.run(*TUNE), "the suite 'tiny' does not say what to search: add to its file `[search]`"
    )
    write(
        folder,
        space='[search]\nlr = [0.1, 0.2]\n\n[budgets.quick]\nnote = "quick"\nrecipe = { lr = 0.3 }',
    )
    refused(
        bench.run(*TUNE, "--budget", "quick"),
        "lr is fixed by budget 'quick' and searched by the suite",
    )
    write(folder, space="[search]\nhyper.lam = [0.1, 0.2]")
    refused(bench.run(*TUNE, "--methods", "plain"), "nothing is searched for row 'plain'")
    assert not re.search("plain", bench.run(*TUNE, "--dry-run").out), (
        "asked for all rows, it is left out"
    )


@pytest.mark.slow
def test_a_space_of_few_values_is_tried_out_and_divergence_counts_as_nothing_learnt(
    folder: Path, bench: Children
) -> None:
    write(folder, space="[search]\nlr = [1e30, 1e-3]")
    ended = bench.run(*ONE)
    assert (ended.code, ended.err) == (0, ""), ended.text
    assert "dann: all 2 sets of values are tried" in ended.out
    assert re.search(r"1e\+30 +0\.00 +0\.00 +0\.00 +2", ended.out)
    assert suites.load(folder / "tiny.toml").by_id["dann-tuned"].recipe == {"lr": 0.001}

    write(folder, space="[search]\nlr = [1e29, 1e30]")
    refused(
        bench.run(*ONE, "--results", "other"),
        "every trial of dann diverged, so nothing is chosen",
        code=1,
    )
    assert "dann-tuned" not in (folder / "tiny.toml").read_text(encoding="utf-8")


FRAGILE = """
from torch.nn.functional import cross_entropy
from methods import Method


class Fragile(Method):
    \"\"\"L = CE, or an error.\"\"\"

    def __init__(self, net, *, fails: bool = False):
        super().__init__()
        self.fails = fails

    def step(self, net, s, t, p):
        if self.fails:
            raise ValueError("as asked")
        yield cross_entropy(net.C(net.F(s.x)), s.y)
"""


@pytest.mark.slow
def test_what_cannot_run_is_refused_before_its_trial_is_begun(
    folder: Path, bench: Children
) -> None:
    write(folder, space="[search]\nbatch = [4, 4000]")
    stopped = bench.run(*ONE)
    refused(stopped, "a batch of 4000 does not fit A's 24 training images", code=1)
    assert "trial 1 of" in stopped.out and "trial 2 of" not in stopped.out


@pytest.mark.slow
def test_a_failed_run_stops_the_search_and_is_tried_anew(folder: Path, bench: Children) -> None:
    (folder / "methods").mkdir()
    (folder / "methods/fragile.py").write_text(FRAGILE, encoding="utf-8")
    rows = ROWS | {"dann": {"method": "fragile", "hyper": {"fails": False}}}
    write(folder, rows=rows, space="[search]\nhyper.fails = [false, true]")
    for _ in range(2):
        stopped = bench.run(*ONE)
        refused(
            stopped,
            "1 of 20 trials done; mend what failed, or take its values out of [search]",
            code=1,
        )
        assert "dann A-C seed 0: failed: " in stopped.out
    assert sorted(attempt(r.path.name) for r in kept(folder) if r.status == "failed") == [1, 2]
    assert "dann-tuned" not in (folder / "tiny.toml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_row_is_tuned_but_not_what_is_tuned_already(folder: Path, bench: Children) -> None:
    write(folder, space="[search]\nlr = [0.01, 0.001]\nhyper.lam = [0.05, 0.5]")
    for _ in range(2):
        assert bench.run(*TUNE, "--trials", "1").code == 0
        assert [r.id for r in suites.load(folder / "tiny.toml").rows] == [
            "plain",
            "dann",
            "plain-tuned",
            "dann-tuned",
        ]


def test_a_row_by_hand_is_not_overwritten(folder: Path, bench: Children) -> None:
    write(folder, rows=ROWS | {"dann-tuned": ROWS["dann"]})
    refused(
        bench.run(*ONE),
        "has a row 'dann-tuned' that `bench tune` did not write and will not replace",
    )
    assert not (folder / "results").exists()


def test_it_needs_neither_torch_nor_optuna_to_start(folder: Path) -> None:
    code = f"""
import sys
from bench.cli.app import main
for args in ({[*TUNE, "--dry-run"]!r}, ["tune", "--help"]):
    sys.argv = ["bench", *args]
    try:
        main()
    except SystemExit as e:
        assert e.code == 0
assert not {{"torch", "optuna", "pandas", "scipy"}} & set(sys.modules)
"""
    ended = fresh(cwd=folder, python=("-c", code))
    assert ended.code == 0, ended.err
    assert "--on" in ended.out and "table `search`" in ended.out


def test_without_optuna_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BenchError, match=r"bench tune needs Optuna .*: pip install optuna"):
        sampler.propose({"batch": (1, 2)}, [])


# the space


def load(folder: Path, space: str, **more: Any) -> Suite:
    return suites.load(write(folder, space=space, **more))


BAD = {
    "a key": ("lrate = [0.1]", "unknown key of \\[search\\] 'lrate'; did you mean 'lr'"),
    "a part": (
        "lr_mult.E = [0.1]",
        "unknown key of \\[search\\] 'lr_mult.E'; did you mean 'lr_mult.",
    ),
    "a hyper-parameter": (
        "hyper.lamda = [0.1]",
        "unknown key of \\[search\\] 'hyper.lamda'; did you mean 'hyper.lam'",
    ),
    "one that no row states": ("hyper.adapt_F = [1]", "unknown key"),
    "an end": ("lr = { lwo = 0.1, high = 0.2 }", "unknown key 'lwo'; did you mean 'low'"),
    "ends that are exchanged": (
        "lr = { low = 0.2, high = 0.1 }",
        "search.lr.range: low must be below high",
    ),
    "an end that is a word": (
        'lr = { low = "a", high = 0.1 }',
        "search.lr.range.low: 'a' is not a number",
    ),
    "an end that is infinite": (
        "lr = { low = 0.1, high = inf }",
        "search.lr.range.high: inf is not a number",
    ),
    "a logarithm of nothing": (
        "momentum = { low = 0, high = 1, log = true }",
        "needs a low above 0",
    ),
    "a value": ("lr = 0.1", "search.lr: give a list of choices, or { low"),
    "no choice": ("lr = []", "search.lr.choices: .* at least 1"),
    "a choice twice": ("lr = [0.1, 0.1]", "a choice is listed twice"),
    "a choice that is a list": ("lr = [[0.1]]", "is no choice: give numbers or words"),
    "a choice that the recipe has not": (
        'schedule = ["inv", "cosine"]',
        "\\[search\\] at schedule: Input should be",
    ),
    "fractions of images": (
        "batch = { low = 32.0, high = 132.0 }",
        "\\[search\\] at batch: .*fractional",
    ),
    "a rate of zero": (
        "lr = { low = 0, high = 0.1 }",
        "\\[search\\] at lr: Input should be greater than 0",
    ),
    "a hyper-parameter's type": ('hyper.lam = ["much"]', "lam of dann is a float"),
}


@pytest.mark.parametrize("wrong", BAD)
def test_a_space_that_makes_no_sense_is_refused_with_the_file(wrong: str, tmp_path: Path) -> None:
    space, message = BAD[wrong]
    with pytest.raises(UsageError, match=message) as e:
        load(tmp_path, f"[search]\n{space}")
    assert len(str(e.value).splitlines()) <= 2 and str(e.value).startswith(
        str(tmp_path / "tiny.toml")
    )


def test_hyper_parameters_are_searched_for_the_rows_that_state_them(tmp_path: Path) -> None:
    rows = ROWS | {"ramp": {"method": "dann"}}
    suite = load(tmp_path, "[search]\nlr_mult.F = [0.1, 1.0]\nhyper.lam = [0.1, 0.5]", rows=rows)
    plans = tune.searches(suite, None, ["A-C"], [0], "full", {})
    assert {s.row.id: [*s.space] for s in plans} == {
        "plain": ["lr_mult.F"],
        "dann": ["lr_mult.F", "hyper.lam"],
        "ramp": ["lr_mult.F"],
    }
    with pytest.raises(
        UsageError, match="only rows that state 'lam' in their hyper search it, and none does"
    ):
        load(tmp_path, "[search]\nhyper.lam = [0.1]", rows={"ramp": {"method": "dann"}})


def test_a_trial_trains_what_the_row_will_train(tmp_path: Path) -> None:
    """But for its id, the cells of a set of values are those of the row that is written."""
    s = searching(
        tmp_path, "[search]\nlr_mult.F = [0.1, 1.0]\nhyper.lam = [0.1, 0.5]\nbatch = [4, 8]"
    )
    (cell,) = s.cells({"lr_mult.F": 0.1, "hyper.lam": 0.5, "batch": 8})
    assert (cell.recipe.lr_mult.F, cell.recipe.lr_mult.C, cell.recipe.batch, cell.hyper["lam"]) == (
        0.1,
        1.0,
        8,
        0.5,
    )
    assert cell.row == "dann" and cell.folder == Path("tiny/dann/A-C")


def searching(
    folder: Path, space: str, seeds: tuple[int, ...] = (0,), on: tuple[str, ...] = ("A-C",)
) -> Search:
    (s,) = tune.searches(load(folder, space), ["dann"], on, seeds, "full", {})
    return s


def test_neither_the_space_nor_further_domains_change_a_cell(tmp_path: Path) -> None:
    text = (ROOT / "tables/pacs.toml").read_text(encoding="utf-8")
    for block in (r"\[domains\.C\]", r"\[domains\.S\]", r"\[search\]"):
        text, n = re.subn(rf"^{block}.*?(?=^\[)", "", text, flags=re.M | re.S)
        assert n == 1
    (tmp_path / "pacs.toml").write_text(text, encoding="utf-8")
    old, new = suites.load(tmp_path / "pacs.toml"), suites.find("pacs")
    assert (
        not old.search
        and new.search.keys() == {"lr", "batch", "hyper.lam"}
        and len(new.domains) == 4
    )
    assert [c.key for c in plan.cells(old)] == [c.key for c in plan.cells(new)]


def test_a_suite_cannot_go_by_the_name_of_the_trials(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="results/tuning is for the trials of `bench tune`"):
        suites.load(write_suite(tmp_path, "tuning"))


# trials and records


def test_a_trial_is_worth_the_mean_over_tasks_of_the_mean_over_seeds(tmp_path: Path) -> None:
    s = searching(tmp_path, WIDE, seeds=(0, 1), on=("A-C", "A-D"))
    cells = s.cells({"lr": 0.01, "batch": 4, "hyper.lam": 0.1})
    made = [fakes.record(c, (99.0, x)) for c, x in zip(cells, (60.0, 62.0, 30.0), strict=False)]
    made.append(fakes.record(cells[3], status="diverged", reason="the loss was no longer finite"))
    trial = trials.Trial({}, plan.states(cells, made))
    assert (
        trial.done
        and trial.accuracies == {"A-C": 61.0, "A-D": 15.0}
        and trial.mean == 38.0
        and trial.diverged == 1
    )
    assert not trials.Trial({}, plan.states(cells, made[:3])).done


def test_records_of_another_question_are_not_taken_for_trials(tmp_path: Path) -> None:
    s = searching(
        tmp_path, "[search]\nlr = { low = 1e-3, high = 1e-1, log = true }\nhyper.gamma = [5.0, inf]"
    )
    values = {"lr": 0.02, "hyper.gamma": float("inf")}
    (cell,) = s.cells(values)

    def of(**changed: Any) -> Record:
        record = fakes.record(cell)
        assert record.run
        return replace(record, run=record.run.model_copy(update=changed))

    (found,) = s.trials([of()])
    assert found.values == values and found.done
    recipe, hyper = cell.recipe.model_dump(mode="json"), cell.hyper_all
    assert s.trials([of(key="0" * 12)]) == []
    assert s.trials([of(recipe=recipe | {"lr": 0.2})]) == []
    assert s.trials([of(hyper_all=hyper | {"gamma": 3.0})]) == []


# what is tried next


def test_a_proposal_is_a_function_of_what_was_tried(tmp_path: Path) -> None:
    space = load(tmp_path, WIDE + "\niterations = { low = 5, high = 50 }").search
    scored: list[tuple[dict[str, Any], float]] = []
    for k in range(14):
        values = sampler.propose(space, scored)
        assert values is not None and values == sampler.propose(space, list(scored))
        assert 1e-4 <= values["lr"] <= 1e-1 and float(f"{values['lr']:.3g}") == values["lr"]
        assert (
            values["batch"] in (4, 8)
            and type(values["iterations"]) is int
            and 5 <= values["iterations"] <= 50
        )
        scored.append((values, float(k % 5)))
    assert len({repr(v) for v, _ in scored}) == 14
    assert sampler.propose(space, scored, [{"lr": 0.01}]) != sampler.propose(space, scored), (
        "others are left what they try"
    )


def test_a_finite_space_is_gone_through_without_repetition() -> None:
    space = {"batch": (16, 32, 64), "iterations": Range(low=1, high=4), "schedule": ("inv", "step")}
    scored: list[tuple[dict[str, Any], float]] = []
    while (values := sampler.propose(space, scored)) is not None:
        assert values not in [v for v, _ in scored]
        scored.append((values, 1.0 / values["batch"]))
    assert len(scored) == 3 * 4 * 2


def test_a_space_of_near_numbers_comes_to_an_end() -> None:
    """Three digits leave two numbers, and the sampler knows of infinitely many."""
    space = {"lr": Range(low=0.1, high=0.101)}
    assert sampler.propose(space, [({"lr": 0.1}, 0.0), ({"lr": 0.101}, 0.0)]) is None


# the row


def test_a_row_is_replaced_where_it_stands(tmp_path: Path) -> None:
    suite = load(tmp_path, WIDE)
    row = suite.by_id["dann"].model_copy(
        update={"id": "dann-tuned", "note": 'with "quotes" and a \\', "recipe": {"lr": 1e-5}}
    )
    suite = tuned.write_row(suite, row)
    assert suite.by_id["dann-tuned"] == row and tuned.written(suite) == {"dann-tuned"}
    path = tmp_path / "tiny.toml"
    path.write_text(
        path.read_text(encoding="utf-8") + '\n[budgets.later]\nnote = "later"\nrecipe = {}\n',
        encoding="utf-8",
    )
    changed = row.model_copy(
        update={"recipe": {"lr": 0.5, "lr_mult": {"F": 0.1}}, "hyper": {"gamma": float("inf")}}
    )
    suite = tuned.write_row(suites.load(path), changed)
    assert suite.by_id["dann-tuned"] == changed and "later" in suite.budgets
    assert path.read_text(encoding="utf-8").count("dann-tuned") == 3, "two marks and the id"


def test_a_row_that_the_suite_would_not_take_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    suite = load(tmp_path, WIDE)
    before = (tmp_path / "tiny.toml").read_bytes()
    with pytest.raises(BenchError, match="was chosen, but the suite would not take it"):
        tuned.write_row(
            suite,
            suite.by_id["dann"].model_copy(update={"id": "dann-tuned", "recipe": {"lr": -1.0}}),
        )
    assert (tmp_path / "tiny.toml").read_bytes() == before


def test_rows_that_are_no_blocks_are_refused_before_any_training(tmp_path: Path) -> None:
    path = write(tmp_path, rows={"x": ROWS["plain"]})
    text = re.sub(
        r"\[\[rows\]\].*?(?=\[domains\.C\])", "", path.read_text(encoding="utf-8"), flags=re.S
    )
    text = text.replace(LAM, "")
    path.write_text(
        'rows = [{ id = "x", label = "X", method = "source_only" }]\n' + text, encoding="utf-8"
    )
    suite = suites.load(path)
    with pytest.raises(UsageError, match="can take no further row"):
        tuned.check_row(suite, suite.by_id["x"])


@pytest.mark.slow
def test_a_suite_of_the_installed_program_is_copied_to_the_users_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "site-packages" / "bench" / "tables"
    write(shipped)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(paths, "PACKAGE", shipped.parent)
    before = (shipped / "tiny.toml").read_bytes()
    suite = suites.find("tiny")
    row = suite.by_id["dann"]
    tuned.check_row(suite, row)
    suite = tuned.write_row(suite, row.model_copy(update={"id": "dann-tuned"}))
    assert suite.folder == Path("tables") and "dann-tuned" in suites.find("tiny").by_id
    assert (shipped / "tiny.toml").read_bytes() == before
    suite = tuned.write_row(suite, row.model_copy(update={"id": "plain-tuned"}))
    assert {"dann-tuned", "plain-tuned"} <= suite.by_id.keys()
    with pytest.raises(UsageError, match="is another suite than"):
        tuned.check_row(suites.find(str(shipped / "tiny.toml")), row)
