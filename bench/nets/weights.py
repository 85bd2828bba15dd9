"""Pretrained weights: read or downloaded, and checked against the recipe's architecture."""

import warnings
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError, UsageError
from bench.nets import backbones
from bench.nets.backbones import Backbone
from bench.nets.namings import StateDict, respell, unwrap
from bench.suite.recipe import Recipe


def load_weights(recipe: Recipe, file: Path | None) -> tuple[StateDict | None, dict[str, Any]]:
    """The tensors of the recipe's pretrained weights, and what the record says about them.

    They are read from `file` (.pth or .safetensors, any float type) if it is given, else downloaded
    from where they were published. Raises BenchError.
    """
    backbone = backbones.find_backbone(recipe)
    if recipe.weights == "none":
        if file is not None:
            raise UsageError(
                f'--weights {file} is of no use: the recipe has weights = "none"; leave it out, '
                "or --set weights=imagenet"
            )
        return None, {"asked": "none"}
    if backbone.published is None and (file is None or "/" not in recipe.backbone):
        raise UsageError(
            f'nobody published weights of {recipe.backbone}; write weights = "none" in its recipe'
        )
    asked = backbone.published or recipe.backbone
    if file is None:
        state = _download(backbone, asked)
        return state, {"asked": asked, "file": asked, "tensors": hash_tensors([state])}
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


def hash_tensors(states: Iterable[Mapping[str, Tensor]]) -> str:
    """sha256 of tensors: their names, types, shapes and numbers, in the order given."""
    digest = sha256()
    for state in states:
        for name, tensor in state.items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            flat = tensor.detach().cpu().contiguous().view(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


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

            return _check_state(unwrap(load_file(file)), file)
        with torch.serialization.safe_globals([Namespace]):  # options of a training, beside it
            state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as e:
        raise BenchError(f"no weights file {file}; check the path given with --weights") from e
    except Exception as e:
        # a damaged file raises many types; torch's own message advises to run the code in the file
        raise BenchError(
            f"{file} cannot be read as .pth or .safetensors weights ({type(e).__name__}); "
            "download it again"
        ) from e
    return _check_state(unwrap(state), file)


def _check_state(state: object, file: Path) -> StateDict:
    """The content of a weights file. Raises BenchError unless it is tensors by their names."""
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise BenchError(
            f"{file} holds no state dict (name -> tensor); "
            "give the file of the recipe's architecture"
        )
    return state


def fill(module: nn.Module, weights: StateDict, backbone: Backbone, architecture: str) -> None:
    """Copy weights into a module; tensors behind the features, which it does not have, are ignored.

    backbone: says how the names of the tensors begin in `weights` and in the module, and how the
    model's own package reads files of other namings. Raises BenchError, naming the tensor, if the
    weights are those of another architecture.
    """
    theirs, ours = backbone.prefix
    own = {theirs + k.removeprefix(ours): v for k, v in module.state_dict().items()}
    convert = partial(_convert, backbone.convert, module) if backbone.convert else None
    norms = (m.eps for m in module.modules() if isinstance(m, nn.BatchNorm2d))
    given = respell(weights, own, architecture, convert, next(norms, None))
    with warnings.catch_warnings():  # a network without numbers warns that it takes none
        warnings.filterwarnings("ignore", message=".*no-op")
        module.load_state_dict(
            {ours + k.removeprefix(theirs): v.float() for k, v in given.items()}, strict=False
        )


def _convert(
    convert: Callable[[StateDict, nn.Module], StateDict], module: nn.Module, weights: StateDict
) -> StateDict:
    return convert(dict(weights), module)
