"""The program `bench`: every command under its name, and what a user sees when one fails."""

import errno
import gc
import os
import signal
import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bench.cli import (
    compare,
    convert,
    data,
    diff,
    doctor,
    explain,
    export,
    figures,
    ls,
    merge,
    plan,
    predict,
    report,
    run,
    show,
    status,
    tables,
    tune,
)
from bench.errors import BenchError, shorten
from bench.paths import VERSION


class Program(TyperGroup):
    """All commands, and `--version`, which is answered after any command too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["--version"] if "--version" in args else args)


# rich_markup_mode=None: help without colours and boxes, which take a second to import
app = typer.Typer(
    name="bench",
    cls=Program,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 100},
    help="Reproduce unsupervised domain adaptation benchmarks: train a grid, record every run, and "
    "print measured accuracies beside published ones.",
)
data_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Download, check, generate and find data sets.",
)

app.command("run")(run.run_cells)
app.command("status")(status.show_status)
app.command("plan")(plan.forecast_grid)
app.command("tune")(tune.tune_rows)
app.command("tables")(tables.print_tables)
app.command("compare")(compare.compare_rows)
app.command("figures")(figures.draw_figures)
app.command("report")(report.write_report)
app.command("ls")(ls.list_known)
app.command("predict")(predict.predict_folder)
app.command("diff")(diff.compare)
app.command("show")(show.show_record)
app.command("merge")(merge.merge_folders)
app.command("explain")(explain.explain_row)
app.command("export")(export.export_records)
app.command("convert")(convert.convert_records)
app.command("doctor")(doctor.show_installation)
app.add_typer(data_app, name="data")
data_app.command("get")(data.get_data)
data_app.command("doctor")(data.check_data)
data_app.command("generate")(data.generate_data)
data_app.command("where")(data.find_data)


def print_version(asked: bool) -> None:
    """Print the version and exit, if asked."""
    if asked:
        typer.echo(f"bench {VERSION}")
        raise typer.Exit


@app.callback()
def accept_version(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=print_version, is_eager=True
        ),
    ] = False,
) -> None: ...


def open_streams() -> None:
    """Give the process all three standard streams, whose files the shell may have closed (`>&-`).

    Otherwise the next file to be opened, a record say, would get the number of one of them, and
    whatever a library prints would be written into it.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a path need not be text that can be encoded
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run one command; what goes wrong ends it with a sentence on stderr, never with a traceback.

    Whoever reads our output may stop reading (`| head`): then we stop, as if nothing were wrong.
    """
    gc.set_threshold(100_000, 50, 100)  # thousands of records are read, and none of it is garbage
    open_streams()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BenchError as e:
        typer.echo(f"bench: {e}", err=True)
        sys.exit(e.exit_code)
    except OSError as e:
        if e.errno != errno.EPIPE:
            place = f" ({shorten(str(e.filename))})" if e.filename else ""
            typer.echo(f"bench: the system refuses: {e.strerror}{place}", err=True)
        # what is still to be printed has nowhere to go, nor has Python's own flush at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except SystemExit as e:
        if e.code != 130:  # typer's exit code for Ctrl-C
            raise
        number = _find_signal(e)
        by = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
        typer.echo(
            f"bench: interrupted{by}; what was finished is recorded, run the same command to go on",
            err=True,
        )
        sys.exit(128 + number)


def _find_signal(e: BaseException) -> int:
    """The signal that ended the command: that of an `engine.interrupts.Interrupted` behind the
    exception, else Ctrl-C's."""
    cause: BaseException | None = e
    while cause is not None:
        if (number := getattr(cause, "number", None)) is not None:
            return int(number)
        cause = cause.__cause__ or cause.__context__
    return signal.SIGINT


if __name__ == "__main__":
    main()
