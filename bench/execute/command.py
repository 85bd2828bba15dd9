"""A cell as one command line, so that any program that can start a command can run it."""

from typing import Any

from bench.errors import UsageError
from bench.runs.cell import Cell
from bench.suite import settings, suites
from bench.suite.schema import flat
from bench.suite.suite import Suite


def command(cell: Cell, suite: Suite, *options: str) -> list[str]:
    """The words of a `bench run` that runs this cell of the suite and no other.

    What the cell has otherwise than the suite says stands as `--set`. options: further words such
    as "--device", "cuda:1" or "--keep", "weights", which are no part of a cell. Raises UsageError
    when the cell is none that the suite can have.
    """
    row = suite.by_id.get(cell.row)
    if row is None or row.method != cell.method or cell.task not in suite.tasks:
        raise UsageError(f"{cell} is no cell of the suite {suite.name}: name a row and task of it")
    words = ["bench", "run", "--suite", _name(suite), "--methods", cell.row, "--tasks", cell.task]
    words += ["--seeds", str(cell.seed), "--budget", cell.budget]
    stated = suite.recipe_for(row, cell.task, cell.budget)
    changes = _changes(flat(stated.model_dump()), flat(cell.recipe.model_dump()))
    changes |= _changes(_hyper(row.hyper), _hyper(cell.hyper))
    for text in settings.write_settings(changes):
        words += ["--set", text]
    return [*words, *options]


def _hyper(values: Any) -> dict[str, Any]:
    return flat({settings.HYPER_TABLE: dict(values)})


def _changes(stated: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What is wanted and not stated, by its dotted name; 1 and 1.0 are different here."""
    return {k: v for k, v in wanted.items() if k not in stated or repr(stated[k]) != repr(v)}


def _name(suite: Suite) -> str:
    """What `--suite` takes: the name, or the file of a suite that its name does not find."""
    path = suite.folder / f"{suite.name}.toml"
    try:
        found = suites.locate(suite.name)
    except UsageError:
        return str(path)
    return suite.name if found.resolve() == path.resolve() else str(path)
