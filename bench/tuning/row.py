"""What `bench tune` chose, as a row of the suite's own file."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import paths
from bench.cli import listing
from bench.errors import BenchError, UsageError
from bench.suite import suites
from bench.suite.schema import flat
from bench.suite.space import HYPER
from bench.suite.suites import Row, Suite
from bench.tuning.trials import Search, Trial

SUFFIX = "-tuned"
BLOCK = "# tuned: {id} (`bench tune` wrote this block and will replace it)\n{row}# end: {id}\n"


def written(suite: Suite) -> set[str]:
    """The ids of the rows that `bench tune` has written."""
    return set(re.findall(r"^# tuned: (\S+) ", _text(suite), flags=re.M))


def check(suite: Suite, row: Row) -> None:
    """That there is a place for the choice. Raises UsageError: it is asked before hours of training."""
    name, path, own = row.id + SUFFIX, suite.folder / f"{suite.name}.toml", place(suite)
    if own != path and own.exists():
        raise UsageError(f"{own} is another suite than {path}: name it, or move it away, since the row would be written there")
    if name in suite.by_id and name not in written(suite):
        raise UsageError(f"{path} has a row {name!r} that `bench tune` did not write and will not replace: rename it")
    try:
        tomllib.loads(_with(_text(suite), row.model_copy(update={"id": name})))
    except tomllib.TOMLDecodeError as e:
        raise UsageError(f"{path} can take no further row ({e}): write its rows as [[rows]] blocks") from e


def chosen(s: Search, trials: list[Trial]) -> Row:
    """The best trial's row, which says how it was chosen; trials: the best first. Raises BenchError when all diverged."""
    best, on = trials[0], ", ".join("→".join(s.suite.endpoints(task)) for task in s.tasks)
    if best.diverged == len(best.states):
        raise BenchError(f"every trial of {s.row.id} diverged, so nothing is chosen: search smaller values, lr first")
    # in the label, because that of the row may state what is now otherwise: 'DANN, α = 0.05'
    hyper = listing.compact({k.removeprefix(HYPER): v for k, v in best.values.items() if k.startswith(HYPER)})
    how = [f"budget {s.budget}", f"seed{'s' * (len(s.seeds) > 1)} {', '.join(map(str, s.seeds))}"]
    how += [f"--set {k}={v}" for k, v in flat(s.override).items()]
    label = f"{s.row.label}, tuned on {on}" + (f" ({hyper})" if hyper else "")
    note = f"{listing.compact(best.values)}: the best of {len(trials)} tried on {on} ({', '.join(how)}), {best.mean:.2f} % there"
    return s.with_values(best.values).model_copy(update={"id": s.row.id + SUFFIX, "label": label, "note": note})


def write(suite: Suite, row: Row) -> Suite:
    """The suite with this row, in place of one of that id, as its file now says it. Raises BenchError."""
    path, before = place(suite), _text(suite)
    _replace(path, _with(before, row))
    try:
        return suites.load(path)
    except UsageError as e:
        _replace(path, before)
        raise BenchError(f"the row {row.id!r} was chosen, but the suite would not take it ({e})") from e


def place(suite: Suite) -> Path:
    """The file to write to: the suite's own, or a copy in ./tables of one that was installed with the program."""
    installed = suite.folder.resolve() == paths.PACKAGE / "tables"
    return (Path("tables") if installed else suite.folder) / f"{suite.name}.toml"


def _text(suite: Suite) -> str:
    return (suite.folder / f"{suite.name}.toml").read_text(encoding="utf-8")


def _replace(path: Path, text: str) -> None:
    """Write a file that people wrote: at any moment it is whole."""
    aside = path.with_name(f".{path.name}.part")
    paths.write(aside, text)
    os.replace(aside, path.resolve())


def _with(text: str, row: Row) -> str:
    stated = {k: v for k, v in row.model_dump().items() if v}
    block = BLOCK.format(id=row.id, row="[[rows]]\n" + "".join(f"{k} = {_toml(v)}\n" for k, v in stated.items()))
    old = re.compile(rf"^# tuned: {re.escape(row.id)} .*?^# end: {re.escape(row.id)}\n", flags=re.M | re.S)
    return old.sub(lambda _: block, text) if old.search(text) else f"{text.rstrip()}\n\n{block}"


def _toml(v: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(v, Mapping):
        return "{ " + ", ".join(f"{k} = {_toml(x)}" for k, x in v.items()) + " }"
    if isinstance(v, list | tuple):
        return "[" + ", ".join(map(_toml, v)) + "]"
    return repr(v) if isinstance(v, float) else json.dumps(v, ensure_ascii=False)
