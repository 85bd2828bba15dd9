"""Which record counts for a cell, and what is said of the others."""

from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import fakes
import pytest
from helpers import write_suite

from bench.runs import plan
from bench.runs.cell import Cell
from bench.runs.files import encode
from bench.runs.ledger import settle
from bench.runs.lines import Probe
from bench.runs.records import Record, read_record
from bench.suite import released, suites
from bench.suite.suite import Suite

ROWS = {"one": {"method": "dann"}, "two": {"method": "source_only"}}


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return suites.load(write_suite(tmp_path, rows=ROWS))


@pytest.fixture
def cell(suite: Suite) -> Cell:
    return plan.cells(suite)[0]


def why(cells: list[Cell], *found: Record) -> list[tuple[str, str]]:
    return sorted((a.why, a.detail) for a in settle(cells, found).aside)


def test_one_training_is_found_by_every_suite_that_wants_it(tmp_path: Path, cell: Cell) -> None:
    """Names are not content: another suite, row, task and domain names, the same key."""
    rows = {"uno": {"method": "dann"}}
    other = suites.load(write_suite(tmp_path / "other", "renamed", rows=rows))
    again = plan.cells(other)[0]
    assert (again.suite, again.row) != (cell.suite, cell.row) and again.key == cell.key
    r = fakes.record(cell)
    assert [x for _, x in settle([again], [r]).counted] == [r]
    assert plan.states([again], [r])[0].label == "done"


def test_made_up_images_count_for_costs_and_smoke_alone(suite: Suite, cell: Cell) -> None:
    r = fakes.record(cell, generated=True)
    assert why([cell], r) == [("generated", "")]
    (state,) = plan.states([cell], [r])
    assert state.label == "made up" and not state.done
    (source, first), *rest = r.run.data.items() if r.run else ()
    half = r.run.model_copy(
        update={"data": {source: first.model_copy(update={"generated": False}), **dict(rest)}}
    )  # type: ignore[union-attr]
    assert why([cell], Record(r.path, half, r.evals, r.end)) == [("generated", "")]
    costs = Cell(
        **{f.name: getattr(cell, f.name) for f in fields(cell)} | {"generated_counts": True}
    )
    assert [x for _, x in settle([costs], [r]).counted] == [r]
    smoke = plan.cells(suite, budget="smoke")[0]
    assert plan.states([smoke], [fakes.record(smoke, generated=True)])[0].label == "done"


def probe(*losses: float, subject: str = "0" * 12) -> Probe:
    return Probe(subject=subject, losses=losses)


def test_records_of_different_code_are_never_both_counted(suite: Suite) -> None:
    first, second = plan.cells(suite, methods=["one"], seeds=[0, 1])
    old = fakes.record(first, (90.0,), probe=probe(1.0, 2.0), started="2026-01-01T00:00:00Z")
    new = fakes.record(second, (50.0,), probe=probe(1.0, 2.1), started="2026-01-02T00:00:00Z")
    for found in ([old, new], [new, old]):
        ledger = settle([first, second], found)
        assert [r for _, r in ledger.counted] == [new]
        assert why([first, second], *found) == [
            ("other code", "one: its probe differs from that of the newest record")
        ]
    assert [s.label for s in plan.states([first, second], [old, new])] == ["stale", "done"]


def test_the_one_rule_does_not_depend_on_which_cells_are_asked_for(suite: Suite) -> None:
    first, second = plan.cells(suite, methods=["one"], seeds=[0, 1])
    old = fakes.record(first, probe=probe(1.0), started="2026-01-01T00:00:00Z")
    new = fakes.record(second, probe=probe(2.0), started="2026-01-02T00:00:00Z")
    assert plan.states([first], [old, new])[0].label == "stale"


def test_a_budget_for_costs_counts_made_up_images(tmp_path: Path) -> None:
    for measures, counts in (("cost", True), ("accuracy", False)):
        more = f'[budgets.timing]\nmeasures = "{measures}"\nnote = "n"\nrecipe = {{ batch = 6 }}'
        timed = plan.cells(suites.load(write_suite(tmp_path, more=more)), budget="timing")[0]
        assert timed.generated_counts == counts


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (probe(1.0), probe(1.0 + 1e-5)),
        (probe(1.0), probe(1.0, 2.0)),
        (probe(1.0, 2.0), probe(1.0)),
        (probe(1e6), probe(1e6 + 10)),
    ],
    ids=["more than rounding", "a step more", "a step less", "large losses"],
)
def test_probes_that_tell_codes_apart_do(a: Probe, b: Probe, suite: Suite) -> None:
    first, second = plan.cells(suite, methods=["one"], seeds=[0, 1])
    found = [fakes.record(first, probe=a), fakes.record(second, probe=b)]
    assert len(settle([first, second], found).counted) == 1


