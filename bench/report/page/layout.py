"""Table -> titles, grids of short texts and notes: a page, before it is in any format."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.report.numbers.aggregate import Compared, Group, Table
from bench.report.numbers.costs import Cost
from bench.report.numbers.scores import AVERAGE, Scores
from bench.report.page.text import DASH, SELECTED, accuracy, arrow, difference, signed
from bench.suite.claims import PublishedCost
from bench.suite.suites import Suite


@dataclass(frozen=True)
class Line:
    """One line of a grid. first: it opens a group."""

    kind: Literal["heading", "ours", "published", "gap", "verdict"]
    label: str
    cells: tuple[str, ...]
    first: bool = False


@dataclass(frozen=True)
class Grid:
    """head: the names of the label column, which is blank, and of the others."""

    head: tuple[str, ...]
    lines: tuple[Line, ...]

    def panels(self, width: int = 160) -> list["Grid"]:
        """The grid cut between columns, about evenly, into pieces of about `width` characters: what a page can hold."""
        label = max((len(x.label) for x in self.lines), default=0)
        columns = zip(self.head[1:], *(x.cells for x in self.lines), strict=True)
        n, k = (
            len(self.head) - 1,
            -(-sum(3 + max(map(len, c)) for c in columns) // max(width - label, width // 2)),
        )
        cuts = [slice(i * n // k, (i + 1) * n // k) for i in range(k)]
        return [self._piece(cut) for cut in cuts]

    def _piece(self, cut: slice) -> "Grid":
        """Those columns, without the lines about claims that say nothing there."""
        lines = (replace(x, cells=x.cells[cut]) for x in self.lines)
        kept = (x for x in lines if x.kind in ("ours", "heading") or set(x.cells) != {DASH})
        return Grid((self.head[0], *self.head[1:][cut]), tuple(kept))


@dataclass(frozen=True)
class Section:
    title: str
    grid: Grid | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    short: str
    text: str
    url: str


@dataclass(frozen=True)
class Page:
    title: str
    about: str
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    references: tuple[Reference, ...]


def grid(table: Table, labels: Sequence[str]) -> Grid:
    """Each row as measured, then each claim about it: as printed, ours − published, the verdict.

    labels: how to name a claim, by its place in the suite. Only a table of last steps shows what an oracle would add.
    """
    groups = shown(table)
    oracle = any(g.oracle is not None for g in groups)
    head = ["", *(arrow(table.suite, c) for c in table.columns)]
    lines: list[Line] = []
    for group in groups:
        first, *rest = _group(table, group, labels)
        if oracle:
            adds = signed(group.oracle) if group.oracle is not None else DASH if group.row else ""
            first = replace(first, cells=(*first.cells, adds))
            rest = [replace(line, cells=(*line.cells, "")) for line in rest]
        lines += [first, *rest]
    return Grid((*head, "Oracle adds ‡") if oracle else tuple(head), tuple(lines))


def shown(table: Table) -> list[Group]:
    """All rows and claims at the full budget; at another only the rows that were run."""
    return [
        g for g in table.groups if table.budget == "full" or (g.row and table.ledger.ran(g.row.id))
    ]


def _group(table: Table, group: Group, labels: Sequence[str]) -> list[Line]:
    lines = []
    if not group.row:
        lines.append(Line("heading", "Published only", ("",) * len(table.columns), first=True))
    for select, scores in group.ours.items():
        assert group.row
        if lines and not table.ledger.ran(group.row.id):
            continue  # one line says that nothing was measured
        label = (
            group.row.label if select == table.select else f"{group.row.label}, {SELECTED[select]}"
        )
        cells = (DASH if _incomplete(scores, c) else accuracy(scores[c]) for c in table.columns)
        lines.append(Line("ours", label, tuple(cells), first=not lines))
    for c in group.claims:
        label = labels[table.suite.published.index(c.claim)]
        printed = tuple(c.figures[k].printed if k in c.figures else DASH for k in table.columns)
        lines.append(Line("published", label, printed))
        if any(v.gap is not None for v in c.verdicts.values()):
            against = "" if c.select == table.select else f", {SELECTED[c.select]}"
            gaps, words = _verdicts(table, c)
            lines += [
                Line("gap", f"ours − published{against}", gaps),
                Line("verdict", "verdict", words),
            ]
    return lines


def _incomplete(scores: Scores, column: str) -> bool:
    """An average that does not exist although something was measured."""
    return (
        column == AVERAGE
        and not scores[column].by_seed
        and any(s.by_seed or s.lost for s in scores.values())
    )


def _verdicts(table: Table, c: Compared) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = [c.verdicts.get(k) for k in table.columns]
    return tuple(difference(v) for v in found), tuple(v.word if v else DASH for v in found)


MEMORY = {
    "allocated_mib": "allocated MiB",
    "reserved_mib": "reserved MiB",
    "rss_mib": "resident MiB",
}


def costs(suite: Suite, rows: Sequence[Cost], claims: Sequence[tuple[PublishedCost, str]]) -> Grid:
    """Each row as measured on one machine, then each claim about it, with its label; rows that have neither are left out."""
    kinds = [k for k in MEMORY if rows and k in rows[0].memory] or ["allocated_mib"]
    lines: list[Line] = []
    for row in suite.rows:
        mine, theirs = (
            [c for c in rows if c.row == row.id],
            [c for c in claims if c[0].row == row.id],
        )
        if mine or theirs:
            cells = _cost(mine[0], kinds) if mine else ("not measured", *[DASH] * (7 + len(kinds)))
            lines.append(Line("ours", row.label, cells, first=True))
            lines += [
                Line("published", label, _claimed(suite, c, claims, len(kinds)))
                for c, label in theirs
            ]
    head = (
        "",
        "ms/iteration",
        "ratio",
        *(MEMORY[k] for k in kinds),
        "memory ratio",
        "5 to 95 %",
        "data wait ms",
    )
    return Grid((*head, "images/s", "data MiB", "n"), tuple(lines))


def _cost(c: Cost, kinds: Sequence[str]) -> tuple[str, ...]:
    peak = (f"{c.memory[k]:,.0f}" for k in kinds)
    rest = (
        f"{c.p5:,.2f} to {c.p95:,.2f}",
        f"{c.wait_ms:.2f}",
        f"{c.images_per_s:,.0f}",
        f"{c.data_mib:,.0f}",
        f"{c.n}",
    )
    return (f"{c.ms:,.2f}", _ratio(c.ratio), *peak, _ratio(c.memory_ratio), *rest)


def _claimed(
    suite: Suite, c: PublishedCost, claims: Sequence[tuple[PublishedCost, str]], kinds: int
) -> tuple[str, ...]:
    """A claim in the columns of a measurement: MB as printed, ratios over the same paper's figure of the baseline row."""
    over = [
        b for b, _ in claims if (b.row, b.cite) == (suite.cost_baseline or suite.baseline, c.cite)
    ]
    time, memory = (_ratio(c.ms / over[0].ms), _ratio(c.mb / over[0].mb)) if over else (DASH, DASH)
    return (f"{c.ms:,.0f}", time, f"{c.mb:,.0f} MB", *[DASH] * (kinds - 1), memory, *[DASH] * 5)


def _ratio(x: float | None) -> str:
    return DASH if x is None else f"{x:.2f}"


def gains(table: Table) -> Grid:
    """Rows × tasks: the gain of each row over the suite's baseline row."""
    lines = tuple(
        Line("ours", g.row.label, tuple(difference(g.gains.get(c)) for c in table.columns))
        for g in table.groups
        if g.row and g.gains
    )
    return Grid(("", *(arrow(table.suite, c) for c in table.columns)), lines)
