"""Pretrained weights: from a file or their publisher, checked against the architecture that they are for."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError, UsageError
from bench.nets import backbones
from bench.nets.backbones import Backbone, State
from bench.suite.recipe import Recipe


def load_weights(recipe: Recipe, file: Path | None) -> tuple[State | None, dict[str, Any]]:
    """The tensors of the recipe's pretrained weights and how the record describes them.

    From `file` (.pth or .safetensors, any float type) when given, else downloaded from who published them. Raises BenchError.
    """
    backbone = backbones.find(recipe.backbone)
    if recipe.weights == "none":
        if file is not None:
            raise UsageError(
                f'--weights {file} is of no use: the recipe has weights = "none"; leave it out, or --set weights=imagenet'
            )
        return None, {"asked": "none"}
    if backbone.published is None:
        raise UsageError(
            f'nobody published weights of {recipe.backbone}; write weights = "none" in its recipe'
        )
    if file is None:
        return _download(backbone, backbone.published), {
            "asked": backbone.published,
            "file": backbone.published,
        }
    state = _read(file)
    digest = sha256(file.read_bytes()).hexdigest()
    kinds = tuple(sorted({str(v.dtype).removeprefix("torch.") for v in state.values()}))
    about = {"asked": backbone.published, "file": file.name, "sha256": digest, "dtypes": kinds}
    if recipe.head == "alexnet" and not holds_head(state):
        about["head"] = "random"
    return state, about


def holds_head(weights: State) -> bool:
    """Whether weights of torchvision's AlexNet are whole, or its convolutions alone."""
    return any(k.startswith("classifier.") for k in weights)


def _download(backbone: Backbone, name: str) -> State:
    local = "give a local .pth or .safetensors file with --weights"
    if backbone.download is None:
        raise BenchError(f"the weights {name} are not for download; {local}")
    try:
        return backbone.download(name)
    except Exception as e:  # every publisher's client has errors of its own
        said = " ".join(str(e).split())[:200]
        raise BenchError(
            f"the weights {name} could not be downloaded ({said or type(e).__name__}); {local}"
        ) from e


def _read(file: Path) -> State:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as e:
        raise BenchError(f"no weights file {file}; check the path given with --weights") from e
    except Exception as e:  # both readers raise many types on a damaged file; torch's words advise to run what it holds
        raise BenchError(
            f"{file} cannot be read as .pth or .safetensors weights ({type(e).__name__}); download it again"
        ) from e
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise BenchError(
            f"{file} holds no state dict (name -> tensor); give the file of the recipe's architecture"
        )
    return state


def fill(module: nn.Module, weights: State, prefix: tuple[str, str], name: str) -> None:
    """Put weights into a module, where they stand under another prefix; what else they hold is left alone.

    Raises BenchError, naming the tensor, when one is missing or of another shape: the file is not of the architecture `name`.
    """
    theirs, ours = prefix
    own = module.state_dict()
    given = {ours + k.removeprefix(theirs): v for k, v in weights.items() if k.startswith(theirs)}
    missing = [k for k in own if k not in given and not k.endswith("num_batches_tracked")]
    if missing:
        raise BenchError(
            f"these weights are not {name}'s: {theirs + missing[0].removeprefix(ours)} and {len(missing) - 1} more tensors "
            f"are missing; give the file of the recipe's architecture with --weights"
        )
    for key, value in given.items():
        if key in own and own[key].shape != value.shape:
            raise BenchError(
                f"these weights are not {name}'s: {theirs + key.removeprefix(ours)} has shape {tuple(value.shape)}, "
                f"{name} has {tuple(own[key].shape)}; give the file of the recipe's architecture with --weights"
            )
    module.load_state_dict({k: v.float() for k, v in given.items() if k in own}, strict=False)
