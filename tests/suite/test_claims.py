"""What a published row may state about its error bars."""

import pytest
from pydantic import ValidationError

from bench.suite.claims import Published

ABOUT = {"label": "x", "cite": "x", "where": "x", "values": {"A-B": "70.0±1.2"}}


@pytest.mark.parametrize("error", ["sd", "se", "ci95", None])
def test_an_error_bar_is_stated_with_its_number_of_runs_or_not_at_all(error):
    claim = Published(**ABOUT, **({"error": error, "n": 3} if error else {}))
    assert (claim.error, claim.n) == (error, 3 if error else None)


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"error": "sd"}, "state both or neither"),
        ({"n": 3}, "state both or neither"),
        ({"error": "std", "n": 3}, "'sd', 'se' or 'ci95'"),
        ({"error": "sd", "n": 1}, "greater than or equal to 2"),
        ({"error": "sd", "n": True}, "not true or false"),
        ({"error": "sd", "n": 3, "values": {"A-B": "70.0"}}, "no figure has one: remove it"),
    ],
)
def test_what_an_error_bar_cannot_be_is_refused(stated, words):
    with pytest.raises(ValidationError, match=words):
        Published(**(ABOUT | stated))


def test_an_average_may_be_the_figure_that_has_a_bar():
    claim = Published(**(ABOUT | {"values": {"A-B": "70.0"}}), average="70.0±1.0", error="se", n=5)
    assert claim.average.error == 1.0
