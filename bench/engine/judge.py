"""The classifier of real digits on whose word the numbers about generated digits rest.

Its weights are committed, so that every machine judges by the same network. They come from

    python -m bench.engine.judge --data DATA --out bench/engine/judge.safetensors

on the 60,000 training images of MNIST, resized to 32×32 pixels, in four minutes of one core. Of
the 10,000 test images it names 99.51 % rightly.
"""

import math
from argparse import ArgumentParser
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, interpolate, one_hot

from bench.data.digits import read_digits
from bench.data.files import Split
from bench.data.resize import Square
from bench.datasets.sets import MNIST
from bench.errors import BenchError, Diverged, UsageError
from bench.nets.dcgan import SIDE

WEIGHTS = Path(__file__).with_suffix(".safetensors")
DIM = 64  # features
CLASSES = 10
THRESHOLD = 0.99  # the share of real digits that it must name rightly
BATCH = 500  # images that are judged at once

EPOCHS = 5
TRAINED = 200  # digits in a batch of its training
SPOILED = 20  # images in it that are no digits
RATE = 4e-3  # the largest learning rate, after a fifth of the steps
SHIFT = 2.0  # pixels, up to which a training image is moved, before the rest
TURN = 10.0  # degrees, up to which it is turned
SHEAR = 0.15  # up to which it is sheared
SCALE = 0.1  # up to which it is made larger or smaller
SEED = 0


class Judge:
    """Tells digits: images (B, 1, 32, 32) in [−1, 1] -> features (B, 64), logits (B, 10)."""

    def __init__(self, net: nn.Sequential, device: torch.device) -> None:
        """net: as `build` makes it."""
        self.net = net.to(device).eval().requires_grad_(False)
        self.device = device

    @classmethod
    def load(cls, device: torch.device, file: Path = WEIGHTS) -> Self:
        """The judge with the weights of a file. Raises BenchError when there are none in it."""
        from safetensors.torch import load

        net = build()
        try:
            net.load_state_dict(load(file.read_bytes()))
        except Exception as e:  # missing, cut short, or of another network
            raise BenchError(
                f"{file} holds no weights of the judge ({type(e).__name__}): install bench again, "
                "or train them by `python -m bench.engine.judge`"
            ) from e
        return cls(net, device)

    def features(self, x: Tensor) -> Tensor:
        """Features, float32 (B, 64), on the judge's device, of float images on any device.

        Raises UsageError when the images are not of its size or range, Diverged for nan.
        """
        check_images(x)
        parts = [self._pass(self.net[:-1], part.to(self.device).float()) for part in x.split(BATCH)]
        return torch.cat(parts)

    def rate(self, features: Tensor) -> Tensor:
        """Logits (B, 10) of its features (B, 64): both are to be had by one pass of the images."""
        return self._pass(self.net[-1], features.to(self.device))

    def logits(self, x: Tensor) -> Tensor:
        """Logits, float32 (B, 10), of images as `features` takes them."""
        return self.rate(self.features(x))

    def check(self, x: Tensor, y: Tensor) -> float:
        """The share of real test images x (B, 1, 32, 32) that it names as their labels y (B,) do.

        Raises BenchError when it is below THRESHOLD: then no number that rests on it means a thing.
        """
        check_images(x)
        if not len(x) or y.shape != (len(x),):
            raise UsageError(
                f"the judge needs images, each with a label, and not {len(x):,} of them "
                f"and labels of shape {tuple(y.shape)}"
            )
        right = float((self.logits(x).argmax(1) == y.to(self.device)).double().mean())
        if right < THRESHOLD:
            raise BenchError(
                f"the judge names {right:.2%} of these real images rightly, less than "
                f"{THRESHOLD:.0%}, so that numbers that rest on it would mean nothing: "
                "the images must be digits like MNIST's"
            )
        return right

    @torch.no_grad()
    def _pass(self, part: nn.Module, x: Tensor) -> Tensor:
        """In float32, whatever precision surrounds it: a GPU is to judge as a CPU does."""
        cudnn = torch.backends.cudnn
        exact = cudnn.flags(
            enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False
        )
        with torch.autocast(self.device.type, enabled=False), exact:
            made: Tensor = part(x)
        return made


def build() -> nn.Sequential:
    """The network with random weights: all but its last layer make the features.

    61,306 parameters, so that the file is a quarter of a megabyte.
    """
    return nn.Sequential(
        *_block(1, 16, kernel=5, stride=2),
        *_block(16, 32), nn.MaxPool2d(2),
        *_block(32, 64), nn.MaxPool2d(2),
        *_block(64, DIM), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(DIM, CLASSES),
    )  # fmt: skip


def _block(before: int, after: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(after), nn.ReLU()]


