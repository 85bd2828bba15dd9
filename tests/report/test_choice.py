"""What it costs to choose an evaluation without the target's labels."""

from dataclasses import replace
from typing import Any

import pytest
from fakes import cell, record, toy
from scipy.stats import spearmanr

from bench.report.numbers.choice import HONEST, judge_choices
from bench.report.numbers.scores import pick_evaluation
from bench.report.numbers.selection import SIGNS, Select
from bench.report.page.layout import lay_out_choices
from bench.report.write.render import render_accuracies
from bench.runs.records import Record

TOY = toy()
# accuracies of five evaluations, and scores of which "im" ranks as they do and "dev" the other way
REACHED = (70.0, 75.0, 80.0, 78.0, 72.0)
SCORES = {
    "entropy": (5.0, 4.0, 3.0, 2.0, 1.0),
    "im": REACHED,
    "snd": (5.0, 5.0, 1.0, 1.0, 1.0),
    "bnm": (1.0, 1.0, 1.0, 1.0, 1.0),
    "dev": REACHED,
}


def run(seed: int = 0, target: tuple[float, ...] = REACHED, **scores: Any) -> Record:
    """A record of a run with these scores at each of its evaluations."""
    made = record(
        cell(TOY, "plain", "A-B", seed), target=target, source=(90.0, 91.0, 92.0, 93.0, 94.0)
    )
    evals = tuple(
        e._replace(scores={k: v[i] for k, v in (SCORES | scores).items() if v})
        for i, e in enumerate(made.evals)
    )
    return replace(made, evals=evals)


@pytest.mark.parametrize(
    ("select", "index"),
    [("last", 4), ("best-on-source", 4), ("entropy", 4), ("im", 2), ("snd", 1), ("bnm", 4),
     ("dev", 0), ("best-on-target", 2)],
)  # fmt: skip
def test_the_best_by_a_score_is_chosen_the_latest_of_equals(select: Select, index: int) -> None:
    r = run()
    assert pick_evaluation(TOY, r, select) is r.evals[index]


def test_without_a_score_nothing_is_chosen() -> None:
    for missing in SIGNS:
        assert pick_evaluation(TOY, run(**{missing: ()}), missing) is None
        assert judge_choices(TOY, [run(**{missing: ()})]) == []
        now_and_then = run()
        first = now_and_then.evals[0]
        lacking = first._replace(scores={k: v for k, v in first.scores.items() if k != missing})
        now_and_then = replace(now_and_then, evals=(lacking, *now_and_then.evals[1:]))
        assert pick_evaluation(TOY, now_and_then, missing) is None


def test_regret_is_what_the_oracle_has_more_and_correlation_is_spearmans() -> None:
    choices = {c.select: c for c in judge_choices(TOY, [run(0), run(1, target=REACHED[::-1])])}
    assert set(choices) == set(HONEST)
    assert choices["last"].regret.mean == pytest.approx((8 + 10) / 2)
    assert choices["last"].worst == pytest.approx(10) and choices["last"].regret.n == 2
    lo, hi = choices["last"].interval or (0, 0)
    assert lo == pytest.approx(9 - 12.706 * 1, abs=0.01) and hi == pytest.approx(
        9 + 12.706, abs=0.01
    )
    assert choices["im"].regret.mean == pytest.approx((0 + 0) / 2)
    wanted = [
        spearmanr([-x for x in SCORES["entropy"]], t).statistic for t in (REACHED, REACHED[::-1])
    ]
    assert choices["entropy"].correlation == pytest.approx(sum(wanted) / 2)
    assert choices["bnm"].correlation is None, "all alike: there is nothing to rank by"
    assert choices["dev"].correlation == pytest.approx(-choices["im"].correlation)


def test_the_least_regret_comes_first_and_one_evaluation_is_no_choice() -> None:
    found = judge_choices(TOY, [run()])
    regrets = [c.regret.mean for c in found]
    assert regrets == sorted(regrets) and found[0].select == "im" and found[0].interval is None
    one = replace(run(), evals=run().evals[:1])
    assert judge_choices(TOY, [one]) == []
    assert len(lay_out_choices(found).lines) == len(HONEST)


def test_a_page_shows_what_choices_cost_and_what_a_score_chooses() -> None:
    runs = [run(seed) for seed in range(3)]
    page = render_accuracies(TOY, runs, "md")
    assert "Choosing an evaluation without the target's labels" in page
    assert "| **most mutual information**" in page
    chosen = render_accuracies(TOY, runs, "md", "dev")
    assert "least embedded risk (DEV)" in chosen and "70.00 ± 0.00 (3)" in chosen
    lacking = render_accuracies(TOY, [*runs[:2], run(2, dev=())], "md", "dev")
    assert "70.00 ± 0.00 (2) + 1 without scores" in lacking
