"""Suites by name: finding, reading and checking a suite's file."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench import paths
from bench.errors import UsageError, shorten, unknown
from bench.suite import checks, presets, schema
from bench.suite.presets import Preset
from bench.suite.recipe import modernized
from bench.suite.suite import Suite


def names() -> list[str]:
    """The suites that can be named: those in ./tables and those of the program."""
    return sorted(_files())


def _files() -> dict[str, Path]:
    """The file of every suite by its name, those in ./tables before those of the program."""
    found = (p for folder in reversed(paths.tables()) for p in folder.glob("*.toml"))
    return {p.stem: p for p in found if p.is_file() and not p.name.startswith(".")}


def find(name: str) -> Suite:
    """The suite of that name, or of that file when `name` ends in .toml. Raises UsageError."""
    if name.endswith(".toml"):
        if not os.path.isfile(name):  # a name too long for a file is none, too
            raise UsageError(
                f"no suite file {shorten(name)}; "
                "`bench ls suites` names those that come with the program"
            )
        return load(Path(name))
    return load(locate(name))


def name_of(asked: str) -> str:
    """'own/tiny.toml' or 'tiny' -> 'tiny', as records name the suite; no file is looked for."""
    return Path(asked).stem if asked.endswith(".toml") else asked


def locate(name: str) -> Path:
    """The file of the suite of that name, unread. Raises UsageError with the nearest name."""
    known = _files()
    if name not in known:
        raise unknown("suite", name, known)
    return known[name]


def load(path: Path) -> Suite:
    """Read and check one suite file. Raises UsageError with the file, the place, the right key."""
    with schema.reading(path, Suite):
        raw = schema.read_toml(path)
        if taken := raw.keys() & {"name", "folder"}:
            raise UsageError(
                f"remove the key {min(taken)!r}: a suite has the name and the folder of its file"
            )
        if "protocols" in raw:
            raise UsageError("remove the key 'protocols': a row names its `preset`")
        place = {"name": path.stem, "folder": path.parent}
        suite = Suite.model_validate(_with_presets(raw) | place)
        checks.check_suite(suite)
    return suite


def _with_presets(raw: dict[str, Any]) -> dict[str, Any]:
    """What a file states, completed by what its preset and those of its rows state.

    Values of a wrong kind are left for the schema to refuse.
    """
    rows = raw.get("rows", [])
    own, of_rows = _presets([raw]), _presets(rows if isinstance(rows, list) else [])
    completed = raw | {"protocols": {name: p.recipe for name, p in of_rows.items()}}
    recipe, differences = raw.get("recipe", {}), raw.get("differences", [])
    if own and isinstance(recipe, dict):
        (preset,) = own.values()
        completed["recipe"] = schema.merged(preset.recipe, modernized(recipe))
    if (own or of_rows) and isinstance(differences, list):
        said = [text for preset in (own | of_rows).values() for text in preset.differences]
        completed["differences"] = [*said, *differences]
    return completed


def _presets(tables: Iterable[Any]) -> dict[str, Preset]:
    """The presets that some tables of a file name, each once."""
    named = (table.get("preset") for table in tables if isinstance(table, Mapping))
    return {name: presets.find_preset(name) for name in named if isinstance(name, str)}
