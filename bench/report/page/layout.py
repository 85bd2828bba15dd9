"""What a page consists of, and how tables of numbers become grids of short texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.report.numbers.ablation import Ablation
from bench.report.numbers.aggregate import Compared, Group, Table
from bench.report.numbers.choice import Choice
from bench.report.numbers.costs import Cost
from bench.report.numbers.measures import Board
from bench.report.numbers.scores import AVERAGE, Scores
from bench.report.page.text import (
    DASH,
    SELECTED,
    format_column,
    format_difference,
    format_gain,
    format_interval,
    format_points,
    format_score,
)
from bench.suite.claims import PublishedCost
from bench.suite.schema import compact
from bench.suite.suite import Row, Suite

Mark = Literal["best", "second", ""]
"""How a cell is set off: bold, underlined, not at all."""


@dataclass(frozen=True)
class Line:
    """One line of a grid."""

    kind: Literal["heading", "ours", "published", "gap", "verdict"]
    label: str
    cells: tuple[str, ...]
    first: bool = False  # whether it opens a group
    marks: tuple[Mark, ...] = ()  # of each cell; () for none
    row: str = ""  # of a line of ours, the id of the row that it is about


@dataclass(frozen=True)
class Grid:
    """A table of short texts."""

    head: tuple[str, ...]  # headings: of the labels (blank), then of the cells
    lines: tuple[Line, ...]
    caption: str = ""  # what stands with it wherever it is put; a grid without one needs its page
    name: str = ""  # what a text refers to it by, such as tab:demo
    width: int = 160  # characters of its widest piece

    def panels(self) -> list["Grid"]:
        """The grid cut between columns into equal pieces of at most about `width` characters."""
        label = max((len(x.label) for x in self.lines), default=0)
        columns = zip(self.head[1:], *(x.cells for x in self.lines), strict=True)
        needed = sum(3 + max(map(len, column)) for column in columns)
        n, pieces = len(self.head) - 1, -(-needed // max(self.width - label, self.width // 2))
        cuts = [slice(i * n // pieces, (i + 1) * n // pieces) for i in range(pieces)]
        return [self._piece(cut) for cut in cuts]

    def _piece(self, cut: slice) -> "Grid":
        """Only these columns, without the lines about claims that would hold nothing but dashes."""
        lines = (replace(x, cells=x.cells[cut], marks=x.marks[cut]) for x in self.lines)
        kept = (x for x in lines if x.kind in ("ours", "heading") or set(x.cells) != {DASH})
        return replace(self, head=(self.head[0], *self.head[1:][cut]), lines=tuple(kept))


@dataclass(frozen=True)
class Section:
    """A part of a page: a title, perhaps a grid, and the sentences below it."""

    title: str
    grid: Grid | None
    notes: tuple[str, ...]
    table: Table | None = None  # the numbers of a grid of accuracies
    board: Board | None = None  # the numbers of a grid of statements


@dataclass(frozen=True)
class Reference:
    """A paper that a page cites."""

    short: str  # what the tables call it
    text: str  # its entry in the list of references
    url: str  # "" for none


@dataclass(frozen=True)
class Page:
    """All that one rendered file says, in plain text; only `code` is marked, by backticks."""

    title: str
    about: str  # the paragraph below the title
    warnings: tuple[str, ...]  # what a reader must know before any number
    sections: tuple[Section, ...]
    references: tuple[Reference, ...]


def lay_out_table(table: Table, labels: Sequence[str]) -> Grid:
    """Each row as measured, then each claim about it: as printed, ours − published, the verdict.

    labels: what to call each claim, in the order of the suite. Only a table of last steps has the
    column that says what an oracle would add.
    """
    groups = [g for g in table.groups if _is_shown(table, g)]
    oracle = any(g.oracle is not None for g in groups)
    head = ["", *(format_column(table.suite, c) for c in table.columns)]
    lines: list[Line] = []
    for group in groups:
        first, *rest = _lines(table, group, labels)
        if oracle:
            blank = DASH if group.row else ""
            adds = blank if group.oracle is None else format_points(group.oracle)
            first = replace(first, cells=(*first.cells, adds))
            rest = [replace(line, cells=(*line.cells, "")) for line in rest]
        lines += [first, *rest]
    return Grid((*head, "Oracle adds ‡") if oracle else tuple(head), tuple(lines))


def _is_shown(table: Table, group: Group) -> bool:
    """At the full budget every row and claim; at another budget only the rows that were run."""
    return table.budget == "full" or bool(group.row and table.ledger.ran(group.row.id))


def _lines(table: Table, group: Group, labels: Sequence[str]) -> list[Line]:
    lines = []
    if not group.row:
        blank = ("",) * len(table.columns)
        lines.append(Line("heading", "Published only", blank, first=True))
    for select, scores in group.ours.items():
        assert group.row
        if lines and not table.ledger.ran(group.row.id):
            continue  # one line is enough to say that nothing was measured
        other = "" if select == table.select else f", {SELECTED[select]}"
        cells = tuple(_score_cell(scores, c) for c in table.columns)
        first, label = not lines, group.row.label + other
        lines.append(Line("ours", label, cells, first=first, row=group.row.id))
    for c in group.claims:
        label = labels[table.suite.published.index(c.claim)]
        printed = (c.figures[k].printed if k in c.figures else DASH for k in table.columns)
        lines.append(Line("published", label, tuple(printed)))
        lines += _verdict_lines(table, c)
    return lines


def _score_cell(scores: Scores, column: str) -> str:
    """A dash for an average that does not exist although something was measured."""
    measured = any(s.by_seed or s.lost for s in scores.values())
    if column == AVERAGE and measured and not scores[column].by_seed:
        return DASH
    return format_score(scores[column])


def _verdict_lines(table: Table, c: Compared) -> list[Line]:
    """Ours − published, and the verdict; nothing where nothing was measured."""
    if not c.measured:
        return []
    found = [c.verdicts.get(k) for k in table.columns]
    against = "" if c.select == table.select else f", {SELECTED[c.select]}"
    gaps = tuple(format_difference(v) for v in found)
    words = tuple(v.word if v else DASH for v in found)
    return [Line("gap", f"ours − published{against}", gaps), Line("verdict", "verdict", words)]


def lay_out_gains(table: Table) -> Grid:
    """Rows × tasks: the gain of each row over the suite's baseline row."""
    lines = tuple(
        Line("ours", g.row.label, tuple(format_gain(g.gains.get(c)) for c in table.columns))
        for g in table.groups
        if g.row and g.gains
    )
    return Grid(("", *(format_column(table.suite, c) for c in table.columns)), lines)


