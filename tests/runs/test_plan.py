"""Cells, their keys, what counts as done, and what the rest will cost."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import pytest
from helpers import write_suite
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.runs import forecast, plan
from bench.runs.cell import Cell, brief
from bench.runs.records import Record
from bench.suite import suites
from bench.suite.suite import DomainSpec, Suite

FIXED = """
title = "Fixed"
classes = 3
seeds = 2
tasks = ["A-B", "B-A"]

[domains.A]
set = "folder"
path = "A"

[domains.B]
set = "folder"
path = "B"

[recipe]
backbone = "ganin-mnist"
size = 28
iterations = 100
batch = 8
lr = 0.01

[budgets.short]
note = "short"
recipe = { iterations = 10 }

[[rows]]
id = "one"
label = "One"
method = "dann"
hyper = { gamma = 5.0 }

[[rows]]
id = "two"
label = "Two"
method = "source_only"
"""


def load(tmp_path: Path, text: str = FIXED) -> Suite:
    (tmp_path / "fixed.toml").write_text(text, encoding="utf-8")
    return suites.load(tmp_path / "fixed.toml")


def first(suite: Suite, **asked: Any) -> Cell:
    return plan.cells(suite, **asked)[0]


def test_the_key_of_a_cell_is_pinned(tmp_path: Path) -> None:
    """Records made today are found by tomorrow's program: if this fails, every record in the world becomes stale."""
    suite = load(tmp_path, folders("transductive = true"))
    assert first(suite).key == "2cb69795b463"
    assert first(suite, budget="smoke").key == "4d62f164a724"
    assert first(suite, methods=["two"]).key == "699769ed81b8"
    published = FIXED.replace('set = "folder"\npath = "A"', 'set = "mnist"')
    published = published.replace('set = "folder"\npath = "B"', 'set = "pacs"\ndomain = "photo"')
    assert first(load(tmp_path, published)).key == "5ba2c71de98e"


def folders(stated: str) -> str:
    """FIXED with this stated in both of its domains."""
    return re.sub(r'(path = ".")', rf"\1\n{stated}", FIXED)


def test_no_record_of_a_folder_that_was_split_unasked_is_found_again(tmp_path: Path) -> None:
    """Once a folder was split 80/20 where nothing was stated, under the first of these keys."""
    stated = ("", "split = 0.2", "split = 0.3", "transductive = true")
    keys = ["35af17a56185", *(first(load(tmp_path, folders(text))).key for text in stated)]
    assert len(set(keys)) == len(keys)
    assert first(load(tmp_path, folders('split = "own"'))).key == keys[1]


