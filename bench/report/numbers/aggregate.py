"""(suite, records) -> Table. Pure: no clock, no chance, no torch, and the order of the records does not matter."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean

from bench.report.numbers import stats
from bench.report.numbers.scores import AVERAGE, On, Scores, Select, score
from bench.report.numbers.stats import Gain, Verdict
from bench.runs.ledger import Ledger, sort
from bench.runs.records import Record
from bench.suite.claims import Figure, Published
from bench.suite.suites import Row, Suite


@dataclass(frozen=True)
class Compared:
    """A claim by column, beside ours. select: which of our figures it is compared with; no verdicts without a row."""

    claim: Published
    select: Select
    figures: Mapping[str, Figure]
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True)
class Group:
    """A row (None: published only): our scores by selection, the table's own first, and the claims about it.

    gains: over the suite's baseline row, by column. oracle: what best-on-target adds to last over all tasks, in points;
    None unless some run was evaluated more than once.
    """

    row: Row | None
    ours: Mapping[Select, Scores]
    claims: tuple[Compared, ...]
    gains: Mapping[str, Gain]
    oracle: float | None


@dataclass(frozen=True)
class Table:
    """All that one table of a suite shows, as numbers."""

    suite: Suite
    budget: str
    select: Select
    on: On
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    ledger: Ledger


def build(
    suite: Suite,
    records: Iterable[Record],
    *,
    select: Select = "last",
    budget: str = "full",
    on: On = "target",
) -> Table:
    """The measured and the published numbers of a suite at one budget, for one way to choose the checkpoint.

    Accuracy in %, gaps and gains in points. A record counts when its key is that of a cell of the suite as it is now;
    `ledger` holds the others with the reason. Raises UsageError for a budget that the suite does not name.
    """
    ledger = sort(suite, records, budget)
    columns = (*suite.tasks, AVERAGE) if len(suite.tasks) > 1 else suite.tasks
    base = score(suite, ledger, suite.baseline, select, on) if suite.baseline else {}
    groups = []
    for row in suite.rows:
        claims = [c for c in suite.published if (c.row, c.on) == (row.id, on)]
        wanted = dict.fromkeys([select, *map(comparable, claims)])
        ours = {how: score(suite, ledger, row.id, how, on) for how in wanted}
        gains = {} if row.id == suite.baseline else _gains(ours[select], base, suite.confidence)
        oracle = _oracle(suite, ledger, row) if (select, on) == ("last", "target") else None
        groups.append(
            Group(row, ours, tuple(_compare(suite, c, ours) for c in claims), gains, oracle)
        )
    others = tuple(_compare(suite, c, {}) for c in suite.published if (c.row, c.on) == (None, on))
    if others:
        groups.append(Group(None, {}, others, {}, None))
    return Table(suite, budget, select, on, columns, tuple(groups), ledger)


def comparable(claim: Published) -> Select:
    """Like with like: an oracle's figure stands beside our oracle, any other beside our last step."""
    return "best-on-target" if claim.select == "best-on-target" else "last"


def _compare(suite: Suite, claim: Published, ours: Mapping[Select, Scores]) -> Compared:
    figures = dict(claim.values) | ({AVERAGE: claim.average} if claim.average else {})
    scores = ours.get(comparable(claim), {})
    verdicts = {
        column: stats.verdict(
            scores[column].by_seed.values(), f.value, suite.tolerance, suite.confidence
        )
        for column, f in figures.items()
        if column in scores
    }
    return Compared(claim, comparable(claim), figures, verdicts)


def _gains(ours: Scores, base: Scores, confidence: float) -> dict[str, Gain]:
    pairs = {c: stats.paired(ours[c].by_seed, base[c].by_seed, confidence) for c in base}
    return {column: gain for column, gain in pairs.items() if gain}


def _oracle(suite: Suite, ledger: Ledger, row: Row) -> float | None:
    """How much choosing the checkpoint on the target's labels would add, averaged like the last column."""
    if not any(len(r.evals) > 1 for cell, r in ledger.counted if cell.row == row.id):
        return None
    column = AVERAGE if len(suite.tasks) > 1 else suite.tasks[0]
    best, last = (
        score(suite, ledger, row.id, how, "target")[column].by_seed
        for how in ("best-on-target", "last")
    )
    return mean(best[seed] - last[seed] for seed in last) if last else None
