"""What a trained network looks at in target images, and which source patches look alike to it.

All of it is about the first view that a test shows of an image, and about the class k that the
network predicts from it, whatever the true one is. A are the last feature maps of the backbone
(`Network.maps`), g = ∂ŷ_k/∂A. The network must be in evaluation mode.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from bench.data.images import Images, send
from bench.data.views import Views
from bench.engine.scores import spread
from bench.errors import BenchError
from bench.runs.maps import ORDERS, Maps
from methods import Method, Network

SHOWN = 12  # target images that are kept for people to look at
CURVES = 100  # target images that the curves are the mean of
PATCHES = 3  # of a target image that are explained
BANK = 300  # source images whose patches are searched
STEPS = 8  # in which all places of an image are erased
EPSILON = 1e-12  # what a quotient with nothing below it is divided by


def grad_cam(A: Tensor, g: Tensor) -> Tensor:
    """relu(Σ_m α_m·A_m), α_m the mean of g_m over all places (Selvaraju et al., ICCV 2017, eq. 1,
    2). A, g: (B, maps, h, w); gives (B, h, w)."""
    alpha = g.mean((2, 3), keepdim=True)
    return (alpha * A).sum(1).relu()


def grad_cam_pp(A: Tensor, g: Tensor) -> Tensor:
    """relu(Σ_m w_m·A_m), w_m = Σ_ij α_mij·relu(g_mij), α = g²/(2g² + g³·Σ_ab A_mab)
    (Chattopadhay et al., WACV 2018, eq. 10, 19), as for Y = e^ŷ_k, up to a factor of each image.

    A, g: (B, maps, h, w); gives (B, h, w).
    """
    below = 2 * g**2 + g**3 * A.sum((2, 3), keepdim=True)
    alpha = torch.where(below == 0, 0.0, g**2 / torch.where(below == 0, 1.0, below))
    weight = (alpha * g.relu()).sum((2, 3), keepdim=True)
    return (weight * A).sum(1).relu()


def estimate_bytes(pixels: int) -> int:
    """About how large the file of `Maps` is at most. pixels: side of an image."""
    pictures = SHOWN * (1 + PATCHES) * 3 * pixels**2
    return pictures + CURVES * 2 * len(ORDERS) * (STEPS + 1) * 4 + 10_000


class MapReader:
    """A network whose last maps can be read, derived by, and replaced."""

    def __init__(self, net: Network, method: Method) -> None:
        """Raises BenchError where the features are not made of maps."""
        if net.maps is None:
            raise BenchError("the features of this backbone are not made of maps")
        self.net, self.method = net, method
        self.part = net.F.get_submodule(net.maps[0])

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, classes) of images and the maps (B, channels, h, w) they can be derived by.

        Raises BenchError when the method predicts without them.
        """
        read: list[Tensor] = []

        def cut(module: object, given: object, A: Tensor) -> Tensor:
            read.append(A.detach().requires_grad_())
            return read[-1].clone()  # what follows may work in place

        with torch.enable_grad():
            y = self._forward(x, cut)
        if not read:
            raise BenchError("the method predicts without the maps of the backbone")
        return y, read[-1]

    def replace(self, x: Tensor, A: Tensor) -> Tensor:
        """Logits (B, classes) of what follows from maps A in place of those of x."""
        return self._forward(x, lambda module, given, old: A)

    def _forward(self, x: Tensor, hook: Callable[..., Tensor]) -> Tensor:
        handle = self.part.register_forward_hook(hook)
        try:
            return self.method.predict(self.net, x).float()
        finally:
            handle.remove()


@dataclass(frozen=True)
class Bank:
    """All patches of some source images, as the network sees them."""

    images: Tensor  # int64 (M,), their places in the source's training set
    A: Tensor  # (M·h·w, channels), image by image, place by place
    places: int  # h·w

    def nearest(self, A: Tensor) -> tuple[Tensor, Tensor]:
        """For each patch, (P, channels), which one of the bank has the largest cosine, and that
        cosine; (P,) each."""
        likeness = normalize(A, dim=1) @ normalize(self.A, dim=1).T
        best = likeness.max(1)
        return best.indices, best.values


@dataclass(frozen=True)
class Chance:
    """The controls of n images, drawn once: whatever the batches are, each image has its own."""

    order: Tensor  # int64 (n, h·w), its places in any order
    patches: Tensor  # int64 (n, h·w), for each of its places any one of the bank

    @classmethod
    def draw(cls, n: int, bank: Bank) -> "Chance":
        """The controls of n images, the same at every call."""
        dice = torch.Generator().manual_seed(0)
        order = torch.rand((n, bank.places), generator=dice).argsort(1)
        return cls(order, torch.randint(len(bank.A), order.shape, generator=dice))

    def split(self, at_once: int) -> "Iterator[Chance]":
        """Those of each batch of `at_once` images; the last one may be smaller."""
        return map(Chance, self.order.split(at_once), self.patches.split(at_once))


