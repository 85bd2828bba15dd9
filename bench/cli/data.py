"""`bench data get`, `doctor`, `generate` and `where`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.complete import suite_names
from bench.cli.options import DataOption, DataSetArgument, option
from bench.cli.output import console
from bench.errors import BenchError, UsageError, printable

if TYPE_CHECKING:
    from rich.progress import TaskID

    from bench.data.doctor import Finding

COLOURS = {"error": "red", "warn": "yellow"}


def get_data(
    name: DataSetArgument,
    data: DataOption = None,
    photos: Annotated[
        Path | None, option(help="A folder of photographs, to make MNIST-M from MNIST.")
    ] = None,
) -> None:
    """Download a data set and check it.

    An interrupted download goes on where it stopped.
    """
    from bench import paths
    from bench.data import get
    from bench.datasets import sets

    with download_bars() as progress:
        folder = get.get(name, paths.data_root(data), photos=photos, progress=progress)
    facts = sets.find_set(name)
    licence = f"licence: {facts.licence}" if facts.licence else ""
    typer.echo(f"{name}: {folder}\n{'; '.join(filter(None, [facts.title, licence, facts.notes]))}")


@contextmanager
def download_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show a progress bar for each file.

    Gives a function to call with a file's name, its bytes so far, and all its bytes if known.
    """
    from rich.progress import DownloadColumn, Progress

    with Progress(
        *Progress.get_default_columns(), DownloadColumn(), console=console(), transient=True
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def update(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield update


def check_data(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[SET]", help="Name of a data set, such as mnist.", show_default=False
        ),
    ] = None,
    suite: Annotated[
        str | None,
        option(
            "--suite",
            "-s",
            help="Check the images of a suite, a name or a .toml file, in place of one set.",
            autocompletion=suite_names,
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Check a data set's files and counts, or all images of a suite: classes, unreadable files,
    and pictures that are there twice.

    The exit code is 1 when something would spoil a result.
    """
    from bench import paths
    from bench.data import doctor

    if (name is None) == (suite is None):
        raise UsageError("name either a data set, such as mnist, or a suite with --suite")
    root = paths.data_root(data)
    findings = doctor.examine(name, root) if name else check_suite_data(str(suite), root)
    for f in findings:
        typer.secho(printable(f"{f.level:5} {f.text}"), fg=COLOURS.get(f.level))
    if any(f.level == "error" for f in findings):
        raise typer.Exit(1)


def check_suite_data(name: str, root: Path) -> "list[Finding]":
    """What there is to say about the images of a suite; a bar shows how many were looked at."""
    from rich.progress import Progress

    from bench.data.suite_doctor import examine_suite
    from bench.suite import suites

    chosen, screen = suites.find(name), console()
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bars:
        bar = bars.add_task("pictures", total=None)
        return examine_suite(
            chosen, root, lambda done, total: bars.update(bar, completed=done, total=total)
        )


def generate_data(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="pacs, officehome, office31, officecaltech, visda or domainnet126.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The data folder to make it in.", show_default=False),
    ],
    scale: Annotated[
        float,
        typer.Option(
            help="Share of the published number of images; every class gets at least one."
        ),
    ] = 0.01,
    seed: Annotated[int, typer.Option(help="Another seed makes other images.")] = 0,
) -> None:
    """Make synthetic images in the layout of a published data set.

    They are for trying the program without that data set, and never count as a result.
    """
    from bench.data.generate import generate

    made = generate(kind, folder, scale=scale, seed=seed)
    typer.echo(f"{made}: synthetic images, never a result")


def find_data(name: DataSetArgument, data: DataOption = None) -> None:
    """Print the folder of a data set.

    The exit code is 1 when it is not found.
    """
    from bench import paths
    from bench.datasets import locate, sets

    root = paths.data_root(data)
    if (found := locate.find_folder(name, root)) is None:
        raise BenchError(f"{name} is not under {root}; expected:\n{sets.find_set(name).layout}")
    typer.echo(found)
