"""What the runs of a suite come to by each of its measures.

Most are values of an evaluation. Others follow from a whole record: how long an epoch took, how
many of them it needed, and how its losses moved.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import fsum
from pathlib import Path
from statistics import fmean

from bench.report.numbers.costs import is_busy, name_machine
from bench.report.numbers.scores import pick_evaluation
from bench.report.numbers.selection import Select
from bench.report.numbers.standout import Standout, find_standouts
from bench.report.numbers.stats import Summary, summarize
from bench.runs.cell import Cell
from bench.runs.files import read
from bench.runs.ledger import Ledger
from bench.runs.lines import Train
from bench.runs.records import Record
from bench.suite import released
from bench.suite.suite import Metric, Row, Suite

MODES = "modes"  # the value that says how many classes a generator makes
TIME = "epoch_s"
LOSSES = {"fluctuation_D": 0, "fluctuation_G": 1}
"""For each measure of a loss, which of those that a method yields it is."""


@dataclass(frozen=True)
class Reading:
    """What the seeds of one row came to by one measure."""

    by_seed: Mapping[int, float]
    least: tuple[int, ...] = ()  # seeds whose value is a lower bound

    @property
    def summary(self) -> Summary:
        """Mean and sample deviation over the seeds."""
        return summarize(self.by_seed.values())

    def at(self, seeds: Iterable[int]) -> "Reading":
        """The values of these seeds alone."""
        kept = sorted(seeds)
        least = tuple(s for s in self.least if s in kept)
        return Reading({s: self.by_seed[s] for s in kept}, least)


NOTHING = Reading({})


@dataclass(frozen=True)
class Board:
    """All values that were measured at one task and one budget."""

    suite: Suite
    budget: str
    task: str
    select: Select  # which evaluation of a run the values are of
    rows: tuple[Row, ...]  # those to show
    readings: Mapping[tuple[str, str], Reading]  # of every row, by measure and row id
    ledger: Ledger  # of the budget
    machine: str  # whose times count; "" without any
    elsewhere: int  # runs whose times do not count because they are of another machine
    busy: int  # runs that have no time because others computed beside them

    def read(self, measure: str, row: str) -> Reading:
        """The values of a measure for a row; none where it has none."""
        return self.readings.get((measure, row), NOTHING)

    @property
    def measured(self) -> bool:
        """Whether any of the rows to show has a value."""
        return any(
            self.read(m.name, row.id).by_seed for m in self.suite.measures for row in self.rows
        )

    def runs(self, row: str) -> list[tuple[Cell, Record]]:
        """The counted runs of a row: ok, diverged or failed."""
        return self.ledger.results(row, self.task)

    def has_lost(self, measure: str, row: str) -> bool:
        """Whether a run of a row diverged, or ended without a value of a measure.

        That a run has no time says nothing about its method: the machine was busy, or another one.
        """
        known = self.read(measure, row).by_seed
        return any(
            r.status == "diverged"
            or (r.status == "ok" and measure != TIME and cell.seed not in known)
            for cell, r in self.runs(row)
        )

    def find_best(self, measure: Metric) -> Standout:
        """The rows to show that stand out; none by a measure that only describes, and no row
        whose values are lower bounds. None at all where such a row may be better than one of them.
        """
        nothing = Standout(frozenset(), frozenset())
        if measure.better == "neither":
            return nothing
        read = {row.id: self.read(measure.name, row.id) for row in self.rows}
        found = {row: reading.by_seed for row, reading in read.items() if not reading.least}
        lower = measure.better == "lower"
        marks = find_standouts(found, confidence=self.suite.confidence, lower=lower)
        marked = [fmean(found[row].values()) for row in marks.best | marks.second]
        bounds = [fmean(x.by_seed.values()) for x in read.values() if x.least]
        rivals = marked and any(not lower or bound < max(marked) for bound in bounds)
        return nothing if rivals else marks


def build_board(
    suite: Suite,
    ledger: Ledger,
    budget: str,
    task: str,
    rows: Sequence[Row],
    select: Select = "last",
) -> Board:
    """The values of every row of a suite at a task. ledger: of the budget. rows: those to show."""
    runs = {
        row.id: [(c, r) for c, r in ledger.results(row.id, task) if r.status == "ok"]
        for row in suite.rows
    }
    records = [r for found in runs.values() for _, r in found]
    machine, elsewhere = _choose_machine(records)
    busy = sum(not is_timed(r) for r in records)
    readings = {
        (m.name, row): _read(suite, m, found, select, machine)
        for m in suite.measures
        for row, found in runs.items()
    }
    shown = tuple(rows)
    return Board(suite, budget, task, select, shown, readings, ledger, machine, elsewhere, busy)


def _choose_machine(records: Iterable[Record]) -> tuple[str, int]:
    """The machine of most of the runs that measure time, and how many are of others."""
    count = Counter(name_machine(r.run.env) for r in records if r.run and is_timed(r))
    if not count:
        return "", 0
    machine = min(count, key=lambda name: (-count[name], name))
    return machine, count.total() - count[machine]


def _read(
    suite: Suite,
    measure: Metric,
    runs: Iterable[tuple[Cell, Record]],
    select: Select,
    machine: str,
) -> Reading:
    found, least = {}, []
    for cell, r in runs:
        assert r.run
        if measure.name == TIME and name_machine(r.run.env) != machine:
            continue  # seconds of two machines tell nothing about two methods
        if (value := measure_run(suite, measure, cell, r, select)) is not None:
            found[cell.seed] = value
            if measure.reach is not None and find_reached(suite, measure.reach, r) is None:
                least.append(cell.seed)
    return Reading(found, tuple(least))


def measure_run(
    suite: Suite, measure: Metric, cell: Cell, record: Record, select: Select = "last"
) -> float | None:
    """What a run came to by one measure; None where it has no such value."""
    if derive := DERIVED.get(measure.name):
        return derive(suite, measure, cell, record)
    chosen = pick_evaluation(suite, record, select)
    return chosen.values.get(measure.name) if chosen else None


def count_steps(record: Record) -> int:
    """The iterations of an epoch: whole batches of the training images."""
    assert record.run
    images = next(iter(record.run.data.values())).train.images
    return max(1, images // int(released.completed(record.run.recipe)["batch"]))


def is_timed(record: Record) -> bool:
    """Whether a run measured time: nobody else is known to have computed beside it."""
    run, end = record.run, record.end
    alone = run is not None and run.env.shared == 1 and not is_busy(run.env)
    return alone and end is not None and end.ms is not None and end.ms["p50"] is not None


def _time_epoch(suite: Suite, measure: Metric, cell: Cell, record: Record) -> float | None:
    """Seconds: the median iteration of the record, for all iterations of an epoch."""
    if not is_timed(record):
        return None
    assert record.end and record.end.ms
    return (record.end.ms["p50"] or 0.0) * count_steps(record) / 1000


def find_reached(suite: Suite, value: float, record: Record) -> int | None:
    """The iterations after which the suite's metric was first measured to be as good as a value."""
    assert suite.metric
    name, lower = suite.metric.name, suite.lower_is_better
    for e in record.evals:
        if name in e.values and (e.values[name] <= value if lower else e.values[name] >= value):
            return e.step
    return None


