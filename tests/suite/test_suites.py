"""Suite files: what is refused, with what words; what is warned of; what a recipe computes."""

import math
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from copy import copy
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from helpers import write_suite
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench import paths
from bench.errors import UsageError, unknown
from bench.report.write.render import render_accuracies
from bench.runs import plan
from bench.suite import schema, suites
from bench.suite.claims import Figure, parse_figure
from bench.suite.recipe import Recipe
from bench.suite.suite import Suite

GOOD = """
title = "Good"
classes = 3
baseline = "plain"
tasks = ["A-B", "B-A"]

[domains.A]
set = "folder"
path = "A"

[domains.B]
set = "mnist"

[recipe]
backbone = "ganin-mnist"
size = 28
iterations = 100
batch = 8
lr = 0.01
classifier = { hidden = [10], dropout = 0.5 }

[task_recipe.B-A]
size = 32

[budgets.short]
note = "short"
recipe = { iterations = 10 }

[[rows]]
id = "plain"
label = "Plain"
method = "source_only"

[[rows]]
id = "dann"
label = "DANN"
method = "dann"
hyper = { gamma = 2.0 }
recipe = { lr = 0.1 }

[[published]]
label = "Their DANN"
row = "dann"
cite = "ours2025"
where = "table 1"
values = { A-B = "70.0±1.5", B-A = "60" }
average = "65.0"
"""

BIB = "@article{ours2025,\n  title = {Ours},\n  year = {2025},\n}\n"


def load(folder: Path, text: str = GOOD) -> Suite:
    (folder / "references.bib").write_text(BIB, encoding="utf-8")
    (folder / "good.toml").write_text(text, encoding="utf-8")
    return suites.load(folder / "good.toml")


def test_a_good_file_loads(tmp_path: Path) -> None:
    suite = load(tmp_path)
    assert (suite.name, suite.folder, suite.title) == ("good", tmp_path, "Good")
    assert [r.id for r in suite.rows] == ["plain", "dann"] and suite.by_id["dann"].hyper == {
        "gamma": 2.0
    }
    assert suite.published[0].values["A-B"] == Figure(printed="70.0±1.5", value=70.0, error=1.5)
    assert suite.warnings() == []
    short = suite.recipe_for(suite.by_id["dann"], "B-A", "short")
    assert (short.lr, short.size, short.iterations) == (0.1, 32, 10)