def test_large_losses_may_differ_by_their_rounding(suite: Suite) -> None:
    first, second = plan.cells(suite, methods=["one"], seeds=[0, 1])
    found = [fakes.record(first, probe=probe(1e6)), fakes.record(second, probe=probe(1e6 + 0.5))]
    assert len(settle([first, second], found).counted) == 2


def test_what_has_no_end_does_not_say_which_code_is_todays(suite: Suite) -> None:
    first, second = plan.cells(suite, methods=["one"], seeds=[0, 1])
    done = fakes.record(first, probe=probe(1.0), started="2026-01-01T00:00:00Z")
    begun = fakes.record(second, probe=probe(9.0), started="2026-01-02T00:00:00Z", status=None)
    assert [r for _, r in settle([first, second], [done, begun]).counted] == [done]


def test_a_result_without_an_evaluation_is_damaged(cell: Cell) -> None:
    ((kind, detail),) = why([cell], fakes.record(cell, ()))
    assert kind == "damaged" and "without an evaluation" in detail


def test_other_suites_and_budgets_are_none_of_its_business(
    suite: Suite, cell: Cell, tmp_path: Path
) -> None:
    other = suites.load(write_suite(tmp_path / "o", "other", rows={"uno": ROWS["one"]}, lr=0.5))
    smoke = plan.cells(suite, budget="smoke")[0]
    assert why([cell], fakes.record(plan.cells(other)[0]), fakes.record(smoke)) == []


def test_a_knob_that_is_younger_than_a_record_is_no_change(tmp_path: Path, cell: Cell) -> None:
    r = fakes.record(cell)
    assert r.run
    recipe = {k: v for k, v in r.run.recipe.items() if k not in ("channels_last", "nesterov")}
    old = Record(r.path, r.run.model_copy(update={"recipe": recipe}), r.evals, r.end)
    changed = plan.cells(suites.load(write_suite(tmp_path / "new", rows=ROWS, lr=0.5)))[0]
    assert why([changed], old) == [("other recipe", "lr 0.001 instead of 0.5")]


def test_a_table_has_the_seeds_that_were_run_beyond_those_asked_for(suite: Suite) -> None:
    (far,) = plan.cells(suite, methods=["one"], seeds=[17])
    assert suite.seeds == 1
    assert [c for c, _ in plan.settle_suite(suite, [fakes.record(far)], "full").counted] == [far]


@pytest.mark.parametrize(
    "other",
    [probe(1.0 + 1e-8), probe(9.0, subject="1" * 12), None],
    ids=["rounding", "another subject", "none"],
)
def test_probes_that_cannot_tell_codes_apart_do_not(other: Probe | None, suite: Suite) -> None:
    first, second = plan.cells(suite, methods=["one"], seeds=[0, 1])
    found = [fakes.record(first, probe=probe(1.0)), fakes.record(second, probe=other)]
    assert len(settle([first, second], found).counted) == 2


def test_an_older_attempt_of_todays_code_counts_before_a_newer_one_of_other_code(
    suite: Suite,
) -> None:
    first, second = plan.cells(suite, methods=["one"], seeds=[0, 1])
    days = [f"2026-01-0{n}T00:00:00Z" for n in (1, 2, 3)]
    mine = fakes.record(first, probe=probe(2.0), started=days[0])
    strange = fakes.record(first, probe=probe(1.0), started=days[1], attempt=2)
    newest = fakes.record(second, probe=probe(2.0), started=days[2])
    assert [r for _, r in settle([first, second], [mine, strange, newest]).counted] == [
        mine,
        newest,
    ]


def test_the_newest_result_counts_wherever_it_lies(tmp_path: Path, cell: Cell) -> None:
    old = fakes.record(cell, (70.0,), attempt=9, started="2026-01-01T00:00:00Z")
    new = fakes.record(cell, (80.0,), attempt=1, started="2026-01-02T00:00:00Z")
    failed = fakes.record(cell, status="failed", attempt=10, started="2026-01-03T00:00:00Z")
    ledger = settle([cell], [failed, new, old])
    assert [r for _, r in ledger.counted] == [new]
    assert why([cell], failed, new, old) == [("replaced", "failed"), ("replaced", "ok")]


