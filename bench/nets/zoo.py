"""Any model of timm or torchvision as a backbone: `timm/NAME` and `torchvision/NAME`.

Each package is imported when one of its models is asked for: that takes seconds. Names are those of
the package, exactly, because they stand in the key of a record.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from torch import nn

from bench.errors import UsageError, nearest, unknown
from bench.nets.backbones import Backbone, download_from_torchvision
from bench.nets.namings import StateDict
from bench.suite.recipe import Recipe


def find_in_zoo(recipe: Recipe) -> Backbone:
    """The backbone of a recipe whose name has a slash. Raises UsageError with the nearest name."""
    zoo, _, name = recipe.backbone.partition("/")
    if zoo not in ZOOS:
        raise unknown("collection of backbones", zoo, ZOOS)
    return ZOOS[zoo](name, recipe)


def list_zoo(pattern: str) -> Iterator[tuple[str, str, str]]:
    """Name, published weights and side of their images in pixels of each model of torchvision and
    timm whose name contains the pattern."""
    import timm
    from torchvision import models

    for name in models.list_models(models, include=f"*{pattern}*"):
        weights = list(models.get_model_weights(name))
        (crop,) = {tuple(w.transforms().crop_size) for w in weights[:1]}
        yield f"torchvision/{name}", " ".join(w.name for w in weights), str(crop[0])
    for name in timm.list_models(f"*{pattern}*"):
        about: Any = timm.get_pretrained_cfg(name)
        yield f"timm/{name}", " ".join(_timm_tags(name)), str(about.input_size[-1])


# timm


def _find_in_timm(name: str, recipe: Recipe) -> Backbone:
    import timm

    architecture, _, tag = name.partition(".")
    if architecture not in timm.list_models():
        raise _unknown(recipe.backbone, timm.list_models())
    if tag and tag not in _timm_tags(architecture):
        raise unknown(f"weights of timm/{architecture}", tag, _timm_tags(architecture))
    if recipe.weights not in ("none", "imagenet"):
        raise UsageError(
            f"weights = {recipe.weights!r}: timm names weights behind the model; write "
            f'backbone = "timm/{architecture}.{recipe.weights}" and weights = "imagenet"'
        )
    about: Any = timm.get_pretrained_cfg(name)
    module = sys.modules[timm.model_entrypoint(architecture).__module__]
    spell = getattr(module, "checkpoint_filter_fn", getattr(module, "_filter_fn", None))
    return Backbone(
        partial(_build_of_timm, name, recipe.pixels, bool(about.fixed_input_size)),
        published=f"timm/{architecture}.{about.tag}" if about.has_weights else None,
        download=lambda _: _download_of_timm(about),
        convert=spell,
        mean_std=(tuple(about.mean), tuple(about.std)),
    )


def _timm_tags(architecture: str) -> list[str]:
    """The names of a model's published weights."""
    import timm

    names = (name.partition(".") for name in timm.list_pretrained(f"{architecture}*"))
    return [tag for model, _, tag in names if model == architecture and tag]


def _build_of_timm(name: str, pixels: int, sized: bool) -> nn.Module:
    """timm's model without its classifier; one of a fixed size is made for these images."""
    import timm

    size: dict[str, Any] = {"img_size": pixels} if sized else {}
    net = timm.create_model(name, num_classes=0, **size)
    patch = getattr(getattr(net, "patch_embed", None), "patch_size", (1,))
    if pixels % patch[0]:  # timm would leave the rest of each image out
        raise ValueError(f"it cuts images into patches of {patch[0]} pixels")
    return net


def _download_of_timm(about: Any) -> StateDict:
    """The tensors that timm's configuration of a model names, downloaded once."""
    if not about.hf_hub_id:
        state: StateDict = torch.hub.load_state_dict_from_url(
            about.url, progress=False, map_location="cpu", weights_only=True
        )
        return state
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from safetensors.torch import load_file

    file = about.hf_hub_filename or "model.safetensors"
    path = try_to_load_from_cache(about.hf_hub_id, file)
    if not isinstance(path, str):
        _reach(constants.ENDPOINT)
        path = hf_hub_download(about.hf_hub_id, file)
    return load_file(path)


