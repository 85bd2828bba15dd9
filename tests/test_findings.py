"""The findings: no figure that the command beside it does not print."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "results" / "FINDINGS.md").read_text(encoding="utf-8")
FIGURE = re.compile(r"\d+\.\d+(?: ± \d+\.\d+)? \(\d+\)|[+−]\d+\.\d+ \[[−\d.]+, [−\d.]+\]")
SENTENCES = [" ".join(x.split()) for x in re.split(r"^(?=[-#])|\n\n", TEXT, flags=re.M)]
MEASURED = [x for x in SENTENCES if x.startswith("- ") and "Not measured:" not in x]


@cache
def printed(command: str) -> str:
    """What the command prints of the records here, or the page that `bench tables` wrote."""
    words = shlex.split(command)[1:]
    if words[0] == "tables":
        cost = "-cost" if "--cost" in words else ""
        page = ROOT / "tables" / "rendered" / f"{words[words.index('--suite') + 1]}{cost}.md"
        return page.read_text(encoding="utf-8")
    done = CliRunner().invoke(app, [*words, "--results", str(ROOT / "results")])
    assert done.exit_code == 0, (command, done.output)
    return done.stdout


@pytest.mark.parametrize("sentence", MEASURED, ids=lambda s: s[2:40])
def test_every_figure_is_printed_by_the_command_beside_it(sentence: str) -> None:
    commands = re.findall(r"`(bench [^`]*)`", sentence)
    figures = FIGURE.findall(sentence)
    assert commands and (figures or "--cost" in sentence)
    shown = " ".join(map(printed, commands)).replace(" points [", " [")
    assert [x for x in figures if x not in shown] == []


def test_it_is_a_page_and_speaks_of_every_document() -> None:
    assert len(MEASURED) > 10 and len(TEXT.split()) < 1000
    for word in ("DANN practical", "AlexNet homework", "ToAlign", "NoGRL"):
        assert word in TEXT
