"""Options and arguments that several commands take, and how their texts are read."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.complete import budget_names, record_names, row_names, suite_names, task_names
from bench.errors import UsageError, unknown
from bench.report.numbers.selection import Select


def option(*names: str, help: str, **settings: Any) -> Any:
    """An option that is None when it is not given; its help says in words what that means."""
    return typer.Option(*names, help=help, show_default=False, **settings)


def flag(*names: str, help: str) -> Any:
    """An option that takes no value."""
    return typer.Option(*names, help=help)


SuiteOption = Annotated[
    str,
    typer.Option(
        "--suite", "-s", help="Name of a suite, or a .toml file.", autocompletion=suite_names
    ),
]
AnySuiteOption = Annotated[
    str | None,
    option("--suite", "-s", help="One suite (default: all).", autocompletion=suite_names),
]
MethodsOption = Annotated[
    str | None,
    option(
        "--methods",
        help="Row ids, comma-separated (default: all that fit).",
        autocompletion=row_names,
    ),
]
TasksOption = Annotated[
    str | None,
    option(
        "--tasks",
        help="Tasks such as MNIST-USPS, comma-separated (default: all).",
        autocompletion=task_names,
    ),
]
AnySeedsOption = Annotated[str | None, option("--seeds", help="0-4 or 0,2,5 (default: all).")]
BudgetOption = Annotated[
    str,
    typer.Option(
        help="'full' is the suite as written; its file may name smaller ones.",
        autocompletion=budget_names,
    ),
]
DRY_RUN = ("--dry-run", "-n")
DryRunOption = Annotated[
    bool,
    flag(
        *DRY_RUN, help="Show the plan, what it will cost and what is missing for it; train nothing."
    ),
]
SkipUnreadableOption = Annotated[
    bool, flag("--skip-unreadable", help="Leave out images that cannot be decoded.")
]
DataOption = Annotated[
    Path | None,
    option(
        "--data",
        help="Folder of the data sets (default: $BENCH_DATA, else the user's data folder).",
    ),
]
WeightsOption = Annotated[
    Path | None,
    option(
        "--weights",
        help="File of pretrained weights, .pth or .safetensors (default: they are downloaded).",
    ),
]
DeviceOption = Annotated[
    str, typer.Option(help="auto, cpu or cuda:N; auto takes a GPU where there is one.")
]
DevicesOption = Annotated[
    str,
    typer.Option(
        "--device",
        help="auto, cpu, cuda, cuda:N, several as cuda:0,1, or all (GPUs, a worker each); auto "
        "takes a GPU where there is one.",
    ),
]
KnobsOption = Annotated[
    list[str] | None,
    option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a knob of the recipe or a hyper-parameter, such as lr=0.01, lr_mult.F=0.1 "
        "or hyper.lam=0.5; repeatable.",
    ),
]
ResultsOption = Annotated[
    Path | None, option("--results", help="Folder of the run records (default: ./results).")
]
RecordArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECORD",
        help="A record's file, or its name as `bench ls runs` prints it.",
        show_default=False,
        autocompletion=record_names,
    ),
]
DataSetArgument = Annotated[
    str,
    typer.Argument(metavar="SET", help="Name of a data set, such as mnist.", show_default=False),
]


SelectOption = Annotated[
    Select,
    typer.Option(
        help="Which evaluation of a run counts: the last, the best on the source, or the best by a "
        "score of the target's predictions without labels: entropy, mutual information (im), soft "
        "neighbourhood density (snd), nuclear norm (bnm), deep embedded validation (dev). "
        "best-on-target is an oracle."
    ),
]


def split_list(text: str | None) -> list[str] | None:
    """'a, b' -> ['a', 'b']; None stays None."""
    return None if text is None else [x.strip() for x in text.split(",") if x.strip()]


def split_known(text: str, kind: str, known: Collection[str]) -> list[str]:
    """'md,html' -> ['md', 'html']. Raises UsageError, with the nearest name, for one that is not
    known, and for none. kind: what they are, for that sentence."""
    names = split_list(text) or [""]
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)
    return names


def check_device(name: str, *, several: bool = False) -> None:
    """Raise UsageError unless `name` reads like a device, or like `several`.

    Whether there is such a device is found out when it is used: asking needs torch, which takes
    seconds to import.
    """
    known = r"auto|all|cpu|cuda(:\d+(,\d+)*)?" if several else r"auto|cpu|cuda(:\d+)?"
    if not re.fullmatch(known, name):
        more = ", cuda:0,1 or all" if several else ""
        raise UsageError(f"unknown device {name!r}; use auto, cpu or cuda:N{more}")
