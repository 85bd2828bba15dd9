"""What a network makes of every image of a test set, gathered for an artefact."""

import math
from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import Tensor

from bench.data.images import Images
from bench.runs.artefacts import Arrays
from bench.runs.lines import ArtefactName


def choose(logits: list[Tensor]) -> Tensor:
    """The predicted classes, int64 (B,). logits: float (B, classes) of each view of the images; of
    several it is the mean of their softmax that counts."""
    ranks = logits[0] if len(logits) == 1 else torch.stack(logits).softmax(2).mean(0)
    return ranks.argmax(1)


def average(logits: list[Tensor]) -> Tensor:
    """One row of logits for each image, float32 (B, classes): those of its only view, or the
    logarithms of the mean of the softmax over several views."""
    if len(logits) == 1:
        return logits[0].float()
    each = torch.stack(logits).float().log_softmax(2)  # so that no probability becomes 0
    return each.logsumexp(0) - math.log(len(logits))


class Collector:
    """Gathers logits and features of a test set, batch by batch in the order of its images."""

    def __init__(self, images: Images, names: Collection[ArtefactName]) -> None:
        """names: which of the two are wanted."""
        self.images = images
        self.prediction: list[Tensor] = []
        self.values: dict[ArtefactName, list[Tensor]] = {
            name: [] for name in ("logits", "features") if name in names
        }

    def add(self, logits: list[Tensor], made: list[Tensor]) -> None:
        """A batch. logits: of each view of its images. made: what F made of them, each view once.

        Of several views the mean is kept. There are no features of a method that asks F for none.
        """
        self.prediction.append(choose(logits).cpu())
        if "logits" in self.values:
            self.values["logits"].append(average(logits).cpu())
        if not made:
            self.values.pop("features", None)
        if "features" in self.values:
            f = torch.stack(made).float().mean(0)
            self.values["features"].append(f.flatten(1).cpu())


def join(seen: Mapping[str, Collector]) -> dict[ArtefactName, Arrays]:
    """The arrays of all sides, one below the other, by the names that were wanted and are there."""
    n = {side: len(it.images) for side, it in seen.items()}
    label = torch.cat([it.images.y.cpu() for it in seen.values()]).numpy()
    prediction = torch.cat([p for it in seen.values() for p in it.prediction]).numpy()
    side = np.repeat(list(n), list(n.values()))
    image = np.concatenate([np.arange(k) for k in n.values()])
    names = next(iter(seen.values())).values
    return {
        name: Arrays(
            side=side,
            image=image,
            label=label,
            prediction=prediction,
            values=torch.cat([v for it in seen.values() for v in it.values[name]]).numpy(),
        )
        for name in names
    }
