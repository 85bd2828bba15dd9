"""A suite's page -> Markdown, LaTeX or HTML. The same suite and records give the same bytes on every machine."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from tabulate import tabulate

from bench import paths
from bench.errors import unknown
from bench.report.numbers.scores import Select
from bench.report.page import cites, page
from bench.report.page.layout import Grid, Page
from bench.report.write import latex
from bench.runs.records import Record
from bench.suite.suites import Suite


def render(
    suite: Suite,
    records: Iterable[Record],
    fmt: str = "md",
    select: Select = "last",
    references: Mapping[str, cites.Fields] | None = None,
) -> str:
    """Every table of a suite as md, latex or html, ending in a newline: measured beside published, gains, notes, references.

    references: BibTeX key -> fields, by default those of `paths.references`; a key that is not there stands for itself.
    """
    known = paths.references(suite.folder) if references is None else references
    return _write(page.accuracies(suite, list(records), select, known), fmt)


def cost(
    suite: Suite,
    records: Iterable[Record],
    fmt: str = "md",
    references: Mapping[str, cites.Fields] | None = None,
) -> str:
    """Time and memory of every row that finished somewhere, beside what is published about them, in one format."""
    known = paths.references(suite.folder) if references is None else references
    return _write(page.costs(suite, list(records), known), fmt)


def _write(content: Page, fmt: str) -> str:
    writers = {"md": markdown, "latex": latex.write, "html": html}
    if fmt not in writers:
        raise unknown("format", fmt, writers)
    return writers[fmt](content).rstrip("\n") + "\n"


def markdown(content: Page) -> str:
    parts = [
        f"# {_md(content.title)}",
        _md(content.about),
        *(f"**{_md(w)}**" for w in content.warnings),
    ]
    for section in content.sections:
        parts += [
            f"## {_md(section.title)}",
            *map(_md_grid, section.grid.panels() if section.grid else []),
        ]
        parts += ["\n".join(f"- {_md(note)}" for note in section.notes)]
    if content.references:
        entries = [
            f"- {_md(r.short)}: {_md(r.text)}" + (f" <{r.url}>" if r.url else "")
            for r in content.references
        ]
        parts += ["## References", "\n".join(entries)]
    return "\n\n".join(p for p in parts if p)


def _md_grid(grid: Grid) -> str:
    rows = [
        [
            f"**{_md(x.label)}**" if x.kind in ("ours", "heading") else _md(x.label),
            *map(_md, x.cells),
        ]
        for x in grid.lines
    ]
    align = ["left", *["right"] * (len(grid.head) - 1)]
    text: str = tabulate(
        rows, headers=[*map(_md, grid.head)], tablefmt="pipe", disable_numparse=True, colalign=align
    )
    return text


def _md(text: str) -> str:
    """Escape what Markdown would read as markup, outside `code`."""
    return re.sub(r"(`[^`]*`)|([\\|*<])", lambda m: m[1] or "\\" + m[2], text)


def html(content: Page) -> str:
    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    env.filters["prose"] = lambda text: Markup(
        re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text)))
    )
    return env.get_template("page.html").render(page=content)