CHANGES = {
    "a recipe's number": ("lr = 0.01", "lr = 0.02"),
    "a recipe's word": ("lr = 0.01", 'lr = 0.01\nschedule = "inv"'),
    "a recipe's nested part": ("lr = 0.01", "lr = 0.01\nclassifier = { hidden = [10] }"),
    "the network": ('backbone = "ganin-mnist"', 'backbone = "vgg16"'),
    "the length": ("iterations = 100", "iterations = 101"),
    "a hyper-parameter": ("gamma = 5.0", "gamma = 5.1"),
    "one more hyper-parameter": ("gamma = 5.0", "gamma = 5.0, lam = 0.5"),
    "the method": ('method = "dann"', 'method = "nogrl"'),
    "the row's own recipe": (
        "hyper = { gamma = 5.0 }",
        "hyper = { gamma = 5.0 }\nrecipe = { batch = 4 }",
    ),
    "where the data is": ('path = "A"', 'path = "A2"'),
    "how the data is cut": ('path = "A"', 'path = "A"\ncrop = 20'),
    "the classes": ("classes = 3", "classes = 4"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_decides_the_outcome_changes_the_key(change: str, tmp_path: Path) -> None:
    before, (old, new) = first(load(tmp_path)), CHANGES[change]
    assert FIXED.count(old) == 1
    assert first(load(tmp_path, FIXED.replace(old, new))).key != before.key


def test_every_seed_task_row_budget_and_override_has_a_key_of_its_own(tmp_path: Path) -> None:
    suite = load(tmp_path)
    cells = [
        c for b in ("full", "short", "smoke") for c in plan.cells(suite, budget=b, seeds=[0, 1, 2])
    ]
    cells += plan.cells(suite, override={"precision": "bf16"})
    assert len({c.key for c in cells}) == len(cells) == 3 * 3 * 2 * 2 + 2 * 2 * 2


def test_a_path_outside_of_the_data_folder_is_told_apart_and_not_told(tmp_path: Path) -> None:
    """Keys of paths inside stay as they were: see the pinned ones."""
    places = ["/home/me/A", "/home/you/A", "../A", "../../A", "C:/me/A", "x/../../A"]
    cells = [first(load(tmp_path, FIXED.replace('"A"', f'"{place}"'))) for place in places]
    assert len({c.key for c in cells} | {first(load(tmp_path)).key}) == len(places)
    for place, c in zip(places, cells, strict=True):
        assert c.source[1].path == place, "it is read from there"
        source, _ = c.ends
        assert re.fullmatch(r"outside/A-[0-9a-f]{10}", source["path"])
        assert brief(DomainSpec.model_validate(source).public) == source, "so that a key is checked"
    same = first(load(tmp_path, FIXED.replace('"A"', '"/home/./me//A/"')))
    assert same.key == cells[0].key and cells[2].key == cells[5].key
    listed = DomainSpec(set="pacs", domain="photo", list="/home/me/list.txt").public
    assert re.fullmatch(r"outside/list\.txt-[0-9a-f]{10}", listed.list or "")


NEUTRAL = {
    "the row's id": ('id = "one"', 'id = "uno"'),
    "a label": ('label = "One"', 'label = "The first"'),
    "a note": ('label = "One"', 'label = "One"\nnote = "said in the table"'),
    "the title": (
        'title = "Fixed"',
        'title = "Another"\nabout = "text"\ndifferences = ["one"]\ntolerance = 2.0',
    ),
    "how many seeds are asked": ("seeds = 2", "seeds = 9"),
    "the note of a budget": ('note = "short"', 'note = "quick"'),
    "the length of a budget not used": (
        "recipe = { iterations = 10 }",
        "recipe = { iterations = 11 }",
    ),
    "another row": ('method = "source_only"', 'method = "target_only"'),
    "a default written out": (
        "lr = 0.01",
        'lr = 0.01\nmomentum = 0.9\ndecay = "all"\nclassifier = { hidden = [] }',
    ),
    "a hyper-parameter's default written out": ("gamma = 5.0", "gamma = 5.0, lam = 1.0"),
    "a whole number for a fraction": ("gamma = 5.0", "gamma = 5"),
    "the order of keys": ("iterations = 100\nbatch = 8", "batch = 8\niterations = 100"),
    "a claim": (
        "[budgets.short]",
        '[[published]]\nlabel = "x"\ncite = "ganin2016dann"\nwhere = "t1"\nvalues = {}\n\n[budgets.short]',
    ),
}


@pytest.mark.parametrize("change", NEUTRAL)
def test_what_does_not_decide_the_outcome_leaves_the_key(change: str, tmp_path: Path) -> None:
    before, (old, new) = first(load(tmp_path)), NEUTRAL[change]
    assert FIXED.count(old) == 1
    assert first(load(tmp_path, FIXED.replace(old, new))).key == before.key


def test_the_key_does_not_depend_on_where_the_suite_lies(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert first(load(tmp_path)).key == first(load(tmp_path / "elsewhere")).key


def test_cells_come_task_by_task_seed_by_seed_in_the_suites_order(tmp_path: Path) -> None:
    suite = load(tmp_path)
    order = [(c.task, c.seed, c.row) for c in plan.cells(suite)]
    assert order == [(t, s, r) for t in ("A-B", "B-A") for s in (0, 1) for r in ("one", "two")]
    chosen = plan.cells(suite, methods=["two", "one"], tasks=["B-A"], seeds=[3])
    assert [(c.task, c.seed, c.row) for c in chosen] == [("B-A", 3, "one"), ("B-A", 3, "two")]
    assert [c.source[0] for c in chosen] == ["B", "B"]


def test_hyper_parameters_are_changed_by_the_command_where_the_method_has_them(
    tmp_path: Path,
) -> None:
    one, two, *_ = plan.cells(load(tmp_path), override={"hyper": {"gamma": 2.0, "lam": 0.5}})
    assert one.hyper == {"gamma": 2.0, "lam": 0.5} and two.hyper == {}


def test_a_cell_knows_its_place(tmp_path: Path) -> None:
    cell = first(load(tmp_path), seeds=[7])
    assert cell.folder == Path("fixed", "one", "A-B")
    assert cell.stem == f"s7-{cell.key}"
    assert str(cell) == "one A-B seed 7"


def test_a_recipe_is_changed_by_the_row_then_the_budget_then_the_command(tmp_path: Path) -> None:
    text = FIXED.replace('label = "One"', 'label = "One"\nrecipe = { iterations = 50, batch = 4 }')
    suite = load(tmp_path, text + "\n[task_recipe.B-A]\niterations = 70\nsize = 32\n")
    recipe = lambda **how: first(suite, methods=["one"], **how).recipe  # noqa: E731
    assert (recipe().iterations, recipe().batch, recipe().size) == (50, 4, 28)
    assert (recipe(tasks=["B-A"]).iterations, recipe(tasks=["B-A"]).size) == (50, 32)
    assert (recipe(budget="short").iterations, recipe(budget="short").batch) == (10, 4)
    assert recipe(budget="short", override={"iterations": 5}).iterations == 5


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"methods": ["tow"]}, "unknown row 'tow'; did you mean 'two'"),
        ({"tasks": ["A-A"]}, "unknown task 'A-A'"),
        ({"budget": "shrt"}, "unknown budget 'shrt'; did you mean 'short'"),
        ({"methods": []}, "no row is named; known: one, two"),
        ({"tasks": []}, "no task is named; known: A-B, B-A"),
    ],
)
def test_unknown_names_are_refused(asked: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        plan.cells(load(tmp_path), **asked)


# seeds


def test_seeds_are_whole_numbers_each_once(tmp_path: Path) -> None:
    suite = load(tmp_path)
    assert len(plan.cells(suite, seeds=[0, 0, 1])) == 2 * len(plan.cells(suite, seeds=[0]))
    with pytest.raises(UsageError, match="a seed is too large"):
        plan.cells(suite, seeds=[2**70])
    with pytest.raises(UsageError, match="the seed -1 is negative"):
        plan.cells(suite, seeds=[-1])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0", [0]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("0,2,7-9", [0, 2, 7, 8, 9]),
        ("3, 1", [3, 1]),
        ("1,1,0-2", [1, 0, 2]),
        ("5-5", [5]),
    ],
)
def test_seeds_are_read(text: str, wanted: list[int]) -> None:
    assert plan.seeds(text) == wanted


