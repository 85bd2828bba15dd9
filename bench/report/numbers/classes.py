"""Class by class: accuracies and confusion over seeds, and gains of one row over another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from bench.report.numbers.scores import pick_evaluation
from bench.report.numbers.selection import Select
from bench.report.numbers.stats import Gain, compare_pairs
from bench.runs.classes import split_by_class
from bench.runs.files import read
from bench.runs.lines import Counts
from bench.runs.records import Record
from bench.suite.suite import Suite


@dataclass(frozen=True)
class ClassRates:
    """What became of the target's test images of each class, over the seeds of a row at a task."""

    names: tuple[str, ...]  # of the classes
    seeds: tuple[int, ...]  # those that can be read
    by_class: Mapping[str, Mapping[int, float]]
    """Class -> seed -> right predictions in %; without classes that have no image."""
    confusion: tuple[tuple[float, ...], ...]
    """[true][predicted], in % of the images of the class, mean over the seeds that have a matrix;
    empty where none has."""


def find_rates(
    suite: Suite, runs: Iterable[tuple[int, Record]], select: Select
) -> ClassRates | None:
    """The rates of (seed, record) pairs, at each record's selected evaluation.

    Reads the files of the records. None where none of them can be read or counts predictions.
    """
    found: dict[int, Counts] = {}
    names: list[str] = []
    for seed, record in runs:
        if counts := _read_counts(suite, record, select):
            found[seed] = counts
            names = names or _name_classes(record)
    if not found:
        return None
    labels = names or [str(k) for k in range(len(next(iter(found.values())).total))]
    by_class: dict[str, dict[int, float]] = {}
    for seed, counts in found.items():
        for c in split_by_class(counts, labels):
            if c.accuracy is not None:
                by_class.setdefault(c.name, {})[seed] = c.accuracy
    matrices = [_to_percent(c.confusion) for c in found.values() if c.confusion]
    return ClassRates(tuple(labels), tuple(found), by_class, _average(matrices))


def _read_counts(suite: Suite, record: Record, select: Select) -> Counts | None:
    picked = pick_evaluation(suite, record, select)
    if picked is None:
        return None
    return next((e.target for e in read(record.path).evals if e.step == picked.step), None)


def _name_classes(record: Record) -> list[str]:
    """The names of the target's labels; empty where they have none."""
    domains = list(record.run.data.values()) if record.run else []
    return list(domains[-1].classes) if domains else []


def _to_percent(matrix: Sequence[Sequence[int]]) -> list[list[float]]:
    return [[100 * n / max(1, sum(row)) for n in row] for row in matrix]


def _average(matrices: Sequence[Sequence[Sequence[float]]]) -> tuple[tuple[float, ...], ...]:
    lines = zip(*matrices, strict=True)
    return tuple(tuple(mean(cells) for cells in zip(*line, strict=True)) for line in lines)


def find_gains(ours: ClassRates, base: ClassRates, confidence: float) -> list[tuple[str, Gain]]:
    """Each class with what it gains, seed by seed, over the seeds that both have."""
    pairs = (
        (name, compare_pairs(ours.by_class.get(name, {}), base.by_class.get(name, {}), confidence))
        for name in ours.names
    )
    return [(name, gain) for name, gain in pairs if gain]
