"""A page as one HTML file that fetches nothing: `templates/page.html`, filled in."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.report.page.layout import Page
from bench.report.write.prose import flatten, split_code

TEMPLATES = Path(__file__).parent / "templates"


def write_html(page: Page) -> str:
    """The whole file."""
    return environment(TEMPLATES).get_template("page.html").render(page=page)


def environment(folder: Path) -> Environment:
    """For the templates of a folder: texts are escaped, `prose` marks code, `line` is one line."""
    env = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"prose": escape_html, "line": flatten}
    return env


def escape_html(text: str) -> Markup:
    """Plain text as HTML that prints it: nothing in it is markup but `code`."""
    return Markup().join(
        Markup("<code>{}</code>").format(piece) if code else escape(piece)
        for piece, code in split_code(text)
    )
