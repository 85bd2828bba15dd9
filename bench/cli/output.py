"""Tables on the terminal."""

import sys
from collections.abc import Container, Iterable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

PIPED_WIDTH = 160  # columns of output that goes to a file or another program
TABLE_WIDTH = 120  # columns of the widest table, however wide the terminal: wider is hard to read


@cache
def console() -> "Console":
    """The one console of this process. Plain sentences need none: `typer.echo` prints them."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)


def print_table(
    title: str,
    columns: Iterable[str],
    rows: Iterable[Iterable[object]],
    *,
    right: Container[str] = (),
) -> None:
    """Print one table, None as an empty cell. Without a header when every column name is empty,
    and without the columns in which every cell is empty. right: the columns of numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    cells = [["" if x is None else escape(str(x)) for x in row] for row in rows]
    columns = list(columns)
    kept = [i for i in range(len(columns)) if not cells or any(row[i] for row in cells)]
    table = Table(show_header=any(columns), box=SIMPLE_HEAD)
    for i in kept:
        justify: JustifyMethod = "right" if columns[i] in right else "left"
        table.add_column(columns[i], overflow="fold", justify=justify)
    for row in cells:
        table.add_row(*(row[i] for i in kept))
    console().print(title, soft_wrap=True, highlight=False, markup=False)
    console().print(table, width=min(console().width, TABLE_WIDTH))
