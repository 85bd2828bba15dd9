"""The sentences under the tables: what was run, what was left out and why, what is claimed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from statistics import median

from bench.report.numbers.ablation import IDLE, Ablation
from bench.report.numbers.aggregate import Group, Table
from bench.report.numbers.costs import Cost
from bench.report.numbers.scores import AVERAGE, COLLAPSED, Score
from bench.report.numbers.stats import Shown
from bench.report.numbers.view import View
from bench.report.page.text import format_column, format_count, format_difference
from bench.runs.ledger import Aside, Ledger
from bench.runs.records import Record
from bench.suite import catalog
from bench.suite.claims import Claim, Published
from bench.suite.schema import compact
from bench.suite.suite import Row, Suite

KINDS = {  # kinds of claims that are not the authors' own -> what to say about them
    "literature-copied": "copied from other literature by the paper named",
    "secondhand": "copied or run anew by the paper named, not by the method's own authors",
    "library-rerun": "a library's re-run, not the authors' own",
    "leaderboard": "taken from a leaderboard",
    "student": "a student's report",
    "digest": "from a digest, not from the paper",
}
BARS = {  # what a printed ± can mean -> in words
    "sd": "the sample standard deviation",
    "se": "the standard error",
    "ci95": "half the width of the 95 % Student interval",
}
ENDED = {"ok": "finished", "diverged": "diverged", "failed": "failed"}  # status -> adjective
ONE_BY_ONE = 3  # up to as many tasks get a sentence each; more are counted


def remark_on_claims(suite: Suite, claims: Sequence[Claim], names: Mapping[str, str]) -> list[str]:
    """What a reader has to know about each claim, in their order; '' for one that needs no remark.

    names: the key of a paper -> what to call it.
    """
    remarks = ["; ".join(_remarks(claim, suite, names)) for claim in claims]
    return [
        f"{names[claim.cite]}: {text}." if text else ""
        for claim, text in zip(claims, remarks, strict=True)
    ]


def _remarks(claim: Claim, suite: Suite, names: Mapping[str, str]) -> Iterator[str]:
    if claim.kind != "paper":
        yield KINDS[claim.kind]
    if not claim.verified:
        yield "not verified: not read in the source itself"
    if isinstance(claim, Published) and claim.select == "best-on-target":
        yield (
            "the checkpoint was chosen on the target's test labels, "
            "so it stands beside our best on target ‡"
        )
    if isinstance(claim, Published) and claim.error:
        yield f"its ± is {BARS[claim.error]} over {claim.n} runs, so intervals are Welch's"
    if isinstance(claim, Published) and (text := claim.discrepancy(suite.tasks)):
        yield text
    if isinstance(claim, Published) and (other := suite.repeated(claim)):
        equal = f"the {len(claim.values)} figures of {claim.label} equal those of {other.label}"
        yield f"{equal} ({names[other.cite]})"
    if claim.note:
        yield claim.note


def explain_accuracies(suite: Suite, tables: Sequence[Table]) -> Iterator[str]:
    """How to read the figures; once for all tables of a suite. What none of them shows is left out,
    so that nobody looks for it."""
    groups = [g for table in tables for g in table.groups]
    claims = [c for g in groups for c in g.claims]
    selects = {*(t.select for t in tables), *(c.select for c in claims)}
    measure = "Accuracy in % of the test images"
    if suite.metric:
        measure = f"{suite.metric.title}, {suite.metric.better} is better"
    elif suite.accuracy == "classes":
        measure += " of each class, averaged over the classes"
    points = suite.points
    yield (
        f"Lines in bold are ours. {measure}: mean ± sample standard "
        "deviation over seeds (number of seeds); one seed has no ±. The suite asks for "
        f"{format_count(suite.seeds, 'seed')}. An average is taken within each seed first, and "
        "only over seeds that have all tasks."
    )
    if any(c.measured for c in claims):
        yield (
            f"ours − published: difference{' in' * bool(points)}{points} with its "
            f"{100 * suite.confidence:.3g} % Student interval over seeds; the published figure "
            "counts as exact, because papers rarely say what their ± means. Verdict: match if the "
            f"interval lies within ±{suite.tolerance:g}{points} (two one-sided tests, TOST, each "
            f"at {50 * (1 - suite.confidence):.3g} %), differs if it lies wholly outside, else "
            "unresolved, as with one seed, or where all seeds agree. The interval tells how far "
            "other seeds may lie; other test images or tasks are not in it."
        )
        if any(c.claim.error for c in claims):
            yield (
                "Where a source says what its ± means and of how many runs, both errors count: the "
                "interval is Welch's. Remarks on claims name those."
            )
        yield "A figure whose checkpoint the paper does not name is compared with our last step."
    if "best-on-target" in selects or any(g.oracle is not None for g in groups):
        yield (
            "‡ marks an oracle: a checkpoint chosen on the target's test labels, which nobody has "
            "in practice. “Oracle adds”: how far it lies above the checkpoint shown."
        )


def describe_view(table: Table, view: View) -> Iterator[str]:
    """How much of a table the page leaves out, and why."""
    suite = table.suite
    tasks = _tasks(table)
    rows = sum(g.row is not None for g in table.groups)
    left_out = _count_of(len(suite.rows) - rows, len(suite.rows), "row")
    left_out += _count_of(len(suite.tasks) - len(tasks), len(suite.tasks), "task")
    if not left_out:
        return
    if not rows:
        yield f"Nothing was measured: all {len(suite.rows)} rows are left out."
        return
    why = " of which nothing was measured" if (view.rows, view.tasks) == (None, None) else ""
    yield f"Left out of this table: {' and '.join(left_out)}{why}."
    if tasks and len(tasks) < len(suite.tasks) and AVERAGE not in table.columns:
        yield "The average is over all tasks of the suite, so it is left out, too."


def _count_of(n: int, every: int, word: str) -> list[str]:
    return [f"{n} of {format_count(every, word)}"] if n else []


def describe_runs(table: Table) -> Iterator[str]:
    """The budget in iterations and images, and the rows that were not run at it."""
    suite = table.suite
    budget = suite.budget(table.budget)
    if budget.note:
        other = not set(budget.recipe) <= IDLE  # it trains otherwise
        judged = any(c.measured for group in table.groups for c in group.claims)
        about = ""
        if other and judged:
            about = " Its verdicts are about runs of this budget, not about the claim."
        yield f"Budget `{table.budget}`: {budget.note}.{about}"
    plans: dict[str, list[str]] = {}
    every = [g.row for g in table.groups if g.row]
    idle = [row for row in every if table.budget != "full" and not table.ledger.ran(row.id)]
    rows = [row for row in every if row not in idle] or every
    for row, task in product(rows, _tasks(table)):
        r = suite.recipe_for(row, task, table.budget)
        length = f"{r.iterations:,} iterations × {r.batch} images of each domain"
        names = plans.setdefault(length, [])
        if (name := f"“{row.label}”") not in names:
            names.append(name)
    if plans:
        usual = max(plans, key=lambda length: len(plans[length]))
        rest = [f"{', '.join(names)}: {p}" for p, names in plans.items() if p != usual]
        yield f"A run takes {usual}{'; except ' if rest else ''}{'; '.join(rest)}."
    if idle:
        yield f"Not run at this budget: {', '.join(f'“{row.label}”' for row in idle)}."


def describe_rows(table: Table) -> Iterator[str]:
    """Which protocols single rows follow, and what the suite's file says about them."""
    rows = (g.row for g in table.groups if g.row)
    shown = [r for r in rows if table.budget == "full" or table.ledger.ran(r.id)]
    followed: dict[str, list[str]] = {}
    for row in shown:
        if row.preset:
            followed.setdefault(row.preset, []).append(f"“{row.label}”")
    for preset, labels in followed.items():
        yield f"By the protocol `{preset}`: {', '.join(labels)}."
    yield from (f"{row.label}: {row.note}." for row in shown if row.note)


