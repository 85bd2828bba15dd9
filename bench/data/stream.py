"""The batch of a step: a pure function of (seed, step).

There is no loader with a hidden state, so that training can go on exactly from any step.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.data.chance import make_generator
from bench.data.images import Images, pin, send
from bench.errors import BenchError


def check_batch(batch: int, images: Images, name: str) -> None:
    """Raise BenchError when a batch is larger than the domain of that name."""
    if batch > len(images):
        raise BenchError(
            f"a batch of {batch} does not fit {name}'s {len(images)} training images; "
            "lower the batch"
        )


@dataclass(frozen=True)
class Drawn:
    """The images of a batch."""

    x: Tensor  # uint8 (B, C, H, W)
    y: Tensor  # int64 (B,), their labels
    i: Tensor  # int64 (B,), their places in the domain


class Stream:
    """Endless shuffled batches of one domain; the incomplete last batch of a pass is dropped.

    The order of each pass over the images is a permutation that (seed, name, pass) alone decide.
    A batch is gathered where the images are and copied to `device`, by default the same place.
    Raises BenchError when a batch is larger than the domain.
    """

    def __init__(
        self,
        images: Images,
        batch: int,
        *,
        seed: int,
        name: str,
        device: torch.device | None = None,
    ) -> None:
        check_batch(batch, images, name)
        self.images, self.batch, self.seed, self.name = images, batch, seed, name
        self.device = device or images.y.device
        self.steps = len(images) // batch
        self._pass, self._order = -1, torch.empty(0)

    def indices(self, step: int) -> Tensor:
        """Which images make the batch of this step, int64 (batch,), on the images' device."""
        n, i = divmod(step, self.steps)
        if n != self._pass:
            generator = make_generator(f"{self.seed}/{self.name}/{n}")
            order = torch.randperm(len(self.images), generator=generator)
            device = self.images.y.device
            # from pinned memory the copy does not wait for the device
            self._order = (
                order.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else order
            )
            self._pass = n
        return self._order[i * self.batch : (i + 1) * self.batch]

    def gather(self, step: int) -> Drawn:
        """The batch of this step where the images are, in memory that a GPU can copy from."""
        keep = self.indices(step)
        x, y = self.images.x[keep], self.images.y[keep]
        return Drawn(*(pin(v, self.device) for v in (x, y, keep)))

    def __call__(self, step: int) -> Drawn:
        """The batch of this step on the device."""
        return self.send(self.gather(step))

    def send(self, batch: Drawn) -> Drawn:
        """A gathered batch on the device."""
        return Drawn(*(send(v, self.device) for v in (batch.x, batch.y, batch.i)))

    @property
    def away(self) -> bool:
        """Whether every batch has to be gathered in the computer's memory and copied to a GPU."""
        return self.images.y.device.type == "cpu" and self.device.type == "cuda"


class Ahead:
    """The batches of a stream, the next one gathered by a thread while the device uses this one.

    The caller's thread copies a batch to the device, on its own CUDA stream, so that the copy ends
    before the batch is used. An exception in the thread is raised when its batch is asked for.
    Use it as a context manager: the thread ends with the block.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream, self._thread = stream, ThreadPoolExecutor(1, f"gathers {stream.name}")
        self._next: tuple[int, Future[Drawn]] | None = None

    def __call__(self, step: int) -> Drawn:
        """The batch of this step on the device; the next one is expected to be that of step + 1."""
        expected, batch = self._next or self._ask(step)
        if expected != step:
            _, batch = self._ask(step)
        gathered = batch.result()
        self._next = self._ask(step + 1)
        return self.stream.send(gathered)

    def _ask(self, step: int) -> tuple[int, Future[Drawn]]:
        """The step, and its batch once the thread has gathered it."""
        return step, self._thread.submit(self.stream.gather, step)

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_: Any) -> None:
        self._thread.shutdown(cancel_futures=True)
