"""Protocols of published code by name: recipes with holes, one TOML file each under tables/presets/."""

from pathlib import Path

from bench import paths
from bench.errors import unknown
from bench.suite import schema
from bench.suite.recipe import Knobs
from bench.suite.schema import Strict


class Preset(Strict):
    """What one code base or paper does, whatever the method.

    source: where it was read, repository@commit and files. differences: what a suite that follows it does otherwise.
    """

    name: str
    title: str
    source: str
    differences: tuple[str, ...] = ()
    recipe: Knobs

    @property
    def stated(self) -> dict[str, object]:
        """The knobs that the file states, as a suite's [recipe] would."""
        return self.recipe.model_dump(exclude_unset=True)


def names() -> list[str]:
    """The presets that can be named, own ones in ./tables/presets among them."""
    return sorted({p.stem for folder in paths.tables() for p in (folder / "presets").glob("*.toml")})


def find(name: str) -> Preset:
    """The preset of that name. Raises UsageError."""
    for folder in paths.tables():
        if (path := folder / "presets" / f"{name}.toml").is_file():
            return load(path)
    raise unknown("preset", name, names())


def load(path: Path) -> Preset:
    """Read and check one preset file. Raises UsageError naming the file, the place in it and the nearest right name."""
    with schema.reading(path, Preset):
        return Preset.model_validate(schema.read(path) | {"name": path.stem})
