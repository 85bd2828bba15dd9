"""`bench diff`: two protocols side by side."""

from typing import Annotated

import typer

from bench.cli.output import print_table


def compare_protocols(
    a: Annotated[
        str, typer.Argument(metavar="A", help="A preset, a suite or SUITE:ROW.", show_default=False)
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.", show_default=False)],
) -> None:
    """Show the recipe knobs in which two protocols differ, side by side."""
    from bench.suite.diff import diff
    from bench.suite.schema import compact

    if found := diff(a, b):
        rows = (
            (knob, *("none" if v is None else compact(v) for v in sides)) for knob, *sides in found
        )
        print_table(f"{a} and {b}", ("knob", a, b), rows)
    else:
        typer.echo(f"{a} and {b} do not differ in any knob")
