"""Which verdicts and gains are open, and for which cells a further seed is wanted."""

import numpy as np
import pytest
from fakes import cell, record, toy

from bench.report.numbers.questions import has_claims, list_questions
from bench.runs.plan import settle_suite

TOY = toy()
BOTH = ("A-B", "B-A")


def ask(made, rows=("plain", "dann"), tasks=BOTH, suite=TOY):
    found = [record(cell(suite, *place), (x,)) for place, x in made.items()]
    return list_questions(suite, settle_suite(suite, found, "full"), rows, tasks)


def runs(row, task, *values):
    return {(row, task, seed): x for seed, x in enumerate(values)}


def test_verdicts_are_settled_by_the_sequence_and_not_by_students_interval():
    # 82.0 is claimed; t = 7.5 excludes the tolerance by Student's interval, and not by the sequence
    few = ask(runs("dann", "A-B", 84.0, 84.4, 84.8), ["dann"], ["A-B"])
    assert [q.answer for q in few] == ["unresolved", "unresolved"], "table 1 and the best epoch"
    assert all(q.open and q.places == {("dann", "A-B")} for q in few)
    more = ask(runs("dann", "A-B", 84.0, 84.4, 84.8, 84.1, 84.5, 84.6), ["dann"], ["A-B"])
    assert [q.answer for q in more] == ["differs", "unresolved"]
    match = ask(runs("dann", "A-B", 82.0, 82.02, 82.04), ["dann"], ["A-B"])
    assert match[0].answer == "match"


def test_an_average_is_asked_for_where_all_tasks_are():
    made = runs("plain", "A-B", 75.2, 75.22, 75.18) | runs("plain", "B-A", 50.0, 70.0, 60.0)
    on_target = ask(made, ["plain"])[:3]
    assert [(q.tasks, q.answer) for q in on_target] == [
        (("A-B",), "match"), (("B-A",), "unresolved"), (BOTH, "unresolved"),
    ]  # fmt: skip
    assert on_target[2].places == {("plain", "A-B"), ("plain", "B-A")}
    assert all(q.tasks != BOTH for q in ask(made, ["plain"], ["A-B"]))


def test_what_has_no_value_is_not_worth_more_seeds():
    found = ask({}, ["dann"])
    assert {q.answer for q in found} == {"not measured"} and not any(q.open for q in found)


@pytest.mark.parametrize(
    ("up", "answer"), [(10.0, "gain"), (-10.0, "loss"), (0.0, "equal"), (None, "unresolved")]
)
def test_gains_are_asked_for_where_nothing_is_published(up, answer):
    suite = TOY.model_copy(update={"published": ()})
    base = runs("plain", "A-B", 70.0, 75.0, 71.0, 80.0)
    noise = (0.0, 0.02, -0.02, 0.04) if up is not None else (9.0, -9.0, 3.0, 0.0)
    ours = {
        ("dann", *k[1:]): x + (up or 0) + e for (k, x), e in zip(base.items(), noise, strict=True)
    }
    (found,) = ask(base | ours, tasks=["A-B"], suite=suite)
    assert (found.answer, found.places) == (answer, {("plain", "A-B"), ("dann", "A-B")})
    (unshared,) = ask(base | {("dann", "A-B", 9): 1.0}, tasks=["A-B"], suite=suite)
    assert unshared.answer == "not measured"
    (one,) = ask(base | {("dann", "A-B", 1): 1.0}, tasks=["A-B"], suite=suite)
    assert one.answer == "unresolved"


def test_claims_are_those_of_the_rows_and_tasks():
    assert has_claims(TOY, ["dann"], ["B-A"]) and not has_claims(TOY, ["target"], BOTH)
    assert not has_claims(TOY, ["dann"], ["A-C"])


def test_gains_hold_over_the_whole_sequence():
    """Two equal rows, looked at from 3 to 12 seeds: a gain or a loss is called in at most 5 of 100."""
    from bench.report.numbers.questions import _judge_gain
    from bench.report.numbers.scores import Score

    suite = TOY.model_copy(update={"tolerance": 0.01})
    wrong = 0
    for differences in np.random.default_rng(4).normal(0, 1, (400, 12)).tolist():
        words = set()
        for n in range(3, 13):
            ours = Score(dict(enumerate(differences[:n])), {}, ())
            words.add(_judge_gain(suite, ours, Score(dict.fromkeys(range(n), 0.0), {}, ())))
        wrong += bool(words & {"gain", "loss"})
    assert 0 < wrong <= 0.05 * 400
