"""What is there of a set, and what is wrong with it."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from bench.data.domains_doctor import domains
from bench.data.download import md5sum
from bench.data.files import Found, absent, locate
from bench.data.findings import Finding, some, strangers
from bench.data.listing import Picture
from bench.data.pictures import classes, listing, names_in, parts, read_list, unshared
from bench.data.readers import FORMATS, disagreements, read
from bench.data.square import unreadable
from bench.datasets import sets
from bench.datasets.sets import Both, DataSet, Form
from bench.errors import BenchError


def where(name: str, root: Path) -> Path | None:
    """The folder of the copy of a set that a run would read; None when there is no complete one."""
    facts = sets.find(name)
    if facts.embedded:
        package = find_spec(facts.embedded)
        return Path(package.origin).parent if package and package.origin else None
    found = locate(facts, root)
    return None if found is None or found.missing else found.folder


def doctor(name: str, root: Path) -> list[Finding]:
    """All there is to say about a set below root; for `folder`, root is the folder of images itself.

    Raises UsageError when there is no such set, and nothing else whatever lies there.
    """
    facts = sets.find(name)
    findings: list[Finding] = []
    try:
        examine = _own(root) if facts is sets.FOLDER else domains(facts, root) if facts.domains else _published(facts, root)
        findings.extend(examine)
    except (BenchError, OSError) as e:
        findings.append(Finding("error", str(e)))
    return findings


def _published(facts: DataSet, root: Path) -> Iterator[Finding]:
    if facts.embedded:
        (train, test), origin = read(facts, root)
        yield Finding("ok", f"{len(train.y):,} train and {len(test.y):,} test images, {origin}")
        return
    found = locate(facts, root)
    if found is None:
        raise absent(facts, root)
    yield Finding("ok", f"{found.form.reader} files in {found.folder}")
    yield from some("error", (f"{found.folder / pattern} is missing" for pattern in found.missing))
    yield from _checksums(facts, found)
    for name, patterns, files, counts in zip(Both._fields, found.form.files, found.files, facts.counts, strict=True):
        if not set(patterns) & set(found.missing):
            yield from (Finding(f.level, f"{name}: {f.text}") for f in _split(facts, found.form, files, counts))


def _checksums(facts: DataSet, found: Found) -> Iterator[Finding]:
    for path in found.files.train + found.files.test:
        published = facts.md5s.get(path.name)
        if published and (here := md5sum(path)) != published:
            yield Finding("warn", f"{path} is not the published file: its md5 is {here}, not {published}")
        elif published:
            yield Finding("ok", f"{path} has the published md5")


def _split(facts: DataSet, form: Form, files: tuple[Path, ...], counts: tuple[int, ...]) -> Iterator[Finding]:
    try:
        pictures = list(_listed(*files)) if form.reader == "listed" else []
        yield from pictures
        if any(finding.level == "error" for finding in pictures):  # the reader would only repeat the first of them
            return
        split = FORMATS[form.reader](files)
    except BenchError as e:
        yield Finding("error", str(e))
        return
    problems = [Finding("error", text) for text in disagreements(facts, counts, split)]
    yield from problems or [Finding("ok", f"{len(split.y):,} images, as many of each class as published")]


def _listed(labels: Path, folder: Path) -> Iterator[Finding]:
    """The pictures of MNIST-M one by one, against the list of them."""
    names, there = set(read_list(labels)[0]), names_in(folder)
    yield from some("error", (f"{folder / name} is missing" for name in sorted(names - there)))
    yield from some("warn", (f"{folder / name} is not in {labels.name}" for name in sorted(there - names)))
    yield from some("error", unreadable([Picture(folder / name) for name in sorted(names & there)]))


def _own(path: Path) -> Iterator[Finding]:
    """A folder of images: its parts, classes and pictures, and the files that are passed over."""
    if not path.is_dir():
        raise BenchError(f"no folder {path}")
    for part in parts(path):
        pictures, y = listing(part)
        yield Finding("ok" if pictures else "error", f"{part}: {len(pictures):,} images in {len(classes(part))} classes")
        empty = set(range(len(classes(part)))) - set(y.tolist())
        yield from some("error", (f"{part / classes(part)[label]} has no images" for label in sorted(empty)))
        yield from strangers(part)
        yield from some("error", unreadable([Picture(path) for path in pictures]))
    yield from some("error", (f"{path} has class {name} in only one of train/ and test/" for name in unshared(path)))
