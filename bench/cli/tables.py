"""`bench tables`: measured numbers beside published ones."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.options import (
    AnySuiteOption,
    MethodsOption,
    ResultsOption,
    SelectOption,
    TasksOption,
    flag,
    option,
    split_known,
    split_list,
)
from bench.errors import BenchError, UsageError, unknown
from bench.report.numbers.selection import Select

if TYPE_CHECKING:
    from bench.report.numbers.view import View
    from bench.runs.records import Record
    from bench.suite.suite import Suite

FormatsOption = Annotated[
    str, typer.Option("--format", help="md, latex, html: one or several, comma-separated.")
]
CheckOption = Annotated[
    bool, flag("--check", help="Write nothing; exit 1 when a file is out of date.")
]
MeasuredOption = Annotated[
    bool, flag("--measured", help="Leave out rows and tasks of which nothing was measured.")
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
    methods: MethodsOption = None,
    tasks: TasksOption = None,
    measured: MeasuredOption = False,
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

    Nothing but the records and the suite decides what a table says. --methods, --tasks and
    --measured show a part of each table, in files whose names end in -part.
    """
    from bench import paths
    from bench.report.numbers.view import View
    from bench.report.write.render import FORMAT_SUFFIXES
    from bench.runs import records

    kinds = split_known(formats, "format", FORMAT_SUFFIXES)
    view = View(split_list(methods), split_list(tasks), measured)
    if busy and not cost:
        raise UsageError("--busy is about times: give it with --cost")
    if cost and select != "last":
        raise UsageError("--select is about accuracies: leave it out, or --cost")
    if cost and layout == "paper":
        raise UsageError("the paper layout is of accuracies: leave out --cost or --layout paper")
    if standalone and "latex" not in kinds:
        raise UsageError("--standalone is about LaTeX: give it with --format latex")
    if cost and view != View():
        raise UsageError("--methods, --tasks and --measured are for accuracies: leave out --cost")
    tag = "-paper" * (layout == "paper") + f"-{select}" * (select != "last")
    tag = f"-cost{'-busy' * busy}" if cost else tag + "-part" * (view != View())
    stale, root, told = [], paths.results_root(results), out is not None
    out = out or paths.pages_root(root)
    found = records.read_all(root)
    for chosen in choose_suites(suite, view):
        try:
            texts = {
                kind: _render(chosen, found, kind, select, layout, cost, busy, view)
                for kind in kinds
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
    busy: bool, view: "View",
) -> str:  # fmt: skip
    from bench.report.write.render import render_accuracies, render_costs, render_paper

    if cost:
        return render_costs(suite, found, kind, busy_too=busy)
    if layout == "paper":
        return render_paper(suite, found, kind, select, view=view)
    return render_accuracies(suite, found, kind, select, view=view)


def choose_suites(name: str | None, view: "View") -> list["Suite"]:
    """The suite of that name; without one, each suite that has a row and a task that are asked for.

    Raises UsageError for a row or a task that none of them has.
    """
    from bench.suite import suites

    every = [suites.find(n) for n in ([name] if name else suites.names())]
    rows = {s.name: list(s.by_id) for s in every}
    tasks = {s.name: list(s.tasks) for s in every}
    kept = every
    for kind, asked, names in (("row", view.rows, rows), ("task", view.tasks, tasks)):
        if asked is None:
            continue
        known = {x for of_suite in names.values() for x in of_suite}
        for one in asked:
            if one not in known:
                raise unknown(kind, one, known)
        kept = [s for s in kept if any(x in names[s.name] for x in asked)]
    if not kept:
        raise UsageError("no suite has one of these rows and one of these tasks: leave one out")
    return kept
