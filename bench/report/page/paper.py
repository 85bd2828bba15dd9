"""The table as papers print it: a row a method, a column a task, then what was published."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.errors import BenchError
from bench.report.numbers.aggregate import Compared, Group, Table
from bench.report.numbers.scores import AVERAGE, Score
from bench.report.numbers.standout import Standout, find_standouts
from bench.report.page.layout import Grid, Line, Mark
from bench.report.page.text import DASH, format_column, format_count, format_points
from bench.suite import catalog

WIDE = 400  # characters: a paper's table is set smaller rather than cut in two


def lay_out_paper(table: Table, labels: Sequence[str], title: str) -> Grid:
    """The measured rows and tasks of a table, one row a method.

    labels: what to call each claim, in the order of the suite. title: what the figures are. Raises
    BenchError when nothing was measured.
    """
    groups = [g for g in table.groups if g.row and _is_measured(g.ours[table.select])]
    columns = [c for c in table.columns if any(g.ours[table.select][c].by_seed for g in groups)]
    if not columns:
        raise BenchError(
            f"{table.suite.name}: nothing was measured at budget {table.budget}, and a paper's "
            "table shows what was; `bench run` trains the cells"
        )
    marks = {c: _mark(table, groups, c) for c in columns}
    last = columns[-1]  # what is published beside the rows is compared there
    claims = {g.row.id: c for g in groups if g.row and (c := _choose_claim(g, last))}
    head = ["", *(format_column(table.suite, c) for c in columns)]
    head += [f"Published, {head[-1]}", "Ours − published"] if claims else []
    counts = {g.ours[table.select][c].summary.n for g in groups for c in columns} - {0}
    lines = []
    for g in groups:
        assert g.row
        scores = g.ours[table.select]
        cells = [_format(scores[c], with_n=len(counts) > 1) for c in columns]
        cells += _compared_cells(claims.get(g.row.id), last) if claims else []
        found = [_name_mark(marks[c], g.row.id) for c in columns] + [""] * (len(head) - 1)
        lines.append(Line("ours", g.row.label, tuple(cells), marks=tuple(found[: len(cells)])))
    marked = any(m.best for m in marks.values())
    caption = " ".join(_caption(table, title, counts, claims, labels, marked))
    name = f"tab:{table.suite.name}" + ("" if table.budget == "full" else f"-{table.budget}")
    return Grid(tuple(head), tuple(lines), caption=caption, name=name, width=WIDE)


def _is_measured(scores: Mapping[str, Score]) -> bool:
    return any(s.by_seed for s in scores.values())


def _mark(table: Table, groups: Iterable[Group], column: str) -> Standout:
    """Rows that see the target's labels are a bound and take no part."""
    lower = table.suite.lower_is_better
    taking_part = {
        g.row.id: g.ours[table.select][column].by_seed
        for g in groups
        if g.row and not catalog.is_bound(g.row.method)
    }
    return find_standouts(taking_part, confidence=table.suite.confidence, lower=lower)


def _name_mark(standout: Standout, row: str) -> Mark:
    return "best" if row in standout.best else "second" if row in standout.second else ""


def _format(score: Score, *, with_n: bool) -> str:
    """'52.6 ± 1.0', with the number of seeds where rows differ in it."""
    s = score.summary
    if s.mean is None:
        return DASH
    spread = "" if s.sd is None else f" ± {s.sd:.1f}"
    return f"{s.mean:.1f}{spread}" + f" ({s.n})" * with_n + " †" * bool(score.collapsed)


def _choose_claim(group: Group, column: str) -> Compared | None:
    """The paper's own figure where it has one, else the first that was printed."""
    printed = [c for c in group.claims if column in c.figures]
    own = [c for c in printed if c.claim.kind == "paper"]
    return next(iter(own or printed), None)


def _compared_cells(claim: Compared | None, column: str) -> list[str]:
    if claim is None:
        return [DASH, DASH]
    verdict = claim.verdicts.get(column)
    if verdict is None or verdict.gap is None:
        return [claim.figures[column].printed, DASH]
    return [claim.figures[column].printed, f"{format_points(verdict.gap)} ({verdict.word})"]


def _caption(
    table: Table, title: str, counts: set[int], claims: Mapping[str, Compared],
    labels: Sequence[str], marked: bool,
) -> Iterator[str]:  # fmt: skip
    suite, ns = table.suite, sorted(counts)
    over = format_count(ns[0], "seed") if len(ns) == 1 else "the seeds counted in brackets"
    yield f"{suite.title}. {title}: mean ± sample standard deviation over {over}."
    if note := suite.budget(table.budget).note:
        yield f"Budget {table.budget}: {note}."
    if marked:
        yield (
            "Bold: the best mean and all that are not shown to be worse (the "
            f"{100 * suite.confidence:.3g} % Student interval of the difference, seed by seed, "
            "holds 0); underlined: the same among the rest. Nothing is marked where all would be."
        )
    if claims:
        shown = dict.fromkeys(labels[suite.published.index(c.claim)] for c in claims.values())
        yield (
            f"Published: {'; '.join(shown)}. Verdicts: match within "
            f"±{suite.tolerance:g}{suite.points}, differs outside, else unresolved."
        )
        if any(c.select != table.select for c in claims.values()):
            yield (
                "Checkpoints that were chosen on the target's labels are compared with our own "
                "such choice."
            )
    if any(g.ours[table.select][c].collapsed for g in table.groups if g.row for c in table.columns):
        yield "†: a seed collapsed to one class."
    if AVERAGE in table.columns and not any(
        g.ours[table.select][AVERAGE].by_seed for g in table.groups if g.row
    ):
        yield "No row has all tasks, so there is no average."
