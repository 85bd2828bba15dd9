"""Crop and flip of a batch where the batch is, a pure function of (seed, name, step)."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from bench.data.images import send
from bench.errors import BenchError

SCALE, RATIO, TRIES = (
    (0.08, 1.0),
    (3 / 4, 4 / 3),
    10,
)  # torchvision's: share of the area, width / height, boxes tried


class Augment:
    """A random crop x crop square of each image and, with `flip`, its mirror image half of the time.

    Images of one domain are all of one size, so that the batch is cut in one gather: no loop over images and no wait
    for the device. Gives uint8, to be normalised by `Pixels` like any other batch.
    """

    def __init__(self, crop: int, flip: bool, *, seed: int, name: str) -> None:
        self.crop, self.flip, self.seed, self.name = crop, flip, seed, name

    def __call__(self, x: Tensor, step: int) -> Tensor:
        """(B, C, H, W) -> (B, C, crop, crop), the crops of this step. Raises BenchError when an image is smaller."""
        at = send(self.draw(len(x), x.shape[2], x.shape[3], step), x.device)
        return cut(x, self.crop, *at.unbind())

    def draw(self, n: int, height: int, width: int, step: int) -> Tensor:
        """Top, left and mirrored (0 or 1) of n images at this step: int64 (3, n), on the CPU."""
        _check(self.crop, height, width)
        places = torch.tensor(
            [height - self.crop + 1, width - self.crop + 1, 2 if self.flip else 1]
        )
        return (_chances(3, n, f"{self.seed}/{self.name}/augment/{step}") * places[:, None]).long()


class ResizedCrop:
    """torchvision's RandomResizedCrop: a random box of each image, 8 to 100 % of its area and 3:4 to 4:3 in shape, resized
    to crop x crop; with `flip`, mirrored half of the time.

    It is drawn from the images as they are kept, which for natural ones is after their resize to size x size. The code of
    CDAN, MDD and TLlib does the same (ResizeImage(256), then RandomResizedCrop(224)); usual ImageNet training, which draws
    boxes of the original picture, does not. One batch is two matrix products: no loop over images and no wait for the device.
    """

    def __init__(self, crop: int, flip: bool, *, seed: int, name: str) -> None:
        self.crop, self.flip, self.seed, self.name = crop, flip, seed, name

    def __call__(self, x: Tensor, step: int) -> Tensor:
        """uint8 (B, C, H, W) -> uint8 (B, C, crop, crop), the crops of this step."""
        at = send(self.draw(len(x), x.shape[2], x.shape[3], step), x.device)
        return resized(x, self.crop, *at.unbind())

    def draw(self, n: int, height: int, width: int, step: int) -> Tensor:
        """Top, left, height and width of a box in n images, and mirrored (0 or 1), at this step: int64 (5, n), on the CPU.

        Of ten boxes of random area and shape the first that fits, else the central one of the nearest shape.
        """
        chance = _chances(2 * TRIES + 3, n, f"{self.seed}/{self.name}/augment/{step}")
        area = height * width * (SCALE[0] + (SCALE[1] - SCALE[0]) * chance[:TRIES])
        ratio = (
            math.log(RATIO[0]) + math.log(RATIO[1] / RATIO[0]) * chance[TRIES : 2 * TRIES]
        ).exp()
        boxes = (
            torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()]).round().long()
        )  # (2, TRIES, n)
        fits = (boxes[0] > 0) & (boxes[0] <= height) & (boxes[1] > 0) & (boxes[1] <= width)
        first = boxes[:, fits.int().argmax(0), torch.arange(n)]
        central = torch.tensor(
            [min(height, round(width / RATIO[0])), min(width, round(height * RATIO[1]))]
        )
        box = first.where(fits.any(0), central[:, None])
        room = torch.tensor([height, width])[:, None] - box
        corner = (chance[-3:-1] * (room + 1)).long().where(fits.any(0), room // 2)
        mirrored = (chance[-1:] * (2 if self.flip else 1)).long()
        return torch.cat([corner, box, mirrored])


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
    return x[
        image[:, None, None, None],
        channel[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def resized(
    x: Tensor, crop: int, top: Tensor, left: Tensor, height: Tensor, width: Tensor, mirrored: Tensor
) -> Tensor:
    """The box of each image, height x width at (top, left), as crop x crop pixels, mirrored where that is 1; all int64 (B,)
    on the device of x, which is uint8.

    Bilinear and antialiased, columns first and rounded, then rows: bit for bit what torchvision's resized_crop makes of a
    uint8 image on a CPU (where no side shrinks below a quarter), and that on every device, since sums of whole numbers below
    2^24 are exact in float32 in any order. Pillow's weights are finer: one pixel of several thousand photographed ones is
    another there, by one grey level.
    """
    across, of_across = _weights(left, width, x.shape[3], crop)
    down, of_down = _weights(top, height, x.shape[2], crop)
    with _exact_products():
        y = torch.einsum("bchw,bjw->bchj", x.float(), across)
        y = ((y + of_across / 2) / of_across).floor_()
        y = torch.einsum("bchj,bih->bcij", y, down)
    out = ((y + of_down / 2) / of_down).to(torch.uint8).contiguous()
    return out.where(mirrored[:, None, None, None] == 0, out.flip(3))


def _weights(start: Tensor, length: Tensor, size: int, crop: int) -> tuple[Tensor, Tensor]:
    """How much each of size pixels counts in each of crop, for stretches of that length from start, both int64 (B,): whole
    numbers (B, crop, size) in float32, and what they add up to but for rounding, a power of two (B, 1, 1, 1).

    A triangle around each place, to each side one pixel wide or, when the stretch shrinks, one step from place to place; cut
    off where the stretch ends. How they become whole numbers is torch's: aten/src/ATen/native/cpu/UpSampleKernel.cpp,
    compute_index_ranges_int16_weights.
    """
    step = (length.double() / crop)[:, None, None]
    place = step * (torch.arange(crop, device=start.device) + 0.5)[:, None]
    pixel = torch.arange(size, device=start.device) - start[:, None, None]
    w = (1 - ((pixel - place + 0.5) * (1 / step.clamp(min=1))).abs()).clamp(min=0)
    w = w * ((pixel >= 0) & (pixel < length[:, None, None]))
    w = w / w.sum(2, keepdim=True)
    largest = w.amax((1, 2), keepdim=True)
    large, larger = (
        largest * of + 0.5 >= 2**15 for of in (2**16, 2**15)
    )  # for 16 bits with a sign
    one = 2**16 / (1 + large.float() + 2 * larger)  # 2^16, 2^15 or 2^14
    return (w * one + 0.5).floor().float(), one[..., None]


@contextmanager
def _exact_products() -> Iterator[None]:
    """Products of matrices in float32 proper: a recipe's tf32 or bf16 lets a GPU cut their factors to 11 bits."""
    kept = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = kept


def _chances(rows: int, n: int, key: str) -> Tensor:
    """Numbers in [0, 1), float64 (rows, n), that the key alone decides.

    Doubles: a float just below 1 times the number of places can round up to a place that is not there.
    """
    digest = hashlib.sha256(key.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
    return torch.rand(rows, n, generator=generator, dtype=torch.float64)


def _check(crop: int, height: int, width: int) -> None:
    if crop > min(height, width):
        raise BenchError(
            f"a crop of {crop} does not fit images of {width}x{height} pixels: lower the crop or raise the size"
        )
