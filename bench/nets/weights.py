"""Pretrained weights: read or downloaded, and checked against the recipe's architecture."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError, UsageError
from bench.nets import backbones
from bench.nets.backbones import Backbone, StateDict
from bench.suite.recipe import Recipe


def load_weights(recipe: Recipe, file: Path | None) -> tuple[StateDict | None, dict[str, Any]]:
    """The tensors of the recipe's pretrained weights, and what the record says about them.

    They are read from `file` (.pth or .safetensors, any float type) if it is given, else downloaded
    from where they were published. Raises BenchError.
    """
    backbone = backbones.find_backbone(recipe.backbone)
    if recipe.weights == "none":
        if file is not None:
            raise UsageError(
                f'--weights {file} is of no use: the recipe has weights = "none"; leave it out, '
                "or --set weights=imagenet"
            )
        return None, {"asked": "none"}
    if backbone.published is None:
        raise UsageError(
            f'nobody published weights of {recipe.backbone}; write weights = "none" in its recipe'
        )
    asked = backbone.published
    if file is None:
        return _download(backbone, asked), {"asked": asked, "file": asked}
    state = _read(file)
    digest = sha256(file.read_bytes()).hexdigest()
    types = tuple(sorted({str(v.dtype).removeprefix("torch.") for v in state.values()}))
    facts = {"asked": asked, "file": file.name, "sha256": digest, "dtypes": types}
    if recipe.head == "alexnet" and not has_head(state):
        facts["head"] = "random"
    return state, facts


def has_head(weights: StateDict) -> bool:
    """Whether weights of AlexNet have its fully connected layers, not its convolutions alone."""
    return any(k.startswith("classifier.") for k in weights)


def _download(backbone: Backbone, name: str) -> StateDict:
    local = "give a local .pth or .safetensors file with --weights"
    if backbone.download is None:
        raise BenchError(f"the weights {name} are not for download; {local}")
    try:
        return backbone.download(name)
    except Exception as e:  # every publisher's client has errors of its own
        reason = " ".join(str(e).split())[:200] or type(e).__name__
        raise BenchError(f"the weights {name} could not be downloaded ({reason}); {local}") from e


def _read(file: Path) -> StateDict:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as e:
        raise BenchError(f"no weights file {file}; check the path given with --weights") from e
    except Exception as e:
        # a damaged file raises many types; torch's own message advises to run the code in the file
        raise BenchError(
            f"{file} cannot be read as .pth or .safetensors weights ({type(e).__name__}); "
            "download it again"
        ) from e
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise BenchError(
            f"{file} holds no state dict (name -> tensor); "
            "give the file of the recipe's architecture"
        )
    return state


def fill(module: nn.Module, weights: StateDict, prefix: tuple[str, str], architecture: str) -> None:
    """Copy weights into a module; tensors of `weights` that the module does not have are ignored.

    prefix: how the names of the tensors begin in `weights`, and in the module.
    Raises BenchError, naming the tensor, if one is missing or has another shape: then the weights
    are those of another architecture.
    """
    theirs, ours = prefix
    own = module.state_dict()
    given = {ours + k.removeprefix(theirs): v for k, v in weights.items() if k.startswith(theirs)}
    missing = [k for k in own if k not in given and not k.endswith("num_batches_tracked")]
    advice = "give the file of the recipe's architecture with --weights"
    if missing:
        first = theirs + missing[0].removeprefix(ours)
        raise BenchError(
            f"these weights are not {architecture}'s: {first} and {len(missing) - 1} more tensors "
            f"are missing; {advice}"
        )
    for key, value in given.items():
        if key in own and own[key].shape != value.shape:
            raise BenchError(
                f"these weights are not {architecture}'s: {theirs + key.removeprefix(ours)} has "
                f"shape {tuple(value.shape)}, {architecture} has {tuple(own[key].shape)}; {advice}"
            )
    module.load_state_dict({k: v.float() for k, v in given.items() if k in own}, strict=False)
