"""`bench ls`: what there is to run, and what was run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.options import AnySuiteOption, ResultsOption
from bench.cli.output import print_table
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.suite.suite import Suite

Listed = Literal["suites", "presets", "methods", "tasks", "backbones", "runs"]


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
    results: ResultsOption = None,
) -> None:
    """List suites, presets, methods, tasks, backbones or recorded runs."""
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
            list_runs(chosen_suites(suite), results)


def chosen_suites(name: str | None) -> list["Suite"]:
    """The suite of that name; every suite when no name is given."""
    from bench.suite import suites

    return [suites.find(n) for n in ([name] if name else suites.names())]


def list_suites(chosen: list["Suite"]) -> None:
    rows = ((s.name, s.title, len(s.rows), len(s.tasks), len(s.published)) for s in chosen)
    print_table("suites", ("name", "title", "rows", "tasks", "claims"), rows)


def list_presets() -> None:
    from bench.suite import presets

    found = map(presets.find_preset, presets.preset_names())
    print_table(
        "presets",
        ("name", "what it follows", "read in"),
        ((p.name, p.title, p.source) for p in found),
    )


def list_methods() -> None:
    from bench.suite import catalog

    known = catalog.methods().values()
    rows = ((e.name, e.summary, " ".join(f"{k}={v}" for k, v in e.hyper.items())) for e in known)
    print_table("methods", ("name", "what it does", "hyper-parameters and defaults"), rows)


def list_tasks(chosen: list["Suite"]) -> None:
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


def list_runs(chosen: list["Suite"], results: Path | None) -> None:
    """One line for each record, unfinished ones too."""
    from bench import paths
    from bench.runs import records

    root = paths.results_root(results)
    names = {s.name for s in chosen}
    found = [r for r in records.read_all(root) if r.path.relative_to(root).parts[0] in names]
    rows = (
        (
            r.run.budget if r.run else None,
            r.run.seed if r.run else None,
            r.status,
            f"{r.evals[-1].target.accuracy:.2f}" if r.evals and r.evals[-1].target else None,
            r.path.relative_to(root),
            r.problem or None,
        )
        for r in found
    )
    columns = ("budget", "seed", "status", "target %", "record", "why it does not count")
    print_table(f"runs under {root}", columns, rows)