def name_lost_seeds(table: Table) -> Iterator[str]:
    """The seeds that collapsed, diverged or failed, with the reason."""
    suite = table.suite
    for group, task in product(table.groups, _tasks(table)):
        if not group.row:
            continue
        score = group.ours[table.select][task]
        place = f"{group.row.label}, {format_column(suite, task)}"
        if score.collapsed:
            yield _collapse_sentence(score, place)
        for cell, r in table.ledger.results(group.row.id, task):
            if r.status != "ok" and r.end:
                reason = r.end.reason or "no reason recorded"
                yield f"{place}: seed {cell.seed} {r.status}: {reason}."


def _tasks(table: Table) -> list[str]:
    """The tasks that a table shows."""
    return [c for c in table.columns if c != AVERAGE]


def _collapse_sentence(score: Score, place: str) -> str:
    seeds = ", ".join(map(str, sorted(score.collapsed)))
    each = (
        f"{x:.2f}{' †' * (seed in score.collapsed)}" for seed, x in sorted(score.by_seed.items())
    )
    return (
        f"† {place}: collapsed at seed{'s' if len(score.collapsed) > 1 else ''} {seeds}, where one "
        f"class receives at least {100 * COLLAPSED:.0f} % of the predictions. By seed: "
        f"{', '.join(each)}; median {median(score.by_seed.values()):.2f}."
    )


