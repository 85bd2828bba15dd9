"""`bench tables`: measured numbers beside published ones."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import AnySuiteOption, ResultsOption, flag, option, split_list
from bench.errors import BenchError, UsageError, unknown
from bench.report.numbers.selection import Select

FormatsOption = Annotated[
    str, typer.Option("--format", help="md, latex, html: one or several, comma-separated.")
]
SelectOption = Annotated[
    Select, typer.Option(help="Which evaluation of a run counts; best-on-target is an oracle.")
]
CheckOption = Annotated[
    bool, flag("--check", help="Write nothing; exit 1 when a file is out of date.")
]
CostOption = Annotated[bool, flag("--cost", help="Time and memory instead of accuracy.")]
BusyOption = Annotated[
    bool,
    flag("--busy", help="With --cost: let times taken on a busy machine into ratios, too."),
]
OutOption = Annotated[
    Path | None,
    option(
        help="Folder of the rendered files (default: tables/rendered; with --results, the folder "
        "tables beside those records)."
    ),
]


def print_tables(
    suite: AnySuiteOption = None,
    formats: FormatsOption = "md,latex,html",
    select: SelectOption = "last",
    check: CheckOption = False,
    cost: CostOption = False,
    busy: BusyOption = False,
    out: OutOption = None,
    results: ResultsOption = None,
) -> None:
    """Print and write tables of measured numbers beside published ones.

    Nothing but the records and the suite decides what a table says.
    """
    from bench import paths
    from bench.report.write.render import FORMAT_SUFFIXES, render_accuracies, render_costs
    from bench.runs import records
    from bench.suite import suites

    kinds = split_list(formats) or [""]
    for kind in kinds:
        if kind not in FORMAT_SUFFIXES:
            raise unknown("format", kind, FORMAT_SUFFIXES)
    if busy and not cost:
        raise UsageError("--busy is about times: give it with --cost")
    tag = f"-cost{'-busy' * busy}" if cost else "" if select == "last" else f"-{select}"
    stale, root, told = [], paths.results_root(results), out is not None
    out = out or paths.pages_root(root)
    found = records.read_all(root)
    for name in [suite] if suite else suites.names():
        chosen = suites.find(name)
        for kind in kinds:
            text = (
                render_costs(chosen, found, kind, busy_too=busy)
                if cost
                else render_accuracies(chosen, found, kind, select)
            )
            path = out / f"{chosen.name}{tag}{FORMAT_SUFFIXES[kind]}"
            if not check:
                paths.write_text(path, text)
                sys.stdout.write(text + "\n" if kind == "md" else "")
            elif not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(str(path))
    if stale:
        raise BenchError(
            f"out of date: {', '.join(stale)}; run `bench tables` and commit what it writes"
        )
    if check:
        typer.echo(f"every rendered table in {out} matches the records")
    elif not told:
        typer.echo(f"written to {out}", err=True)  # stdout holds the pages alone
