"""The search itself, with an executor that trains nothing: what it runs, tells and refuses."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import fakes
import pytest
from helpers import write_suite

from bench.engine.events import CellStatus, Ended, Event, Started
from bench.engine.executor import Executor
from bench.errors import BenchError
from bench.runs.plan import Cell
from bench.suite import suites
from bench.tuning import tune
from bench.tuning.trials import Search
from bench.tuning.tune import Exhausted, Trying

OTHERS = '[domains.C]\nset = "folder"\npath = "C"\n\n[domains.D]\nset = "folder"\npath = "D"\n\n'
SPACE = "[search]\nlr = [0.1, 0.01, 0.001]"


@dataclass
class Pretends:
    """Writes records of cells that it has not run; their accuracy is given by the learning rate."""

    results: Path
    ends: dict[float, CellStatus] = field(default_factory=dict)  # by learning rate; default: ok
    checked: list[Cell] = field(default_factory=list)
    begun: list[Cell] = field(default_factory=list)

    def check(self, cells: Iterable[Cell]) -> None:
        self.checked += cells

    def run(
        self, cells: Iterable[Cell], *, keep_going: bool = False, redo: bool = False
    ) -> Generator[Event, None, None]:
        for cell in cells:
            assert cell in self.checked, "before it is begun"
            self.begun.append(cell)
            yield Started(cell)
            status = self.ends.get(cell.recipe.lr, "ok")
            if status not in ("busy", "error"):
                self._write(cell, status)
            yield Ended(cell, status, "" if status == "ok" else "pretended")

    def _write(self, cell: Cell, status: str) -> None:
        started = f"2026-01-01T00:00:{len(self.begun):02}Z"
        fakes.write(
            self.results, cell, (60 + 100 * cell.recipe.lr,), status=status, started=started
        )


@pytest.fixture
def search(tmp_path: Path) -> Search:
    rows = {"plain": {"method": "source_only"}}
    suite = suites.load(write_suite(tmp_path, rows=rows, more=OTHERS + SPACE))
    (s,) = tune.searches(suite, None, ["A-C", "A-D"], [0], "full", {})
    return s


def test_it_runs_what_an_executor_is_given_and_ranks_what_the_records_say(
    search: Search, tmp_path: Path
) -> None:
    executor = Pretends(tmp_path / "kept")
    checked: Executor = executor  # it is one, mypy agrees
    events = list(tune.run_search(search, checked, executor.results, trials=5))
    tries = [e for e in events if isinstance(e, Trying)]
    assert [(e.number, e.trials) for e in tries] == [(1, 5), (2, 5), (3, 5)]
    assert tries[0].values == {"lr": 0.001}, "the row's own first"
    assert events[-1] == Exhausted("plain", 3)
    assert [c.task for c in executor.begun] == ["A-C", "A-D"] * 3
    best = tune.best_first(search, executor.results)
    assert [t.values["lr"] for t in best] == [0.1, 0.01, 0.001]
    assert [t.mean for t in best] == [70.0, 61.0, 60.1]


def test_it_asks_for_no_more_than_is_missing(search: Search, tmp_path: Path) -> None:
    first, second = Pretends(tmp_path / "kept"), Pretends(tmp_path / "kept")
    list(tune.run_search(search, first, first.results, trials=2))
    assert len(first.begun) == 4
    list(tune.run_search(search, second, second.results, trials=2))
    assert second.begun == [] and second.checked == []


def test_a_run_that_diverged_says_that_the_values_are_bad(search: Search, tmp_path: Path) -> None:
    executor = Pretends(tmp_path / "kept", ends={0.1: "diverged"})
    list(tune.run_search(search, executor, executor.results, trials=3))
    assert len(executor.begun) == 6, "the other task is run all the same"
    worst = tune.best_first(search, executor.results)[-1]
    assert (worst.values, worst.mean, worst.diverged) == ({"lr": 0.1}, 0.0, 2)


@pytest.mark.parametrize("status", ["failed", "error"])
def test_a_run_that_fails_stops_the_search(
    status: CellStatus, search: Search, tmp_path: Path
) -> None:
    executor = Pretends(tmp_path / "kept", ends={0.001: status})
    seen: list[Event | Trying | Exhausted] = []
    with pytest.raises(BenchError, match="0 of 3 trials done; mend what failed"):
        seen.extend(tune.run_search(search, executor, executor.results, trials=3))
    assert len(executor.begun) == 1, "nothing is begun after it"


def test_what_another_process_runs_is_left_to_it(search: Search, tmp_path: Path) -> None:
    executor = Pretends(tmp_path / "kept", ends={0.001: "busy"})
    with pytest.raises(BenchError, match="1 of 3 trials are run by another process"):
        list(tune.run_search(search, executor, executor.results, trials=3))
    assert [c.recipe.lr for c in executor.begun].count(0.001) == 1
    assert len(tune.best_first(search, executor.results)) == 2
