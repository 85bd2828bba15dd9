"""Crop and resize of uint8 images, once, before training."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from bench.data.files import Pixels
from bench.errors import BenchError


def fit(x: Pixels, *, crop: int | None, size: int, resize: str) -> Pixels:
    """The central crop x crop pixels of uint8 (N, C, H, W), resized to (N, C, size, size).

    resize: 'nearest' takes the pixel under each new centre (where that lies between two pixels, Pillow takes the other
    one); 'bilinear' averages over the area that a new pixel covers, as Pillow does. Raises BenchError when an image is
    smaller than the crop.
    """
    height, width = x.shape[2:]
    if crop is not None:
        if crop > min(height, width):
            raise BenchError(f"crop = {crop} is larger than the image, {width}x{height} pixels; leave it out of the suite")
        top, left = (height - crop) // 2, (width - crop) // 2
        x = np.ascontiguousarray(x[:, :, top : top + crop, left : left + crop])
    if x.shape[2:] == (size, size):
        return x
    pixels = torch.from_numpy(x)
    if resize == "nearest":
        return interpolate(pixels, (size, size), mode="nearest-exact").numpy()
    return interpolate(pixels, (size, size), mode="bilinear", antialias=True).numpy()
