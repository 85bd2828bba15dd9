"""Crop and flip of a batch where the batch is, a pure function of (seed, name, step)."""

import hashlib

import torch
from torch import Tensor

from bench.data.stream import sent
from bench.errors import BenchError


class Augment:
    """A random crop x crop square of each image and, with `flip`, its mirror image half of the time.

    Images of one domain are all of one size, so that the batch is cut in one gather: no loop over images and no wait
    for the device. Gives uint8, to be normalised by `Pixels` like any other batch.
    """

    def __init__(self, crop: int, flip: bool, *, seed: int, name: str) -> None:
        self.crop, self.flip, self.seed, self.name = crop, flip, seed, name

    def __call__(self, x: Tensor, step: int) -> Tensor:
        """(B, C, H, W) -> (B, C, crop, crop), the crops of this step. Raises BenchError when an image is smaller."""
        at = sent(self.draw(len(x), x.shape[2], x.shape[3], step), x.device)
        return cut(x, self.crop, *at.unbind())

    def draw(self, n: int, height: int, width: int, step: int) -> Tensor:
        """Top, left and mirrored (0 or 1) of n images at this step: int64 (3, n), on the CPU."""
        _check(self.crop, height, width)
        key = hashlib.sha256(f"{self.seed}/{self.name}/augment/{step}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(key[:8]) >> 1)
        # doubles: a float just below 1 times the number of places can round up to a place that is not there
        chance = torch.rand(3, n, generator=generator, dtype=torch.float64)
        places = torch.tensor([height - self.crop + 1, width - self.crop + 1, 2 if self.flip else 1])
        return (chance * places[:, None]).long()


def centre(x: Tensor, crop: int) -> Tensor:
    """The central squares of a batch, for tests: (B, C, H, W) -> (B, C, crop, crop), a view."""
    height, width = x.shape[2:]
    _check(crop, height, width)
    top, left = round((height - crop) / 2), round((width - crop) / 2)  # as torchvision rounds
    return x[:, :, top : top + crop, left : left + crop]


def cut(x: Tensor, crop: int, top: Tensor, left: Tensor, mirrored: Tensor) -> Tensor:
    """The square of each image at (top, left), mirrored where that is 1; all int64 (B,) on the device of x."""
    n, channels = x.shape[:2]
    along = torch.arange(crop, device=x.device)
    rows = top[:, None] + along
    columns = left[:, None] + torch.where(mirrored[:, None] == 1, crop - 1 - along, along)
    image, channel = torch.arange(n, device=x.device), torch.arange(channels, device=x.device)
    return x[image[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None, :]]


def _check(crop: int, height: int, width: int) -> None:
    if crop > min(height, width):
        raise BenchError(f"a crop of {crop} does not fit images of {width}x{height} pixels: lower the crop or raise the size")