BAD = {
    # what is wrong: (text to replace, by what, what the message must hold)
    "a key at the top": (
        'title = "Good"',
        'title = "Good"\ntolerence = 1.0',
        "tolerence: unknown .*did you mean 'tolerance'",
    ),
    "a key in the recipe": (
        "batch = 8",
        "bacth = 8",
        "recipe.bacth: unknown key 'bacth'; did you mean 'batch'",
    ),
    "a key in a head": (
        "dropout = 0.5",
        "dropuot = 0.5",
        "recipe.classifier.dropuot: .*did you mean 'dropout'",
    ),
    "a key in a domain": (
        'path = "A"',
        'pth = "A"',
        "domains.A.pth: unknown key 'pth'; did you mean 'path'",
    ),
    "a key in a row": (
        'label = "Plain"',
        'lable = "Plain"',
        "rows.0.lable: unknown key 'lable'; did you mean 'label'",
    ),
    "a key in a claim": (
        'where = "table 1"',
        'were = "table 1"',
        "published.0.were: unknown key 'were'; did you mean 'where'",
    ),
    "a key in a budget": (
        'note = "short"',
        'nota = "short"',
        "budgets.short.nota: .*did you mean 'note'",
    ),
    "a key in a row's recipe": (
        "{ lr = 0.1 }",
        "{ lrate = 0.1 }",
        "unknown recipe key in row 'dann' 'lrate'",
    ),
    "a key deep in a row's recipe": (
        "{ lr = 0.1 }",
        "{ classifier = { hiden = [5] } }",
        "row 'dann'.*recipe.classifier.hiden: .*did you mean 'hidden'",
    ),
    "a value in a row's recipe": (
        "{ lr = 0.1 }",
        "{ lr = -0.1 }",
        "row 'dann', task 'A-B', budget 'full': at recipe.lr: ",
    ),
    "a key in a budget's recipe": (
        "{ iterations = 10 }",
        "{ iteration = 10 }",
        "in budget 'short' .*did you mean 'iterations'",
    ),
    "a key in a task's recipe": (
        "size = 32",
        "sise = 32",
        "in task_recipe 'B-A' 'sise'; did you mean 'size'",
    ),
    "a task of no domain": (
        '["A-B", "B-A"]',
        '["A-B", "B-A", "A-C"]',
        "unknown task 'A-C'; did you mean 'A-B'",
    ),
    "a task twice": ('["A-B", "B-A"]', '["A-B", "B-A", "A-B"]', "the task 'A-B' is listed twice"),
    "a task recipe of no task": ("[task_recipe.B-A]", "[task_recipe.B-B]", "unknown task 'B-B'"),
    "a method": (
        'method = "dann"',
        'method = "dannn"',
        "unknown method 'dannn'; did you mean 'dann'",
    ),
    "a hyper-parameter": (
        "gamma = 2.0",
        "gama = 2.0",
        "unknown hyper-parameter of dann 'gama'; did you mean 'gamma'",
    ),
    "the type of a hyper-parameter": (
        "gamma = 2.0",
        'gamma = "2"',
        "gamma of dann is a float such as 10.0, not '2'",
    ),
    "a data set": (
        'set = "mnist"',
        'set = "mnits"',
        "unknown data set 'mnits'; did you mean 'mnist'",
    ),
    "a citation": (
        'cite = "ours2025"',
        'cite = "ours2026"',
        "unknown citation 'ours2026'; did you mean 'ours2025'",
    ),
    "the row of a claim": ('row = "dann"', 'row = "dan"', "unknown row 'dan'; did you mean 'dann'"),
    "the task of a claim": ('{ A-B = "70.0±1.5"', '{ A-C = "70.0±1.5"', "unknown task 'A-C'"),
    "a figure": (
        '"70.0±1.5"',
        '"70,0"',
        "published.0.values.*'70,0' is not a number as papers print them",
    ),
    "the baseline": (
        'baseline = "plain"',
        'baseline = "plane"',
        "unknown baseline row 'plane'; did you mean 'plain'",
    ),
    "two rows of one id": ('id = "dann"', 'id = "plain"', "two rows have the id 'plain'"),
    "an id that is no folder": ('id = "plain"', 'id = "a/b"', "rows.0.id: .*pattern"),
    "a domain that is no folder": (
        "domains.A]",
        'domains."A/x"]',
        "domain 'A/x' cannot name a folder",
    ),
    "a budget of a name taken": (
        "[budgets.short]",
        "[budgets.smoke]",
        "the budget 'smoke' exists in every suite",
    ),
    "a name": ('title = "Good"', 'title = "Good"\nname = "x"', "remove the key 'name'"),
    "a choice": (
        "lr = 0.01",
        'lr = 0.01\nschedule = "cosine"',
        "recipe.schedule: Input should be 'constant', 'inv' or 'step'",
    ),
    "weights": (
        "lr = 0.01",
        'lr = 0.01\nweights = "imagnet"',
        "recipe.weights: Input should be 'none' or 'imagenet'",
    ),
    "a type": (
        "iterations = 100",
        'iterations = "many"',
        "recipe.iterations: a number is wanted, not the text 'many'",
    ),
    "no iterations": (
        "iterations = 100",
        "iterations = 0",
        "recipe.iterations: Input should be greater than 0",
    ),
    "a batch of one": ("batch = 8", "batch = 1", "recipe.batch: Input should be greater than 1"),
    "something missing": ("lr = 0.01", "", "recipe.lr: Field required"),
    "one class": ("classes = 3", "classes = 1", "classes: Input should be greater than 1"),
    "TOML": ("classes = 3", "classes = = 3", "not valid TOML: .*line 3"),
    "a figure for all tasks": (
        '{ A-B = "70.0±1.5", B-A = "60" }',
        "1",
        "published.0.values: Input should be a valid dictionary",
    ),
    "a figure that is a date": ('"70.0±1.5"', "1979-05-27", "published.0.values.A-B"),
    "a figure of many digits": ('"70.0±1.5"', f'"{"7" * 400}"', "is not a number as papers print"),
    "an integer of 5,000 digits": ("batch = 8", f"batch = {'8' * 5000}", "has too many digits"),
    "an integer of 400 digits": ("lr = 0.01", f"lr = {'8' * 400}", "recipe.lr: .* valid number"),
    "lists in lists": ("batch = 8", f"batch = {'[' * 5000}", "nested too deeply"),
    "tables in tables": ("lr = 0.01", f"lr{'.a' * 60} = 1", "nested too deeply"),
    "a rate without end": ("lr = 0.01", "lr = inf", "recipe.lr: Input should be a finite number"),
    "a tolerance that is none": (
        'title = "Good"',
        'title = "Good"\ntolerance = nan',
        "tolerance: Input should be a finite number",
    ),
    "seeds without end": ('title = "Good"', 'title = "Good"\nseeds = 10000000', "seeds: .*10000"),
    "a hyper-parameter that is none": (
        "gamma = 2.0",
        "gamma = nan",
        "gamma of dann cannot be .*nan",
    ),
    "a hyper-parameter beyond numbers": (
        "gamma = 2.0",
        f"gamma = {'9' * 400}",
        "gamma of dann cannot be .*a number beyond",
    ),
    "a hyper-parameter that is a day": (
        "gamma = 2.0",
        "gamma = 1979-05-27",
        "gamma of dann cannot",
    ),
    "a search without end": (
        "[budgets.short]",
        f"[search]\nlr = {{ low = 1, high = {'9' * 400} }}\n\n[budgets.short]",
        "search.lr.range.high: .* is not a number",
    ),
    "an id too long for a folder": (
        'id = "plain"',
        f'id = "{"p" * 300}"',
        "the row 'p+….? is too long to name a folder",
    ),
    "a preset elsewhere": (
        'title = "Good"',
        'title = "Good"\npreset = "../demo"',
        "unknown preset '../demo'",
    ),
    "a key twice": ("classes = 3", "classes = 3\nclasses = 4", "not valid TOML"),
}


