"""The one function that turns a set as a suite uses it into images."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.data import natural
from bench.data import resize as resizing
from bench.data.files import Labels, Split, joined
from bench.data.images import Domain, Images
from bench.data.listing import Listing, folder, listed, parted, together
from bench.data.mapped import Kept, mapped
from bench.data.readers import read
from bench.data.square import Square
from bench.data.synthetic import synthetic as stand_in
from bench.datasets import sets
from bench.datasets.sets import Both, DataSet
from bench.errors import BenchError, UsageError
from bench.suite.suites import DomainSpec


def load(
    name: str,
    spec: DomainSpec,
    *,
    root: Path,
    size: int,
    resize: str,
    classes: int,
    train_limit: int | None = None,
    test_limit: int | None = None,
    synthetic: bool = False,
    skip_unreadable: bool = False,
) -> Domain:
    """A set as a suite uses it: cropped, resized to size x size ('nearest' or 'bilinear'), checked, then limited.

    root: the folder of all data sets. classes: how many the suite has; each split must hold them all and no other.
    synthetic: random images instead of those on disk. skip_unreadable: leave out pictures that cannot be decoded; the
    origin then counts them. Raises UsageError when there is no such set or domain, BenchError when it is absent,
    unreadable, not the published one, or of other classes.
    """
    facts = sets.find(spec.set)
    if (spec.domain and not facts.domains) or (spec.list and not _pictured(facts)):
        key = "domain" if spec.domain else "list"
        raise UsageError(f"the set {facts.name} takes no `{key}`: remove it from domain {name!r} of the suite")
    names: tuple[str, ...] = ()
    if synthetic:
        made = stand_in(name, classes=classes, channels=facts.channels, size=size)
        (train, test), origin = _from_arrays(name, made, spec, classes), "synthetic"
    elif _pictured(facts):
        listings, origin = _listings(name, spec, facts, root)
        names = listings.train.classes
        kept = _decoded(name, listings, Square(size, resize, spec.crop), classes, skip_unreadable)
        train, test = kept[0][0], kept[-1][0]
        if skipped := sum(n for _, n in kept):
            origin += f", {skipped:,} unreadable left out"
    else:
        published, origin = read(facts, root)
        fitted = [Split(resizing.fit(x, crop=spec.crop, size=size, resize=resize), y) for x, y in published]
        train, test = _from_arrays(name, fitted, spec, classes)
    same = train is test and train_limit == test_limit
    train, test = train.first(train_limit), test.first(test_limit)
    return Domain(name, train, train if same else test, origin, names)


def _pictured(facts: DataSet) -> bool:
    """Whether the images are natural ones: encoded pictures of any size, rather than arrays."""
    return bool(facts.domains) or facts is sets.FOLDER


def _from_arrays(name: str, splits: Sequence[Split], spec: DomainSpec, classes: int) -> list[Images]:
    """Train and test, which are one object when the protocol is transductive."""
    if spec.transductive:
        splits = [joined(splits)]
    for split in splits:
        _check_classes(name, split.y, classes)
    images = [Images(torch.from_numpy(x), torch.from_numpy(y)) for x, y in splits]
    return images * 2 if spec.transductive else images


def _listings(name: str, spec: DomainSpec, facts: DataSet, root: Path) -> tuple[Both[Listing], str]:
    """The pictures to train and to test on, one object when these are the same, and where they came from."""
    if facts.domains:
        if spec.domain is None:
            raise UsageError(f"{facts.name} has several domains: say with `domain` which one {name!r} is")
        if spec.list is not None:
            found = natural.located(facts, root)
            whole = listed(root / spec.list, found.folder)
            return Both(whole, whole), f"list {spec.list}, {natural.origin(found, root)}"
        whole, origin = natural.find(facts, root, spec.domain)
        return Both(whole, whole), origin
    if spec.list is not None:
        whole = listed(root / spec.list, root / (spec.path or "."))
        return Both(whole, whole) if spec.transductive else parted(whole), f"list {spec.list}"
    if spec.path is None:
        raise UsageError(f"domain {name!r} is a folder of images: say which with `path`, relative to the data root")
    splits = folder(root / spec.path)
    if spec.transductive:
        whole = together(root / spec.path, splits)
        splits = Both(whole, whole)
    return splits, f"folder {spec.path}"


def _decoded(name: str, listings: Both[Listing], how: Square, classes: int, skip: bool) -> list[tuple[Images, int]]:
    """The images of each different listing, mapped from the cache, and how many pictures could not be decoded."""
    different = list(dict.fromkeys(listings))
    for listing in different:
        _check_classes(name, listing.y, classes)  # before the minutes that decoding takes
    out = []
    for listing in different:
        kept = mapped(listing, how, title=name, skip_unreadable=skip)
        _check_classes(name, kept.y, classes)
        out.append((Images(_tensor(kept), torch.from_numpy(kept.y), kept.fingerprint), len(kept.unreadable)))
    return out


def _tensor(kept: Kept) -> Tensor:
    """The pixels, as a private map when they are in a file: pages are read when they are used."""
    if not isinstance(kept.pixels, Path):
        return torch.from_numpy(kept.pixels)
    shape = (len(kept.y), 3, kept.size, kept.size)
    return torch.from_file(str(kept.pixels), size=math.prod(shape), dtype=torch.uint8).view(shape)


def _check_classes(name: str, y: Labels, classes: int) -> None:
    found, wanted = set(np.unique(y).tolist()), set(range(classes))
    if found - wanted:
        raise BenchError(f"{name} has {max(found) + 1} classes, the suite {classes}: one of them names the wrong data")
    if wanted - found:
        some = ", ".join(map(str, sorted(wanted - found)[:5]))
        raise BenchError(f"{name} has no image of {len(wanted - found)} of the suite's {classes} classes (class {some})")
