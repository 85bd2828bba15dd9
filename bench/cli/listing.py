"""Names that others still import from here; they are in `output` and `bench.suite.schema`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.cli.output import print_table
from bench.report.page.text import format_accuracy as score
from bench.suite.schema import compact

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["compact", "score", "show"]


def show(
    console: "Console", title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]
) -> None:
    print_table(title, columns, rows)
