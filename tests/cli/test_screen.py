"""What remains on the screen of a cell that has ended."""

from pathlib import Path
from typing import Any

import fakes
import pytest

from bench.cli.screen import describe_end
from bench.engine.events import Ended

TOY = fakes.toy()
CELL = fakes.cell(TOY, "plain", "A-B", 0)


def ended(root: Path, *accuracies: Any, **about: Any) -> str:
    path = fakes.write(root, CELL, *accuracies, **about)
    return describe_end(Ended(CELL, about.get("status", "ok"), about.get("reason", ""), path))


def test_the_score_is_that_of_the_last_evaluation_even_where_another_was_better(
    tmp_path: Path,
) -> None:
    line = ended(tmp_path, (90.0, 60.0, 70.0), (95.0, 99.0, 98.0), ms=12.34)
    assert line == "plain A-B seed 0: target 70.00 %, source 98.00 % (12.3 ms/it, 1 min)"


@pytest.mark.parametrize(("status", "reason"), [("diverged", "not finite"), ("failed", "")])
def test_what_went_wrong_is_said_in_place_of_a_score(
    status: str, reason: str, tmp_path: Path
) -> None:
    line = ended(tmp_path, status=status, reason=reason)
    assert line == f"plain A-B seed 0: {status}" + (f": {reason}" if reason else "")
