"""What `bench tune` chose, as a row of the suite's own file."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import paths
from bench.errors import BenchError, UsageError
from bench.suite import settings, suites
from bench.suite.search import HYPER
from bench.suite.suite import Row, Suite
from bench.tuning.trials import Search, Trial, spell

SUFFIX = "-tuned"  # what the id of a tuned row adds to that of the row it comes from
BLOCK = (
    "# tuned: {id} (`bench tune` wrote this block and will replace it)\n"
    "{row}"
    "# end: {id}\n"
)  # fmt: skip


def written(suite: Suite) -> set[str]:
    """The ids of the rows that `bench tune` has written to the suite's file."""
    return set(re.findall(r"^# tuned: (\S+) ", _text(suite), flags=re.M))


def check_row(suite: Suite, row: Row) -> None:
    """Raise UsageError when the suite's file has no place for the tuned row.

    To be called before the search, so that hours of training are not in vain.
    """
    name, path, own = row.id + SUFFIX, suite.folder / f"{suite.name}.toml", place(suite)
    if own != path and own.exists():
        raise UsageError(
            f"{own} is another suite than {path}: name it, or move it away, "
            "since the row would be written there"
        )
    if name in suite.by_id and name not in written(suite):
        raise UsageError(
            f"{path} has a row {name!r} that `bench tune` did not write and will not replace: "
            "rename it"
        )
    try:
        tomllib.loads(_with_row(_text(suite), row.model_copy(update={"id": name})))
    except tomllib.TOMLDecodeError as e:
        raise UsageError(
            f"{path} can take no further row ({e}): write its rows as [[rows]] blocks"
        ) from e


def choose(s: Search, trials: list[Trial]) -> Row:
    """The row of the best trial; its label and note say how it was chosen.

    trials: all that are done, the best first. Raises BenchError when every run of the best one
    diverged.
    """
    best, tasks = trials[0], ", ".join("→".join(s.suite.endpoints(task)) for task in s.tasks)
    if best.diverged == len(best.states):
        raise BenchError(
            f"every trial of {s.row.id} diverged, so nothing is chosen: "
            "search smaller values, lr first"
        )
    # the label names them, because the row's own may state what is otherwise now: 'DANN, α = 0.05'
    hyper = {k.removeprefix(HYPER): v for k, v in best.values.items() if k.startswith(HYPER)}
    label = f"{s.row.label}, tuned on {tasks}" + (f" ({spell(hyper)})" if hyper else "")
    seeds = f"seed{'s' * (len(s.seeds) > 1)} {', '.join(map(str, s.seeds))}"
    changed = [f"--set {text}" for text in settings.write_settings(s.override)]
    protocol = ", ".join([f"budget {s.budget}", seeds, *changed])
    note = (
        f"{spell(best.values)}: the best of {len(trials)} tried on {tasks} ({protocol}), "
        f"{best.mean:.2f} % there"
    )
    named = {"id": s.row.id + SUFFIX, "label": label, "note": note}
    return s.with_values(best.values).model_copy(update=named)


def write_row(suite: Suite, row: Row) -> Suite:
    """Write the row to the suite's file, in place of one of its id; returns the suite with it.

    Raises BenchError, with the file as it was, when the suite is not valid with the row.
    """
    path, before = place(suite), _text(suite)
    paths.write_text(path, _with_row(before, row))
    try:
        return suites.load(path)
    except UsageError as e:
        paths.write_text(path, before)
        raise BenchError(
            f"the row {row.id!r} was chosen, but the suite would not take it ({e})"
        ) from e


def place(suite: Suite) -> Path:
    """The file to write to: the suite's own, or a copy in ./tables of one that was installed."""
    installed = suite.folder.resolve() == paths.PACKAGE / "tables"
    return (Path("tables") if installed else suite.folder) / f"{suite.name}.toml"


def _text(suite: Suite) -> str:
    return (suite.folder / f"{suite.name}.toml").read_text(encoding="utf-8")


def _with_row(text: str, row: Row) -> str:
    """The text of a suite's file with the row's block, in place of an older one or at the end."""
    stated = {k: v for k, v in row.model_dump().items() if v}
    lines = "".join(f"{k} = {_toml(v)}\n" for k, v in stated.items())
    block = BLOCK.format(id=row.id, row=f"[[rows]]\n{lines}")
    name = re.escape(row.id)
    old = re.compile(rf"^# tuned: {name} .*?^# end: {name}\n", flags=re.M | re.S)
    return old.sub(lambda _: block, text) if old.search(text) else f"{text.rstrip()}\n\n{block}"


def _toml(v: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(v, Mapping):
        return "{ " + ", ".join(f"{k} = {_toml(x)}" for k, x in v.items()) + " }"
    if isinstance(v, list | tuple):
        return "[" + ", ".join(map(_toml, v)) + "]"
    return repr(v) if isinstance(v, float) else json.dumps(v, ensure_ascii=False)
