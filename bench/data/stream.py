"""The batch of a step, a pure function of (seed, step): no loader, no hidden state, so any step can be made again."""

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from bench.data.images import Images, pin, send
from bench.errors import BenchError


class Stream:
    """Endless shuffled batches of one domain, the incomplete last batch of a pass dropped.

    Every pass over the images is a permutation of its own, made from (seed, name, pass) alone. Images that are not on
    `device` (default: where they are) are gathered where they are, and the batch is copied there.
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
        if batch > len(images):
            raise BenchError(
                f"a batch of {batch} does not fit {name}'s {len(images)} training images; lower the batch"
            )
        self.images, self.batch, self.seed, self.name = images, batch, seed, name
        self.device = device or images.y.device
        self.steps = len(images) // batch
        self._pass, self._order = -1, torch.empty(0)

    def indices(self, step: int) -> Tensor:
        """Which images make the batch of this step, int64 (batch,), on the images' device."""
        n, i = divmod(step, self.steps)
        if n != self._pass:
            key = hashlib.sha256(f"{self.seed}/{self.name}/{n}".encode()).digest()
            order = torch.randperm(
                len(self.images),
                generator=torch.Generator().manual_seed(int.from_bytes(key[:8]) >> 1),
            )
            device = self.images.y.device
            # from pinned memory the copy does not wait for the device
            self._order = (
                order.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else order
            )
            self._pass = n
        return self._order[i * self.batch : (i + 1) * self.batch]

    def gather(self, step: int) -> Images:
        """The batch of this step where the images are, ready to be sent."""
        keep = self.indices(step)
        return Images(pin(self.images.x[keep], self.device), pin(self.images.y[keep], self.device))

    def __call__(self, step: int) -> Images:
        return self.send(self.gather(step))

    def send(self, batch: Images) -> Images:
        return Images(send(batch.x, self.device), send(batch.y, self.device))

    @property
    def away(self) -> bool:
        """Whether every batch has to be gathered in the computer's memory and copied to a GPU."""
        return self.images.y.device.type == "cpu" and self.device.type == "cuda"


class Ahead:
    """A stream whose next batch is gathered, by a thread of its own, while the device works on this one: the same batches.

    The copy to the device is the caller's, on the caller's CUDA stream, so that it is done before the batch is used.
    To be left as a context manager: the thread ends there, after the batch in hand if there is one. What goes wrong in the
    thread is raised when its batch is asked for.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream, self._thread = stream, ThreadPoolExecutor(1, f"gathers {stream.name}")
        self._next: tuple[int, Future[Images]] | None = None

    def __call__(self, step: int) -> Images:
        at, asked = self._next or self._ask(step)
        if at != step:  # a jump
            asked = self._ask(step)[1]
        batch = asked.result()
        self._next = self._ask(step + 1)
        return self.stream.send(batch)

    def _ask(self, step: int) -> tuple[int, Future[Images]]:
        return step, self._thread.submit(self.stream.gather, step)

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_: Any) -> None:
        self._thread.shutdown(cancel_futures=True)
