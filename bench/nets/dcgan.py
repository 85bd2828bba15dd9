"""Generator and discriminator of DCGAN, for images of 32×32 pixels.

Radford et al., ICLR 2016, figure 1 and section 3: strided convolutions in place of pooling, batch
norm everywhere but at D's first and G's last layer, ReLU in G, LeakyReLU in D, weights from
N(0, 0.02²). With classes, y is a one-hot vector: G reads it appended to z; D gets one more channel
for each class, which is 1 everywhere or 0 everywhere.
"""

import re
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from bench.errors import UsageError
from bench.suite.recipe import Recipe
from methods import Network

SIDE = 32  # pixels; three doublings from the 4×4 of the first layer
NOISE = 100  # numbers in z, as in the paper
SLOPE = 0.2  # of LeakyReLU below 0
STD = 0.02  # of the weights at the start


def find_width(recipe: Recipe) -> int:
    """Channels of D's first convolution, and of G's last but one: 32 of "dcgan-32".

    Raises UsageError when the recipe names no such network or images of another size.
    """
    found = re.fullmatch(r"dcgan-([1-9]\d{0,3})", recipe.backbone)
    if not found:
        raise UsageError(
            f"unknown generator {recipe.backbone!r}; write dcgan-WIDTH, such as dcgan-32"
        )
    if recipe.pixels != SIDE:
        raise UsageError(
            f"{recipe.backbone} makes images of {SIDE}×{SIDE} pixels, not of {recipe.pixels}: "
            f"set size = {SIDE}, without a crop"
        )
    return int(found[1])


def build_gan(recipe: Recipe, classes: int, channels: int, *, conditional: bool) -> Network:
    """A network whose F is G.

    channels: of the images, 1 or 3. conditional: whether G is told a class. Raises UsageError as
    `find_width` does.
    """
    width = find_width(recipe)
    G = Generator(width, channels, classes if conditional else 0)
    D = partial(Discriminator, width, channels)
    return Network(G, nn.Identity(), dim=NOISE, classes=classes, discriminator=D)


class Generator(nn.Module):
    """z (B, NOISE), and y int64 (B,) where there are classes -> images (B, channels, 32, 32) in
    [−1, 1]."""

    def __init__(self, width: int, channels: int, classes: int) -> None:
        """classes: how many y has; 0: there is no y."""
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(NOISE + classes, 4 * width, 4, bias=False),
            nn.BatchNorm2d(4 * width), nn.ReLU(),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width), nn.ReLU(),
            nn.ConvTranspose2d(width, channels, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip
        self.apply(_draw_weights)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if y is not None:
            z = torch.cat([z, one_hot(y, self.classes).to(z)], 1)
        images: Tensor = self.layers(z[:, :, None, None])
        return images


class Discriminator(nn.Module):
    """Images (B, channels, 32, 32), and y int64 (B,) where there are classes -> logits (B,)."""

    def __init__(self, width: int, channels: int, classes: int = 0) -> None:
        """classes: how many y has; 0: there is no y."""
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(
            nn.Conv2d(channels + classes, width, 4, 2, 1), nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width), nn.LeakyReLU(SLOPE),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(4 * width), nn.LeakyReLU(SLOPE),
            nn.Conv2d(4 * width, 1, 4), nn.Flatten(0),
        )  # fmt: skip
        self.apply(_draw_weights)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if y is not None:
            maps = one_hot(y, self.classes).to(x)[:, :, None, None]
            x = torch.cat([x, maps.expand(-1, -1, *x.shape[2:])], 1)
        logits: Tensor = self.layers(x)
        return logits


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, STD)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, STD)