@pytest.mark.parametrize("wrong", BAD)
def test_a_bad_file_is_refused_in_one_sentence_that_names_the_place(
    wrong: str, tmp_path: Path
) -> None:
    old, new, message = BAD[wrong]
    assert GOOD.count(old) == 1, "the good file has it once"
    with pytest.raises(UsageError) as e:
        load(tmp_path, GOOD.replace(old, new))
    first, *more = str(e.value).splitlines()
    assert first.startswith(f"{tmp_path / 'good.toml'}: ") and re.search(message, first)
    assert all("Field required" in line for line in more), (
        "what a misspelt key leaves missing may be told too"
    )


def test_every_mistake_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as e:
        load(tmp_path, GOOD.replace("batch = 8", "bacth = 8").replace('label = "Plain"', ""))
    message = str(e.value).splitlines()
    assert (
        len(message) == 3
        and "recipe.batch" in str(message)
        and "recipe.bacth" in str(message)
        and "rows.0.label" in str(message)
    )


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not valid TOML"):
        suites.load(tmp_path / "x.toml")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("...toml", "'..' cannot name a folder"),
        (".locks.toml", "'.locks' cannot name a folder"),
        ("-n.toml", "'-n' cannot name a folder"),
        ("a:b.toml", "'a:b' cannot name a folder"),
        (f"{'a' * 150}.toml", "is too long to name a folder"),
        ("tuning.toml", "results/tuning is for the trials of `bench tune`"),
        ("tables.toml", "results/tables is for the pages of these records"),
    ],
)
def test_a_file_name_that_cannot_name_a_folder_of_records_is_refused(
    name: str, message: str, tmp_path: Path
) -> None:
    load(tmp_path)
    (tmp_path / "good.toml").rename(tmp_path / name)
    with pytest.raises(UsageError, match=re.escape(message)) as e:
        suites.find(str(tmp_path / name))
    assert len(str(e.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["../demo", "a" * 5000, "a" * 5000 + ".toml", "", "a\0b.toml"])
def test_a_name_that_no_file_can_have_is_unknown(name: str) -> None:
    with pytest.raises(UsageError, match=r"unknown suite|no suite file") as e:
        suites.find(name)
    assert len(str(e.value)) < 400


MORE_BEFORE = """
preset = "dann-jmlr"
differences = ["one"]
task_recipe.A-B = { lr_mult = { F = 0.1 } }
metric = { name = "m", title = "M" }
"""
MORE_AFTER = """
[[costs]]
label = "Their time"
row = "dann"
cite = "ours2025"
where = "table 2"
budgets = ["short"]
ms = 10.0
mb = 20

[search]
"hyper.gamma" = [1.0, 2.0]
lr = { low = 0.1, high = 1.0 }
"""
WRONG_SHAPES: list[Any] = [
    None, True, 0, -1, 10**30, 10**400, 0.5, math.nan, math.inf, "", "x", "a\nb", [], [1], [[1]], ["x"],
    [{}], {}, {"a": 1}, {"a": {"b": [1]}}, {"low": 1, "high": 2}, date(1979, 5, 27),
]  # fmt: skip


def places(values: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    lists = range(len(values)) if isinstance(values, list) else ()
    for k in values if isinstance(values, dict) else lists:
        yield from places(values[k], (*at, k))


def replaced(values: Any, at: tuple[Any, ...], by: Any) -> Any:
    if not at:
        return by
    out = copy(values)
    out[at[0]] = replaced(values[at[0]], at[1:], by)
    return out


def test_a_value_of_any_wrong_shape_at_any_place_is_refused_in_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What loads all the same has cells with keys."""
    good, loaded = tomllib.loads(f"{MORE_BEFORE}{GOOD}{MORE_AFTER}"), 0
    load(tmp_path, f"{MORE_BEFORE}{GOOD}{MORE_AFTER}")
    path, read = tmp_path / "good.toml", schema.read_toml
    every = [*product(list(places(good))[1:], WRONG_SHAPES)]
    for at, by in random.Random(0).sample(every, 400):
        wrong = replaced(good, at, by)
        monkeypatch.setattr(schema, "read_toml", lambda p, w=wrong: w if p == path else read(p))
        try:
            found = suites.load(path)
        except UsageError as e:
            assert all(x.startswith(f"{path}: ") for x in str(e).splitlines()), (at, by, str(e))
        else:
            loaded += 1
            assert all(cell.key for cell in plan.cells(found, seeds=[0])), (at, by)
    assert 10 < loaded < 100, "texts may say anything"


def test_which_accuracy_a_suite_is_about_changes_no_key(tmp_path: Path) -> None:
    """Trainings and records are the same; a suite that measures something else has no accuracy."""
    by_class = 'accuracy = "classes"\n'
    keys = [[c.key for c in plan.cells(load(tmp_path, t))] for t in (GOOD, by_class + GOOD)]
    assert keys[0] == keys[1]
    with pytest.raises(UsageError, match=r"a suite with a `metric` measures no accuracy"):
        load(tmp_path, f'{by_class}metric = {{ name = "m", title = "M" }}\n{GOOD}')


def test_a_suite_cannot_be_altered(tmp_path: Path) -> None:
    suite = load(tmp_path)
    with pytest.raises(ValidationError, match="frozen"):
        suite.published[0].values["A-B"].value = 99.0
    with pytest.raises(ValidationError, match="frozen"):
        suite.recipe.lr = 1.0


@pytest.mark.parametrize(
    ("printed", "warned"),
    [
        ("65.0", None),
        ("65.05", None),
        # half a unit of each last digit: 0.05 of 70.0 and 0.5 of 60 halved, and that of the average
        ("65.28", None),
        ("65.3", None),
        ("65.29", "average 65.00, the printed average is 65.29"),
        ("65.4", "average 65.00, the printed average is 65.4"),
        ("56.0", "the printed average is 56.0"),
    ],
)
def test_a_printed_average_that_contradicts_its_tasks_is_warned_of_and_left_as_printed(
    printed: str, warned: str | None, tmp_path: Path
) -> None:
    suite = load(tmp_path, GOOD.replace('"65.0"', f'"{printed}"'))
    (claim,) = suite.published
    assert (
        claim.average and claim.average.printed == printed and claim.average.value == float(printed)
    )
    assert [f.printed for f in claim.values.values()] == ["70.0±1.5", "60"]
    if warned is None:
        assert suite.warnings() == []
    else:
        (message,) = suite.warnings()
        assert (
            message.startswith("Their DANN [ours2025, table 1]: the 2 printed tasks")
            and warned in message
        )


SIX = ["A-B", "B-A", "A-C", "C-A", "B-C", "C-B"]


def copied(folder: Path, *, cite: str = "theirs", tasks: list[str] = SIX, **other: str) -> Suite:
    """A suite whose second published row has the figures of the first, but for what is said."""
    text = GOOD.replace('tasks = ["A-B", "B-A"]', f"tasks = {tasks}")
    text = text.replace("[recipe]", '[domains.C]\nset = "folder"\npath = "C"\n\n[recipe]', 1)
    assert text.count(f"tasks = {tasks}") == text.count("domains.C") == 1
    figures = {task: f"{70 + i}.0" for i, task in enumerate(tasks)}
    text = re.sub(r"values = .*\naverage.*", f"values = {toml_table(figures)}", text)
    second = f"""
[[published]]
label = "Copy"
cite = "{cite}"
where = "table 9"
values = {toml_table(figures | {k: v for k, v in other.items() if k != "on"})}
on = "{other.get("on", "target")}"
"""
    bib = BIB + "@article{theirs,\n  title = {Theirs},\n  year = {2025},\n}\n"
    (folder / "references.bib").write_text(bib, encoding="utf-8")
    (folder / "good.toml").write_text(text + second, encoding="utf-8")
    return suites.load(folder / "good.toml")


def toml_table(values: dict[str, str]) -> str:
    return "{ " + ", ".join(f'{k} = "{v}"' for k, v in values.items()) + " }"


def test_a_row_with_every_figure_of_another_papers_row_is_warned_of(tmp_path: Path) -> None:
    told = ["Copy [theirs, table 9]: its 6 figures equal those of Their DANN [ours2025, table 1]"]
    assert copied(tmp_path).warnings() == told
    assert copied(tmp_path, **{"A-B": "70±1.5"}).warnings() == told, "whatever the spread"


@pytest.mark.parametrize(
    "change",
    [{"A-B": "70.1"}, {"cite": "ours2025"}, {"on": "source"}, {"tasks": SIX[:5]}],
    ids=["one figure differs", "one paper", "another test set", "five figures"],
)
def test_a_row_that_is_no_copy_is_not_warned_of(change: dict[str, Any], tmp_path: Path) -> None:
    assert copied(tmp_path, **change).warnings() == []


def test_a_page_names_what_a_row_is_a_copy_of(tmp_path: Path) -> None:
    text = render_accuracies(copied(tmp_path), [], references={})
    assert "the 6 figures of Copy equal those of Their DANN (ours2025)" in text


def test_an_average_over_tasks_that_are_not_all_printed_is_not_judged(tmp_path: Path) -> None:
    text = GOOD.replace(', B-A = "60"', "").replace('"65.0"', '"12.3"')
    assert load(tmp_path, text).warnings() == []


@pytest.mark.parametrize(
    ("printed", "value", "error"),
    [("75.2", 75.2, None), ("82", 82, None), ("75.2±1.6", 75.2, 1.6), ("75.2 ± .3", 75.2, 0.3),
     ("75.2+-1", 75.2, 1.0), ("≈80", 80, None), ("~ 80.5", 80.5, None), (" 7.0 ", 7.0, None)],
)  # fmt: skip
def test_figures_are_read_as_papers_print_them(
    printed: str, value: float, error: float | None
) -> None:
    f = parse_figure(printed)
    assert (f.value, f.error, f.printed) == (value, error, printed.strip())


@pytest.mark.parametrize(
    "printed", ["", "-", "n/a", "75,2", "-3", "75.2%", "75.2±", "1e2", "70 80", "nan", "75..2"]
)
def test_what_is_no_figure_is_refused(printed: str) -> None:
    with pytest.raises(ValueError, match="is not a number as papers print them"):
        parse_figure(printed)


def test_domains_with_dashes_are_told_apart(tmp_path: Path) -> None:
    text = GOOD.replace("[domains.B]", '[domains.A-B]\nset = "mnist"\n\n[domains.B]').replace(
        '["A-B", "B-A"]', '["A-B", "B-A", "A-B-A"]'
    )
    suite = load(tmp_path, text)
    assert suite.endpoints("A-B") == ("A", "B")
    assert suite.endpoints("A-B-A") == ("A-B", "A")


def test_own_suites_come_before_those_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = suites.names()
    assert "demo" in shipped and "mine" not in shipped
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/mine.toml").write_text(
        GOOD.replace("ours2025", "ganin2016dann"), encoding="utf-8"
    )
    (tmp_path / "tables/demo.toml").write_text(
        GOOD.replace("ours2025", "ganin2016dann"), encoding="utf-8"
    )
    assert set(suites.names()) == {*shipped, "mine"}
    assert suites.find("demo").title == "Good"
    assert suites.find("digits").folder == paths.tables()[-1]


def recipe(**changes: object) -> Recipe:
    return Recipe.model_validate(
        {"backbone": "x", "size": 1, "iterations": 1, "batch": 2, "lr": 0.5} | changes
    )


@given(st.floats(0, 1))
def test_learning_rates_are_the_printed_formulas(p: float) -> None:
    assert recipe().lr_at(p) == 0.5
    assert recipe(schedule="inv").lr_at(p) == pytest.approx(0.5 / (1 + 10 * p) ** 0.75, rel=1e-12)
    thirds = 0.5 * 0.1 ** min(math.floor(3 * p), 2)
    assert recipe(schedule="step", schedule_gamma=0.1, schedule_steps=3).lr_at(p) == pytest.approx(
        thirds
    )


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("demmo", ["demo"], "did you mean 'demo'? "),
        ("DEMO", ["demo"], "did you mean 'demo'? "),
        ("zzz", ["demo"], ""),
    ],
)
def test_the_nearest_name_is_offered_when_one_is_near(
    name: str, known: list[str], hint: str
) -> None:
    assert str(unknown("suite", name, known)) == f"unknown suite {name!r}; {hint}known: demo"
    assert str(unknown("suite", name, [])) == f"unknown suite {name!r}; known: none"


SPELLINGS = {
    "the recipe": ("lr = 0.01", 'lr = 0.01\nnormalise = "half"\noptimiser = "adam"'),
    "a task": ("size = 32", 'size = 32\nnormalise = "half"'),
    "a budget": ("{ iterations = 10 }", '{ iterations = 10, optimiser = "adam" }'),
    "a row": ("{ lr = 0.1 }", '{ lr = 0.1, crop = 20, train_crop = "centre" }'),
    "a preset's knob": (
        'backbone = "ganin-mnist"',
        'backbone = "ganin-mnist"\ncrop = 20\nnormalise = "half"\ntest_crop = "centre"',
    ),
    "a search": ("[task_recipe.B-A]", '[search]\noptimiser = ["sgd", "adam"]\n\n[task_recipe.B-A]'),
}


@pytest.mark.parametrize("place", SPELLINGS)
def test_an_older_spelling_says_the_same_as_todays(place: str, tmp_path: Path) -> None:
    old, new = SPELLINGS[place]
    text = GOOD.replace(old, new)
    if "preset" in place:
        text = text.replace('title = "Good"', 'title = "Good"\npreset = "tllib"')
    today = (
        text.replace("normalise", "normalize")
        .replace("optimiser", "optimizer")
        .replace("centre", "center")
    )
    assert today != text
    assert load(tmp_path, text) == load(tmp_path, today) != load(tmp_path)


def test_an_older_spelling_on_the_command_line_says_the_same_as_todays(tmp_path: Path) -> None:
    suite = load(tmp_path)
    made = [
        suite.recipe_for(suite.rows[0], "A-B", override={k: "adam"})
        for k in ("optimiser", "optimizer")
    ]
    assert made[0] == made[1] and made[0].optimizer == "adam"


def test_a_knob_in_both_spellings_is_refused_with_the_file(tmp_path: Path) -> None:
    both = GOOD.replace("lr = 0.01", 'lr = 0.01\noptimiser = "sgd"\noptimizer = "adam"')
    with pytest.raises(
        UsageError, match=r"good\.toml: 'optimiser' and 'optimizer' are two spellings"
    ):
        load(tmp_path, both)


def test_paths_and_errors_need_no_pydantic() -> None:
    code = "import sys, bench.paths, bench.errors; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


NEEDY = """
from methods import Method


class Needy(Method):
    \"\"\"L = 0\"\"\"

    needs = ("first_stage", "strong_view")
"""


def test_a_method_says_what_the_recipe_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/needy.py").write_text(NEEDY, encoding="utf-8")
    text = GOOD.replace('method = "dann"', 'method = "needy"').replace(
        "hyper = { gamma = 2.0 }", ""
    )
    with pytest.raises(
        UsageError,
        match=r"row 'dann': needy needs a first stage, such as first_stage = 0\.5; add it to the r",
    ):
        load(tmp_path, text)
    staged = text.replace("{ lr = 0.1 }", "{ lr = 0.1, first_stage = 0.25 }")
    with pytest.raises(UsageError, match='a second view of each image, such as strong_view = "ra'):
        load(tmp_path, staged)
    whole = staged.replace("0.25 }", '0.25, strong_view = "randaugment" }')
    suite = load(tmp_path, whole)
    assert suite.recipe_for(suite.by_id["dann"], "A-B").second_stage == 25
    with pytest.raises(UsageError, match=r"row 'dann': needy needs a first stage"):
        load(tmp_path, whole.replace("{ iterations = 10 }", "{ first_stage = 0.0 }"))


def test_of_many_mistakes_the_first_ten_are_told(tmp_path: Path) -> None:
    path = write_suite(tmp_path, **{f"knob{i}": 1 for i in range(14)})
    with pytest.raises(UsageError) as refused:
        suites.load(path)
    *told, last = str(refused.value).splitlines()
    assert len(told) == 10 and all("unknown key" in line for line in told)
    assert last == f"{path}: 4 more things are wrong"
