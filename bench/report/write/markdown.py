"""A page as Markdown, in GitHub's dialect."""

import re

from tabulate import tabulate

from bench.report.page.layout import Grid, Line, Page
from bench.report.write.prose import split_code


def write_markdown(page: Page) -> str:
    """The whole file."""
    parts = [f"# {escape_markdown(page.title)}", escape_markdown(page.about)]
    parts += [f"**{escape_markdown(warning)}**" for warning in page.warnings]
    for section in page.sections:
        panels = section.grid.panels() if section.grid else []
        parts += [f"## {escape_markdown(section.title)}", *map(_write_grid, panels)]
        parts.append(escape_markdown(section.grid.caption) if section.grid else "")
        parts.append("\n".join(f"- {escape_markdown(note)}" for note in section.notes))
    if page.references:
        entries = (
            f"- {escape_markdown(f'{r.short}: {r.text}')}" + (f" <{r.url}>" if r.url else "")
            for r in page.references
        )
        parts += ["## References", "\n".join(entries)]
    return "\n\n".join(p for p in parts if p)


def _write_grid(grid: Grid) -> str:
    text: str = tabulate(
        [[_label(line), *_cells(line)] for line in grid.lines],
        headers=list(map(_escape_cell, grid.head)),
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left", *["right"] * (len(grid.head) - 1)],
    )
    return text


def _cells(line: Line) -> list[str]:
    marked = {"best": "**%s**", "second": "<u>%s</u>", "": "%s"}
    marks = line.marks or ("",) * len(line.cells)
    return [marked[m] % _escape_cell(c) for m, c in zip(marks, line.cells, strict=True)]


def _escape_cell(text: str) -> str:
    return escape_markdown(text, cell=True)


def _label(line: Line) -> str:
    text = _escape_cell(line.label)
    return f"**{text}**" if line.kind in ("ours", "heading") and not line.marks else text


MARKS = re.compile(
    r"[\\\\`*<|~$#]"  # always markup
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis, unless it stands inside a word
    r"|&(?=#?\w+;)"  # a character by its name
    r"|\](?=[(\[:])"  # a link, an image or the address of a link
)
STARTS = re.compile(r"[-+](?=\s|$)|>|-(?=--)|\[(?=[ xX]\])")
"""What is markup at the start of a line alone: a list, a quotation, a rule, a box to tick."""
NUMBERED = re.compile(r"(\d+)([.)])(?=\s|$)")


def escape_markdown(text: str, *, cell: bool = False) -> str:
    """Plain text as Markdown that prints it: nothing in it is markup but `code`.

    cell: whether it stands in a table, where bars part the cells even within code.
    """
    escaped = "".join(_escape(piece, code, cell) for piece, code in split_code(text))
    if STARTS.match(escaped):
        return "\\" + escaped
    return NUMBERED.sub(r"\1\\\2", escaped, count=1) if NUMBERED.match(escaped) else escaped


def _escape(piece: str, code: bool, cell: bool) -> str:
    if code and not cell:
        return f"`{piece}`"
    if code and "\\" not in piece:  # which could not be told from the escape of a bar
        return "`" + piece.replace("|", r"\|") + "`"
    return MARKS.sub(r"\\\g<0>", f"`{piece}`" if code else piece)