def _reach(address: str) -> None:
    """Raise OSError at once when there is no network: the hub's client would retry for a minute."""
    with suppress(HTTPError):  # a server answered
        urlopen(Request(address, method="HEAD"), timeout=10).close()


# torchvision


def _find_in_torchvision(name: str, recipe: Recipe) -> Backbone:
    from torchvision import models

    known = models.list_models(models)
    if name not in known:
        raise _unknown(recipe.backbone, known)
    published = models.get_model_weights(name)
    usual = "IMAGENET1K_V1" if "IMAGENET1K_V1" in published.__members__ else None
    stated = recipe.weights.removeprefix(f"{published.__name__}.")
    asked = usual if recipe.weights in ("none", "imagenet") else stated
    names = [w.name for w in published]  # an alias such as DEFAULT is not among them
    if recipe.weights != "none" and asked not in names:
        raise unknown(f"weights of torchvision/{name}", recipe.weights, names)
    chosen = published[asked or names[0]]
    about = chosen.transforms()
    return Backbone(
        partial(_build_of_torchvision, name, recipe.pixels, scratch=recipe.weights == "none"),
        published=str(chosen),
        download=download_from_torchvision,
        convert=_resample_positions if name.startswith("vit_") else None,
        mean_std=(tuple(about.mean), tuple(about.std)),
    )


def _build_of_torchvision(name: str, pixels: int, *, scratch: bool) -> nn.Module:
    """torchvision's model without its classifier. scratch: its weights are not replaced."""
    from torchvision import models

    options: dict[str, Any] = {}
    if name.startswith("vit_"):
        options = {"image_size": pixels}
    elif name.startswith("maxvit"):
        options = {"input_size": (pixels, pixels)}
    elif name in ("googlenet", "inception_v3"):
        # they normalize a second time, as their weights want it; drawing their weights takes long
        options = {"transform_input": True, "aux_logits": False, "init_weights": scratch}
    net: nn.Module = models.get_model(name, weights=None, **options)
    return _cut_classifier(net)


def _cut_classifier(net: nn.Module) -> nn.Module:
    """The network without its last layer and what is there for that layer alone: the dropout before
    it and, in SqueezeNet, the ReLU behind it. All other tensors keep their names."""
    path = [n for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
    place, _, last = path.rpartition(".")
    parent = net.get_submodule(place)
    names = [n for n, _ in parent.named_children()]
    i = names.index(last)
    cut = [last, *(n for n in names[max(i - 1, 0) : i] if _is(parent, n, nn.Dropout))]
    cut += [n for n in names[i + 1 : i + 2] if _is(parent, n, nn.ReLU)]
    for name in cut:
        setattr(parent, name, nn.Identity())
    return net


def _is(parent: nn.Module, name: str, kind: type[nn.Module]) -> bool:
    return isinstance(parent.get_submodule(name), kind)


def _resample_positions(state: StateDict, net: nn.Module) -> StateDict:
    """Weights of a vision transformer with the position embeddings of the network's image size."""
    from torchvision.models.vision_transformer import interpolate_embeddings

    if "encoder.pos_embedding" not in state:
        return state
    size, patch = net.image_size, net.patch_size
    resized: StateDict = interpolate_embeddings(size, patch, dict(state))
    return resized


ZOOS: dict[str, Callable[[str, Recipe], Backbone]] = {
    "timm": _find_in_timm,
    "torchvision": _find_in_torchvision,
}
"""What finds a model's name in each collection."""


def _unknown(backbone: str, models: list[str]) -> UsageError:
    """The error for a name that a collection does not have; it does not list a thousand names."""
    zoo, _, name = backbone.partition("/")
    near = nearest(name, models)
    hint = f"did you mean {f'{zoo}/{near}'!r}? " if near else ""
    stem = re.split(r"[\d_.]", name)[0] or name
    return UsageError(
        f"unknown backbone {backbone!r}; {hint}`bench ls backbones {stem}` lists similar names"
    )
