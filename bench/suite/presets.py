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
    files = (p for folder in paths.tables() for p in (folder / "presets").glob("*.toml"))
    return sorted({p.stem for p in files})


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises UsageError."""
    for folder in paths.tables():
        if (path := folder / "presets" / f"{name}.toml").is_file():
            return load_preset(path)
    raise unknown("preset", name, preset_names())


def load_preset(path: Path) -> Preset:
    """Read and check one preset file. Raises UsageError with the file, the place, the right key."""
    with schema.reading(path, Preset):
        preset = Preset.model_validate(schema.read_toml(path) | {"name": path.stem})
    with schema.reading(path, Recipe, ("recipe",)):
        return preset.model_copy(update={"recipe": check_stated(preset.recipe)})
