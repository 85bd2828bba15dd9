"""A page as one HTML file that fetches nothing: `templates/page.html`, filled in."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.report.page.layout import Page

TEMPLATES = Path(__file__).parent / "templates"


def write_html(page: Page) -> str:
    """The whole file."""
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["prose"] = _mark_code
    return env.get_template("page.html").render(page=page)


def _mark_code(text: str) -> Markup:
    """Escaped text, with <code> for what stands between backticks."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))
