"""What is wrong with a set of several domains, class by class and picture by picture."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.data.files import Found
from bench.data.findings import Finding, some, strangers
from bench.data.listing import Listing
from bench.data.natural import differences, expected, located, mark, pictures, said
from bench.data.square import unreadable
from bench.datasets.sets import DataSet, folded
from bench.errors import BenchError


def domains(facts: DataSet, root: Path) -> Iterator[Finding]:
    """All there is to say about such a set below root. Raises BenchError when there is no trace of it."""
    found = located(facts, root)
    yield Finding("ok", f"{found.form.reader} files in {found.folder}")
    if made := mark(found.folder):
        yield Finding("warn", f"{found.folder} holds {said(made)}, not the published ones: no result comes of them")
    counts = expected(facts, found.folder)
    for domain in facts.domains:
        try:
            yield from (Finding(f.level, f"{domain}: {f.text}") for f in _domain(facts, root, found, domain, counts[domain]))
        except BenchError as e:
            yield Finding("error", f"{domain}: {e}")


def _domain(facts: DataSet, root: Path, found: Found, domain: str, counts: Mapping[str, int]) -> Iterator[Finding]:
    listing = pictures(facts, root, found, domain)
    problems = list(differences(listing, counts))
    yield from some("error", problems)
    if found.form.reader == "image":
        yield from strangers(listing.base)
        if facts.numbered:
            yield from _by_number(listing, counts)
    broken = list(unreadable(listing.pictures))
    yield from some("error", broken)
    if not problems and not broken:
        yield Finding("ok", f"{len(listing.y):,} images, as many of each class as expected, all readable")


def _by_number(listing: Listing, counts: Mapping[str, int]) -> Iterator[Finding]:
    """The missing and the surplus pictures where the published ones are called 00001.jpg up to their number."""
    here = {picture.path for picture in listing.pictures}
    folders = {folded(name): listing.base / name for name in listing.classes}
    published = {
        folders[folded(name)] / f"{i:05}.jpg" for name, n in counts.items() if folded(name) in folders for i in range(1, n + 1)
    }
    yield from some("error", (f"{path} is missing" for path in sorted(published - here)))
    yield from some("warn", (f"{path} is not one of the published pictures" for path in sorted(here - published)))
