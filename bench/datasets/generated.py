"""The mark that `bench data generate` leaves in a folder of images that it made up.

Made-up images have the layout of a published set, so that everything can be tried without it.
The mark keeps them from being taken for the published images.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.datasets import sets
from bench.datasets.facts import DataSet
from bench.datasets.locate import Found
from bench.errors import BenchError
from bench.paths import special_kind

MARK_FILE = "generated.json"


@dataclass(frozen=True)
class Mark:
    """How a folder of images was made up."""

    kind: str  # the published set whose layout it has
    scale: float  # images per published image
    seed: int

    def __str__(self) -> str:
        return f"made-up images at scale {self.scale:g}, seed {self.seed}"


def write_mark(folder: Path, mark: Mark) -> None:
    """Marks a folder. Raises OSError."""
    (folder / MARK_FILE).write_text(json.dumps(asdict(mark)), encoding="utf-8")


def read_mark(folder: Path) -> Mark | None:
    """The mark of a folder; None when it has none. Raises BenchError when it is damaged."""
    path = folder / MARK_FILE
    try:
        content = json.loads(_read(path))
        return Mark(str(content["kind"]), float(content["scale"]), int(content["seed"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise BenchError(
            f"{path} is not what `bench data generate` wrote: delete {folder} and generate it again"
        ) from e


def are_generated(pictures: Iterable[Path]) -> bool:
    """Whether any of these files lies in a marked folder, or anywhere below one.

    Both the path as given and the one that symbolic links lead to are followed upwards. A damaged
    mark counts.
    """
    files = set(pictures)
    folders = {path.parent for path in files}
    folders |= {path.resolve().parent for path in files if path.is_symlink()}
    absolute = {folder.absolute() for folder in folders} | {folder.resolve() for folder in folders}
    return any(map(_is_marked, absolute.union(*(folder.parents for folder in absolute))))


def _is_marked(folder: Path) -> bool:
    """Whether a folder bears a mark, whole or damaged; a file of other JSON is not one."""
    path = folder / MARK_FILE
    try:
        content = json.loads(_read(path))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return isinstance(content, dict) and {"scale", "seed"} <= content.keys()


def _read(path: Path) -> str:
    """The text of a mark. Raises OSError and ValueError."""
    if kind := special_kind(path):
        raise OSError(f"{path} is {kind}, not a file")
    return path.read_text(encoding="utf-8")


def describe_origin(found: Found, root: Path) -> str:
    """Where the pictures of a set came from, made-up ones called so."""
    mark, place = read_mark(found.folder), found.describe_origin(root)
    return f"{mark}, {place}" if mark else place


def expected_counts(facts: DataSet, folder: Path) -> Mapping[str, Mapping[str, int]]:
    """Domain -> class -> how many images the folder should hold: as many as were published or,
    when it is marked, as many as were made up. Raises BenchError when its mark is damaged."""
    mark = read_mark(folder)
    return scale_counts(facts.name, mark.scale) if mark else sets.class_counts(facts.name)


def scale_counts(name: str, scale: float) -> Mapping[str, Mapping[str, int]]:
    """Domain -> class -> the published number of images times `scale`, at least one."""
    return {
        domain: {label: max(1, round(n * scale)) for label, n in counts.items()}
        for domain, counts in sets.class_counts(name).items()
    }
