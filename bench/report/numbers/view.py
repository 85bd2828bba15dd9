"""A part of a table: some rows, some tasks, or only what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.report.numbers.aggregate import Group, Table
from bench.report.numbers.scores import AVERAGE


@dataclass(frozen=True)
class View:
    """Which part of each table is shown. No number changes: a view only leaves out."""

    rows: Sequence[str] | None = None  # their ids; None: all
    tasks: Sequence[str] | None = None  # None: all
    measured: bool = False  # without rows and tasks of which nothing was measured

    def narrow(self, table: Table) -> Table:
        """The table without what is not asked for.

        The average is over all tasks of the suite, so it stands only beside all of them. A claim
        that has no figure at the tasks shown is left out, and so are, where rows or measured ones
        are asked for, claims about methods that the suite does not run.
        """
        if self == View():
            return table
        kept = [g for g in table.groups if self._keeps(g)]
        tasks = [t for t in table.suite.tasks if self._keeps_task(kept, t)]
        whole = len(tasks) == len(table.suite.tasks)
        columns = tuple(c for c in table.columns if c in tasks or (c == AVERAGE and whole))
        groups = (_cut(g, columns, whole) for g in kept)
        return replace(table, columns=columns, groups=tuple(g for g in groups if g.row or g.claims))

    def _keeps(self, group: Group) -> bool:
        if group.row is None:
            return self.rows is None and not self.measured
        asked = self.rows is None or group.row.id in self.rows
        return asked and (not self.measured or any(was_run(group, t) for t in self._tasks(group)))

    def _keeps_task(self, groups: Sequence[Group], task: str) -> bool:
        asked = self.tasks is None or task in self.tasks
        return asked and (not self.measured or any(was_run(g, task) for g in groups))

    def _tasks(self, group: Group) -> list[str]:
        every = [c for scores in group.ours.values() for c in scores if c != AVERAGE]
        return [t for t in every if self.tasks is None or t in self.tasks]


def drop_empty(table: Table) -> Table:
    """The table without the tasks of which nothing was measured and nothing is published.

    As it is where that would leave none. The average goes with them, unless it is published.
    """
    tasks = [t for t in table.columns if t != AVERAGE]
    kept = [t for t in tasks if any(was_run(g, t) or _is_published(g, t) for g in table.groups)]
    if len(kept) in (0, len(tasks)):
        return table
    published = any(_is_published(g, AVERAGE) for g in table.groups)
    return replace(table, columns=(*kept, AVERAGE) if published else tuple(kept))


def _is_published(group: Group, column: str) -> bool:
    return any(column in c.figures for c in group.claims)


def was_run(group: Group, task: str) -> bool:
    """Whether any seed of a row was trained at a task, well or not."""
    scores = (found[task] for found in group.ours.values())
    return any(s.by_seed or s.lost for s in scores)


def _cut(group: Group, columns: Sequence[str], whole: bool) -> Group:
    return replace(
        group,
        claims=tuple(c for c in group.claims if any(k in c.figures for k in columns)),
        gains={c: gain for c, gain in group.gains.items() if c in columns},
        oracle=group.oracle if whole else None,
    )