def test_a_default_of_a_method_that_changed_makes_its_records_stale(cell: Cell) -> None:
    r = fakes.record(cell)
    assert r.run
    before = r.run.model_copy(update={"hyper_all": r.run.hyper_all | {"gamma": 5.0}})
    old = Record(r.path, before, r.evals, r.end)
    assert why([cell], old) == [("other recipe", "hyper.gamma 5.0 instead of 10.0")]


def test_a_default_of_the_recipe_that_changed_makes_its_records_stale(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Keys count from the released defaults: here the code's 0.9 is an edit of a released 0.95."""
    monkeypatch.setitem(released.RECIPE, "momentum", 0.95)
    then = plan.cells(suite, override={"momentum": 0.95})[0]
    assert then.recipe.momentum == 0.95 and "momentum" not in then.content
    r = read_record(fakes.write(tmp_path, then))
    assert r.status == "ok", "it is no damage that the default is another one today"
    today = plan.cells(suite)[0]
    assert today.key != then.key
    assert why([today], r) == [("other recipe", "momentum 0.95 instead of 0.9")]
    assert plan.states([today], [r])[0].label == "stale"


def without_knob(cell: Cell, tmp_path: Path, knob: str) -> Record:
    """A record that an older program wrote, which did not know a knob."""
    run, *rest = fakes.lines(cell)
    older = run.model_copy(update={"recipe": {k: v for k, v in run.recipe.items() if k != knob}})  # type: ignore[union-attr]
    before = sha256()
    path = tmp_path / cell.folder / f"{cell.stem}-1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(encode(line, before) for line in (older, *rest)))
    return read_record(path)


def test_a_knob_that_is_younger_than_a_record_leaves_it_valid_at_its_first_default_alone(
    suite: Suite, cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    r = without_knob(cell, tmp_path / "a", "momentum")
    assert [found for _, found in settle([cell], [r]).counted] == [r]
    monkeypatch.setitem(released.RECIPE, "momentum", 0.5)
    then = plan.cells(suite, override={"momentum": 0.5})[0]
    r = without_knob(then, tmp_path / "b", "momentum")
    assert r.status == "ok"
    assert why(plan.cells(suite), r) == [("other recipe", "momentum 0.5 instead of 0.9")]


def test_a_record_of_a_seed_that_no_program_takes_is_damaged(
    suite: Suite, cell: Cell, tmp_path: Path
) -> None:
    """Tables ask for the seeds of all records, so that one could take them down."""
    path = fakes.write(tmp_path, cell)
    path.write_bytes(path.read_bytes().replace(b'"seed":0', b'"seed":%d' % 2**40))
    r = read_record(path)
    assert r.run is None and r.problem.startswith("damaged")
    assert plan.settle_suite(suite, [r], "full").counted == ()


def test_what_cannot_be_read_is_named_with_its_reason(tmp_path: Path, cell: Cell) -> None:
    path = fakes.write(tmp_path, cell)
    raw = path.read_bytes()
    for data, reason in (
        (raw.replace(b"80", b"81", 1), "damaged"),
        (raw.replace(b'"schema":2', b'"schema":1'), "run `bench convert`"),
        (raw.replace(b'"schema":2', b'"schema":3'), "a newer program"),
        (b"{}\n", "damaged"),
    ):
        path.write_bytes(data)
        ((kind, detail),) = why([cell], read_record(path))
        assert kind == "damaged" and reason in detail


def test_a_record_of_another_recipe_says_what_changed(tmp_path: Path, cell: Cell) -> None:
    changed = plan.cells(suites.load(write_suite(tmp_path / "new", rows=ROWS, lr=0.5)))[0]
    assert why([changed], fakes.record(cell)) == [("other recipe", "lr 0.001 instead of 0.5")]
    assert why([changed], fakes.record(cell, status=None)) == [
        ("other recipe", "lr 0.001 instead of 0.5")
    ]


def test_a_row_that_is_gone_is_said_to_be_gone(suite: Suite, tmp_path: Path) -> None:
    gone = fakes.record(plan.cells(suite, methods=["two"])[0])
    left = plan.cells(suites.load(write_suite(tmp_path / "new", rows={"one": ROWS["one"]})))
    assert why(left, gone) == [("other recipe", "the suite no longer has this row or task")]


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_the_records_changes_nothing(order: int, suite: Suite) -> None:
    cells = plan.cells(suite, seeds=range(4))
    found: list[Any] = [
        fakes.record(c, (50.0 + i,), attempt=a) for i, c in enumerate(cells) for a in (1, 2, 3)
    ]
    ledger = settle(cells, found[::order])
    assert [(c, r.path) for c, r in ledger.counted] == [
        (c, r.path) for c, r in settle(cells, found).counted
    ]
