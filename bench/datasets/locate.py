"""Where a data set lies on the disk, and what to tell the user when it is not there."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent

from bench.datasets import sets
from bench.datasets.facts import Both, DataSet, Form
from bench.errors import BenchError


@dataclass(frozen=True)
class Found:
    """A copy of a set, complete or not."""

    folder: Path  # the folder that the form's file patterns are relative to
    form: Form  # the published form in which it is there
    files: Both[tuple[Path, ...]]  # the files of each split
    missing: tuple[str, ...]  # the patterns of the form that match no file

    def describe_origin(self, root: Path) -> str:
        """The form and the place relative to the data root, so that no record names a machine's
        folders."""
        return f"{self.form.reader} files in {self.folder.relative_to(root).as_posix()}"


def locate(facts: DataSet, root: Path) -> Found | None:
    """The copy of a set below the data root with the fewest files missing, preferred forms and
    folders first; None when no file of it is there."""
    candidates = [_match(root / folder, form) for form in facts.forms for folder in form.folders]
    found = [candidate for candidate in candidates if any(candidate.files)]
    return min(found, key=lambda candidate: len(candidate.missing), default=None)


def require(facts: DataSet, root: Path) -> Found:
    """As `locate`, but raises BenchError when no file of the set is there."""
    found = locate(facts, root)
    if found is None:
        raise absent(facts, root)
    return found


def find_folder(name: str, root: Path) -> Path | None:
    """The folder of the copy of a set that a run would read; None when there is no complete one.

    For a set that comes with a package, the package's folder. Raises UsageError when there is no
    such set.
    """
    facts = sets.find_set(name)
    if facts.embedded:
        package = find_spec(facts.embedded)
        return Path(package.origin).parent if package and package.origin else None
    found = locate(facts, root)
    return None if found is None or found.missing else found.folder


def _match(folder: Path, form: Form) -> Found:
    """What there is of a form in a folder."""
    matches = {
        pattern: tuple(sorted(folder.glob(pattern)))
        for patterns in form.files
        for pattern in patterns
    }
    files = Both(*(sum((matches[pattern] for pattern in split), ()) for split in form.files))
    return Found(folder, form, files, tuple(p for p, paths in matches.items() if not paths))


def absent(facts: DataSet, root: Path) -> BenchError:
    """The error for a set of which no file was found."""
    wanted = ", ".join(form.files.train[0] for form in facts.forms)
    return BenchError(
        f"no {facts.name} below {root} (looked for {wanted}): {explain_remedy(facts, root)}"
    )


def incomplete(facts: DataSet, root: Path, found: Found) -> BenchError:
    """The error for a set of which some files are missing."""
    missing = " and no ".join(found.missing)
    return BenchError(
        f"{facts.name} is incomplete ({found.folder} has no {missing}): "
        f"{explain_remedy(facts, root)}"
    )


def explain_remedy(facts: DataSet, root: Path) -> str:
    """What to do about a set that is not there: the end of a sentence."""
    first = f"{facts.source}, and" if facts.source else f"run `bench data get {facts.name}`, or"
    return f"{first} {explain_layout(facts, root)}"


def explain_layout(facts: DataSet, root: Path) -> str:
    """How to put a set in place by hand: the end of a sentence, and the layout."""
    return f"put the published layout here:\n{root}\n{indent(facts.layout, '    ')}"
