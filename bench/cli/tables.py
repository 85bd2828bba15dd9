"""`bench tables`: measured numbers beside published ones."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.options import AnySuiteOption, ResultsOption, flag, option, split_list
from bench.errors import BenchError, UsageError, unknown
from bench.report.numbers.selection import Select

if TYPE_CHECKING:
    from bench.runs.records import Record
    from bench.suite.suite import Suite

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
LayoutOption = Annotated[
    Literal["full", "paper"],
    option(
        help="paper: what was measured as papers print it, a row a method, the best in bold, with "
        "a caption; to files NAME-paper."
    ),
]
StandaloneOption = Annotated[
    bool, flag("--standalone", help="LaTeX files that compile by themselves.")
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
    layout: LayoutOption = "full",
    standalone: StandaloneOption = False,
    out: OutOption = None,
    results: ResultsOption = None,
) -> None:
    """Print and write tables of measured numbers beside published ones.

    Nothing but the records and the suite decides what a table says.
    """
    from bench import paths
    from bench.report.write.render import FORMAT_SUFFIXES
    from bench.runs import records
    from bench.suite import suites

    kinds = split_list(formats) or [""]
    for kind in kinds:
        if kind not in FORMAT_SUFFIXES:
            raise unknown("format", kind, FORMAT_SUFFIXES)
    if busy and not cost:
        raise UsageError("--busy is about times: give it with --cost")
    if cost and layout == "paper":
        raise UsageError("the paper layout is of accuracies: leave out --cost or --layout paper")
    if standalone and "latex" not in kinds:
        raise UsageError("--standalone is about LaTeX: give it with --format latex")
    tag = "-paper" * (layout == "paper") + f"-{select}" * (select != "last")
    tag = f"-cost{'-busy' * busy}" if cost else tag
    stale, root, told = [], paths.results_root(results), out is not None
    out = out or paths.pages_root(root)
    found = records.read_all(root)
    for name in [suite] if suite else suites.names():
        chosen = suites.find(name)
        try:
            texts = {
                kind: _render(chosen, found, kind, select, layout, cost, busy) for kind in kinds
            }
        except BenchError:
            if suite or layout == "full":
                raise
            continue  # of all suites, those of which nothing was measured are left out
        for kind, text in texts.items():
            if standalone and kind == "latex":
                from bench.report.write.latex import make_document

                text = make_document(text)
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


def _render(
    suite: "Suite", found: "list[Record]", kind: str, select: Select, layout: str, cost: bool,
    busy: bool,
) -> str:  # fmt: skip
    from bench.report.write.render import render_accuracies, render_costs, render_paper

    if cost:
        return render_costs(suite, found, kind, busy_too=busy)
    if layout == "paper":
        return render_paper(suite, found, kind, select)
    return render_accuracies(suite, found, kind, select)
