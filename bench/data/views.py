"""What a recipe makes of a batch of images before the network sees it, on the batch's device."""

from collections.abc import Callable

import torch
from torch import Tensor

from bench.data.augment import RandomCrop, RandomOps, ResizedCrop, centre
from bench.suite.recipe import Recipe

MeanStd = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel of pixels from 0 to 1."""

_MEAN_STD: dict[str, MeanStd] = {
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


class Pixels:
    """Turns pixels into a network's input: (x / 255 - mean) / std per channel.

    uint8 (B, 1 or 3, H, W) -> float (B, 3, H, W) on the same device; grey is repeated.
    """

    def __init__(self, normalize: str, device: torch.device, own: MeanStd | None = None) -> None:
        """own: mean and deviation of the backbone, which `normalize = "model"` stands for."""
        mean_std = own if normalize == "model" and own else _MEAN_STD[normalize]
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in mean_std)
        self.scale, self.shift = 1 / (255 * std), -mean / std

    def __call__(self, x: Tensor) -> Tensor:
        """The input that these pixels make."""
        return torch.addcmul(self.shift, x.float(), self.scale)

    def undo(self, x: Tensor) -> Tensor:
        """The pixels, uint8 (B, 3, H, W), of such an input."""
        return ((x - self.shift) / self.scale).round().clamp(0, 255).to(torch.uint8)


class Views:
    """Crops, mirrors and normalization as one recipe asks for them."""

    def __init__(
        self, recipe: Recipe, device: torch.device, *, seed: int, own: MeanStd | None = None
    ) -> None:
        """own: see `Pixels`."""
        self.recipe, self.seed = recipe, seed
        self.pixels = Pixels(recipe.normalize, device, own)

    def train(self, name: str) -> Callable[[Tensor, int], Tensor]:
        """(uint8 batch, step) -> float batch, for training on the stream of that name."""
        r, augment = self.recipe, self._choose_augmentation(name)

        def view(x: Tensor, step: int) -> Tensor:
            x = centre(x, r.pixels) if r.train_crop == "center" else x
            return self.pixels(augment(x, step) if augment else x)

        return view

    def strong(self, name: str) -> Callable[[Tensor, int], Tensor]:
        """As `train`, for the strongly augmented view: another crop, then RandAugment."""
        crop, augment = self._choose_augmentation(f"{name}/strong"), RandomOps(self.seed, name)
        r = self.recipe

        def view(x: Tensor, step: int) -> Tensor:
            x = centre(x, r.pixels) if r.train_crop == "center" else x
            return self.pixels(augment(crop(x, step) if crop else x, step))

        return view

    def _choose_augmentation(self, name: str) -> RandomCrop | ResizedCrop | None:
        """What is drawn anew for each image at each step; None when nothing is."""
        r = self.recipe
        if r.train_crop == "random-resized":
            return ResizedCrop(r.pixels, r.flip, seed=self.seed, name=name)
        if r.train_crop == "random" or r.flip:
            # without a crop in training, images are only mirrored, whatever the test crops
            side = r.size if r.train_crop == "none" else r.pixels
            return RandomCrop(side, r.flip, seed=self.seed, name=name)
        return None

    def test(self, x: Tensor) -> list[Tensor]:
        """uint8 batch -> the float batches whose predictions are averaged: one, or ten (corners and
        center, each with its mirror image)."""
        crop = self.recipe.pixels
        match self.recipe.test_crop:
            case "none":
                return [self.pixels(x)]
            case "center":
                return [self.pixels(centre(x, crop))]
            case "ten" | "ten-cdan" as ten:
                # CDAN's code takes the last place to be size - crop - 1
                last = slice(-crop, None) if ten == "ten" else slice(-crop - 1, -1)
                ends = (slice(crop), last)
                both = (x, x.flip(3))
                return [
                    self.pixels(v)
                    for w in both
                    for v in (*(w[:, :, i, j] for i in ends for j in ends), centre(w, crop))
                ]
