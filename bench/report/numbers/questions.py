"""The questions that seeds are added for: which verdicts and gains are still open."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bench.report.numbers.aggregate import match_selection
from bench.report.numbers.errorbars import read_bar
from bench.report.numbers.scores import AVERAGE, Score, score_row
from bench.report.numbers.sequential import bound_mean, judge_sequence
from bench.report.numbers.stats import negligible
from bench.runs.ledger import Ledger
from bench.suite.claims import Published
from bench.suite.suite import Suite


@dataclass(frozen=True)
class Question:
    """Something that runs of a few cells answer."""

    rows: tuple[str, ...]  # whose runs these are
    tasks: tuple[str, ...]
    answer: str
    """Of a published figure: match, differs, unresolved. Of a gain over the baseline: gain, loss,
    equal (within the tolerance), unresolved. not measured: no run has a value, so that more seeds
    are not worth trying."""

    @property
    def open(self) -> bool:
        """Whether another seed may answer it."""
        return self.answer == "unresolved"

    @property
    def places(self) -> set[tuple[str, str]]:
        """(row, task) of each of its runs."""
        return {(row, task) for row in self.rows for task in self.tasks}


def has_claims(suite: Suite, rows: Collection[str], tasks: Collection[str]) -> bool:
    """Whether any of these rows has a published figure at one of these tasks."""
    return any(c.row in rows and not c.values.keys().isdisjoint(tasks) for c in suite.published)


def list_questions(
    suite: Suite, ledger: Ledger, rows: Collection[str], tasks: Collection[str]
) -> list[Question]:
    """Every question about these rows and tasks, with what the counted records answer.

    About the verdicts against published figures; where there is none, about the gains over the
    suite's baseline at each task. The answers stay true, with the suite's confidence for each, if
    seeds are added until they are given (see `sequential`).
    """
    if has_claims(suite, rows, tasks):
        claims = (c for c in suite.published if c.row in rows)
        return [q for c in claims for q in _ask_claim(suite, ledger, c, tasks)]
    others = (row for row in rows if row != suite.baseline)
    return [q for row in others for q in _ask_gains(suite, ledger, row, tasks)]


def _ask_claim(
    suite: Suite, ledger: Ledger, claim: Published, tasks: Collection[str]
) -> Iterator[Question]:
    """A question for each figure at these tasks; for the average where these are all tasks."""
    assert claim.row
    scores = score_row(suite, ledger, claim.row, match_selection(claim), claim.on)
    figures = {task: figure for task, figure in claim.values.items() if task in tasks}
    if claim.average and AVERAGE in scores and set(tasks) == set(suite.tasks):
        figures[AVERAGE] = claim.average
    for column, figure in figures.items():
        needed = suite.tasks if column == AVERAGE else (column,)
        values, bar = scores[column].by_seed.values(), read_bar(claim, figure)
        verdict = judge_sequence(values, figure.value, suite.tolerance, suite.confidence, bar)
        yield Question((claim.row,), needed, verdict.word)


def _ask_gains(
    suite: Suite, ledger: Ledger, row: str, tasks: Collection[str]
) -> Iterator[Question]:
    assert suite.baseline
    ours, base = (
        score_row(suite, ledger, name, "last", "target") for name in (row, suite.baseline)
    )
    for task in tasks:
        yield Question((row, suite.baseline), (task,), _judge_gain(suite, ours[task], base[task]))


def _judge_gain(suite: Suite, ours: Score, base: Score) -> str:
    shared = ours.by_seed.keys() & base.by_seed.keys()
    if not shared:
        return "not measured"
    differences = [ours.by_seed[seed] - base.by_seed[seed] for seed in sorted(shared)]
    interval = bound_mean(differences, confidence=suite.confidence)
    if interval is None:
        return "unresolved"
    lo, hi = interval
    if negligible(hi - lo):
        return "unresolved"
    if lo > 0 or hi < 0:
        return "gain" if lo > 0 else "loss"
    return "equal" if max(-lo, hi) <= suite.tolerance else "unresolved"
