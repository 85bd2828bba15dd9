"""What there is of a data set, and what is wrong with it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from bench.data.decode import find_unreadable
from bench.data.digits import FORMATS, compare_split, read_digits
from bench.data.download import md5sum
from bench.data.files import Listing, Picture, parsing
from bench.data.listing import (
    SUFFIXES,
    compare_counts,
    find_other_files,
    find_parts,
    find_unshared,
    list_class_folders,
    list_found_domain,
    list_names,
    read_list_file,
    read_listed,
)
from bench.datasets import sets
from bench.datasets.facts import Both, DataSet, Form
from bench.datasets.generated import expected_counts, read_mark
from bench.datasets.locate import Found, require
from bench.errors import BenchError

SHOWN = 20  # findings of one kind; more are only counted
Level = Literal["ok", "warn", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing to say about a set."""

    level: Level  # ok, warn (usable all the same) or error (not usable)
    text: str


def examine(name: str, root: Path) -> list[Finding]:
    """All there is to say about a set below root; for `folder`, root is the folder of images.

    Raises UsageError when there is no such set, and nothing else, whatever lies there.
    """
    facts = sets.find_set(name)
    if facts is sets.FOLDER:
        findings = _examine_folder(root)
    elif facts.domains:
        findings = _examine_domains(facts, root)
    else:
        findings = _examine_digits(facts, root)
    return list(end_with_error(findings))


def end_with_error(findings: Iterator[Finding], prefix: str = "") -> Iterator[Finding]:
    """The findings, each text after a prefix; an exception becomes the last of them."""
    try:
        yield from (Finding(finding.level, prefix + finding.text) for finding in findings)
    except (BenchError, OSError) as e:
        yield Finding("error", f"{prefix}{e}")


def summarize(level: Level, texts: Iterable[str]) -> Iterator[Finding]:
    """A finding for each of the first texts, and one that counts the others."""
    texts = iter(texts)
    yield from (Finding(level, text) for text in islice(texts, SHOWN))
    if more := sum(1 for _ in texts):
        yield Finding(level, f"... and {more:,} more like it")


def report_other_files(folder: Path, known_file: Path | None = None) -> Iterator[Finding]:
    """The files below a folder of pictures that are none, but for one that belongs there."""
    known = ", ".join(SUFFIXES)
    texts = (
        f"{path} is passed over: it is not one of {known}"
        for path in find_other_files(folder)
        if path != known_file
    )
    yield from summarize("warn", texts)


# sets of digits


def _examine_digits(facts: DataSet, root: Path) -> Iterator[Finding]:
    """A set that is published as arrays: its files, their checksums, the images of each split."""
    if facts.embedded:
        (train, test), origin = read_digits(facts, root)
        yield Finding("ok", f"{len(train.y):,} train and {len(test.y):,} test images, {origin}")
        return
    found = require(facts, root)
    yield Finding("ok", f"{found.form.reader} files in {found.folder}")
    missing = (f"{found.folder / pattern} is missing" for pattern in found.missing)
    yield from summarize("error", missing)
    yield from _compare_checksums(facts, found)
    splits = zip(Both._fields, found.form.files, found.files, facts.counts, strict=True)
    for name, patterns, files, counts in splits:
        if not set(patterns) & set(found.missing):
            examined = _examine_split(facts, found.form, files, counts)
            yield from end_with_error(examined, f"{name}: ")


def _compare_checksums(facts: DataSet, found: Found) -> Iterator[Finding]:
    """Whether the files that have a published md5 have that one."""
    for path in found.files.train + found.files.test:
        published = facts.md5s.get(path.name)
        with parsing(path):
            here = md5sum(path) if published else ""
        if here != (published or ""):
            text = f"{path} is not the published file: its md5 is {here}, not {published}"
            yield Finding("warn", text)
        elif published:
            yield Finding("ok", f"{path} has the published md5")


def _examine_split(
    facts: DataSet, form: Form, files: tuple[Path, ...], counts: tuple[int, ...]
) -> Iterator[Finding]:
    """The images of a split, against the published counts per class."""
    if form.reader == "listed":
        pictures = list(_examine_list(*files))
        yield from pictures
        if any(finding.level == "error" for finding in pictures):
            return  # the reader would only repeat the first of them
    split = FORMATS[form.reader](facts, files)
    problems = [Finding("error", text) for text in compare_split(facts, counts, split)]
    text = f"{len(split.y):,} images, as many of each class as published"
    yield from problems or [Finding("ok", text)]


