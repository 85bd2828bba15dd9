"""Crops and stronger changes of a batch, on its device: a pure function of (seed, name, step)."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from bench.data.chance import make_generator, seed_of
from bench.data.images import send
from bench.errors import BenchError

# torchvision's values for random boxes
SCALE = 0.08, 1.0  # share of the image's area
RATIO = 3 / 4, 4 / 3  # width / height
TRIES = 10  # boxes drawn until one fits


class RandomCrop:
    """A random crop x crop square of each image; with `flip`, mirrored half of the time.

    The images of a domain are all of one size, so that one gather cuts the whole batch: there is
    no loop over images and no wait for the device.
    """

    def __init__(self, crop: int, flip: bool, *, seed: int, name: str) -> None:
        self.crop, self.flip, self.seed, self.name = crop, flip, seed, name

    def __call__(self, x: Tensor, step: int) -> Tensor:
        """uint8 (B, C, H, W) -> uint8 (B, C, crop, crop), the crops of this step.

        Raises BenchError when the images are smaller.
        """
        at = send(self.draw(len(x), x.shape[2], x.shape[3], step), x.device)
        return cut_boxes(x, self.crop, *at.unbind())

    def draw(self, n: int, height: int, width: int, step: int) -> Tensor:
        """Top, left and mirrored (0 or 1) of n images at this step: int64 (3, n), on the CPU."""
        _check(self.crop, height, width)
        places = torch.tensor(
            [height - self.crop + 1, width - self.crop + 1, 2 if self.flip else 1]
        )
        return (_chances(3, n, f"{self.seed}/{self.name}/augment/{step}") * places[:, None]).long()


class ResizedCrop:
    """torchvision's RandomResizedCrop: a random box of each image, of 8 to 100 % of its area and
    3:4 to 4:3 in shape, resized to crop x crop; with `flip`, mirrored half of the time.

    Boxes are drawn in the images as they are kept, which for natural ones is after their resize to
    size x size. The code of CDAN, MDD and TLlib does the same (ResizeImage(256), then
    RandomResizedCrop(224)); usual ImageNet training draws them in the original picture. A batch
    takes two matrix products: there is no loop over images and no wait for the device.
    """

    def __init__(self, crop: int, flip: bool, *, seed: int, name: str) -> None:
        self.crop, self.flip, self.seed, self.name = crop, flip, seed, name

    def __call__(self, x: Tensor, step: int) -> Tensor:
        """uint8 (B, C, H, W) -> uint8 (B, C, crop, crop), the crops of this step."""
        at = send(self.draw(len(x), x.shape[2], x.shape[3], step), x.device)
        return resize_boxes(x, self.crop, *at.unbind())

    def draw(self, n: int, height: int, width: int, step: int) -> Tensor:
        """Top, left, height and width of a box in n images, and mirrored (0 or 1), at this step:
        int64 (5, n), on the CPU.

        As in torchvision, the box is the first of ten of random area and shape that fits, else the
        central one of the nearest allowed shape.
        """
        chance = _chances(2 * TRIES + 3, n, f"{self.seed}/{self.name}/augment/{step}")
        area = height * width * (SCALE[0] + (SCALE[1] - SCALE[0]) * chance[:TRIES])
        logs = math.log(RATIO[0]) + math.log(RATIO[1] / RATIO[0]) * chance[TRIES : 2 * TRIES]
        ratio = logs.exp()
        # height and width of each box: (2, TRIES, n)
        boxes = torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()]).round().long()
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


class RandomOps:
    """RandAugment: two of fourteen operations on each image, of magnitude 10 of 30, by torchvision.

    Cubuk et al., CVPR Workshops 2020.
    """

    def __init__(self, seed: int, name: str) -> None:
        from torchvision.transforms.v2 import RandAugment

        self.seed, self.name = seed, name
        self.change = RandAugment(num_ops=2, magnitude=10)

    def __call__(self, x: Tensor, step: int) -> Tensor:
        """uint8 (B, C, H, W) -> the same, each image changed by what is drawn for this step."""
        # torchvision draws from torch's generator on the CPU, which goes on afterwards as it was
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_of(f"{self.seed}/{self.name}/ops/{step}"))
            return torch.stack([self.change(image) for image in x])


def centre(x: Tensor, crop: int) -> Tensor:
    """The central squares of a batch: (B, C, H, W) -> (B, C, crop, crop), a view.

    Raises BenchError when the images are smaller.
    """
    height, width = x.shape[2:]
    _check(crop, height, width)
    top, left = round((height - crop) / 2), round((width - crop) / 2)  # as torchvision rounds
    return x[:, :, top : top + crop, left : left + crop]


def cut_boxes(x: Tensor, crop: int, top: Tensor, left: Tensor, mirrored: Tensor) -> Tensor:
    """The crop x crop square of each image at (top, left), mirrored where `mirrored` is 1.

    x (B, C, H, W); top, left and mirrored int64 (B,) on its device.
    """
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


def resize_boxes(
    x: Tensor, crop: int, top: Tensor, left: Tensor, height: Tensor, width: Tensor, mirrored: Tensor
) -> Tensor:
    """The height x width box of each image at (top, left), resized to crop x crop and mirrored
    where `mirrored` is 1.

    x uint8 (B, C, H, W); the others int64 (B,) on its device. Bilinear and antialiased, columns
    first and rounded, then rows: bit for bit what torchvision's resized_crop makes of a uint8 image
    on a CPU (where no side shrinks below a quarter). It is the same on every device, since float32
    sums of whole numbers below 2^24 are exact in any order. Pillow's weights are finer: in
    photographs, one pixel of several thousand differs, by one grey level.
    """
    across, sum_across = _weights(left, width, x.shape[3], crop)
    down, sum_down = _weights(top, height, x.shape[2], crop)
    with _exact_products():
        y = torch.einsum("bchw,bjw->bchj", x.float(), across)
        y = ((y + sum_across / 2) / sum_across).floor_()
        y = torch.einsum("bchj,bih->bcij", y, down)
    out = ((y + sum_down / 2) / sum_down).to(torch.uint8).contiguous()
    return out.where(mirrored[:, None, None, None] == 0, out.flip(3))


def _weights(start: Tensor, length: Tensor, size: int, crop: int) -> tuple[Tensor, Tensor]:
    """How much each of `size` pixels counts in each of `crop` new ones, for the stretches of
    `length` pixels from `start`, both int64 (B,).

    Gives whole numbers (B, crop, size) in float32 and, up to rounding, their sum, a power of two
    (B, 1, 1, 1). The weights are a triangle around each new place; to each side it is one pixel
    wide or, when the stretch shrinks, as wide as the new places are apart. It is cut off where the
    stretch ends. Rounding is torch's: compute_index_ranges_int16_weights in
    aten/src/ATen/native/cpu/UpSampleKernel.cpp.
    """
    step = (length.double() / crop)[:, None, None]
    place = step * (torch.arange(crop, device=start.device) + 0.5)[:, None]
    pixel = torch.arange(size, device=start.device) - start[:, None, None]
    w = (1 - ((pixel - place + 0.5) * (1 / step.clamp(min=1))).abs()).clamp(min=0)
    w = w * ((pixel >= 0) & (pixel < length[:, None, None]))
    w = w / w.sum(2, keepdim=True)
    largest = w.amax((1, 2), keepdim=True)
    # whether the largest weight would not fit signed 16 bits at the scale of 2^16, and of 2^15
    large, larger = (largest * scale + 0.5 >= 2**15 for scale in (2**16, 2**15))
    one = 2**16 / (1 + large.float() + 2 * larger)  # 2^16, 2^15 or 2^14
    return (w * one + 0.5).floor().float(), one[..., None]


@contextmanager
def _exact_products() -> Iterator[None]:
    """Switches TF32 off: it would let a GPU round the factors of matrix products to 11 bits."""
    kept = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = kept


def _chances(rows: int, n: int, key: str) -> Tensor:
    """Random numbers in [0, 1) that the key alone decides, float64 (rows, n).

    Not float32: just below 1, times the number of places, it can round up to a place too far.
    """
    return torch.rand(rows, n, generator=make_generator(key), dtype=torch.float64)


def _check(crop: int, height: int, width: int) -> None:
    """Raises BenchError when the crop is larger than the images."""
    if crop > min(height, width):
        raise BenchError(
            f"a crop of {crop} does not fit images of {width}x{height} pixels: "
            "lower the crop or raise the size"
        )