def count_set_aside(ledger: Ledger) -> Iterator[str]:
    """How many records do not count, by reason."""
    tally = Counter((a.why, _detail(a)) for a in ledger.aside)
    for (why, detail), n in sorted(tally.items()):
        records = format_count(n, "record")
        match why:
            case "generated":
                yield (
                    f"{records} of made-up images not counted: "
                    "they show that it runs, never how well."
                )
            case "unfinished":
                yield f"{records} without an end not counted: still running, or interrupted."
            case "replaced":
                attempts = format_count(n, f"{ENDED[detail]} attempt")
                yield f"{attempts} replaced by a later one of the same cell."
            case "damaged":
                yield f"{records} not counted: {detail}."
            case "other code":
                yield f"{records} of other code not counted: {detail}."
            case "other recipe":
                yield f"{records} of another recipe not in this table: {detail}."


def _detail(a: Aside) -> str:
    """The reason, with the name of a file that is damaged."""
    return f"{a.record.path.name} is {a.detail}" if a.why == "damaged" else a.detail


WORDS: Mapping[Shown, str] = {"gain": "gains", "loss": "loses", "not shown": "shows neither"}


def describe_gains(table: Table) -> Iterator[str]:
    """A sentence for each row: its average gain, else its gain at each task, else a count. Then how
    often chance alone shows something."""
    for group in table.groups:
        if not (group.row and group.gains):
            continue
        tasks = [c for c in group.gains if c != AVERAGE]
        if AVERAGE in group.gains:
            yield _gain_sentence(table, group, AVERAGE) + _exceptions(table, group, tasks) + "."
        elif len(tasks) > ONE_BY_ONE:
            yield _gain_count(table, group, tasks)
        else:
            yield from (f"{_gain_sentence(table, group, c)}." for c in tasks)
    tested = sum(g.gains[c].interval is not None for g in table.groups for c in g.gains)
    if tested > 1:
        yield (
            f"Each of the {tested} intervals is taken by itself, not corrected for the others: "
            f"about one in {1 / (1 - table.suite.confidence):.3g} leaves out 0 by chance where "
            "there is nothing to find. `bench compare` corrects over the tasks."
        )


def _gain_sentence(table: Table, group: Group, column: str) -> str:
    """'DANN gains +8.3 [6.1, 10.5] on MNIST→MNIST-M (3 seeds)', the numbers as in the table."""
    assert group.row
    gain, label = group.gains[column], group.row.label
    place = "on average" if column == AVERAGE else f"on {format_column(table.suite, column)}"
    both = " that both have" if gain.n < group.ours[table.select][column].summary.n else ""
    if gain.n == 1:
        return f"{label}: {format_difference(gain)} {place} at one seed, which shows nothing"
    verb = f" {WORDS[gain.word]}{':' * (gain.word == 'loss')}"  # a row does not lose −3
    if gain.word == "not shown":
        verb = ": neither gain nor loss shown,"
    return f"{label}{verb} {format_difference(gain)} {place} ({format_count(gain.n, 'seed')}{both})"


def _exceptions(table: Table, group: Group, tasks: Sequence[str]) -> str:
    """The tasks that show the opposite of the average, or anything where it shows nothing."""
    usual = ("not shown", group.gains[AVERAGE].word)
    odd: dict[str, list[str]] = {}
    for c in tasks:
        if (word := group.gains[c].word) not in usual:
            odd.setdefault(WORDS[word], []).append(format_column(table.suite, c))
    return "".join(f"; it {verb} on {', '.join(places)}" for verb, places in odd.items())


def _gain_count(table: Table, group: Group, tasks: Sequence[str]) -> str:
    """'DANN: of 5 tasks it gains on 4 (3 seeds); a task is missing, so no average is given.'"""
    assert group.row
    missing = len(tasks) < len(table.suite.tasks)
    why = "a task is missing" if missing else "not all tasks have the same seeds"
    average = f"; {why}, so no average is given" if AVERAGE in table.columns else ""
    tally = Counter(group.gains[c].word for c in tasks)
    words = ", ".join(f"{verb} on {tally[word]}" for word, verb in WORDS.items() if tally[word])
    few, many = (pick(group.gains[c].n for c in tasks) for pick in (min, max))
    seeds = format_count(many, "seed") if few == many else f"{few} to {many} seeds"
    return f"{group.row.label}: of {len(tasks)} tasks it {words} ({seeds}){average}."