@pytest.mark.parametrize(
    "text", ["", " ", "a", "-1", "1-", "0..4", "1,,2", "0x1", "1.5", "0-4-8", "--", "5-3", "0,5-3"]
)
def test_what_is_no_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write 0-4 or 0,2,5"):
        plan.seeds(text)


def test_a_range_beyond_reason_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="write 0-4 or 0,2,5"):
        plan.seeds("0-99999999999999")


def test_ten_thousand_seeds_are_a_range_and_one_more_is_beyond_reason() -> None:
    assert len(plan.seeds("1-10000")) == 10_000
    with pytest.raises(UsageError, match="write 0-4 or 0,2,5"):
        plan.seeds("0-10000")


@given(st.lists(st.integers(0, 300), min_size=1, max_size=9, unique=True))
def test_seeds_written_out_are_read_back(wanted: list[int]) -> None:
    assert plan.seeds(",".join(map(str, wanted))) == wanted


# states


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    write_suite(tmp_path)
    return first(suites.load(tmp_path / "tiny.toml"))


def state(cell: Cell, *found: Any) -> plan.CellState:
    (one,) = plan.states([cell], found)
    return one


def test_a_cell_without_records_is_pending(cell: Cell) -> None:
    assert (state(cell).label, state(cell).done, state(cell).torn, state(cell).stale) == (
        "pending",
        None,
        0,
        0,
    )


@pytest.mark.parametrize("status", ["ok", "diverged"])
def test_a_complete_record_makes_a_cell_done(status: str, cell: Cell) -> None:
    r = fakes.record(cell, status=status)
    assert state(cell, r).label == "done" and state(cell, r).done is r


@pytest.mark.parametrize("status", ["failed", None])
def test_a_failed_or_torn_record_leaves_it_to_be_run_again(status: str | None, cell: Cell) -> None:
    s = state(cell, fakes.record(cell, status=status))
    assert s.label == "pending" and s.done is None and s.torn == (status is None)


