"""What is wrong with a suite's images: classes, counts, damaged files, pictures there twice."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product
from pathlib import Path

import numpy as np

from bench.data.decode import DecodeProgress, digest_pictures
from bench.data.doctor import Finding, end_with_error, examine, report_other_files, summarize
from bench.data.files import Listing, Picture
from bench.data.listing import find_domain_set, has_pictures, list_pictures
from bench.datasets import sets
from bench.errors import BenchError, UsageError
from bench.suite.suite import DomainSpec, Suite

EACH = 20  # up to as many classes have their counts listed; of more the fewest and the most are


@dataclass(frozen=True, eq=False)
class Part:
    """The pictures of a domain that are trained on, tested on, or both."""

    domain: str  # the suite's name of the domain
    spec: DomainSpec
    use: str  # "trained on", "tested on", or "trained and tested on"
    listing: Listing

    @property
    def counts(self) -> dict[str, int]:
        """Images by class; a class that nobody named is called by its number."""
        n = len(self.listing.classes) or int(self.listing.y.max(initial=-1)) + 1
        names = self.listing.classes or tuple(map(str, range(n)))
        return dict(zip(names, np.bincount(self.listing.y, minlength=n).tolist(), strict=True))


def examine_suite(
    suite: Suite, root: Path, progress: DecodeProgress | None = None
) -> list[Finding]:
    """All there is to say about the images of a suite's tasks, below root.

    Every picture is decoded; progress is told how many are. Raises UsageError where the suite asks
    for what a set does not have, and nothing else, whatever lies there.
    """
    findings: list[Finding] = []
    parts: list[Part] = []
    digits: dict[str, str] = {}  # set of arrays -> the domain that names it first
    for name in dict.fromkeys(chain.from_iterable(map(suite.endpoints, suite.tasks))):
        spec = suite.domains[name]
        if not has_pictures(find_domain_set(name, spec)):
            digits.setdefault(spec.set, name)
            continue
        try:
            parts += _list_domain(name, spec, root)
        except UsageError:
            raise
        except (BenchError, OSError) as e:
            findings.append(Finding("error", f"{name}: {e}"))
    for published, name in digits.items():
        findings += [Finding(f.level, f"{name}: {f.text}") for f in examine(published, root)]
    return findings + list(end_with_error(_examine_parts(suite, parts, progress)))


def _list_domain(name: str, spec: DomainSpec, root: Path) -> list[Part]:
    train, test = list_pictures(name, spec, root)[0]
    if train is test:
        return [Part(name, spec, "trained and tested on", train)]
    return [Part(name, spec, "trained on", train), Part(name, spec, "tested on", test)]


def _examine_parts(
    suite: Suite, parts: Sequence[Part], progress: DecodeProgress | None
) -> Iterator[Finding]:
    yield from map(_count, parts)
    yield from _compare_classes(suite, parts)
    yield from _compare_batches(suite, parts)
    own = (p for p in parts if p.spec.set == sets.FOLDER.name and not p.spec.list)
    for folder in sorted({part.listing.base for part in own}):
        yield from report_other_files(folder)
    every = [picture for part in parts for picture in part.listing.pictures]
    digests, unreadable = digest_pictures(every, progress)
    texts = (f"{every[i]} cannot be read ({why})" for i, why in sorted(unreadable.items()))
    yield from summarize("error", texts)
    if every and not unreadable:
        yield Finding("ok", f"all {len(every):,} pictures can be read")
    yield from _find_copies(suite, parts, digests)


def _count(part: Part) -> Finding:
    counts = part.counts
    shown = counts
    if len(counts) > EACH:
        ranked = sorted(counts, key=counts.__getitem__)
        shown = {name: counts[name] for name in (ranked[0], ranked[-1])}
    each = (" to " if shown is not counts else ", ").join(f"{k} {n:,}" for k, n in shown.items())
    total = f"{len(part.listing.y):,} images in {len(counts)} classes"
    return Finding("ok", f"{part.domain}: {total} are {part.use}: {each}")


def _compare_classes(suite: Suite, parts: Sequence[Part]) -> Iterator[Finding]:
    """Whether every domain has the suite's number of classes, all alike, and none is empty."""
    for part in parts:
        counts = part.counts
        if len(counts) != suite.classes:
            text = f"{part.domain} has {len(counts)} classes where the suite states {suite.classes}"
            yield Finding("error", text)
        empty = (
            f"{part.domain}: no image of class {name} is {part.use}"
            for name, n in counts.items()
            if not n
        )
        yield from summarize("error", empty)
    named = {part.domain: part.listing.classes for part in parts if part.listing.classes}
    yield from summarize("error", _name_unshared(named))


