"""The report as one HTML file that fetches nothing: `report/`'s template, style and script."""

import re
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from bench.paths import VERSION
from bench.report.page.report import Report
from bench.report.write.html import environment

FOLDER = Path(__file__).parent / "report"
MARKS = {  # verdict -> symbol, word, what it means; the symbol survives greyscale
    "match": ("≈", "match", "the whole interval lies within the tolerance, mostly ±1 point"),
    "above": ("▲", "differs", "all of it lies above"),
    "below": ("▼", "differs", "all of it lies below"),
    "unresolved": ("?", "unresolved", "neither: too few seeds, or too near the tolerance"),
    "holds": ("✓", "holds", "the interval lies on the side that a statement claims"),
    "fails": ("✗", "does not hold", "it lies on the other side"),
}  # fmt: skip


def write_report(report: Report) -> str:
    """The whole file."""
    env = environment(FOLDER)
    env.filters["address"] = write_address
    return env.get_template("report.html").render(
        report=report,
        data=Markup(report.write_data()),
        style=Markup((FOLDER / "report.css").read_text(encoding="utf-8")),
        script=Markup((FOLDER / "report.js").read_text(encoding="utf-8")),
        marks=MARKS,
        version=VERSION,
    )


def write_address(svg: bytes) -> str:
    """A picture as an address that holds it, which no page or browser takes for markup.

    As text it is a fifth shorter than in base64. XML takes any white space for a single one, and a
    line break would need three characters here.
    """
    text = re.sub(rb"\s+", b" ", svg)
    return "data:image/svg+xml," + quote(text, safe=" !$()*+,-./:;=?@[]^_{|}~")
