"""`bench data get`, `doctor`, `generate` and `where`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DataOption, DataSetArgument, option
from bench.cli.output import console
from bench.errors import BenchError

if TYPE_CHECKING:
    from rich.progress import TaskID

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


def check_data(name: DataSetArgument, data: DataOption = None) -> None:
    """Check a data set's files and counts.

    The exit code is 1 when something is not as published.
    """
    from bench import paths
    from bench.data import doctor

    findings = doctor.examine(name, paths.data_root(data))
    for f in findings:
        typer.secho(f"{f.level:5} {f.text}", fg=COLOURS.get(f.level))
    if any(f.level == "error" for f in findings):
        raise typer.Exit(1)


def generate_data(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="pacs or officehome.", show_default=False)
    ],
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The data folder to make it in.", show_default=False),
    ],
    scale: Annotated[
        float, typer.Option(help="Images for each published image; every class gets at least one.")
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
