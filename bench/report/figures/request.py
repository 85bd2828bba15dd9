"""What a figure is asked to show: a suite, its records, and which part of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.errors import UsageError, unknown
from bench.report.figures.style import Ink, pick_ink
from bench.report.numbers.aggregate import Group, Table, build_table
from bench.report.numbers.measures import Board, build_board
from bench.report.numbers.scores import AVERAGE, Score, Scores
from bench.report.numbers.selection import Select
from bench.report.page.text import SELECTED, format_column, format_count, format_counts
from bench.runs.cell import Cell
from bench.runs.records import Record
from bench.suite.settings import write_budget
from bench.suite.suite import Row, Suite


@dataclass(frozen=True)
class Request:
    """A suite with all records, and which rows and tasks a figure may show at which budget."""

    suite: Suite
    records: tuple[Record, ...]
    select: Select = "last"  # which evaluation of a run counts
    budget: str = "full"
    methods: tuple[str, ...] | None = None  # ids of rows; None: all
    tasks: tuple[str, ...] | None = None  # None: all, and their average

    def __post_init__(self) -> None:
        """Raises UsageError for a budget, a row or a task that the suite does not have."""
        self.suite.budget(self.budget)
        _check_names("row", self.methods, self.suite.by_id)
        _check_names("task", self.tasks, self.suite.tasks)

    @cached_property
    def table(self) -> Table:
        """The numbers of the tables: of every row and task, whatever is asked for."""
        return build_table(self.suite, self.records, select=self.select, budget=self.budget)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows asked for of which anything was run, in the suite's order."""
        asked = self.suite.by_id if self.methods is None else self.methods
        return tuple(r for r in self.suite.rows if r.id in asked and self.table.ledger.ran(r.id))

    @cached_property
    def inks(self) -> Mapping[str, Ink]:
        """Row id -> how it is drawn, alike in every figure of one request."""
        return {row.id: pick_ink(i) for i, row in enumerate(self.rows)}

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        """Row id -> what the table has about it."""
        return {g.row.id: g for g in self.table.groups if g.row}

    def scores(self, row: Row) -> Scores:
        """By column, at the selection asked for."""
        return self.groups[row.id].ours[self.select]

    def score(self, row: Row, column: str) -> Score:
        """The same number as in the table's cell."""
        return self.scores(row)[column]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The tasks asked for that any row has a number of, then AVERAGE if no task is named."""
        asked = self.table.columns if self.tasks is None else self.tasks
        return tuple(
            c
            for c in self.table.columns
            if c in asked and any(self.score(row, c).by_seed for row in self.rows)
        )

    @property
    def compared(self) -> tuple[str, ...]:
        """Where rows may be compared as a whole: the average if at least two rows have one (or the
        only row that there is), else each task."""
        averaged = sum(bool(self.score(r, AVERAGE).by_seed) for r in self.rows) if self._many else 0
        if AVERAGE in self.columns and averaged >= min(2, len(self.rows)):
            return (AVERAGE,)
        return tuple(c for c in self.columns if c != AVERAGE)

    @property
    def _many(self) -> bool:
        return len(self.suite.tasks) > 1

    def board(self, task: str) -> Board:
        """The values of every measure at a task, of the rows asked for."""
        return build_board(self.suite, self.table.ledger, self.budget, task, self.rows, self.select)

    def check_generates(self) -> None:
        """Raise UsageError unless images are generated, and a run that counts has ended well."""
        if not self.suite.generates:
            raise UsageError(f"{self.suite.name} generates no images; the suite gan does")
        self.check_runs()

    def runs(self) -> list[tuple[Cell, Record]]:
        """The counted records of these rows and tasks that ended well."""
        rows, tasks = {row.id for row in self.rows}, set(self.tasks or self.suite.tasks)
        return [
            (cell, r)
            for cell, r in self.table.ledger.counted
            if cell.row in rows and cell.task in tasks and r.status == "ok"
        ]

    def check_runs(self) -> None:
        """Raise UsageError unless a run that counts has ended well."""
        if not self.runs():
            raise UsageError(self._nothing())

    def check_accuracies(self) -> None:
        """Raise UsageError unless there are accuracies that a table would show, too."""
        self.check_runs()
        if self.budget == "smoke" or self.suite.budget(self.budget).measures == "cost":
            raise UsageError(
                f"runs of the budget {self.budget!r} measure no accuracy: "
                f"`bench figures cost --suite {self.suite.name} --budget {self.budget}`"
            )
        if not self.columns:
            raise UsageError(
                f"no run of {self.suite.name} has the scores that {self.select!r} chooses by, "
                "because older programs did not record them: leave --select out"
            )

    @property
    def command(self) -> str:
        """What makes the runs that a figure lacks."""
        return f"bench run --suite {self.suite.name}{write_budget(self.budget)}"

    def _nothing(self) -> str:
        """Why there is nothing to draw, and what to do."""
        chosen = "".join(
            f" of {', '.join(names)}" for names in (self.methods, self.tasks) if names is not None
        )
        found = [*self._ends(), *self._aside()]
        why = f" ({'; '.join(found)})" if found else ""
        other = self._budgets_with_runs()
        also = f", or give --budget {' or '.join(other)}, of which there are records" * bool(other)
        return (
            f"{self.suite.name} has no finished run{chosen} at the budget {self.budget!r}{why}: "
            f"`{self.command}` makes one{also}"
        )

    def _ends(self) -> Iterable[str]:
        rows = {row.id for row in self.rows}
        tally = Counter(r.status for c, r in self.table.ledger.counted if c.row in rows)
        return (f"{format_count(n, 'run')} {status}" for status, n in tally.items() if n)

    def _aside(self) -> Iterable[str]:
        tally = Counter(a.why for a in self.table.ledger.aside)
        return (f"{format_count(n, 'record')} set aside: {why}" for why, n in tally.items())

    def _budgets_with_runs(self) -> list[str]:
        named = {r.run.budget for r in self.records if r.run and r.run.suite == self.suite.name}
        return sorted(named & {"full", *self.suite.budgets} - {self.budget})

    def describe(self, what: str, *, columns: Sequence[str] = (), more: str = "") -> str:
        """A caption: what is shown; suite, budget, selection, number of seeds; runs that are lost.

        columns: those shown, where accuracies are.
        """
        words = [what, f"Suite {self.suite.name}: {self.suite.title}; budget {self.budget}"]
        if columns:
            words[-1] += f"; {SELECTED[self.select]}; {self.count_seeds(columns)}"
        words[-1] += "."
        if note := self.suite.budget(self.budget).note:
            words.append(f"Budget {self.budget}: {note}.")
        if columns and (lost := self._lost(columns)):
            words.append(f"Not in any mean: {lost}.")
        return " ".join([*words, more.strip()]).strip()

    def count_seeds(self, columns: Sequence[str]) -> str:
        """'n = 3 seeds', or 'n = 1 to 5 seeds' where rows or tasks differ."""
        ns = {self.score(row, c).summary.n for row in self.rows for c in columns} - {0}
        if not ns:
            return "n = 0"
        return f"n = {format_counts(ns, 'seed')}"

    def _lost(self, columns: Sequence[str]) -> str:
        ends = (e for row in self.rows for c in columns for e in self.score(row, c).lost.values())
        return ", ".join(f"{n} {end}" for end, n in sorted(Counter(ends).items()))

    @property
    def measure(self) -> str:
        """The label of an axis of accuracies."""
        if self.suite.metric:
            return self.suite.metric.title
        mean = "Mean class accuracy" if self.suite.accuracy == "classes" else "Accuracy"
        return f"{mean} on the target, %"

    @property
    def bounds(self) -> tuple[float, float]:
        """The values that the measure can have."""
        return (float("-inf"), float("inf")) if self.suite.metric else (0.0, 100.0)

    def name(self, column: str) -> str:
        """The heading of a column."""
        return format_column(self.suite, column)

    @property
    def tag(self) -> str:
        """What the names of files have after that of the figure; '' for the usual request."""
        budget = "" if self.budget == "full" else f"-{self.budget}"
        return budget + ("" if self.select == "last" else f"-{self.select}")


def _check_names(kind: str, asked: Sequence[str] | None, known: Iterable[str]) -> None:
    known = list(known)
    for name in asked or ():
        if name not in known:
            raise unknown(kind, name, known)
    if asked is not None and not asked:
        raise UsageError(f"no {kind} is named; known: {', '.join(known)}")
