"""Sentences about verdicts that are unresolved: how many seeds would settle them."""

from collections.abc import Iterator

from bench.report.numbers.aggregate import Compared, Group, Table
from bench.report.numbers.errorbars import read_bar
from bench.report.numbers.power import count_seeds, find_detectable
from bench.report.numbers.stats import negligible
from bench.report.page.text import format_column


def foretell_verdicts(table: Table) -> Iterator[str]:
    """One sentence for each claim with unresolved verdicts of two seeds or more, below one that
    says how to read them."""
    found = [text for g in table.groups for c in g.claims if (text := _foretell(table, g, c))]
    if found:
        yield (
            "How many seeds would settle an unresolved verdict with a probability of 0.8, if gap "
            "and spread stay as they are; in brackets, how many there are now and which gaps they "
            "can show:"
        )
    yield from found


def _foretell(table: Table, group: Group, c: Compared) -> str:
    """'“DANN” against “table 1”: about 9 seeds on A→B (now 3: gaps of 2.6 points and more); the gap
    is too near the tolerance to tell on B→A (now 2); all 4 seeds agree on A→C, which tells nothing
    about the spread.'; '' where nothing is unresolved."""
    places = [column for column in table.columns if _is_open(c, column)]
    if not (group.row and places):
        return ""
    ours = {column: group.ours[c.select][column].summary for column in places}
    flat = [column for column in places if negligible(ours[column].sd or 0.0)]
    told = {
        column: _foretell_one(table, group, c, column) for column in places if column not in flat
    }
    texts = [text for text in told.values() if text]
    near = [
        f"{format_column(table.suite, column)} (now {ours[column].n})"
        for column, text in told.items()
        if not text
    ]
    if near:
        texts.append(f"the gap is too near the tolerance to tell on {', '.join(near)}")
    texts += [
        f"all {ours[column].n} seeds agree on {format_column(table.suite, column)}, which tells "
        "nothing about the spread"
        for column in flat
    ]
    return f"“{group.row.label}” against “{c.claim.label}”: {'; '.join(texts)}."


def _is_open(c: Compared, column: str) -> bool:
    verdict = c.verdicts.get(column)
    return bool(verdict and verdict.word == "unresolved" and verdict.interval)


def _foretell_one(table: Table, group: Group, c: Compared, column: str) -> str:
    """'' where the gap is too near the edge of the tolerance."""
    suite, score = table.suite, group.ours[c.select][column].summary
    gap = c.verdicts[column].gap
    assert score.sd is not None and gap is not None
    bar = read_bar(c.claim, c.figures[column])
    needed = count_seeds(gap, score.sd, score.n, suite.tolerance, suite.confidence, bar)
    if needed is None:
        return ""
    now = f"now {score.n}"
    if bar is None:
        least = find_detectable(score.sd, score.n, suite.confidence, suite.tolerance)
        now += f": gaps of {least:.1f}{suite.points} and more"
    return f"about {needed} seeds on {format_column(suite, column)} ({now})"
