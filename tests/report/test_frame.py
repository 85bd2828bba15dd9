"""Records as a table for pandas: a row for each evaluation."""

from dataclasses import replace

from fakes import cell, record, toy

from bench.report.numbers.frame import tidy
from bench.runs.records import Evaluation

CELL = cell(toy(), "dann", "A-B", 0)


def test_every_evaluation_is_a_row_and_the_last_one_is_marked():
    frame = tidy([record(CELL, (60.0, 75.0), (99.0, 98.0), ms=20.0)])
    assert list(frame["last"]) == [False, True] and list(frame["step"]) == [999, 1000]
    assert list(frame["target_accuracy"]) == [60.0, 75.0]
    assert list(frame["source_accuracy"]) == [99.0, 98.0]
    assert list(frame["target_correct"]) == [6000, 7500] and set(frame["source_total"]) == {10_000}
    row = frame.iloc[-1]
    assert (row["ms"], row["wait_ms"]) == (20.0, 1.0), "medians"
    assert row["hyper.lam"] == 1.0 and row["hyper.gamma"] == 10.0, "defaults too"


def test_a_record_without_an_evaluation_is_a_row_of_its_own():
    (row,) = tidy([record(CELL, status="diverged", reason="nan")]).to_dict("records")
    assert row["status"] == "diverged" and row["row"] == "dann" and "step" not in row


def test_whatever_else_a_task_measured_is_a_column():
    measured = replace(record(CELL), evals=(Evaluation(1000, values={"distance": 0.25}),))
    (row,) = tidy([measured]).to_dict("records")
    assert row["distance"] == 0.25 and "target_accuracy" not in row