def _examine_list(labels: Path, folder: Path) -> Iterator[Finding]:
    """The pictures of MNIST-M one by one, against the file that lists them."""
    names, here = set(read_list_file(labels)[0]), list_names(folder)
    yield from summarize("error", (f"{folder / n} is missing" for n in sorted(names - here)))
    surplus = (f"{folder / n} is not in {labels.name}" for n in sorted(here - names))
    yield from summarize("warn", surplus)
    pictures = [Picture(folder / name) for name in sorted(names & here)]
    yield from summarize("error", find_unreadable(pictures))


# sets of several domains


def _examine_domains(facts: DataSet, root: Path) -> Iterator[Finding]:
    """A set of several domains: class by class and picture by picture."""
    found = require(facts, root)
    yield Finding("ok", f"{found.form.reader} files in {found.folder}")
    if mark := read_mark(found.folder):
        text = f"{found.folder} holds {mark}, not the published ones: no result comes of them"
        yield Finding("warn", text)
    counts = expected_counts(facts, found.folder)
    for domain in facts.domains:
        examined = _examine_domain(facts, root, found, domain, counts[domain])
        yield from end_with_error(examined, f"{domain}: ")


def _examine_domain(
    facts: DataSet, root: Path, found: Found, domain: str, counts: Mapping[str, int]
) -> Iterator[Finding]:
    """One domain, against the expected counts per class."""
    listing = list_found_domain(facts, root, found, domain)
    differences = list(compare_counts(listing, counts))
    yield from summarize("error", differences)
    named = found.folder / facts.lists[domain] if domain in facts.lists else None
    if found.form.reader == "image":
        yield from report_other_files(listing.base, named)
        if facts.numbering:
            yield from _compare_numbers(listing, counts, facts.numbering)
    if named and named.is_file():
        yield from _compare_list(listing, named)
    unreadable = list(find_unreadable(listing.pictures))
    yield from summarize("error", unreadable)
    if not differences and not unreadable:
        text = f"{len(listing.y):,} images, as many of each class as expected, all readable"
        yield Finding("ok", text)


def _compare_list(listing: Listing, path: Path) -> Iterator[Finding]:
    """The pictures that a domain's list file names and that are not there, and the other way
    round."""
    here = {picture.path for picture in listing.pictures}
    listed = set(read_listed(path))
    yield from summarize("error", (f"{p} is missing" for p in sorted(listed - here)))
    surplus = (f"{p} is not in {path.name}" for p in sorted(here - listed))
    yield from summarize("warn", surplus)


def _compare_numbers(
    listing: Listing, counts: Mapping[str, int], numbering: str
) -> Iterator[Finding]:
    """The missing and the surplus pictures, where the published ones of each class are numbered."""
    here = {picture.path for picture in listing.pictures}
    folders = {sets.fold(name): listing.base / name for name in listing.classes}
    published = {
        folders[sets.fold(name)] / numbering.format(i)
        for name, n in counts.items()
        if sets.fold(name) in folders
        for i in range(1, n + 1)
    }
    missing = (f"{path} is missing" for path in sorted(published - here))
    yield from summarize("error", missing)
    surplus = (f"{path} is not one of the published pictures" for path in sorted(here - published))
    yield from summarize("warn", surplus)


# the user's own folders


def _examine_folder(folder: Path) -> Iterator[Finding]:
    """A folder of images: its parts, classes and pictures, and the files that are passed over."""
    if not folder.is_dir():
        raise BenchError(f"no folder {folder}")
    for part in find_parts(folder):
        listing = list_class_folders(part)
        n, classes = len(listing.pictures), listing.classes
        yield Finding("ok" if n else "error", f"{part}: {n:,} images in {len(classes)} classes")
        empty = sorted(set(range(len(classes))) - set(listing.y.tolist()))
        yield from summarize("error", (f"{part / classes[i]} has no images" for i in empty))
        yield from report_other_files(part)
        yield from summarize("error", find_unreadable(listing.pictures))
    unshared = (
        f"{folder} has class {name} in only one of train/ and test/"
        for name in find_unshared(folder)
    )
    yield from summarize("error", unshared)
