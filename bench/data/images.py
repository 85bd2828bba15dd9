"""Images as tensors, and the domains that they make up."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.data.files import fingerprint
from bench.errors import BenchError


@dataclass(frozen=True)
class Images:
    """Labelled images.

    x: uint8 (N, C, H, W), C = 1 (grey) or 3 (RGB), values 0..255; may be a map of a file. y: int64 (N,), labels
    0..classes-1. known: their fingerprint, where somebody has computed it already.
    """

    x: Tensor
    y: Tensor
    known: str | None = None

    def __len__(self) -> int:
        return len(self.y)

    def fingerprint(self) -> str:
        """sha256 over shape, pixels and labels, 16 hex digits: identity of the content, wherever it was read."""
        pixels = (block.contiguous().cpu().numpy().reshape(-1).data for block in self.x.split(1000))
        return self.known or fingerprint(tuple(self.x.shape), pixels, self.y.cpu().numpy())

    def first(self, n: int | None) -> "Images":
        """n images spread evenly over the set (all of them when n is None or larger than the set)."""
        if n is None or n >= len(self):
            return self
        keep = torch.linspace(0, len(self) - 1, n).long()
        return Images(self.x[keep], self.y[keep])

    def to(self, device: torch.device) -> "Images":
        return replace(self, x=self.x.to(device), y=self.y.to(device))


@dataclass(frozen=True)
class Domain:
    """One domain: what is trained on, what is tested on, and where it came from.

    train and test are the same object when the protocol is transductive (the whole domain is both).
    classes: the names of the labels, () when they have none.
    """

    name: str
    train: Images
    test: Images
    origin: str
    classes: tuple[str, ...] = ()


def agree(source: Domain, target: Domain) -> None:
    """Raises BenchError when a label stands for one class in one domain and for another in the other."""
    if source.classes and target.classes and source.classes != target.classes:
        odd = ", ".join(sorted(set(source.classes) ^ set(target.classes))[:5])
        raise BenchError(f"{source.name} and {target.name} have different class folders (only one has {odd}): name them alike")
