"""The sentences under the tables: what was left out and why, what the runs were, what the claims are."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from statistics import median

from bench.report.numbers.aggregate import Table
from bench.report.numbers.scores import AVERAGE, COLLAPSED
from bench.report.page.text import arrow, difference, many, span
from bench.runs.records import Record
from bench.suite import catalog
from bench.suite.claims import Claim, Published
from bench.suite.suites import Suite

KINDS = {
    "literature-copied": "copied from other literature by the paper named",
    "library-rerun": "a library's re-run, not the authors' own",
    "leaderboard": "taken from a leaderboard",
    "student": "a student's report",
    "digest": "from a digest, not from the paper",
}

ENDED = {"ok": "finished", "diverged": "diverged", "failed": "failed"}
ONE_BY_ONE = 3  # tasks that are few enough for a sentence each


def remarks(suite: Suite, claims: Sequence[Claim], cites: Mapping[str, str]) -> list[str]:
    """For each claim, in their order, what a reader has to know about it: '' when it speaks for itself."""
    said = ["; ".join(_remark(claim, suite)) for claim in claims]
    return [
        f"{cites[claim.cite]}: {text}." if text else ""
        for claim, text in zip(claims, said, strict=True)
    ]


def _remark(claim: Claim, suite: Suite) -> Iterator[str]:
    if claim.kind != "paper":
        yield KINDS[claim.kind]
    if not claim.verified:
        yield "not verified: not read in the source itself"
    if isinstance(claim, Published) and claim.select == "best-on-target":
        yield "the checkpoint was chosen on the target's test labels, so it stands beside our best on target ‡"
    if isinstance(claim, Published) and (text := claim.discrepancy(suite.tasks)):
        yield text
    if claim.note:
        yield claim.note


def reading(suite: Suite) -> Iterator[str]:
    """How the figures are to be read; once for all tables of a suite."""
    yield (
        "Lines in bold are ours. Accuracy in % of the test images: mean ± sample standard deviation over seeds "
        f"(number of seeds); one seed has no ±. The suite asks for {many(suite.seeds, 'seed')}. "
        "An average is taken within each seed first, and only over seeds that have all tasks."
    )
    if suite.published:
        yield (
            f"ours − published: difference in points with its {100 * suite.confidence:.3g} % Student interval over seeds; "
            "the published figure counts as exact, because what its error bar means is rarely stated. "
            f"Verdict: match when the interval lies within ±{suite.tolerance:g} points, differs when it lies wholly "
            "outside, else unresolved; one seed leaves it unresolved."
        )
        yield "Where a paper does not say which checkpoint it reports, it stands beside our last step."
    yield "‡ marks an oracle: a checkpoint chosen on the target's test labels, which nobody has in practice."


def training(table: Table) -> Iterator[str]:
    """What the budget is, in iterations and images."""
    suite = table.suite
    if note := suite.budget(table.budget).note:
        yield f"Budget `{table.budget}`: {note}. Its verdicts are about runs of this budget, not about the claim."
    plans: dict[str, list[str]] = {}
    for row, task in product(suite.rows, suite.tasks):
        r = suite.recipe_for(row, task, table.budget)
        names = plans.setdefault(
            f"{r.iterations:,} iterations × {r.batch} images of each domain", []
        )
        if row.label not in names:
            names.append(row.label)
    if len(plans) == 1:
        yield f"Every run: {next(iter(plans))}."
    else:
        usual = max(plans, key=lambda p: len(plans[p]))
        rest = [f"{', '.join(names)}: {p}" for p, names in plans.items() if p != usual]
        yield f"Every run: {usual}; except {'; '.join(rest)}."
    if absent := [
        row.label for row in suite.rows if table.budget != "full" and not table.ledger.ran(row.id)
    ]:
        yield f"Not run at this budget: {', '.join(absent)}."


def rows(table: Table) -> Iterator[str]:
    """What the suite says about a row of its own."""
    for row in table.suite.rows:
        if row.note and (table.budget == "full" or table.ledger.ran(row.id)):
            yield f"{row.label}: {row.note}."


def marked(table: Table) -> Iterator[str]:
    """Collapsed, diverged and failed cells with their seeds and reasons."""
    suite = table.suite
    for group, task in product(table.groups, suite.tasks):
        if not group.row:
            continue
        scores, place = group.ours[table.select][task], f"{group.row.label}, {arrow(suite, task)}"
        if scores.collapsed:
            each = (
                f"{x:.2f}{' †' * (seed in scores.collapsed)}"
                for seed, x in sorted(scores.by_seed.items())
            )
            yield (
                f"† {place}: collapsed at {_seeds(scores.collapsed)}, where one class receives at least "
                f"{100 * COLLAPSED:.0f} % of the predictions. By seed: {', '.join(each)}; "
                f"median {median(scores.by_seed.values()):.2f}."
            )
        for cell, r in table.ledger.results(group.row.id, task):
            if r.status != "ok" and r.end:
                yield f"{place}: seed {cell.seed} {r.status}: {r.end.get('reason', 'no reason recorded')}."


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}"


def set_aside(table: Table) -> Iterator[str]:
    """The records that count for nothing, gathered by reason."""
    tally = Counter((why, detail) for why, detail, _ in table.ledger.aside)
    for (why, detail), n in sorted(tally.items()):
        match why:
            case "made-up images":
                yield f"{many(n, 'record')} of made-up images not counted: they show that it runs, never how well."
            case "unfinished":
                yield f"{many(n, 'record')} without an end not counted: still running, or interrupted."
            case "replaced":
                yield f"{many(n, f'{ENDED[detail]} attempt')} replaced by a later one of the same cell."
            case _:
                yield f"{many(n, 'record')} of another recipe not counted: {detail}."


def gained(table: Table) -> Iterator[str]:
    """A sentence for each row, on average or at each task: 'DANN gains +8.3 [6.1, 10.5] on MNIST→MNIST-M (3 seeds).'"""
    for group in table.groups:
        if not group.row:
            continue
        columns = [c for c in group.gains if c == AVERAGE] or list(group.gains)
        if len(columns) > ONE_BY_ONE:
            tally = Counter(group.gains[c].word for c in columns)
            said = ", ".join(
                f"{tally[word]} {word}" for word in ("gain", "loss", "not shown") if tally[word]
            )
            yield f"{group.row.label}: no average, for want of a task; of {len(columns)} tasks {said}."
            continue
        for gain, c in ((group.gains[c], c) for c in columns):
            where = "on average" if c == AVERAGE else f"on {arrow(table.suite, c)}"
            what = f"no gain shown, {difference(gain)}"
            if gain.interval and gain.word != "not shown":
                lo, hi = gain.interval
                what = (
                    f"gains {difference(gain)}"
                    if lo > 0
                    else f"loses {-gain.gap:.1f}{span((-hi, -lo))}"
                )
            yield f"{group.row.label}{':' if what.startswith('no') else ''} {what} {where} ({many(gain.n, 'seed')})."


def supervised(suite: Suite) -> Iterator[str]:
    """The rows that may not be compared with unsupervised ones."""
    for row in suite.rows:
        if (entry := catalog.methods().get(row.method)) and entry.supervised_target:
            yield f"{row.label} sees the target's training labels: it is a bound, not a method of domain adaptation."


def unknown_budgets(suite: Suite, records: Iterable[Record]) -> Iterator[str]:
    """Records that no table can show, because the suite no longer names their budget."""
    tally = Counter(r.run["budget"] for r in records)
    for budget, n in sorted(tally.items()):
        if budget != "full" and budget not in suite.budgets:
            yield f"{many(n, 'record')} of the budget `{budget}`, which the suite no longer has, not counted."


def costing(suite: Suite) -> Iterator[str]:
    """How the columns of a cost table are to be read."""
    yield (
        "Medians over n records. ms/iteration: median within a record, then its 5th and 95th percentile; data wait: the "
        "part of it until the batch was ready; warm-up and evaluation are outside the clock. images/s: of both domains."
    )
    yield (
        "Memory: the peak after the warm-up, without the resident data set, whose own size is data MiB. "
        "On a CPU it is the resident set of the whole process, with whatever of the data was read."
    )
    if base := suite.cost_baseline or suite.baseline:
        yield (
            f"Ratios: over {suite.by_id[base].label}, at tasks both have; that of memory is of the first column of memory. "
            + "Across machines only ratios compare; a claim's are over the same paper's figure."
            * bool(suite.costs)
        )
