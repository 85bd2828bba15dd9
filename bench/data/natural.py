"""Published sets of several domains: where a domain's pictures lie, and whether they are as many as published."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.files import Found, absent, incomplete, locate
from bench.data.listing import Listing, tree
from bench.data.parquet import rows
from bench.datasets import sets
from bench.datasets.sets import DataSet
from bench.errors import BenchError

MARK = "generated.json"  # in a folder of made-up images: its kind, scale and seed
Counts = Mapping[str, Mapping[str, int]]  # domain -> class -> number of images


def find(facts: DataSet, root: Path, domain: str) -> tuple[Listing, str]:
    """The pictures of one domain and where they came from, as a record may say it.

    Labels are places in the sorted names of the classes. Raises UsageError when there is no such domain, BenchError when
    it is not below root or not as published.
    """
    domain = sets.domain(facts, domain)
    found = located(facts, root)
    listing, published = pictures(facts, root, found, domain), expected(facts, found.folder)[domain]
    if problem := next(differences(listing, published), None):
        raise BenchError(f"{facts.name} {domain} {problem} ({listing.base}): see `bench data doctor {facts.name}`")
    return renamed(listing, published), origin(found, root)


def origin(found: Found, root: Path) -> str:
    """Where pictures came from, made-up ones called so."""
    made, place = mark(found.folder), found.origin(root)
    return f"{said(made)}, {place}" if made else place


def check(facts: DataSet, root: Path) -> None:
    """Raises BenchError unless every domain lies below root with as many images of each class as published."""
    for domain in facts.domains:
        find(facts, root, domain)


def located(facts: DataSet, root: Path) -> Found:
    """The most complete copy of a set below root. Raises BenchError when there is no trace of it."""
    found = locate(facts, root)
    if found is None:
        raise absent(facts, root)
    return found


def pictures(facts: DataSet, root: Path, found: Found, domain: str) -> Listing:
    """The pictures of a domain as they lie there, whatever their classes. Raises BenchError when its folder is missing."""
    if found.form.reader == "parquet":
        return rows(found.files.train, domain)
    folders = [path for path in sorted(found.folder.glob(facts.domains[domain])) if path.is_dir()]
    if not folders:
        raise incomplete(facts, root, found)
    if len(folders) > 1:
        raise BenchError(f"{found.folder} holds {domain} as {' and '.join(path.name for path in folders)}: keep one of them")
    return tree(folders[0])


def differences(listing: Listing, published: Mapping[str, int]) -> Iterator[str]:
    """In what the pictures are not the published ones, class by class: ends of sentences."""
    known, here = {sets.folded(name) for name in published}, per_class(listing)
    for name, published_count in published.items():
        if (n := here.get(sets.folded(name), 0)) != published_count:
            yield f"has {n:,} images of class {name} where the published set has {published_count:,}"
    for name in listing.classes:
        if sets.folded(name) not in known:
            yield f"has a class {name} that the published set has not"


def per_class(listing: Listing) -> dict[str, int]:
    """Images of each class, by its folded name."""
    numbers = np.bincount(listing.y, minlength=len(listing.classes)).tolist()
    return dict(zip(map(sets.folded, listing.classes), numbers, strict=True))


def renamed(listing: Listing, published: Mapping[str, int]) -> Listing:
    """The same pictures, with the published names of the classes and labels in their order."""
    names = sorted(published)
    places = {sets.folded(name): place for place, name in enumerate(names)}
    y = np.array([places[sets.folded(name)] for name in listing.classes], dtype=np.int64)[listing.y]
    return Listing(listing.base, listing.pictures, y, tuple(names))


def expected(facts: DataSet, folder: Path) -> Counts:
    """The published counts, or those that a generated folder was made with."""
    counts, made = sets.per_class(facts.name), mark(folder)
    return scaled(counts, float(made["scale"])) if made else counts


def scaled(counts: Counts, scale: float) -> Counts:
    """How many images a made-up set has."""
    return {domain: {name: max(1, round(n * scale)) for name, n in of.items()} for domain, of in counts.items()}


def mark(folder: Path) -> dict[str, Any] | None:
    """Scale and seed of a folder of made-up images; None for any other folder. Raises BenchError when they are garbled."""
    path = folder / MARK
    try:
        made: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {"scale": float(made["scale"]), "seed": int(made["seed"])}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise BenchError(f"{path} is not what `bench data generate` wrote: delete {folder} and generate it again") from e


def said(made: Mapping[str, Any]) -> str:
    """A mark in words."""
    return f"made-up images at scale {made['scale']:g}, seed {made['seed']}"
