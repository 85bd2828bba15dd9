"""How packages name the tensors of one architecture, and how a weights file is read whatever it
names them."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from torch import Tensor

from bench.errors import BenchError

StateDict = dict[str, Tensor]
"""The tensors of a module or of a weights file by their names."""

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")
"""Keys under which training code keeps the tensors in a file; the averaged ones first, as timm."""

PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "net.", "network.")
"""What wrappers such as DataParallel put before every name."""

HEADS = re.compile(r"(_?fc|classifier|heads?|head_dist|aux\w*|AuxLogits)(\.|\d|$)", re.IGNORECASE)
"""How names of what stands behind the features begin."""

COUNTERS = re.compile(
    r"(.*\.)?(num_batches_tracked|relative_position_index|relative_coords_table|attn_mask)"
)
"""Tensors that a network makes for itself, or does without."""


@dataclass(frozen=True)
class Naming:
    """The names that a package gives to the tensors of a kind of network."""

    whose: str  # in words, after "the names are those of"
    sign: str  # a regular expression that one of its names matches and no other naming's
    order: str | None = None
    """Namings of one order list the tensors of one architecture in the same order."""
    eps: float | None = None  # of its batch norms, where others of this order have another


NAMINGS = (
    Naming("efficientnet_pytorch", r"_conv_stem\.weight", "mbconv", 1e-3),
    Naming(
        "EfficientNet-Lite for PyTorch", r"blocks\.0\.0\._depthwise_conv\.weight", "mbconv", 1e-3
    ),
    Naming("torchvision's EfficientNet", r"features\.1\.0\.block\.0\.0\.weight", "mbconv"),
    Naming("torchvision's MobileNetV2", r"features\.1\.conv\.0\.0\.weight", "mbconv"),
    Naming("torchvision's MobileNetV3", r"features\.1\.block\.0\.0\.weight"),
    Naming("timm's EfficientNet and MobileNet", r"blocks\.0\.0\.conv_dw\.weight", "mbconv"),
    Naming("torchvision's ConvNeXt", r"features\.1\.0\.layer_scale", "convnext"),
    Naming("timm's ConvNeXt", r"stages\.0\.blocks\.0\.conv_dw\.weight", "convnext"),
    Naming("the original ConvNeXt", r"downsample_layers\.0\.0\.weight"),
    Naming("torchvision's ViT", r"encoder\.layers\.encoder_layer_0\.ln_1\.weight", "vit"),
    Naming("timm's ViT and DeiT", r"blocks\.0\.attn\.qkv\.weight", "vit"),
    Naming("torchvision's Swin", r"features\.1\.0\.attn\.relative_position_bias_table"),
    Naming("Swin's and timm's", r"layers\.0\.blocks\.0\.attn\.relative_position_bias_table"),
    Naming("ResNet in torchvision and timm", r"layer1\.0\.conv1\.weight"),
    Naming("DenseNet in torchvision and timm", r"features\.denseblock1\..*"),
    Naming("torchvision's SqueezeNet", r"features\.\d\.squeeze\.weight"),
    Naming("VGG and AlexNet in torchvision", r"features\.0\.weight"),
    Naming("CLIP", r"visual\..*"),
    Naming("Hugging Face Transformers", r"(\w+\.)?(embeddings|embedder|encoder\.stages)\..*"),
    Naming("TensorFlow", r".*/(kernel|gamma|depthwise_kernel)(:0)?"),
)


def recognize(names: Collection[str]) -> Naming | None:
    """The naming that these names look like."""
    return next((n for n in NAMINGS if any(re.fullmatch(n.sign, x) for x in names)), None)


def unwrap(content: object) -> object:
    """What a file holds, without what training code and wrappers put around the tensors."""
    while isinstance(content, dict):
        inner = [v for k in WRAPPERS if isinstance(v := content.get(k), dict)]
        if not inner:
            break
        content = inner[0]
    while isinstance(content, dict) and (p := _shared_prefix(content)):
        content = {k.removeprefix(p): v for k, v in content.items()}
    return content


def _shared_prefix(names: Iterable[object]) -> str | None:
    names = list(names)
    return next(
        (
            p
            for p in PREFIXES
            if names and all(isinstance(k, str) and k.startswith(p) for k in names)
        ),
        None,
    )


def respell(
    weights: StateDict,
    wanted: Mapping[str, Tensor],
    architecture: str,
    convert: Callable[[StateDict], StateDict] | None = None,
    eps: float | None = None,
) -> StateDict:
    """The tensors by the names that are wanted, from a file with any of the usual namings.

    wanted: tensors of the right shapes by their names. convert: what the model's own package does
    to files of other namings. eps: of the network's batch norms. Raises BenchError, naming the
    tensor, when one is missing, has another shape, or is one too many: then the weights are those
    of another architecture.
    """
    readings = list(_read_each_way(weights, wanted, convert, eps))
    for given in readings:
        if not _objection(given, wanted, architecture):
            return {k: v for k, v in given.items() if k in wanted}
    # the reading in which most is found tells most about what is wrong
    nearest = max(readings, key=lambda given: len(given.keys() & wanted.keys()))
    whose = recognize(weights)
    known = whose is not None and whose is not recognize(wanted)
    looks = f"; the names are those of {whose.whose}" if whose and known else ""
    raise BenchError(
        f"these weights are not {architecture}'s: {_objection(nearest, wanted, architecture)}"
        f"{looks}; give the file of the recipe's architecture with --weights"
    )


def _read_each_way(
    weights: StateDict,
    wanted: Mapping[str, Tensor],
    convert: Callable[[StateDict], StateDict] | None,
    eps: float | None,
) -> Iterator[StateDict]:
    yield weights
    if convert:
        with suppress(Exception):  # a package's own code over a file that is none of its own
            yield convert(weights)
    theirs, ours = recognize(weights), recognize(wanted)
    if not (theirs and ours) or theirs is ours or theirs.eps not in (None, eps):
        return
    if theirs.order and theirs.order == ours.order:
        yield _pair(weights, wanted)


def _pair(weights: StateDict, wanted: Mapping[str, Tensor]) -> StateDict:
    """The weights by the wanted names, taken in the same order; {} when they are not of one shape.

    A vector may be stored with sides of 1.
    """
    here, there = _in_order(wanted), _in_order(weights)
    out: StateDict = {}
    for name, source in zip(here, there, strict=False):
        shape, v = wanted[name].shape, weights[source]
        if _role(name) != _role(source) or [n for n in shape if n > 1] != [
            n for n in v.shape if n > 1
        ]:
            return {}
        out[name] = v.reshape(shape)
    left = there[len(here) :]
    return out | {k: weights[k] for k in left if not HEADS.match(k)}


def _in_order(names: Iterable[str]) -> list[str]:
    """The names without counters; those of a ViT's class token and positions come first."""
    first = ("cls_token", "class_token"), ("pos_embed", "encoder.pos_embedding")
    rank = {name: i for i, group in enumerate(first) for name in group}
    kept = [name for name in names if not COUNTERS.fullmatch(name)]
    return sorted(kept, key=lambda name: rank.get(name, len(first)))


def _role(name: str) -> str:
    """weight, bias, running_mean or running_var; another name for what a network has once."""
    last = re.search(r"(weight|bias|running_mean|running_var)$", name)
    return last[1] if last else ""


def _objection(given: StateDict, wanted: Mapping[str, Tensor], architecture: str) -> str:
    """Why these tensors are not the wanted ones; '' when they are."""
    missing = [k for k in wanted if k not in given and not COUNTERS.fullmatch(k)]
    if missing:
        return f"{missing[0]} and {len(missing) - 1} more tensors are missing"
    for k, v in wanted.items():
        if k in given and given[k].shape != v.shape:
            return f"{k} has shape {tuple(given[k].shape)}, {architecture} has {tuple(v.shape)}"
    parts = {k.split(".")[0] for k in wanted}
    extra = [
        k for k in given
        if k not in wanted and k.split(".")[0] in parts
        and not HEADS.match(k) and not COUNTERS.fullmatch(k)
    ]  # fmt: skip
    if extra:
        return f"{extra[0]} and {len(extra) - 1} more of its tensors have no place there"
    return ""
