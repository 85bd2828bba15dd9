"""The findings: no figure that the command beside it does not print."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from helpers import stands_in
from typer.testing import CliRunner

from bench.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "results" / "FINDINGS.md").read_text(encoding="utf-8")
DIFFERENCE = re.compile(r"[+−]\d+\.\d+ \[([−\d.]+), ([−\d.]+)\]")
FIGURE = re.compile(rf"\d+\.\d+(?: ± \d+\.\d+)? \(\d+\)|\d+\.\d\d ms|{DIFFERENCE.pattern}")
SENTENCES = [" ".join(x.split()) for x in re.split(r"^(?=[-#])|\n\n", TEXT, flags=re.M)]
OPENINGS = tuple(
    f"- **{word}"
    for word in ("Holds", "Does not hold", "Not shown", "Open", "The baselines", "The best-known")
)  # the last two tell what no document claims
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
    figures = [m[0].removesuffix(" ms") for m in FIGURE.finditer(sentence)]
    assert commands and figures
    shown = " ".join(map(printed, commands)).replace(" points [", " [")
    assert [x for x in figures if not stands_in(shown, x)] == []


@pytest.mark.parametrize("sentence", MEASURED, ids=lambda s: s[2:40])
def test_a_verdict_is_that_of_an_interval(sentence: str) -> None:
    """Holds and does not hold: every interval decides, unless the claim is that two figures match or
    that every one of several seeds collapses. Not shown: no interval excludes 0."""
    bounds = [
        tuple(float(x.replace("−", "-")) for x in m.groups()) for m in DIFFERENCE.finditer(sentence)
    ]
    decided = [lo > 0 or hi < 0 for lo, hi in bounds]
    assert sentence.startswith(OPENINGS), "what is said of the claim?"
    if sentence.startswith(("- **Holds", "- **Does not hold")):
        assert " match " in sentence or "± 0.00 (" in sentence or (decided and all(decided))
    elif sentence.startswith("- **Not shown"):
        assert bounds and not any(decided)


def test_it_is_a_page_and_speaks_of_every_document() -> None:
    prose = re.sub(r"`bench [^`]*`", "", TEXT)
    assert len(MEASURED) > 10 and len(prose.split()) < 1000
    for word in ("DANN practical", "AlexNet homework", "ToAlign", "NoGRL"):
        assert word in TEXT