def lay_out_ablations(suite: Suite, found: Sequence[tuple[Row, Ablation]]) -> Grid:
    """Knobs that were varied alone × what each moved."""
    reached = suite.metric.title if suite.metric else "reached %"
    head = ("", "task", "the row has", reached, f"moved,{suite.points}".removesuffix(","))
    lines = tuple(
        Line(
            "ours",
            f"{row.label}: {a.knob} = {compact(a.value)}",
            (
                format_column(suite, a.task),
                compact(a.stated),
                f"{a.reached.mean:.2f}"
                + (f" ± {a.reached.sd:.2f}" if a.reached.sd else "")
                + f" ({a.reached.n})",
                format_gain(a.moved),
            ),
            row=row.id,
        )
        for row, a in found
    )
    return Grid(head, lines)


def lay_out_choices(choices: Sequence[Choice]) -> Grid:
    """Choices × what each costs, in the unit of what the suite is about."""
    head = ("", "regret", "largest regret", "rank correlation", "runs")
    lines = tuple(
        Line(
            "ours",
            SELECTED[c.select],
            (
                f"{c.regret.mean or 0:.2f}" + (format_interval(c.interval) if c.interval else ""),
                f"{c.worst:.2f}",
                DASH if c.correlation is None else f"{c.correlation:+.2f}".replace("-", "−"),
                str(c.regret.n),
            ),
        )
        for c in choices
    )
    return Grid(head, lines)


MEMORY = {  # kinds of memory, in the order of their columns -> heading
    "allocated_mib": "allocated MiB", "reserved_mib": "reserved MiB", "rss_mib": "resident MiB",
}  # fmt: skip


@dataclass(frozen=True)
class CostColumn:
    """One column of a table of costs: all that has to be said about it."""

    head: str
    measured: Callable[[Cost], str]  # the cell of a row that was measured
    # the cell of a claim, given also the same paper's claim about the cost baseline if there is one
    claimed: Callable[[PublishedCost, PublishedCost | None], str] = lambda claim, base: DASH


def cost_columns(kinds: Sequence[str]) -> list[CostColumn]:
    """The columns of a table of costs on a machine that measures these kinds of memory.

    A claim's memory is printed in MB and stands in the first of their columns.
    """
    first, *rest = kinds
    return [
        CostColumn(
            "ms/iteration",
            lambda c: f"{c.ms:,.2f}{' §' * bool(c.busy)}",
            lambda claim, base: f"{claim.ms:,.0f}",
        ),
        CostColumn(
            "ratio",
            lambda c: _format_ratio(c.ratio),
            lambda claim, base: _format_ratio(claim.ms / base.ms if base else None),
        ),
        replace(_memory_column(first), claimed=lambda claim, base: f"{claim.mb:,.0f} MB"),
        *map(_memory_column, rest),
        CostColumn(
            "memory ratio",
            lambda c: _format_ratio(c.memory_ratio),
            lambda claim, base: _format_ratio(claim.mb / base.mb if base else None),
        ),
        CostColumn("5 to 95 %", lambda c: f"{c.p5:,.2f} to {c.p95:,.2f}"),
        CostColumn("data wait ms", lambda c: f"{c.wait_ms:.2f}"),
        CostColumn("images/s", lambda c: f"{c.images_per_s:,.0f}"),
        CostColumn("data MiB", lambda c: f"{c.data_mib:,.0f}"),
        CostColumn("n", lambda c: f"{c.n}"),
    ]


def _memory_column(kind: str) -> CostColumn:
    return CostColumn(MEMORY[kind], lambda c: f"{c.memory[kind]:,.0f}")


def _format_ratio(x: float | None) -> str:
    return DASH if x is None else f"{x:.2f}"


def lay_out_costs(
    suite: Suite, costs: Sequence[Cost], claims: Sequence[tuple[PublishedCost, str]]
) -> Grid:
    """Each row as measured on one machine, then each claim about it.

    Rows that have neither are left out. claims: each with what to call it.
    """
    kinds = [k for k in MEMORY if costs and k in costs[0].memory] or ["allocated_mib"]
    columns = cost_columns(kinds)
    measured = {cost.row: cost for cost in costs}
    bases = {c.cite: c for c, _ in reversed(claims) if c.row == suite.cost_row}
    lines: list[Line] = []
    for row in suite.rows:
        cost, theirs = measured.get(row.id), [c for c in claims if c[0].row == row.id]
        if cost:
            lines.append(
                Line("ours", row.label, tuple(c.measured(cost) for c in columns), first=True)
            )
        elif theirs:
            cells = ("not measured", *(DASH for _ in columns[1:]))
            lines.append(Line("ours", row.label, cells, first=True))
        for claim, label in theirs:
            cells = tuple(c.claimed(claim, bases.get(claim.cite)) for c in columns)
            lines.append(Line("published", label, cells))
    return Grid(("", *(c.head for c in columns)), tuple(lines))
