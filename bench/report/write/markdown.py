"""A page as Markdown, in GitHub's dialect."""

import re

from tabulate import tabulate

from bench.report.page.layout import Grid, Line, Page


def write_markdown(page: Page) -> str:
    """The whole file."""
    parts = [f"# {escape_markdown(page.title)}", escape_markdown(page.about)]
    parts += [f"**{escape_markdown(warning)}**" for warning in page.warnings]
    for section in page.sections:
        panels = section.grid.panels() if section.grid else []
        parts += [f"## {escape_markdown(section.title)}", *map(_write_grid, panels)]
        parts.append("\n".join(f"- {escape_markdown(note)}" for note in section.notes))
    if page.references:
        entries = (
            f"- {escape_markdown(r.short)}: {escape_markdown(r.text)}"
            + (f" <{r.url}>" if r.url else "")
            for r in page.references
        )
        parts += ["## References", "\n".join(entries)]
    return "\n\n".join(p for p in parts if p)


def _write_grid(grid: Grid) -> str:
    text: str = tabulate(
        [[_label(line), *map(escape_markdown, line.cells)] for line in grid.lines],
        headers=[escape_markdown(h) for h in grid.head],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left", *["right"] * (len(grid.head) - 1)],
    )
    return text


def _label(line: Line) -> str:
    text = escape_markdown(line.label)
    return f"**{text}**" if line.kind in ("ours", "heading") else text


def escape_markdown(text: str) -> str:
    """Escape what Markdown would read as markup, except between backticks."""
    return re.sub(r"(`[^`]*`)|([\\|*<])", lambda m: m[1] or "\\" + m[2], text)
