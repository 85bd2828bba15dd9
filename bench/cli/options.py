"""Options and arguments that several commands take, and how their texts are read."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.errors import UsageError


def option(*names: str, help: str, **settings: Any) -> Any:
    """An option whose default is None; its help says in words what that means."""
    return typer.Option(*names, help=help, show_default=False, **settings)


def suite_names() -> list[str]:
    """The names that the shell completes after --suite."""
    from bench.suite import suites

    return suites.names()


Suite = Annotated[
    str,
    typer.Option(
        "--suite", "-s", help="Name of a suite, or a .toml file.", autocompletion=suite_names
    ),
]
AnySuite = Annotated[
    str | None,
    option(
        "--suite", "-s", help="Only this suite (default: all suites).", autocompletion=suite_names
    ),
]
Results = Annotated[
    Path | None, option("--results", help="Folder of the run records (default: ./results).")
]
Data = Annotated[
    Path | None,
    option(
        "--data",
        help="Folder of the data sets (default: $BENCH_DATA, else the user's data folder).",
    ),
]
Budget = Annotated[
    str, typer.Option(help="'full', 'smoke', or a smaller budget that the suite defines.")
]
SkipUnreadable = Annotated[
    bool,
    typer.Option(
        "--skip-unreadable", help="Leave out images that cannot be decoded, instead of stopping."
    ),
]
Weights = Annotated[
    Path | None,
    option(
        "--weights",
        help="File of pretrained weights, .pth or .safetensors (default: download them).",
    ),
]
Device = Annotated[
    str, typer.Option(help="auto, cpu or cuda:N; auto takes a GPU where there is one.")
]
DataSet = Annotated[
    str,
    typer.Argument(metavar="SET", help="Name of a data set, such as mnist.", show_default=False),
]


def split(text: str | None) -> list[str] | None:
    """'a, b' -> ['a', 'b']; None stays None."""
    return None if text is None else [x.strip() for x in text.split(",") if x.strip()]


def check_device(name: str) -> None:
    """Raise UsageError unless `name` reads like a device. Needs no torch, so it does not tell whether the device exists."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UsageError(f"unknown device {name!r}; use auto, cpu or cuda:N")