def check_images(x: Tensor) -> None:
    """Raises UsageError unless x is (B, 1, 32, 32) of floats in [−1, 1], Diverged for nan."""
    if x.shape[1:] != (1, SIDE, SIDE):
        raise UsageError(
            f"the judge sees grey images of {SIDE}x{SIDE} pixels, (B, 1, {SIDE}, {SIDE}), "
            f"and not {tuple(x.shape)}"
        )
    if not x.is_floating_point():
        raise UsageError(f"the judge sees floats between -1 and 1, and not {x.dtype}")
    if not x.isfinite().all():
        raise Diverged("the images hold nan or infinite values")
    x = x.detach()
    if len(x) and float(x.abs().max()) > 1.001:  # a tanh in half precision is within 1
        raise UsageError(
            f"the judge sees values between -1 and 1, and not between {float(x.min()):.3g} "
            f"and {float(x.max()):.3g}"
        )


def to_images(split: Split) -> tuple[Tensor, Tensor]:
    """Grey digits, uint8 (N, 1, h, w), as the judge sees them, and their labels, int64 (N,)."""
    x = torch.from_numpy(Square(SIDE, "bilinear").convert_arrays(split.x))
    return x / 127.5 - 1, torch.from_numpy(split.y)


def train(x: Tensor, y: Tensor, epochs: int = EPOCHS) -> nn.Sequential:
    """A network trained on images (N, 1, 32, 32) in [−1, 1] and labels (N,), by AdamW.

    To some images that are no digits it learns to give all classes the same probability: else it
    would be sure of noise (outlier exposure: Hendrycks et al., ICLR 2019).
    """
    torch.manual_seed(SEED)
    layout = torch.channels_last  # twice as fast on a CPU
    net = build().train().to(memory_format=layout)
    steps = epochs * math.ceil(len(x) / TRAINED)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps, pct_start=0.2
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(TRAINED):
            digits, others = distort(x[rows]), spoil(x[rows[:SPOILED]])
            target = torch.cat(
                [one_hot(y[rows], CLASSES), torch.full((len(others), CLASSES), 1 / CLASSES)]
            )
            optimizer.zero_grad()
            u = net(torch.cat([digits, others]).to(memory_format=layout))
            cross_entropy(u, target).backward()
            optimizer.step()
            schedule.step()
    return net.eval().to(memory_format=torch.contiguous_format)


def distort(x: Tensor) -> Tensor:
    """Each of the images (B, 1, H, W) in [−1, 1] moved, turned, sheared and scaled by chance."""
    most = torch.tensor([math.radians(TURN), SHEAR, SCALE, *[SHIFT * 2 / x.shape[-1]] * 2])
    turn, shear, scale, right, down = ((2 * torch.rand(len(x), 5) - 1) * most).unbind(1)
    cos, sin = turn.cos() * (1 + scale), turn.sin() * (1 + scale)
    rows = [cos, cos * shear - sin, right, sin, sin * shear + cos, down]
    theta = torch.stack(rows, 1).view(-1, 2, 3)
    grid = affine_grid(theta, list(x.shape), align_corners=False)
    return grid_sample(x + 1, grid, align_corners=False) - 1  # what comes in from outside is black


def spoil(x: Tensor) -> Tensor:
    """As many images that are no digits, made by chance of digits (B, 1, 32, 32) and of noise.

    Half have their squares of 1, 2, 4 or 8 pixels in another order; half are smooth noise of such a
    coarseness, of any contrast around any grey.
    """
    side = 2 ** int(torch.randint(4, ()))
    n, few = SIDE // side, len(x) // 2
    tiles = x[:few].view(-1, n, side, n, side).transpose(2, 3).reshape(few, n * n, side, side)
    tiles = tiles[:, torch.randperm(n * n)].view(-1, n, n, side, side)
    shuffled = tiles.transpose(2, 3).reshape(-1, 1, SIDE, SIDE)
    low, high = torch.rand(2, len(x) - few, 1, 1, 1) * 2 - 1
    noise = low + (high - low) * torch.rand(len(x) - few, 1, n, n)
    return torch.cat([shuffled, interpolate(noise, (SIDE, SIDE), mode="bilinear")])


def main(data: Path, out: Path) -> None:
    """Trains the judge on MNIST below a folder of data sets and writes its weights to a file.

    Raises BenchError, and writes nothing, when it is not good enough.
    """
    from safetensors.torch import save_file

    torch.set_num_threads(1)  # sums of several threads would not repeat
    splits, _ = read_digits(MNIST, data)
    net = train(*to_images(splits.train))
    right = Judge(net, torch.device("cpu")).check(*to_images(splits.test))
    save_file(net.state_dict(), out)
    print(f"{out}: {right:.2%} of {len(splits.test.y):,} test images")


if __name__ == "__main__":
    parser = ArgumentParser(description="Trains the judge on MNIST.")
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--out", type=Path, required=True, help="file of the weights")
    main(**vars(parser.parse_args()))
