"""Images in memory, and the one function that gets them there."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.data import resize as resizing
from bench.data import sets
from bench.data.files import Labels, Split, joined
from bench.data.pictures import folder
from bench.data.readers import read
from bench.data.synthetic import synthetic as stand_in
from bench.errors import BenchError, UsageError
from bench.suites import DomainSpec


@dataclass(frozen=True)
class Images:
    """Labelled images.

    x: uint8 (N, C, H, W), C = 1 (grey) or 3 (RGB), values 0..255. y: int64 (N,), labels 0..classes-1.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def fingerprint(self) -> str:
        """sha256 over shape, pixels and labels, 16 hex digits: identity of the content, wherever it was read."""
        h = hashlib.sha256(str(tuple(self.x.shape)).encode())
        h.update(self.x.contiguous().numpy().tobytes())
        h.update(self.y.contiguous().numpy().tobytes())
        return h.hexdigest()[:16]

    def first(self, n: int | None) -> "Images":
        """n images spread evenly over the set (all of them when n is None or larger than the set)."""
        if n is None or n >= len(self):
            return self
        keep = torch.linspace(0, len(self) - 1, n).long()
        return Images(self.x[keep], self.y[keep])

    def to(self, device: torch.device) -> "Images":
        return Images(self.x.to(device), self.y.to(device))


@dataclass(frozen=True)
class Domain:
    """One domain: what is trained on, what is tested on, and where it came from.

    train and test are the same object when the protocol is transductive (the whole domain is both).
    """

    name: str
    train: Images
    test: Images
    origin: str


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
) -> Domain:
    """A set as a suite uses it: cropped, resized to size x size ('nearest' or 'bilinear'), checked, then limited.

    root: the folder of all data sets. classes: how many the suite has; each split must hold them all and no other.
    synthetic: random images instead of those on disk. Raises UsageError when there is no such set, BenchError when it
    is absent, unreadable, not the published one, or of other classes.
    """
    facts = sets.find(spec.set)
    fit = partial(resizing.fit, crop=spec.crop, size=size, resize=resize)
    splits: Sequence[Split]
    if synthetic:
        splits, origin = stand_in(name, classes=classes, channels=facts.channels, size=size), "synthetic"
    elif facts is sets.FOLDER:
        if spec.path is None:
            raise UsageError(f"domain {name!r} is a folder of images: say which with `path`, relative to the data root")
        splits, origin = folder(root / spec.path, fit, how=str(fit.keywords)), f"folder {spec.path}"
    else:
        published, origin = read(facts, root)
        splits = [Split(fit(x), y) for x, y in published]
    if spec.transductive:
        splits = [joined(splits)] * 2
    for split in splits:
        _check_classes(name, split.y, classes)
    train, test = (Images(torch.from_numpy(x), torch.from_numpy(y)) for x, y in splits)
    train, test = train.first(train_limit), test.first(test_limit)
    same = spec.transductive and train_limit == test_limit
    return Domain(name, train, train if same else test, origin)


def _check_classes(name: str, y: Labels, classes: int) -> None:
    found, wanted = set(np.unique(y).tolist()), set(range(classes))
    if found - wanted:
        raise BenchError(f"{name} has {max(found) + 1} classes, the suite {classes}: one of them names the wrong data")
    if wanted - found:
        some = ", ".join(map(str, sorted(wanted - found)[:5]))
        raise BenchError(f"{name} has no image of {len(wanted - found)} of the suite's {classes} classes (class {some})")
