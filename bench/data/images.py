"""Images as tensors, the domains that they make up, and which device they are on."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.data.files import fingerprint
from bench.errors import BenchError


@dataclass(frozen=True)
class Images:
    """Labelled images."""

    x: Tensor  # uint8 (N, C, H, W), C = 1 (grey) or 3 (RGB); may be a map of a file
    y: Tensor  # int64 (N,), labels 0..classes-1
    known: str | None = None  # their fingerprint, when it was computed already

    def __len__(self) -> int:
        return len(self.y)

    def fingerprint(self) -> str:
        """The identity of the content, wherever it was read: a sha256 over shape, pixels and
        labels, 16 hex digits."""
        if self.known:
            return self.known
        blocks = (block.contiguous().cpu().numpy().reshape(-1).data for block in self.x.split(1000))
        return fingerprint(tuple(self.x.shape), blocks, self.y.cpu().numpy())

    def thin(self, n: int | None) -> "Images":
        """n of the images, spread evenly over the set; all of them when n is None or larger."""
        if n is None or n >= len(self):
            return self
        kept = torch.linspace(0, len(self) - 1, n).long()
        return Images(self.x[kept], self.y[kept])

    def to(self, device: torch.device) -> "Images":
        """The same images on another device."""
        return replace(self, x=self.x.to(device), y=self.y.to(device))


@dataclass(frozen=True)
class Domain:
    """One domain as a suite uses it."""

    name: str  # the suite's name for it
    train: Images  # what is trained on
    test: Images  # what is tested on: the same object when the whole domain is both
    origin: str  # where the images came from, in words; no folder of this machine is named
    classes: tuple[str, ...] = ()  # the names of the labels; () when they have none
    generated: bool = False
    """Whether this program made the images up: as stand-ins for a smoke run, or earlier, with
    `bench data generate`. Nothing measured on such images is a result."""


def require_same_classes(source: Domain, target: Domain) -> None:
    """Raises BenchError when a label stands for different classes in two domains."""
    if source.classes and target.classes and source.classes != target.classes:
        different = ", ".join(sorted(set(source.classes) ^ set(target.classes))[:5])
        raise BenchError(
            f"{source.name} and {target.name} have different class folders "
            f"(only one has {different}): name them alike"
        )


def place_images(images: Images, device: torch.device, *, budget_fraction: float = 0.5) -> Images:
    """The images on the device if they take at most that fraction of its free memory and fit
    there, else as they are.

    `Stream(..., device=device)` serves batches on the device from both; `send` copies those of an
    evaluation.
    """
    if device.type == "cpu":
        return images
    if images.x.nbytes > budget_fraction * torch.cuda.mem_get_info(device)[0]:
        return images
    try:
        return images.to(device)
    except torch.OutOfMemoryError:  # free in pieces, or taken by another process since
        return images


def send(x: Tensor, device: torch.device) -> Tensor:
    """A tensor on the device. The copy from the computer's memory to a GPU is asynchronous: the
    host goes on with the next batch."""
    return pin(x, device).to(device, non_blocking=True)


def pin(x: Tensor, device: torch.device) -> Tensor:
    """A tensor in page-locked memory when it is to be copied from the computer's memory to a GPU,
    else as it is."""
    return x.pin_memory() if x.device.type == "cpu" and device.type == "cuda" else x
