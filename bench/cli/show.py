"""`bench show`: what one record holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.cli.options import RecordArgument, ResultsOption
from bench.cli.output import TABLE_WIDTH, print_table
from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    from bench.runs.files import Content
    from bench.runs.lines import Counts, End, Run

MISTAKES = 3  # so many classes that a class is taken for are named


def show_record(
    record: RecordArgument,
    results: ResultsOption = None,
) -> None:
    """Print what one record holds.

    What was run, on what data and machine, how it went, what it came to class by class, and what
    was kept of it.
    """
    from bench import paths
    from bench.runs import files, records
    from bench.suite.schema import compact

    path = records.find_record(record, paths.results_root(results))
    content = files.read(path)
    if content.run is None:
        raise BenchError(f"{path} cannot be read: {content.problem}")
    facts = content.run.model_dump(exclude={"kind", "schema_"}, exclude_none=True)
    rows = [*_standing(path, content.run), *((k, compact(v)) for k, v in facts.items())]
    print_table(str(path), ("", ""), rows)
    show_evaluations(path, content)
    show_resumptions(content)
    if content.end is None:
        unfinished = "unfinished: it is still running, or was interrupted"
        if files.locate_checkpoint(path.parent, path.stem.rpartition("-")[0]).exists():
            unfinished += "; the command that began it goes on at its checkpoint"
        typer.echo(content.problem or unfinished)
        return
    ended = content.end.model_dump(exclude={"kind", "status", "artefacts"}, exclude_defaults=True)
    print_table(f"end: {content.end.status}", ("", ""), ((k, compact(v)) for k, v in ended.items()))
    if content.end.artefacts:
        show_artefacts(path, content.end)


def show_resumptions(content: "Content") -> None:
    """Where the run was interrupted, and on what it went on."""
    from bench.cli.screen import format_duration

    rows = (
        (f"{x.step:,}", format_duration(x.wall_s), x.resumed, x.env.gpu or x.env.cpu)
        for x in content.resumes
    )
    if content.resumes:
        names = ("iteration", "taken so far", "went on", "on")
        print_table("interruptions", names, rows, right=names[:2])


def show_artefacts(path: Path, end: "End") -> None:
    """What was kept of a run, and whether it is as it was then: every byte is read."""
    from bench.runs import artefacts

    rows = (
        (
            artefacts.locate(path, made.file).name,
            f"{made.bytes / 2**20:,.1f}",
            artefacts.find_problem(path, made) or "intact",
        )
        for made in end.artefacts.values()
    )
    print_table("artefacts", ("file", "MiB", "state"), rows, right=("MiB",))


def _standing(path: Path, run: "Run") -> Iterator[tuple[str, str]]:
    """Whether tables count a record that lies in a results folder, and why they do not."""
    from bench.runs import records, standing
    from bench.suite import suites

    folder = path.absolute().parent
    if folder.parts[-3:] != (run.suite, run.row, run.task):
        return
    try:
        known = {run.suite: suites.find(run.suite)}
    except UsageError:  # a suite of another folder: nobody can tell
        return
    for s in standing.judge_records(known, records.read_all(folder.parents[2])):
        if s.record.path == folder / path.name:
            yield (
                "state",
                s.why if s.why.startswith(s.state) else ": ".join(filter(None, (s.state, s.why))),
            )


def show_evaluations(path: Path, content: "Content") -> None:
    """Each evaluation, then the last one class by class."""
    from bench.cli.screen import describe_measured
    from bench.runs import records

    evals = records.read_record(path).evals
    names = list(dict.fromkeys(name for e in evals for name in e.scores))
    rows = (
        (
            f"{e.step:,}",
            describe_measured(e),
            *(f"{e.scores[name]:.4f}" if name in e.scores else None for name in names),
        )
        for e in evals
    )
    title = f"evaluations{', with scores that know no label of the target' if names else ''}"
    print_table(title, ("step", "measured", *names), rows, right=("step", *names))
    if not (content.evals and content.run):
        return
    last = content.evals[-1]
    domains = dict(zip(("source", "target"), content.run.data.items(), strict=False))
    for side, counts in (("target", last.target), ("source", last.source)):
        if counts and side in domains:
            name, domain = domains[side]
            show_classes(f"{side} {name}", counts, list(domain.classes))


def show_classes(domain: str, counts: "Counts", names: list[str]) -> None:
    """What became of the images of each class. domain: what to call them all."""
    from bench.runs.classes import average_over_classes, split_by_class

    found = split_by_class(counts, names)
    of_images = 100 * sum(counts.correct) / max(1, sum(counts.total))
    title = (
        f"{domain}, last evaluation: {of_images:.2f} % of the images, "
        f"{average_over_classes(found):.2f} % on average over classes"
    )
    rows = (
        (
            r.name,
            f"{r.images:,}",
            f"{r.right:,}",
            None if r.accuracy is None else f"{r.accuracy:.2f}",
            f"{r.predicted:,}",
            ", ".join(f"{name} {n:,}" for name, n in r.mistaken[:MISTAKES]),
        )
        for r in found
    )
    numbers = ("images", "right", "%", "predicted")
    print_table(title, ("class", *numbers, "most often taken for"), rows, right=numbers)
    if counts.confusion is None:
        typer.echo(f"{domain}: no confusion matrix, because an older program wrote the record\n")
    elif sum(len(r.name) + 3 for r in found) + max(len(r.name) for r in found) < TABLE_WIDTH:
        labels = [r.name for r in found]
        lines = (
            (label, *map(str, row)) for label, row in zip(labels, counts.confusion, strict=True)
        )
        print_table(
            f"{domain}: images of a class (line) by prediction", ("", *labels), lines, right=labels
        )
