"""What remains on the screen of a cell that has ended."""

from io import StringIO
from pathlib import Path
from typing import Any

import fakes
import pytest
from rich.console import Console

from bench.cli.screen import (
    Screen,
    describe_end,
    describe_measured,
    describe_target,
    show_images,
)
from bench.engine.events import Ended, Substituted

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


def test_of_a_cell_with_many_measures_the_first_few_remain(tmp_path: Path) -> None:
    suite = fakes.made()
    cell = fakes.cell(suite, "cdcgan", "digits", 0)
    values = {"frechet": 15.348838, "kernel": 0.653887, "clear": 0.97, "modes": 10.0, "recall": 0.4}
    record = fakes.write_generated(tmp_path, cell, [values])
    line = describe_end(Ended(cell, "ok", "", record.path))
    assert line.startswith(f"{cell}: frechet 15.35, kernel 0.6539, clear 0.97, modes 10 (")
    assert describe_measured(record.evals[-1]).endswith("modes 10, recall 0.4")
    assert describe_target(record.evals[-1]) == "frechet 15.35"


def test_what_reads_like_markup_is_printed_as_it_is() -> None:
    out = StringIO()
    screen = Screen(Console(file=out, width=200))
    with screen:
        screen.draw(Substituted(("mnist",), Path("/data/[old]/[/b]")))
    assert "no readable data under /data/[old]/[/b]" in out.getvalue()


def test_what_images_lack_is_printed_as_it_is() -> None:
    out = StringIO()
    show_images([("A", "no folder /data/[old]/[/b]")], Console(file=out, width=200))
    assert "no folder /data/[old]/[/b]" in out.getvalue()


def test_domains_that_lack_their_images_for_one_reason_share_its_sentence() -> None:
    lacking = [(name, "no pacs below /data") for name in ("P", "A")]
    told, left = StringIO(), StringIO()
    show_images(lacking, Console(file=told, width=200))
    show_images(lacking, Console(file=left, width=200), reasons=False)
    assert told.getvalue().count("no pacs below /data") == 1 and "P, A: no pacs" in told.getvalue()
    assert "unknown" in left.getvalue() and "no pacs" not in left.getvalue()


def test_a_bar_names_its_cell_as_it_is() -> None:
    """A folder of the user's own suite may be called anything."""
    out = StringIO()
    console = Console(file=out, width=200, force_terminal=True)
    with Screen(console) as screen:
        screen._show("key", "photo-[old]-[/b]", 1, 2, "iterations")
        screen._progress.refresh()
    assert "photo-[old]-[/b]" in out.getvalue()
