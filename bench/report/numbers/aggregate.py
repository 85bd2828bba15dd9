"""A suite and its records to a table of numbers.

A pure function: no clock, no chance, and the order of the records does not matter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean

from bench.report.numbers.errorbars import read_bar
from bench.report.numbers.scores import AVERAGE, Scores, score_row
from bench.report.numbers.selection import Select, Side
from bench.report.numbers.stats import Gain, Verdict, compare_pairs, judge
from bench.runs.ledger import Ledger
from bench.runs.plan import settle_suite
from bench.runs.records import Record
from bench.suite.claims import Figure, Published
from bench.suite.suite import Row, Suite


@dataclass(frozen=True)
class Compared:
    """A published claim beside our measurement."""

    claim: Published
    select: Select  # which of our evaluations it is compared with
    figures: Mapping[str, Figure]  # column -> the published figure
    verdicts: Mapping[str, Verdict]  # column -> what our seeds say about it; empty without a row

    @property
    def measured(self) -> bool:
        """Whether anything of ours stands beside it."""
        return any(v.gap is not None for v in self.verdicts.values())


@dataclass(frozen=True)
class Group:
    """A row of the suite with the claims about it."""

    row: Row | None  # None for the claims about methods that the suite does not run
    ours: Mapping[Select, Scores]  # by selection, the table's own first
    claims: tuple[Compared, ...]
    gains: Mapping[str, Gain]  # column -> gain over the suite's baseline row; see `_gains`
    oracle: float | None  # points that best-on-target adds to last; None where no run had a choice


@dataclass(frozen=True)
class Table:
    """All that one table of a suite shows, as numbers."""

    suite: Suite
    budget: str
    select: Select
    on: Side
    columns: tuple[str, ...]  # the tasks, then AVERAGE where there are several tasks
    groups: tuple[Group, ...]
    ledger: Ledger  # which records count, and why the others do not


def build_table(
    suite: Suite,
    records: Iterable[Record],
    *,
    select: Select = "last",
    budget: str = "full",
    on: Side = "target",
) -> Table:
    """The measured and the published numbers of a suite at one budget and one selection.

    Accuracies are in %, gaps and gains in percentage points. Only records of the suite as it is
    now count; the table's `ledger` holds the others with the reason. Raises UsageError for a budget
    that the suite does not have.
    """
    ledger = settle_suite(suite, records, budget)
    columns = (*suite.tasks, AVERAGE) if len(suite.tasks) > 1 else suite.tasks
    base = score_row(suite, ledger, suite.baseline, select, on) if suite.baseline else {}
    groups = []
    for row in suite.rows:
        claims = [c for c in suite.published if (c.row, c.on) == (row.id, on)]
        wanted = dict.fromkeys([select, *map(match_selection, claims)])
        ours = {wish: score_row(suite, ledger, row.id, wish, on) for wish in wanted}
        compared = tuple(_compare(suite, c, ours) for c in claims)
        gains = {} if row.id == suite.baseline else _gains(ours[select], base, suite.confidence)
        oracle = _oracle(suite, ledger, row) if (select, on) == ("last", "target") else None
        groups.append(Group(row, ours, compared, gains, oracle))
    others = tuple(_compare(suite, c, {}) for c in suite.published if (c.row, c.on) == (None, on))
    if others:
        groups.append(Group(None, {}, others, {}, None))
    return Table(suite, budget, select, on, columns, tuple(groups), ledger)


def match_selection(claim: Published) -> Select:
    """The evaluation of ours that a claim is compared with.

    A checkpoint chosen on target labels is compared with our own such choice, any other claim with
    our last step.
    """
    return "best-on-target" if claim.select == "best-on-target" else "last"


def _compare(suite: Suite, claim: Published, ours: Mapping[Select, Scores]) -> Compared:
    select = match_selection(claim)
    figures = dict(claim.values) | ({AVERAGE: claim.average} if claim.average else {})
    scores = ours.get(select, {})

    def judge_figure(column: str, figure: Figure) -> Verdict:
        values, bar = scores[column].by_seed.values(), read_bar(claim, figure)
        return judge(values, figure.value, suite.tolerance, suite.confidence, bar)

    verdicts = {c: judge_figure(c, figure) for c, figure in figures.items() if c in scores}
    return Compared(claim, select, figures, verdicts)


def _gains(ours: Scores, base: Scores, confidence: float) -> dict[str, Gain]:
    """Of each task; on average only where all tasks have the same seeds, because otherwise the
    average would be of other runs than the gains beside it."""
    tasks = [c for c in base if c != AVERAGE]
    seeds = {frozenset(ours[c].by_seed.keys() & base[c].by_seed.keys()) for c in tasks}
    columns = base if len(seeds) == 1 else tasks
    pairs = {c: compare_pairs(ours[c].by_seed, base[c].by_seed, confidence) for c in columns}
    return {column: gain for column, gain in pairs.items() if gain}


def _oracle(suite: Suite, ledger: Ledger, row: Row) -> float | None:
    """Points that choosing evaluations by the target's labels would add, averaged over tasks."""
    if not any(len(r.evals) > 1 for cell, r in ledger.counted if cell.row == row.id):
        return None
    column = AVERAGE if len(suite.tasks) > 1 else suite.tasks[0]
    best = score_row(suite, ledger, row.id, "best-on-target", "target")[column].by_seed
    last = score_row(suite, ledger, row.id, "last", "target")[column].by_seed
    return mean(best[seed] - last[seed] for seed in last) if last else None