def _name_unshared(named: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """A sentence for each class that some domain lacks or spells otherwise.

    named: domain -> its classes.
    """
    spelled: dict[str, dict[str, list[str]]] = {}  # folded name -> name -> the domains that have it
    for domain, classes in named.items():
        for name in classes:
            known = spelled.setdefault(sets.fold(name) or name, {})
            known.setdefault(name, []).append(domain)
    for _, spellings in sorted(spelled.items()):
        places = [f"{name} in {', '.join(domains)}" for name, domains in spellings.items()]
        if len(places) > 1:
            yield f"a class is called {' but '.join(places)}: name it alike"
        if lack := named.keys() - set(chain.from_iterable(spellings.values())):
            yield f"there is class {places[0]}, but not in {', '.join(sorted(lack))}"


def _compare_batches(suite: Suite, parts: Sequence[Part]) -> Iterator[Finding]:
    """Whether every domain has a batch of images to train on."""
    trained = {part.domain: len(part.listing.y) for part in reversed(parts)}  # train after test
    largest: dict[str, int] = {}
    for row, task in product(suite.rows, suite.tasks):
        batch = suite.recipe_for(row, task).batch
        for name in suite.endpoints(task):
            largest[name] = max(batch, largest.get(name, 0))
    for name, n in trained.items():
        if largest[name] > n:
            text = f"{name}: a batch of {largest[name]} does not fit {n:,} images to train on"
            yield Finding("error", f"{text}: lower `batch`")


Places = dict[bytes, list[tuple[Picture, int]]]
"""Digest of a picture -> where it lies, and its label there."""


def _find_copies(
    suite: Suite, parts: Sequence[Part], digests: Sequence[bytes | None]
) -> Iterator[Finding]:
    """The pictures that are there twice, by their pixels.

    digests: of each picture, part after part; None for one that could not be read.
    """
    rest = iter(digests)
    places = [(part, _collect(part.listing, rest)) for part in parts]
    for part, here in places:
        yield from summarize("warn", _name_copies(part, here))
    pairs = {frozenset(suite.endpoints(task)) for task in suite.tasks}
    for (a, in_a), (b, in_b) in combinations(places, 2):
        if a.domain == b.domain or {a.domain, b.domain} in pairs:
            # what the authors of a set published twice was in everybody's results
            published = a.domain != b.domain and a.spec.set == b.spec.set != sets.FOLDER.name
            shared = (
                f"{in_a[digest][0][0]} ({a.domain}, {a.use}) and {in_b[digest][0][0]} "
                f"({b.domain}, {b.use}) are one picture"
                for digest in in_a
                if digest in in_b
            )
            yield from summarize("warn" if published else "error", shared)


def _collect(listing: Listing, digests: Iterator[bytes | None]) -> Places:
    """Takes a digest for each picture of a listing, in its order."""
    places: Places = {}
    for picture, label in zip(listing.pictures, listing.y.tolist(), strict=True):
        if digest := next(digests):
            places.setdefault(digest, []).append((picture, label))
    return places


def _name_copies(part: Part, here: Places) -> Iterator[str]:
    names = list(part.counts)
    for (first, label), *others in here.values():
        for picture, other in others:
            classes = "" if other == label else f", in classes {names[label]} and {names[other]}"
            yield f"{part.domain}: {first} and {picture} are one picture{classes}"