def _count_epochs(suite: Suite, measure: Metric, cell: Cell, record: Record) -> float | None:
    """Epochs until the metric has reached its value; all of the training where it never does."""
    if measure.reach is None or suite.metric is None:
        return None
    step = find_reached(suite, measure.reach, record) or cell.recipe.iterations
    return step / count_steps(record)


def _measure_fluctuation(suite: Suite, measure: Metric, cell: Cell, record: Record) -> float | None:
    """The deviation of a loss within the windows that begin in the second half of the training.

    Their mean, in which each window counts with its iterations.
    """
    place, half = LOSSES[measure.name], cell.recipe.iterations / 2
    late = [x for x in read_windows(record) if x.step - x.n >= half and len(x.losses) > place]
    spreads = [(sd, x.n) for x in late if (sd := x.losses[place].sd) is not None]
    return fsum(sd * n for sd, n in spreads) / sum(n for _, n in spreads) if spreads else None


def read_windows(record: Record) -> tuple[Train, ...]:
    """The windows of a record's training, from its file; none where that cannot be read."""
    return _read_windows(record.path, record.end.seal if record.end else "")


@lru_cache(maxsize=256)
def _read_windows(path: Path, seal: str) -> tuple[Train, ...]:
    """seal: of the record, which stands for every byte: the same file is read once."""
    return read(path).train


Derive = Callable[[Suite, Metric, Cell, Record], float | None]
DERIVED: Mapping[str, Derive] = {
    TIME: _time_epoch,
    "epochs_to": _count_epochs,
    **dict.fromkeys(LOSSES, _measure_fluctuation),
}
"""The measures that are no value of an evaluation."""


def find_collapsed(board: Board, row: str) -> dict[int, int]:
    """Seed -> how many classes its generator makes, of those that do not make all."""
    found = {}
    for cell, r in board.runs(row):
        chosen = pick_evaluation(board.suite, r, board.select) if r.status == "ok" else None
        made = chosen.values.get(MODES, cell.classes) if chosen else cell.classes
        if made < cell.classes:
            found[cell.seed] = round(made)
    return found