def explain_ablations(suite: Suite, found: Sequence[tuple[Row, Ablation]]) -> Iterator[str]:
    """What the table of single knobs says as a whole, and how to read it."""
    tested = [(row, a, a.moved) for row, a in found if a.moved and a.moved.interval]
    tested.sort(key=lambda x: -abs(x[2].gap))
    moving = [x for x in tested if x[2].word != "not shown"]
    if moving:
        named = "; ".join(
            f"{row.label}, {a.knob} = {compact(a.value)} ({format_difference(gain)})"
            for row, a, gain in moving
        )
        yield f"What was shown to move the accuracy, the largest first: {named}."
    if still := len(tested) - len(moving):
        yield f"Of {format_count(still, 'other knob')} neither gain nor loss was shown."
    if single := len(found) - len(tested):
        yield f"{format_count(single, 'value')} tried at one seed, which shows nothing."
    yield (
        "Each line is about runs that differ from the row in that knob alone (`--set`) and are in "
        "no other table. Moved: over the seeds that both have, with the "
        f"{100 * suite.confidence:.3g} % Student interval, not corrected for how many knobs were "
        "tried. `bench explain` names the runs that are still wanted."
    )


def explain_choices(suite: Suite) -> Iterator[str]:
    """How to read the table of choices."""
    lost = suite.metric.title if suite.metric else "points of accuracy on the target"
    yield (
        f"Regret: {lost} that a run loses when this rule, and not the oracle, chooses its "
        "evaluation; the mean over the runs, of any row, task and seed, that recorded all scores "
        "[Student interval, as if the runs were independent]. Rank correlation: Spearman's, "
        "between the rule's score and the accuracy on the target, within a run; the mean over runs."
    )
    yield (
        "Scores that need no label of the target: mean entropy of the predictions; mutual "
        "information between image and class; soft neighbourhood density (SND; Saito et al., ICCV "
        "2021); nuclear norm (BNM; Cui et al., CVPR 2020); deep embedded validation (DEV; You et "
        "al., ICML 2019), from weighted mistakes on the source. `bench tables --select snd`, and "
        "so on, shows what each chooses."
    )


def name_supervised_rows(rows: Iterable[Row]) -> Iterator[str]:
    """The rows that may not be compared with unsupervised ones."""
    for row in rows:
        if catalog.is_bound(row.method):
            yield (
                f"{row.label} sees the target's training labels: "
                "it is a bound, not a method of domain adaptation."
            )


def name_rows_without_code(rows: Iterable[Row]) -> Iterator[str]:
    """The rows whose method could not be compared with any code of it."""
    for row in rows:
        if (entry := catalog.methods().get(row.method)) and entry.origin:
            yield f"{row.label}: no public code was found; written from {entry.origin}."


def count_unknown_budgets(suite: Suite, records: Iterable[Record]) -> Iterator[str]:
    """The records that no table can show, because the suite no longer has their budget."""
    tally = Counter(r.run.budget for r in records if r.run and r.run.suite == suite.name)
    for budget, n in sorted(tally.items()):
        if budget not in ("full", "smoke", *suite.budgets):
            yield (
                f"{format_count(n, 'record')} of the budget `{budget}`, "
                "which the suite no longer has, not counted."
            )


def name_busy_times(costs: Sequence[Cost], *, counted: bool) -> Iterator[str]:
    """How many records of a section were made on a busy machine, and what became of them.

    counted: whether their times enter ratios, as was asked.
    """
    total = sum(c.n + c.left_out for c in costs)
    records = format_count(total, "record")
    busy, left_out = sum(c.busy for c in costs), sum(c.left_out for c in costs)
    others = "begun while others computed on the machine"
    if busy:
        fate = "counted because that was asked (`--busy`)" if counted else "in no ratio"
        yield f"§ {busy} of {records} {others}: no measure of a method, {fate}."
    if left_out:
        yield (f"{left_out} of {records} left out, {others}; {total - left_out} remain.")
    if unknown := sum(c.unknown for c in costs):
        yield (
            f"{unknown} of {records} counted without knowing whether others "
            "computed on the machine: older programs did not ask."
        )


def explain_costs(suite: Suite) -> Iterator[str]:
    """How to read the columns of a table of costs."""
    yield (
        "Medians over n records. ms/iteration: median within a record, then its 5th and 95th "
        "percentile; data wait: the part of it until the batch was ready; warm-up and evaluation "
        "are outside the clock. images/s: of both domains."
    )
    yield (
        "§: others computed on the machine. Its load average, as the run began, was more than 0.5 "
        "above the number of the run's own threads. Cells that shared a device by command stand "
        "under a machine of their own, without ratios; of others on the same GPU no record tells."
    )
    yield (
        "Memory: the peak after the warm-up, without the resident data set, whose own size is data "
        "MiB. On a CPU it is the resident set of the whole process, with whatever of the data was "
        "read."
    )
    if base := suite.cost_row:
        claims = "Across machines only ratios compare; a claim's are over the same paper's figure."
        yield (
            f"Ratios: over {suite.by_id[base].label}, at tasks both have; that of memory is of the "
            f"first column of memory. {claims if suite.costs else ''}"
        )
