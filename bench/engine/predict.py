"""A folder of pictures, classified by a kept model."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from bench.data.decode import decode_each
from bench.data.files import ByteArray, Picture
from bench.data.listing import SUFFIXES, find_pictures
from bench.engine.events import Listener, Working, ignore
from bench.engine.memory import within_memory
from bench.engine.model import Model
from bench.engine.uda import images_at_once
from bench.errors import BenchError, UsageError


class Prediction(NamedTuple):
    """What a model takes a picture for."""

    file: Path  # below the folder
    prediction: int  # the class with the largest probability
    name: str  # of the class; empty where classes have no names
    probability: float  # of that class


def find_files(folder: Path) -> list[Path]:
    """The pictures below a folder, sorted. Raises UsageError where there is no such folder or no
    picture in it."""
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: name one that holds pictures")
    found = find_pictures(folder)
    if not found:
        raise UsageError(f"no pictures in {folder}: it takes {', '.join(SUFFIXES)}")
    return found


def classify_files(
    model: Model, folder: Path, *, skip_unreadable: bool = False, tell: Listener = ignore
) -> tuple[list[Prediction], list[str]]:
    """What a model takes the pictures below a folder for, sorted by path, and a sentence about
    each picture that was left out.

    Raises BenchError for one that cannot be decoded unless such are to be left out, and UsageError
    as `find_files` does.
    """
    files, left = find_files(folder), list[str]()
    found: list[Prediction] = []
    for batch in _batches(model, files, left):
        if left and not skip_unreadable:
            raise BenchError(f"{left[0]}: replace it, or leave it out with --skip-unreadable")
        found += _classify(model, folder, files, batch)
        tell(Working(f"classifying {folder}", len(found) + len(left), len(files)))
    return found, left


def _batches(
    model: Model, files: list[Path], left: list[str]
) -> Iterator[list[tuple[int, ByteArray]]]:
    """(place in files, uint8 (3, size, size)) of pictures, so many as are evaluated at once; what
    cannot be decoded is added to `left`, and ends a batch early."""
    batch: list[tuple[int, ByteArray]] = []
    for i, pixels in decode_each([Picture(file) for file in files], model.square):
        if isinstance(pixels, str):
            left.append(f"{Picture(files[i])} cannot be read ({pixels})")
        else:
            batch.append((i, pixels))
        if len(batch) >= images_at_once(model.recipe) or isinstance(pixels, str):
            yield batch
            batch = []
    yield batch


def _classify(
    model: Model, folder: Path, files: list[Path], batch: list[tuple[int, ByteArray]]
) -> Iterator[Prediction]:
    if not batch:
        return
    places, pixels = zip(*batch, strict=True)
    with within_memory(model.device, model.row, model.recipe, evaluated=len(batch)):
        p = model.classify(torch.from_numpy(np.stack(pixels)))
        largest, guess = (v.tolist() for v in p.max(1))
    for i, k, probability in zip(places, guess, largest, strict=True):
        name = model.classes[k] if k < len(model.classes) else ""
        yield Prediction(files[i].relative_to(folder), k, name, probability)
