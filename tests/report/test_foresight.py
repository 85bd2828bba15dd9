"""What a page says about unresolved verdicts and stated error bars."""

import re

import pytest
from fakes import GOLDEN, cell, record, toy

from bench.report.numbers.power import count_seeds, find_detectable
from bench.report.numbers.stats import Bar, estimate_welch, summarize
from bench.report.write.render import render_accuracies
from bench.suite.references import read_references

TOY = toy()
REFERENCES = read_references(GOLDEN)
FAR, NEAR = (84.9, 84.0, 83.1), (82.0, 83.9, 82.6)  # the claim is 82.0


def page(*values, suite=TOY):
    made = [record(cell(suite, "dann", "A-B", s), (x,)) for s, x in enumerate(values)]
    return render_accuracies(suite, made, "md", "last", REFERENCES)


def test_an_unresolved_verdict_says_how_many_seeds_settle_it():
    sd, gap = summarize(FAR).sd, summarize(FAR).mean - 82
    needed, least = count_seeds(gap, sd, 3, 1.0), find_detectable(sd, 3, tolerance=1.0)
    assert 3 < needed < 30
    line = f"- “DANN” against “table 1”: about {needed} seeds on A→B (now 3: gaps of {least:.1f} points and more)."
    assert page(*FAR).count(
        "How many seeds would settle an unresolved verdict"
    ) == 1 and line in page(*FAR)


def test_a_gap_at_the_edge_cannot_be_foretold():
    assert (
        "- “DANN” against “table 1”: the gap is too near the tolerance to tell on A→B (now 3)."
        in page(*NEAR)
    )


def test_nothing_is_foretold_of_settled_verdicts_and_single_seeds():
    assert "would settle" not in page(82.0) and "would settle" not in page(82.0, 82.1, 81.9)


@pytest.mark.parametrize("error", ["sd", "se"])
def test_a_stated_error_bar_counts_and_is_named(error):
    def stated(claim):
        about = {"values": {"A-B": "82.0±2.0"}, "error": error, "n": 3}
        return type(claim).model_validate(claim.model_dump() | about)

    claims = tuple(
        stated(c) if c.row == "dann" and c.label == "table 1" else c for c in TOY.published
    )
    suite = TOY.model_copy(update={"published": claims})
    text = page(*FAR, suite=suite)
    lo, hi = estimate_welch(FAR, 82.0, Bar(2.0 / (3**0.5 if error == "sd" else 1), 3))
    shown = f"+2.0 [{lo:.1f}, {hi:.1f}]".replace("-", "−")
    assert shown in text and shown not in page(*FAR)
    words = {"sd": "sample standard deviation", "se": "standard error"}[error]
    assert f"its ± is the {words} over 3 runs, so intervals are Welch's" in text
    assert "both errors count" in text and "both errors count" not in page(*FAR)


def test_a_match_is_called_two_one_sided_tests():
    assert re.search(r"two one-sided tests, TOST, each at 2\.5 %", page(*FAR))
    suite = TOY.model_copy(update={"confidence": 0.9})
    assert "TOST, each at 5 %" in page(*FAR, suite=suite)
