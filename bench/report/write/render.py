"""A suite and its records to the text of one file: Markdown, LaTeX or HTML."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.errors import unknown
from bench.report.numbers.selection import Select
from bench.report.numbers.view import View
from bench.report.page.layout import Page
from bench.report.page.page import (
    EVERYTHING,
    References,
    compose_accuracies,
    compose_costs,
    compose_paper,
)
from bench.runs.records import Record
from bench.suite.references import read_references
from bench.suite.suite import Suite

FORMAT_SUFFIXES = {"md": ".md", "latex": ".tex", "html": ".html"}  # name -> suffix of its files


def render_accuracies(
    suite: Suite,
    records: Iterable[Record],
    fmt: str = "md",
    select: Select = "last",
    references: References | None = None,
    view: View = EVERYTHING,
) -> str:
    """Every table of a suite in one format: measured beside published, gains, notes, references.

    fmt: md, latex or html. references: BibTeX key -> fields, by default those of
    `read_references`; a key that is not there stands for itself. view: the part of each table that
    is shown. The text ends in one newline.
    Raises UsageError for an unknown format.
    """
    known = read_references(suite.folder) if references is None else references
    return _write(compose_accuracies(suite, list(records), select, known, view), fmt)


def render_paper(
    suite: Suite,
    records: Iterable[Record],
    fmt: str = "md",
    select: Select = "last",
    references: References | None = None,
    view: View = EVERYTHING,
) -> str:
    """What was measured as papers print it: a row a method, the best marked, a caption.

    The arguments are those of `render_accuracies`. Raises BenchError when nothing was measured.
    """
    known = read_references(suite.folder) if references is None else references
    return _write(compose_paper(suite, list(records), select, known, view), fmt)


def render_costs(
    suite: Suite,
    records: Iterable[Record],
    fmt: str = "md",
    references: References | None = None,
    *,
    busy_too: bool = False,
) -> str:
    """Time and memory of every row that finished somewhere, beside what is published about them.

    busy_too: times taken on a busy machine enter ratios, too. The other arguments are those of
    `render_accuracies`.
    """
    known = read_references(suite.folder) if references is None else references
    return _write(compose_costs(suite, list(records), known, busy_too=busy_too), fmt)


def _write(page: Page, fmt: str) -> str:
    """The page in one format. What a format needs is imported only when it is asked for."""
    match fmt:
        case "md":
            from bench.report.write.markdown import write_markdown as write
        case "latex":
            from bench.report.write.latex import write_latex as write
        case "html":
            from bench.report.write.html import write_html as write
        case _:
            raise unknown("format", fmt, FORMAT_SUFFIXES)
    return write(page).rstrip("\n") + "\n"


@dataclass(frozen=True, repr=False)
class Rendered:
    """The page of a suite, written in a format when it is asked for."""

    suite: Suite
    records: tuple[Record, ...]
    select: Select = "last"  # which evaluation of a run counts
    cost: bool = False  # time and memory instead of accuracy

    def write(self, fmt: str) -> str:
        """The page as md, latex or html."""
        if self.cost:
            return render_costs(self.suite, self.records, fmt)
        return render_accuracies(self.suite, self.records, fmt, self.select)

    @property
    def markdown(self) -> str:
        return self.write("md")

    @property
    def html(self) -> str:
        return self.write("html")

    @property
    def latex(self) -> str:
        return self.write("latex")

    def __str__(self) -> str:
        return self.markdown

    def __repr__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        """What a notebook shows."""
        return self.markdown
