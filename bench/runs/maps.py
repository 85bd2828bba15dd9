"""What a trained network looks at in some target images, as `--keep maps` leaves it.

One file of safetensors, read and written without torch.
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, BinaryIO

from bench.errors import BenchError
from bench.runs.artefacts import FILES, locate, read_artefact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.runs.records import Record

ORDERS = ("grad-cam", "grad-cam++", "random")
"""By what the places of an image are sorted before they are erased; the last is the control."""


@dataclass(frozen=True, eq=False)
class Maps:
    """K target test images for people to look at, N for the curves; a map has h × w places, a
    picture S × S pixels, and T patches of it are explained.

    A place is counted row by row, from 0 to h·w − 1.
    """

    image: "NDArray[np.int64]"  # (K,), the place in the target's test set
    label: "NDArray[np.int64]"  # (K,), the true class
    prediction: "NDArray[np.int64]"  # (K,), the class predicted from the first view
    probability: "NDArray[np.float32]"  # (K,), of that class
    pixels: "NDArray[np.uint8]"  # (K, 3, S, S), what the network saw, before normalization
    response: "NDArray[np.float32]"  # (K, h, w), mean over the channels of the last maps
    grad_cam: "NDArray[np.float32]"  # (K, h, w), for the predicted class
    grad_cam_pp: "NDArray[np.float32]"  # (K, h, w), the same by Grad-CAM++
    patch: "NDArray[np.int64]"  # (K, T), the places with the largest Grad-CAM
    share: "NDArray[np.float32]"  # (K, T), their part of the Grad-CAM of all places
    source_image: "NDArray[np.int64]"  # (K, T), place in the source's training set
    source_label: "NDArray[np.int64]"  # (K, T), the class of that image
    source_patch: "NDArray[np.int64]"  # (K, T), the place that is most alike
    similarity: "NDArray[np.float32]"  # (K, T), the cosine of the two
    source_pixels: "NDArray[np.uint8]"  # (K, T, 3, S, S)
    erased: "NDArray[np.float32]"  # (E,), part of the places that is erased, from 0 to 1
    deletion: "NDArray[np.float32]"  # (N, len(ORDERS), E), probability of the predicted class
    insertion: "NDArray[np.float32]"  # (N, len(ORDERS), E), where so much is shown instead
    same_by_alike: "NDArray[np.bool_]"  # (N,), predicted alike from the nearest source patches
    same_by_chance: "NDArray[np.bool_]"  # (N,), the same from source patches drawn at random

    def write(self, file: BinaryIO) -> None:
        """Write all of it as safetensors."""
        import numpy as np
        from safetensors.numpy import save

        arrays = {f.name: np.ascontiguousarray(getattr(self, f.name)) for f in fields(self)}
        file.write(save(arrays))


def read_maps(record: "Record") -> Maps:
    """The kept maps of a record. Raises BenchError, in a sentence, as `read_artefact` does."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    raw = read_artefact(record, "maps")
    try:
        return Maps(**load(raw))
    except (SafetensorError, TypeError, ValueError) as e:
        path = locate(record.path, FILES["maps"])
        raise BenchError(f"{path} holds no maps that this program can read") from e
