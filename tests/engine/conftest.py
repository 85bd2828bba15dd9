"""What tests of trainings and of their resumption share."""

from collections.abc import Iterator

import pytest
import torch
from helpers import write_pictures

from bench.engine.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with the pictures of domains A and B, read once for all tests."""
    folder = tmp_path_factory.mktemp("lab")
    write_pictures(folder / "data", "A", "B", each=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield Lab(folder / "data", folder / "results", torch.device("cpu"))
