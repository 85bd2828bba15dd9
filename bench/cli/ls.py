"""`bench ls`: what there is to run, and what was run."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from bench.cli.complete import state_names
from bench.cli.options import (
    AnySeedsOption,
    AnySuiteOption,
    MethodsOption,
    ResultsOption,
    TasksOption,
    flag,
    option,
    split_list,
)
from bench.cli.output import print_table
from bench.errors import UsageError, unknown

if TYPE_CHECKING:
    from bench.runs.standing import Standing
    from bench.suite.suite import Suite

Listed = Literal["suites", "presets", "methods", "tasks", "backbones", "runs"]
StateOption = Annotated[
    str | None,
    option(
        "--state",
        help="Of runs: counted, failed, replaced, stale, made up, unfinished, damaged or no suite; "
        "comma-separated (default: all).",
        autocompletion=state_names,
    ),
]
SinceOption = Annotated[
    str | None, option("--since", help="Of runs: begun on this day (UTC) or later, 2026-11-20.")
]
PathsOption = Annotated[
    bool, flag("--paths", help="Of runs: print the path of each record and nothing else.")
]


@dataclass(frozen=True)
class Filters:
    """Which records `bench ls runs` lists; None: whichever."""

    suite: str | None = None  # a name, or a file
    methods: Sequence[str] | None = None  # ids of rows
    tasks: Sequence[str] | None = None
    seeds: Sequence[int] | None = None
    states: Sequence[str] | None = None
    since: str | None = None  # a day
    paths: bool = False  # whether to print paths alone

    def choose(self, every: Iterable["Standing"]) -> list["Standing"]:
        """Those that are asked for. Raises UsageError for a row or task that none of them has."""
        every = list(every)
        runs = [s.record.run for s in every if s.record.run]
        _check("row", self.methods, {run.row for run in runs})
        _check("task", self.tasks, {run.task for run in runs})
        return [s for s in every if self._fits(s)]

    def _fits(self, s: "Standing") -> bool:
        if self.states is not None and s.state not in self.states:
            return False
        if (run := s.record.run) is None:  # it has no other fact that could be asked for
            return (self.methods, self.tasks, self.seeds, self.since) == (None,) * 4
        facts = ((run.row, self.methods), (run.task, self.tasks), (run.seed, self.seeds))
        named = all(asked is None or fact in asked for fact, asked in facts)
        return named and (self.since is None or run.started[:10] >= self.since)


def _check(kind: str, asked: Iterable[str] | None, known: Iterable[str]) -> None:
    for name in asked or ():
        if name not in set(known):
            raise unknown(f"{kind} among the records", name, known)


def read_filters(
    suite: str | None,
    methods: str | None,
    tasks: str | None,
    seeds: str | None,
    state: str | None,
    since: str | None,
    paths: bool,
) -> Filters:
    """The filters as they are typed. Raises UsageError for a state or a day that is none."""
    from bench.runs import plan
    from bench.runs.standing import State

    for name in split_list(state) or ():
        if name not in get_args(State):
            raise unknown("state", name, get_args(State))
    if since is not None and not re.fullmatch(r"\d{4}-\d\d-\d\d", since):
        raise UsageError(f"cannot read the day {since!r}; write it as 2026-11-20")
    numbers = None if seeds is None else plan.seeds(seeds)
    return Filters(
        suite, split_list(methods), split_list(tasks), numbers, split_list(state), since, paths
    )


def list_known(
    listed: Annotated[
        Listed,
        typer.Argument(metavar="WHAT", help="suites, presets, methods, tasks, backbones or runs."),
    ] = "suites",
    name: Annotated[
        str,
        typer.Argument(
            help="Of backbones: list those of timm and torchvision whose names contain this.",
            show_default=False,
        ),
    ] = "",
    suite: AnySuiteOption = None,
    methods: MethodsOption = None,
    tasks: TasksOption = None,
    seeds: AnySeedsOption = None,
    state: StateOption = None,
    since: SinceOption = None,
    paths: PathsOption = False,
    results: ResultsOption = None,
) -> None:
    """List suites, presets, methods, tasks, backbones or recorded runs.

    Tables show only runs in the state `counted`; a stale one has another recipe or other code than
    today's. `bench show` takes the names of records as they are printed.
    """
    asked = read_filters(suite, methods, tasks, seeds, state, since, paths)
    if listed != "runs" and asked != Filters(suite=suite):
        raise UsageError(f"only --suite chooses among {listed}; the other filters are for runs")
    if name and listed != "backbones":
        raise UsageError(f"`bench ls {listed}` takes no {name!r}: leave it out")
    match listed:
        case "suites":
            list_suites(chosen_suites(suite))
        case "presets":
            list_presets()
        case "methods":
            list_methods()
        case "tasks":
            list_tasks(chosen_suites(suite))
        case "backbones":
            list_backbones(name)
        case "runs":
            list_runs({s.name: s for s in chosen_suites(suite)}, asked, results)


def chosen_suites(name: str | None) -> list["Suite"]:
    """The suite of that name; every suite when no name is given."""
    from bench.suite import suites

    return [suites.find(n) for n in ([name] if name else suites.names())]


def list_suites(chosen: list["Suite"]) -> None:
    """A line for each suite: how many rows, tasks and claims it has."""
    rows = ((s.name, s.title, len(s.rows), len(s.tasks), len(s.published)) for s in chosen)
    print_table("suites", ("name", "title", "rows", "tasks", "claims"), rows)


def list_presets() -> None:
    """A line for each protocol that a suite can start from, and whose it is."""
    from bench.suite import presets

    found = map(presets.find_preset, presets.preset_names())
    print_table(
        "presets",
        ("name", "what it follows", "read in"),
        ((p.name, p.title, p.source) for p in found),
    )


def list_methods() -> None:
    """A line for each method: its paper, and what proves it."""
    from bench.suite import catalog

    known = catalog.methods().values()
    rows = ((e.name, e.source, ", ".join(e.proof), e.equation, _listed(e.hyper)) for e in known)
    columns = ("name", "paper", "shown by", "what it does", "hyper-parameters and defaults")
    print_table("methods", columns, rows)
    typer.echo(
        "shown by: golden = losses and gradients of the authors' code, training = whole trainings "
        "by it, identity = equations that hold, where no such code was run; see tests/golden"
    )


def _listed(hyper: Mapping[str, object]) -> str:
    return " ".join(f"{k}={v}" for k, v in hyper.items())


def list_tasks(chosen: list["Suite"]) -> None:
    """A line for each task of the suites, with the rows that run on it."""
    rows = ((s.name, task, " ".join(r.id for r in s.rows)) for s in chosen for task in s.tasks)
    print_table("tasks", ("suite", "task", "rows"), rows)


def list_backbones(pattern: str) -> None:
    """The backbones by their own names; with a pattern, also those of timm and torchvision."""
    from bench.nets import BACKBONES
    from bench.nets.zoo import list_zoo

    rows = [
        (name, b.published or "none", (b.build.__doc__ or "").partition("\n")[0])
        for name, b in BACKBONES.items()
        if pattern in name
    ]
    if not pattern:
        print_table("backbones", ("name", "published weights", "what it is"), rows)
        typer.echo(
            "and any model of timm or torchvision, as timm/NAME or torchvision/NAME, normalized as "
            "its package says unless the recipe states `normalize`: `bench ls backbones convnext` "
            'lists those with convnext in their names. weights = "imagenet" are the usual ones; '
            'others are named as timm/resnet18.a1_in1k, or with weights = "IMAGENET1K_V2" for '
            "torchvision/resnet50. --weights reads files of timm, torchvision or the original code."
        )
        return
    rows += [
        (name, weights or "none", f"{side} pixels") for name, weights, side in list_zoo(pattern)
    ]
    if not rows:
        raise UsageError(f"no backbone has {pattern!r} in its name; try a part of it")
    print_table("backbones", ("name", "published weights", "what it is made for"), rows)


def list_runs(chosen: Mapping[str, "Suite"], asked: Filters, results: Path | None) -> None:
    """A table for each suite and budget, a line for each record, unfinished ones too."""
    from bench import paths
    from bench.report.page.text import format_count
    from bench.runs import records, standing

    root = paths.results_root(results)
    if results is not None and not root.is_dir():
        raise UsageError(f"there is no folder {root}")
    every = standing.judge_records(chosen, records.read_all(root))
    found = [s for s in asked.choose(every) if asked.suite is None or s.suite in chosen]
    if asked.paths:
        for s in found:
            typer.echo(s.record.path)
        return
    for (suite, budget), some in groupby(found, key=lambda s: (s.suite, s.budget)):
        title = f"{suite}, budget {budget}" if budget else f"{suite}, unreadable"
        print_table(title, COLUMNS, map(describe_run, some), right=("seed", "target", "ms/it"))
    tally = Counter(s.state for s in found)
    states = ", ".join(f"{n} {state}" for state, n in tally.most_common())
    where = f" --results {results}" if results else ""
    typer.echo(f"{format_count(len(found), 'record')} under {root}{': ' if states else ''}{states}")
    if found:
        typer.echo(f"to open one: bench show RECORD{where}")


COLUMNS = ("row", "task", "seed", "date", "target", "ms/it", "state", "record", "differs, or why")


def describe_run(s: "Standing") -> tuple[object, ...]:
    """The cells of COLUMNS."""
    from bench.cli.screen import describe_target

    r, run = s.record, s.record.run
    last = r.evals[-1] if r.evals else None
    score = last and describe_target(last)
    bad = r.status if r.status in ("diverged", "failed") else None
    ms = r.end.ms["p50"] if r.end and r.end.ms else None
    return (
        run and run.row,
        run and run.task,
        run and str(run.seed),
        run and run.started[:10],
        bad or score,
        f"{ms:,.1f}" if ms else None,
        s.state,
        r.path.stem,
        s.why,
    )