def test_the_newest_result_counts_and_a_later_failure_does_not_take_it_away(cell: Cell) -> None:
    old, new = fakes.record(cell, (70,), attempt=2), fakes.record(cell, (80,), attempt=10)
    later = [
        fakes.record(cell, status="failed", attempt=11),
        fakes.record(cell, status=None, attempt=12),
    ]
    for found in ([old, new, *later], [*later, new, old]):
        s = state(cell, *found)
        assert s.done is new and s.torn == 1


def test_of_failures_alone_the_last_is_the_result(cell: Cell) -> None:
    one, two = (fakes.record(cell, status="failed", attempt=n) for n in (1, 2))
    assert state(cell, two, one).failed is two
    assert state(cell).failed is None
    assert state(cell, fakes.record(cell, status=None)).failed is None


def test_a_record_of_another_recipe_is_stale_and_of_another_place_nothing(
    tmp_path: Path, cell: Cell
) -> None:
    (tmp_path / "new").mkdir()
    changed = first(suites.load(write_suite(tmp_path / "new", lr=0.5)))
    old = fakes.record(cell)
    assert state(changed, old).label == "stale" and state(changed, old).stale == 1
    other = first(suites.load(tmp_path / "tiny.toml"), seeds=[5])
    assert state(other, old).label == "pending" and state(other, old).stale == 0
    smoke = first(suites.load(tmp_path / "tiny.toml"), budget="smoke")
    assert state(smoke, old).label == "pending"


# forecast


def timed(cell: Cell, wall_s: float, **about: Any) -> Record:
    r = fakes.record(cell, **about)
    assert r.end is not None
    return replace(r, end=r.end.model_copy(update={"wall_s": wall_s}))


def test_the_forecast_is_the_median_of_the_rows_own_records(tmp_path: Path) -> None:
    suite = load(tmp_path)
    one, two = (first(suite, methods=[m]) for m in ("one", "two"))
    found = [timed(one, w, attempt=n) for n, w in enumerate((10, 20, 60), 1)] + [timed(two, 7)]
    assert forecast.forecast([one], found) == 20
    assert forecast.forecast([one, one, two], found) == 47
    assert forecast.forecast([], found) == 0


def test_a_forecast_names_the_records_that_it_is_made_from(tmp_path: Path) -> None:
    suite = load(tmp_path)
    one, two = (first(suite, methods=[m]) for m in ("one", "two"))
    short = timed(first(suite, budget="short"), 1)
    found = [timed(one, 20), timed(two, 7), timed(one, 1, status="diverged"), short]
    assert forecast.find_like([one], found) == found[:1]
    assert forecast.find_like([one, two], found) == found[:2]
    assert forecast.find_like([two], [found[0], short]) == found[:1], "a row never run: the others"
    assert forecast.find_like([], found) == []


def test_a_row_never_run_is_forecast_from_the_others_and_nothing_from_nothing(
    tmp_path: Path,
) -> None:
    suite = load(tmp_path)
    one, two = (first(suite, methods=[m]) for m in ("one", "two"))
    assert forecast.forecast([two], [timed(one, 10)]) == 10
    assert forecast.forecast([two], []) is None
    assert forecast.forecast([first(suite, budget="short")], [timed(one, 10)]) is None, (
        "another budget costs another time"
    )
    assert forecast.forecast([one], [timed(one, 1, status="diverged")]) is None, (
        "a run cut short says nothing"
    )


def test_the_longest_cells_come_first_and_unknown_ones_before_them(tmp_path: Path) -> None:
    rows = {"one": {"method": "source_only"}, "two": {"method": "dann"}}
    suite = suites.load(write_suite(tmp_path, rows=rows))
    one, two = plan.cells(suite, seeds=[0])[:2]
    later = one.with_seed(1)
    found = [timed(one, 10), timed(two, 30)]
    assert forecast.order_longest_first([one, later, two], found) == [two, one, later]
    assert forecast.order_longest_first([one, two], [timed(two, 5)]) == [one, two], "alike"
    assert forecast.order_longest_first([two, one], []) == [two, one]
    smoke = plan.cells(suite, seeds=[0], budget="smoke")[0]
    assert forecast.order_longest_first([two, smoke], [timed(two, 5)]) == [smoke, two]