@torch.no_grad()
def explain(
    net: Network, method: Method, views: Views, source: Images, target: Images,
    device: torch.device, at_once: int,
) -> Maps:  # fmt: skip
    """What the network looks at in `target`, and the patches of `source` that look alike to it.

    source: what was trained on; target: what is tested on. at_once: how many images pass in one
    batch. Draws from no random numbers but its own. Raises BenchError where there are no maps.
    """
    reader = MapReader(net, method)

    def see(images: Images, which: Tensor) -> Iterator[Tensor]:
        for part in which.split(at_once):
            yield views.test(send(images.x[part], device))[0]

    chosen = spread(len(target), CURVES)
    looked_up = spread(len(source), BANK)
    A_s = torch.cat([reader.read(x)[1].detach() for x in see(source, looked_up)])
    bank = Bank(looked_up, _list_patches(A_s), A_s[0, 0].numel())
    chance = Chance.draw(len(chosen), bank).split(at_once)
    looks = [look(reader, x, bank, c) for x, c in zip(see(target, chosen), chance, strict=True)]
    every = {name: torch.cat([one[name] for one in looks]) for name in looks[0]}
    shown = spread(len(chosen), SHOWN)
    image = chosen[shown]
    found = {name: x[shown] for name, x in every.items() if name not in OF_ALL}
    patches = found.pop("source")  # (K, T), places in the bank
    source_image = bank.images[patches // bank.places]
    pixels = {
        "pixels": torch.cat([views.pixels.undo(x) for x in see(target, image)]),
        "source_pixels": torch.cat(
            [views.pixels.undo(x) for x in see(source, source_image.flatten())]
        ).unflatten(0, source_image.shape),
    }
    arrays = {
        **found, **pixels, **{name: every[name] for name in OF_ALL},
        "image": image, "label": target.y.cpu()[image], "source_image": source_image,
        "source_label": source.y.cpu()[source_image], "source_patch": patches % bank.places,
        "erased": torch.linspace(0, 1, STEPS + 1),
    }  # fmt: skip
    return Maps(**{name: np.asarray(x.cpu()) for name, x in arrays.items()})


OF_ALL = ("deletion", "insertion", "same_by_alike", "same_by_chance")
"""What is kept of every image, not only of those that are shown."""


def _list_patches(A: Tensor) -> Tensor:
    """(B, channels, h, w) -> (B·h·w, channels), image by image, place by place."""
    return A.flatten(2).transpose(1, 2).flatten(0, 1)


def look(reader: MapReader, x: Tensor, bank: Bank, chance: Chance) -> dict[str, Tensor]:
    """The parts of `Maps` that a batch of images (B, 3, H, W) has, on the CPU; "source" are the
    places in the bank, (B, PATCHES), of the patches that look like those of the image."""
    y, A = reader.read(x)
    probability, k = y.softmax(1).max(1)
    with torch.enable_grad():
        (g,) = torch.autograd.grad(y.gather(1, k[:, None]).sum(), A)
    A, h, w = A.detach(), *A.shape[2:]
    cam, cam_pp = grad_cam(A, g), grad_cam_pp(A, g)
    orders = [v.flatten(1).argsort(dim=1, descending=True, stable=True) for v in (cam, cam_pp)]
    orders.append(chance.order.to(x.device))
    erase = [Eraser(reader, x, k, order, (h, w)) for order in orders]

    patch = orders[0][:, :PATCHES]
    total = cam.flatten(1).sum(1, keepdim=True).clamp_min(EPSILON)
    near, likeness = bank.nearest(_list_patches(A))

    def same(places: Tensor) -> Tensor:
        """Whether source patches in place of all of the image's own give the same class."""
        swapped = bank.A[places].unflatten(0, (len(x), h * w)).transpose(1, 2).unflatten(2, (h, w))
        return reader.replace(x, swapped).argmax(1) == k

    found = {
        "prediction": k, "probability": probability, "response": A.mean(1),
        "grad_cam": cam, "grad_cam_pp": cam_pp, "patch": patch,
        "share": cam.flatten(1).gather(1, patch) / total,
        "source": near.unflatten(0, (len(x), -1)).gather(1, patch),
        "similarity": likeness.unflatten(0, (len(x), -1)).gather(1, patch),
        "deletion": torch.stack([e.delete() for e in erase], 1),
        "insertion": torch.stack([e.insert() for e in erase], 1),
        "same_by_alike": same(near), "same_by_chance": same(chance.patches.flatten().to(x.device)),
    }  # fmt: skip
    return {name: v.detach().cpu() for name, v in found.items()}


@dataclass(frozen=True)
class Eraser:
    """Erases an image place by place, and watches the probability of its predicted class
    (Petsiuk et al., BMVC 2018, section 3.3)."""

    reader: MapReader
    x: Tensor  # (B, 3, H, W)
    k: Tensor  # (B,), the class
    order: Tensor  # (B, h·w), the places of each image, that to be erased first at first
    shape: tuple[int, int]  # h, w

    def delete(self) -> Tensor:
        """(B, STEPS + 1): more and more places get the mean color of the image."""
        empty = self.x.mean((2, 3), keepdim=True).expand_as(self.x)
        return self._watch(self.x, empty)

    def insert(self) -> Tensor:
        """(B, STEPS + 1): more and more places of a blurred image become sharp."""
        from torchvision.transforms.v2.functional import gaussian_blur  # seconds to import

        side = self.x.shape[3]
        blurred = gaussian_blur(self.x, [side // 4 * 2 + 1] * 2, [side / 8] * 2)
        return self._watch(blurred, self.x)

    def _watch(self, before: Tensor, after: Tensor) -> Tensor:
        places = self.order.shape[1]
        p = []
        for n in np.linspace(0, places, STEPS + 1).round().astype(int).tolist():
            done = torch.zeros_like(self.order, dtype=before.dtype).scatter_(
                1, self.order[:, :n], 1.0
            )
            mask = interpolate(done.view(-1, 1, *self.shape), before.shape[2:], mode="nearest")
            y = self.reader.method.predict(self.reader.net, torch.where(mask > 0, after, before))
            p.append(y.float().softmax(1).gather(1, self.k[:, None]))
        return torch.cat(p, 1)
