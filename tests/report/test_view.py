"""A part of a table: what is left out, and that no number of the rest changes."""

import re

import pytest
from fakes import GOLDEN, cell, everything, record, toy, write
from typer.testing import CliRunner

from bench.cli.app import app
from bench.cli.tables import choose_suites
from bench.errors import UsageError
from bench.report.numbers.aggregate import build_table
from bench.report.numbers.scores import AVERAGE
from bench.report.numbers.view import View, drop_empty
from bench.report.write.render import render_accuracies

TOY = toy()
ALL = everything(TOY)
WHOLE = build_table(TOY, ALL)
ON_A = [r for r in ALL if r.run.task == "A-B"]


def rows(table):
    return [g.row.id if g.row else None for g in table.groups]


def test_a_view_of_everything_is_the_table_itself():
    assert View().narrow(WHOLE) is WHOLE
    assert render_accuracies(TOY, ALL, view=View()) == render_accuracies(TOY, ALL)


def test_a_part_has_the_numbers_of_the_whole():
    part = View(rows=["dann"], tasks=["B-A"]).narrow(WHOLE)
    assert (rows(part), part.columns) == (["dann"], ("B-A",))
    (group,) = part.groups
    whole = next(g for g in WHOLE.groups if g.row and g.row.id == "dann")
    assert group.ours == whole.ours and group.gains == {"B-A": whole.gains["B-A"]}
    assert [c.claim.label for c in group.claims] == ["table 1"], "the other has no figure here"


def test_an_average_stands_only_beside_all_of_its_tasks():
    assert AVERAGE in View(rows=["dann"]).narrow(WHOLE).columns
    assert AVERAGE in View(tasks=["B-A", "A-B"]).narrow(WHOLE).columns
    part = View(tasks=["A-B"]).narrow(WHOLE)
    assert AVERAGE not in part.columns
    assert all(AVERAGE not in g.gains and g.oracle is None for g in part.groups)


def test_what_was_tried_in_vain_counts_as_measured():
    """Seeds that diverged or failed are shown, never dropped silently."""
    made = [record(cell(TOY, "dann", "B-A", 0), status="failed", reason="no memory")]
    part = View(measured=True).narrow(build_table(TOY, made))
    assert (rows(part), part.columns) == (["dann"], ("B-A",))


def test_rows_and_tasks_without_a_measurement_are_left_out_and_counted():
    part = View(measured=True).narrow(build_table(TOY, ON_A))
    assert rows(part) == ["plain", "dann", "dann-strong"] and part.columns == ("A-B",)
    text = render_accuracies(TOY, ON_A, view=View(measured=True))
    table = text.split("## ")[1]
    assert "Left out of this table: 2 of 5 rows and 1 of 2 tasks of which nothing was" in table
    assert "not measured" not in table and "B→A" not in table and "SAFN" not in text
    assert "| **DANN**" in table and "82.0 |" in table


def test_a_page_without_any_measurement_says_so():
    text = render_accuracies(TOY, [], view=View(measured=True))
    assert "Nothing was measured: all 5 rows are left out." in text
    assert "|:" not in text, "no table"


BARE = TOY.model_copy(update={"published": ()})


def test_a_task_without_a_measurement_and_a_claim_takes_no_column():
    (table, *_) = render_accuracies(BARE, ON_A).split("## ")[1:]
    assert "B→A" not in table and "Average" not in table and "| **DANN**" in table
    assert "Left out of this table: 1 of 2 tasks of which nothing was measured." in table
    assert re.search(r"\| +not measured \|", table), "a row that was not run keeps its line"
    (table, *_) = render_accuracies(TOY, ON_A).split("## ")[1:]
    assert "B→A" in table and "Average" in table, "something is published there"
    assert drop_empty(WHOLE) is WHOLE


def test_a_table_of_nothing_is_a_sentence():
    text = render_accuracies(BARE, [])
    assert "\n- Not measured, and nothing is published.\n" in text and "|:" not in text
    lost = [record(cell(BARE, "dann", "B-A", 0), status="failed", reason="no memory")]
    assert "| **DANN**" in render_accuracies(BARE, lost)


@pytest.mark.parametrize("fmt", ["md", "latex", "html"])
def test_only_what_is_shown_is_cited_and_explained(fmt):
    shown = render_accuracies(TOY, ALL, fmt, view=View(rows=["plain"]))
    assert re.search("table 1", shown) and not re.search("best epoch|row 12|sees the target", shown)
    whole = render_accuracies(TOY, ALL, fmt)
    assert all(text in whole for text in ("best epoch", "row 12", "sees the target"))


def test_the_average_that_is_left_out_is_told_of_and_no_gain_waits_for_it():
    text = render_accuracies(TOY, ALL, view=View(tasks=["A-B"]))
    assert "Left out of this table: 1 of 2 tasks.\n" in text
    assert "The average is over all tasks of the suite" in text
    assert "no average" not in text


def test_suites_that_have_what_is_asked_for_are_shown():
    def names(**asked):
        return [s.name for s in choose_suites(None, View(**asked))]

    assert names(tasks=["P-C"]) == ["domainnet126", "pacs12"]
    assert names(tasks=["P-C", "P-A"]) == ["domainnet126", "pacs", "pacs12"]
    with pytest.raises(UsageError, match="unknown task 'P-c'; did you mean 'P-C'"):
        names(tasks=["P-c"])
    with pytest.raises(UsageError, match="unknown row 'hda2'"):
        choose_suites("demo", View(rows=["hda2"]))
    with pytest.raises(UsageError, match="no suite has one of these rows and one"):
        names(tasks=["P-C"], rows=["lambda-10"])


def test_a_part_has_a_file_of_its_own(tmp_path, monkeypatch):
    """So that it does not replace the page of the whole, which `bench tables --check` compares."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write(tmp_path / "r", cell(TOY, "plain", "A-B", 0), (71.0,))
    ask = ["tables", "--suite", str(GOLDEN / "toy.toml"), "--results", str(tmp_path / "r")]
    ask += ["--out", str(tmp_path / "out"), "--format", "md,latex,html"]

    def run(*more):
        return CliRunner().invoke(app, [*ask, *more])

    assert run().exit_code == 0
    whole = {p.name: p.read_text("utf-8") for p in (tmp_path / "out").iterdir()}
    assert run("--measured", "--tasks", "A-B").exit_code == 0
    after = {p.name: p.read_text("utf-8") for p in (tmp_path / "out").iterdir()}
    assert after.items() > whole.items()
    assert after.keys() - whole.keys() == {"toy-part.md", "toy-part.tex", "toy-part.html"}
    for text in (after[name] for name in after.keys() - whole.keys()):
        assert "71.00 (1)" in text and "NoGRL" not in text
    assert run("--check").exit_code == 0 and run("--measured", "--check").exit_code == 1
