"""`bench run --seeds auto`: seeds are added until every verdict is settled."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.errors import UsageError
from bench.report.page.text import format_count

if TYPE_CHECKING:
    from bench.report.numbers.questions import Question
    from bench.runs.cell import Cell
    from bench.suite.suite import Suite

AUTO = "auto"
MAX_SEEDS = 20


@dataclass(frozen=True)
class Settling:
    """What is to be settled, and how far that may go."""

    suite: "Suite"
    make_cells: Callable[..., list["Cell"]]  # seeds=...: the cells asked for, of these seeds
    root: Path  # the folder of the records
    most: int  # seeds of a cell

    @property
    def subject(self) -> str:
        """What is settled."""
        from bench.report.numbers.questions import has_claims

        if has_claims(self.suite, *self._names()):
            return "verdicts against published figures"
        assert self.suite.baseline
        label = self.suite.by_id[self.suite.baseline].label
        return f"gains over {label}, because no published figure stands beside these rows"

    def check(self, budget: str) -> None:
        """Raise UsageError where nothing can be settled so."""
        from bench.report.numbers.questions import has_claims

        suite, (rows, tasks) = self.suite, self._names()
        if budget == "smoke" or suite.budget(budget).measures == "cost":
            raise UsageError(f"--seeds auto settles verdicts, and the budget {budget} has none")
        if self.most < suite.seeds:
            raise UsageError(
                f"--max-seeds {self.most} is less than the {suite.seeds} seeds of the suite, "
                "which are run first"
            )
        if has_claims(suite, rows, tasks):
            return
        if suite.baseline is None:
            raise UsageError(
                "--seeds auto has nothing to settle: these rows have no published figure, and the "
                "suite has no `baseline`; name the seeds, such as --seeds 0-4"
            )
        if suite.baseline not in rows or len(rows) < 2:
            raise UsageError(
                "--seeds auto settles gains over the baseline here, because these rows have no "
                f"published figure: name {suite.baseline} and another row in --methods"
            )

    def _names(self) -> tuple[list[str], list[str]]:
        """The rows and the tasks that are asked for."""
        cells = self.make_cells(seeds=[0])
        return list(dict.fromkeys(c.row for c in cells)), list(dict.fromkeys(c.task for c in cells))

    def ask(self) -> list["Question"]:
        """Every question with what the records answer."""
        from bench.report.numbers.questions import list_questions
        from bench.runs import ledger, records

        found = records.read_all(self.root)
        every = {*range(self.most), *(r.run.seed for r in found if r.run)}
        counted = ledger.settle(self.make_cells(seeds=sorted(every)), found)
        return list_questions(self.suite, counted, *self._names())

    def next_cells(self) -> Iterator[list["Cell"]]:
        """For one seed after the other the cells of it that open questions need, unless they are
        recorded; ends when no question is open. To be asked on when those before are run."""
        from bench.runs import plan, records

        for seed in range(self.suite.seeds, self.most):
            wanted = {place for q in self.ask() if q.open for place in q.places}
            if not wanted:
                return
            cells = [c for c in self.make_cells(seeds=[seed]) if (c.row, c.task) in wanted]
            states = plan.states(cells, records.read_all(self.root))
            if todo := [s.cell for s in states if not s.done]:
                yield todo


def prepare_settling(
    seeds: str | None,
    most: int | None,
    suite: "Suite",
    make_cells: Callable[..., list["Cell"]],
    root: Path,
    budget: str,
) -> Settling | None:
    """What `--seeds auto` is to settle, which is said; None for other seeds.

    most: as --max-seeds. The others: see `Settling`. Raises UsageError.
    """
    if seeds != AUTO:
        if most is not None:
            raise UsageError("--max-seeds is about --seeds auto: give both")
        return None
    found = Settling(suite, make_cells, root, MAX_SEEDS if most is None else most)
    found.check(budget)
    typer.echo(
        f"--seeds auto: first the {format_count(suite.seeds, 'seed')} of the suite, then one more "
        f"at a time, up to {found.most}, to settle the {found.subject}"
    )
    return found


def tell_answers(settling: Settling) -> None:
    """Say what was settled, and with which confidence."""
    tally = Counter(q.answer for q in settling.ask())
    counts = ", ".join(f"{n} {answer}" for answer, n in tally.items())
    typer.echo(
        f"{settling.subject}: {counts}. Each that is settled is right with "
        f"{100 * settling.suite.confidence:.3g} % confidence although seeds were added until it "
        "was; pages, which do not count how often one looked, may settle more"
    )
