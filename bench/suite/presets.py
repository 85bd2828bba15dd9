"""Presets: what published code does, by name, one TOML file each under tables/presets/.

A preset states some knobs of a recipe; the suite that follows it states the rest.
"""

from pathlib import Path
from typing import Any

from bench import paths
from bench.errors import unknown
from bench.suite import schema
from bench.suite.recipe import Recipe, check_stated
from bench.suite.schema import Strict


class Preset(Strict):
    """The protocol of one code base or paper, whatever the method."""

    name: str  # the file's name without .toml
    title: str
    source: str  # where it was read: repository@commit and files, or the paper
    differences: tuple[str, ...] = ()  # what every suite that follows it does differently
    recipe: dict[str, Any]  # the knobs that the file states, validated


def preset_names() -> list[str]:
    """The presets that can be named: those in ./tables/presets and those of the program."""
    return sorted(_files())


def _files() -> dict[str, Path]:
    """The file of every preset by its name, those in ./tables before those of the program."""
    folders = (folder / "presets" for folder in reversed(paths.tables()))
    return {p.stem: p for folder in folders for p in folder.glob("*.toml") if p.is_file()}


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises UsageError."""
    known = _files()
    if name not in known:
        raise unknown("preset", name, known)
    return load_preset(known[name])


def load_preset(path: Path) -> Preset:
    """Read and check one preset file. Raises UsageError with the file, the place, the right key."""
    with schema.reading(path, Preset):
        preset = Preset.model_validate(schema.read_toml(path) | {"name": path.stem})
    with schema.reading(path, Recipe, ("recipe",)):
        return preset.model_copy(update={"recipe": check_stated(preset.recipe)})
