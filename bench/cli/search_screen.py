"""What `bench tune` prints: its plan, the search while it runs, and the trials of a row."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from bench.cli.output import print_table
from bench.cli.screen import Screen, format_duration
from bench.engine.events import Event
from bench.runs import forecast, records
from bench.tuning.trials import Search, Trial, spell
from bench.tuning.tune import Exhausted, Trying


def draw_search(events: Iterable[Event | Trying | Exhausted], screen: Screen) -> None:
    """Draw the events of a search, and of the cells that it runs."""
    for event in events:
        match event:
            case Trying(number, trials, values):
                text = f"trial {number} of {trials}: {spell(values)}"
                screen.console.print(text, highlight=False, markup=False)
            case Exhausted(row, done):
                text = f"{row}: all {done} sets of values are tried"
                screen.console.print(text, highlight=False)
            case _:
                screen.draw(event)


def show_search_plan(plans: list[Search], results: Path, trials: int, console: Console) -> None:
    """What is searched for each row, how far the search has come, and what the rest will cost.

    results: the folder of the records of searches. trials: how many are asked for of each row.
    """
    kept = records.read_all(results / plans[0].suite.name)
    rows, todo = [], []
    for s in plans:
        found = s.trials(r for r in kept if r.run and r.run.row == s.row.id)
        done = sum(t.done for t in found)
        todo += s.cells({}) * (trials - done)
        within = (
            f"{k} {'|'.join(map(str, v)) if isinstance(v, tuple) else v}"
            for k, v in s.space.items()
        )
        rows.append((s.row.id, "\n".join(within), f"{done}/{trials}", len(found) - done))
    print_table("search", ("row", "within", "trials done", "begun"), rows)
    s = plans[0]
    n = len(s.tasks) * len(s.seeds)
    seeds = ", ".join(map(str, s.seeds))
    runs = f"{n} run{'s' * (n > 1)}: {', '.join(s.tasks)} × seed {seeds}, budget {s.budget}"
    seconds = forecast.forecast(todo, kept)
    left = f"; about {format_duration(seconds)} to go" if seconds else ""
    console.print(f"a trial is {runs}{left}", highlight=False)


def show_trials(s: Search, trials: list[Trial]) -> None:
    """One line for each set of values, in the order given."""
    rows = []
    for t in trials:
        accuracies = (f"{x:.2f}" for x in (*(t.accuracies[task] for task in s.tasks), t.mean))
        rows.append((*t.values.values(), *accuracies, t.diverged or None))
    columns = (*s.space, *(f"{task} %" for task in s.tasks), "mean %", "diverged")
    print_table(f"{s.row.id}: trials, the best first", columns, rows)
