"""MNIST-M as Ganin et al. define it, for those who would rather make it than download it."""

from pathlib import Path

import numpy as np
import torch

from bench.data.files import Pixels
from bench.data.images import Domain, Images
from bench.data.pictures import picture_files, rgb
from bench.errors import BenchError

SIZE, MARGIN = 32, 2  # the published images are MNIST's 28x28 digits with two pixels of photograph around them
TRAIN, TEST = 59_001, 9_001  # and stop that far into MNIST


def generate_mnist_m(mnist: Domain, photos: Path, seed: int = 0) -> Domain:
    """|patch - digit| for every digit and a random patch of a random photograph (Ganin et al., JMLR 2016).

    mnist: the 28x28 digits. photos: a folder of pictures, each at least 32x32 (published: BSDS500). Returns uint8
    (N, 3, 32, 32) in MNIST's order and in the published number, the same for the same photographs and seed. Raises
    BenchError when a photograph is too small or cannot be read.
    """
    files = picture_files(photos)
    if not files:
        raise BenchError(f"no photographs in {photos}: name a folder of pictures, such as that of BSDS500")
    rng = np.random.default_rng(seed)
    train, test = (
        Images(torch.from_numpy(_blend(split.x[:n, 0].numpy(), files, rng)), split.y[:n])
        for split, n in ((mnist.train, TRAIN), (mnist.test, TEST))
    )
    return Domain("mnist-m", train, test, f"{mnist.origin} and {len(files)} photographs, seed {seed}")


def _blend(digits: Pixels, files: list[Path], rng: np.random.Generator) -> Pixels:
    """Each photograph is decoded once, for all the digits that drew it: thousands of large ones fit in no memory."""
    which, at = rng.integers(len(files), size=len(digits)), rng.random((len(digits), 2))
    blended = np.empty((len(digits), 3, SIZE, SIZE), np.uint8)
    for number, file in enumerate(files):
        photo = rgb(file).astype(np.int16)
        room = np.array(photo.shape[1:]) - SIZE + 1
        if room.min() < 1:
            raise BenchError(f"{file} is smaller than {SIZE}x{SIZE} pixels: take it out of the photographs")
        for i in np.flatnonzero(which == number):
            top, left = (at[i] * room).astype(int)
            patch = photo[:, top : top + SIZE, left : left + SIZE]
            blended[i] = np.abs(patch - np.pad(digits[i], MARGIN))
    return blended
