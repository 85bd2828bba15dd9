"""What a generator made while it learnt, as `--keep samples` leaves it.

One file of safetensors, read and written without torch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from bench.errors import BenchError
from bench.runs.artefacts import FILES, locate, read_artefact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.runs.records import Record


@dataclass(frozen=True, eq=False)
class Samples:
    """K images of each class at each of E measurements, always of the same noise."""

    step: "NDArray[np.int64]"  # (E,), iterations done
    pixels: "NDArray[np.uint8]"
    """(E, classes, K, channels, S, S). Where no class was asked for, E × classes·K images."""

    def write(self, file: BinaryIO) -> None:
        """Write both as safetensors."""
        import numpy as np
        from safetensors.numpy import save

        file.write(save({"step": self.step, "pixels": np.ascontiguousarray(self.pixels)}))


def read_samples(record: "Record") -> Samples:
    """The kept samples of a record. Raises BenchError, in a sentence, as `read_artefact` does."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    raw = read_artefact(record, "samples")
    try:
        return Samples(**load(raw))
    except (SafetensorError, TypeError, ValueError) as e:
        path = locate(record.path, FILES["samples"])
        raise BenchError(f"{path} holds no samples that this program can read") from e
