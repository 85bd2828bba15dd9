"""The one function that turns a domain of a suite into images."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.data.cache import Kept
from bench.data.decode import DecodeProgress, decode_listing
from bench.data.digits import read_digits
from bench.data.files import Labels, Listing, Split
from bench.data.generate import synthesize
from bench.data.images import Domain, Images
from bench.data.listing import find_domain_set, has_pictures, list_pictures
from bench.data.resize import Square
from bench.datasets.facts import Both
from bench.datasets.generated import are_generated
from bench.errors import BenchError
from bench.suite.suite import DomainSpec


def load_domain(
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
    pixels: bool = True,
    progress: DecodeProgress | None = None,
) -> Domain:
    """A domain as a suite uses it: cropped, resized to size x size, checked, then limited.

    root: the folder of all data sets. resize: a name in `resize.FILTERS`. classes: how many the
    suite has; each split must hold them all and no other. train_limit, test_limit: at most so many
    images, spread evenly over the split. synthetic: random images instead of those on disk.
    skip_unreadable: leave out pictures that cannot be decoded; the origin then counts them.
    pixels: whether they are wanted; without, no picture is decoded and images have labels alone.
    progress: called while pictures are decoded, not when the cache holds them.

    Raises UsageError when there is no such set or domain, BenchError when it is absent, unreadable,
    not the published one, or of other classes.
    """
    facts = find_domain_set(name, spec)
    square = Square(size, resize, spec.crop)
    if synthetic:
        made = synthesize(name, classes=classes, channels=facts.channels, size=size)
        train, test = _to_images(name, made, spec, classes)
        whole = Domain(name, train, test, "synthetic", generated=True)
    elif has_pictures(facts):
        listings, origin = list_pictures(name, spec, root)
        if pixels:
            whole = _decode(name, listings, square, classes, origin, skip_unreadable, progress)
        else:
            whole = _label(name, listings, classes, origin)
    else:
        digits, origin = read_digits(facts, root)
        resized = [Split(square.convert_arrays(x), y) for x, y in digits]
        train, test = _to_images(name, resized, spec, classes)
        whole = Domain(name, train, test, origin)
    train, test = whole.train.thin(train_limit), whole.test.thin(test_limit)
    one = whole.train is whole.test and train_limit == test_limit
    return replace(whole, train=train, test=train if one else test)


def _to_images(
    name: str, splits: Sequence[Split], spec: DomainSpec, classes: int
) -> tuple[Images, Images]:
    """Train and test as tensors: one object when the suite uses the whole domain for both."""
    if spec.transductive:
        x, y = (np.concatenate(arrays) for arrays in zip(*splits, strict=True))
        splits = [Split(x, y)]
    for split in splits:
        _check_classes(name, split.y, classes)
    images = [Images(torch.from_numpy(x), torch.from_numpy(y)) for x, y in splits]
    return images[0], images[-1]


def _decode(
    name: str,
    listings: Both[Listing],
    square: Square,
    classes: int,
    origin: str,
    skip_unreadable: bool,
    progress: DecodeProgress | None,
) -> Domain:
    """The domain that consists of these pictures."""
    different = list(dict.fromkeys(listings))  # one, when train and test are the same
    for listing in different:
        _check_classes(name, listing.y, classes)  # before the minutes that decoding takes
    kept = []
    for listing in different:
        kept.append(decode_listing(listing, square, progress=progress))
        _check_readable(name, listing, kept[-1], skip_unreadable)
        _check_classes(name, kept[-1].y, classes)
    if skipped := sum(len(k.unreadable) for k in kept):
        origin += f", {skipped:,} unreadable left out"
    images = [Images(_to_tensor(k), torch.from_numpy(k.y), k.fingerprint) for k in kept]
    made_up = are_generated(picture.path for part in different for picture in part.pictures)
    names = listings.train.classes
    return Domain(name, images[0], images[-1], origin, names, generated=made_up)


def _label(name: str, listings: Both[Listing], classes: int, origin: str) -> Domain:
    """The domain that consists of these pictures, none of which is opened."""
    for listing in listings:
        _check_classes(name, listing.y, classes)
    train, test = (Images(torch.empty(len(x.y), 0), torch.from_numpy(x.y)) for x in listings)
    same = listings.train is listings.test
    return Domain(name, train, train if same else test, origin, listings.train.classes)


def _to_tensor(kept: Kept) -> Tensor:
    """The pixels; those in a file as a private map of it, whose pages are read on their use."""
    if not isinstance(kept.pixels, Path):
        return torch.from_numpy(kept.pixels)
    size = math.prod(kept.shape)
    return torch.from_file(str(kept.pixels), size=size, dtype=torch.uint8).view(kept.shape)


def _check_readable(name: str, listing: Listing, kept: Kept, skip_unreadable: bool) -> None:
    """Raises BenchError naming the first picture that could not be decoded, unless such pictures
    are to be left out and others remain."""
    if not kept.unreadable or (skip_unreadable and len(kept.y)):
        return
    (i, reason), others = kept.unreadable[0], len(kept.unreadable) - 1
    more = f", nor can {others:,} more" if others else ""
    raise BenchError(
        f"{name}: {listing.pictures[i]} cannot be read ({reason}){more}: "
        "replace what is damaged, or leave it out with --skip-unreadable"
    )


def _check_classes(name: str, y: Labels, classes: int) -> None:
    """Raises BenchError unless the labels are 0..classes-1, each of them there."""
    found, wanted = set(np.unique(y).tolist()), set(range(classes))
    if found - wanted:
        raise BenchError(
            f"{name} has {max(found) + 1} classes, the suite {classes}: "
            "one of them names the wrong data"
        )
    if wanted - found:
        some = ", ".join(map(str, sorted(wanted - found)[:5]))
        raise BenchError(
            f"{name} has no image of {len(wanted - found)} of the suite's {classes} classes "
            f"(class {some})"
        )
