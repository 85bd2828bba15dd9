"""How an image becomes the pixels that are kept: a central crop, then a resize to a square."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from bench.data.files import ByteArray
from bench.errors import BenchError

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
"""Pillow's filters by the names that a recipe has for them."""


class Square(NamedTuple):
    """A square of size x size pixels, made once, before training."""

    size: int
    resize: str  # a name in FILTERS; all but nearest average over what a new pixel covers
    crop: int | None = None  # side of the central square that is cut out first; None cuts nothing

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a picture's pixels."""
        return 3, self.size, self.size

    def convert(self, picture: Image.Image) -> ByteArray:
        """A picture as uint8 (3, size, size), resized by Pillow as torchvision's
        Resize((size, size)) does it.

        Raises BenchError when the picture is smaller than the crop.
        """
        picture = picture.convert("RGB")
        if self.crop is not None:
            picture = picture.crop(_central_box(self.crop, *picture.size))
        pixels = np.asarray(picture.resize((self.size, self.size), FILTERS[self.resize]))
        return pixels.transpose(2, 0, 1)

    def convert_arrays(self, x: ByteArray) -> ByteArray:
        """uint8 (N, C, H, W) -> uint8 (N, C, size, size), resized by torch in one go.

        'nearest' takes the pixel under each new centre; where that lies between two pixels, Pillow
        takes the other one. The other filters differ from Pillow's by one grey level at most.
        Raises BenchError when the images are smaller than the crop.
        """
        import torch
        from torch.nn.functional import interpolate

        square = self.size, self.size
        if self.crop is not None:
            left, top, right, bottom = _central_box(self.crop, x.shape[3], x.shape[2])
            x = np.ascontiguousarray(x[:, :, top:bottom, left:right])
        if x.shape[2:] == square:
            return x
        pixels = torch.from_numpy(x)
        if self.resize == "nearest":
            return interpolate(pixels, square, mode="nearest-exact").numpy()
        return interpolate(pixels, square, mode=self.resize, antialias=True).numpy()


def _central_box(crop: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the central crop x crop square. Raises BenchError."""
    if crop > min(width, height):
        raise BenchError(
            f"crop = {crop} is larger than the image, {width}x{height} pixels; "
            "leave it out of the suite"
        )
    left, top = (width - crop) // 2, (height - crop) // 2
    return left, top, left + crop, top + crop
