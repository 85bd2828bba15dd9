"""Tables on the terminal."""

import sys
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 160  # columns of output that goes to a file or another program


@cache
def console() -> "Console":
    """The one console of this process. Plain sentences need none: `typer.echo` prints them."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print one table, None as an empty cell. Without a header when every column name is empty."""
    from rich.markup import escape
    from rich.table import Table

    columns = list(columns)
    table = Table(title=title, title_justify="left", show_header=any(columns))
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if x is None else escape(str(x)) for x in row))
    console().print(table)
