"""Recipe -> Network: backbone F, classifier C, the shape of D, pretrained weights, parameter groups."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError, UsageError, unknown
from bench.recipe import Head, Recipe
from methods import Method, Network


def ganin_mnist() -> nn.Module:
    """The feature extractor of Ganin and Lempitsky's MNIST architecture (ICML 2015, figure 4a): 768 features at 28×28."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 48, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip


def vgg16() -> nn.Module:
    """VGG-16's 13 convolutions without the last pooling, which would leave nothing of 28×28; then the spatial mean."""
    from torchvision.models import vgg16

    features = vgg16(weights=None).features[:-1]
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten())


@dataclass(frozen=True)
class Backbone:
    """build: a fresh, randomly initialised F. prefix: where its tensors stand in the published weights file, and in F."""

    build: Callable[[], nn.Module]
    prefix: tuple[str, str] = ("", "")
    published: str | None = None


BACKBONES = {
    "ganin-mnist": Backbone(ganin_mnist),
    "vgg16": Backbone(vgg16, ("features.", "0."), "VGG16_Weights.IMAGENET1K_V1"),
}


class Squeeze(nn.Module):
    """(B, 1) -> (B,)"""

    def forward(self, x: Tensor) -> Tensor:
        return x.squeeze(1)


def head(n_in: int, n_out: int, shape: Head) -> nn.Sequential:
    """Linear layers with ReLU between them, batch norm and dropout as the shape says."""
    layers: list[nn.Module] = []
    for width in shape.hidden:
        layers += [nn.Linear(n_in, width)]
        layers += [nn.BatchNorm1d(width)] if shape.batch_norm else []
        layers += [nn.ReLU()]
        layers += [nn.Dropout(shape.dropout)] if shape.dropout else []
        n_in = width
    return nn.Sequential(*layers, nn.Linear(n_in, n_out))


def _discriminator(shape: Head, n_in: int) -> nn.Module:
    return nn.Sequential(*head(n_in, 1, shape), Squeeze())


def build(recipe: Recipe, classes: int, weights: dict[str, Tensor] | None = None) -> Network:
    """The network of a recipe, on the CPU, its backbone holding `weights` when they are given. Raises BenchError."""
    if recipe.backbone not in BACKBONES:
        raise unknown("backbone", recipe.backbone, BACKBONES)
    F = BACKBONES[recipe.backbone].build()
    if weights is not None:
        _fill(F, weights, recipe.backbone)
    with torch.no_grad():
        F.eval()
        dim = F(torch.zeros(1, 3, recipe.size, recipe.size)).shape[1]
        F.train()
    C = head(dim, classes, recipe.classifier)
    discriminator = partial(_discriminator, recipe.discriminator)
    return Network(F, C, dim=dim, classes=classes, discriminator=discriminator, joint=recipe.forward == "joint")


def _fill(F: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    theirs, ours = BACKBONES[name].prefix
    own = F.state_dict()
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
    F.load_state_dict({k: v.float() for k, v in given.items() if k in own}, strict=False)


def load_weights(recipe: Recipe, file: Path | None) -> tuple[dict[str, Tensor] | None, dict[str, Any]]:
    """The tensors of the recipe's pretrained weights and how the record describes them.

    From `file` (.pth or .safetensors, any float type) when given, else downloaded by torchvision. Raises BenchError.
    """
    if recipe.weights == "none":
        return None, {"asked": "none"}
    if recipe.backbone not in BACKBONES:
        raise unknown("backbone", recipe.backbone, BACKBONES)
    published = BACKBONES[recipe.backbone].published
    if published is None:
        raise UsageError(f'nobody published weights of {recipe.backbone}; write weights = "none" in its recipe')
    if file is not None:
        state = _read(file)
        digest = sha256(file.read_bytes()).hexdigest()
        kinds = sorted({str(v.dtype).removeprefix("torch.") for v in state.values()})
        return state, {"asked": published, "file": file.name, "sha256": digest, "dtypes": kinds}
    from torchvision.models import get_weight

    try:
        state = get_weight(published).get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as e:
        raise BenchError(
            f"the weights {published} could not be downloaded ({e}); give a local .pth or .safetensors file with --weights"
        ) from e
    return state, {"asked": published, "file": published}


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as e:
        raise BenchError(f"no weights file {file}; check the path given with --weights") from e
    except Exception as e:  # both readers raise many types on a damaged file; torch's words advise to run what it holds
        raise BenchError(f"{file} cannot be read as .pth or .safetensors weights ({type(e).__name__}); download it again") from e
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise BenchError(f"{file} holds no state dict (name -> tensor); give the file of the recipe's architecture")
    return state


def parameter_groups(net: Network, method: Method, recipe: Recipe) -> list[dict[str, Any]]:
    """Optimiser groups of F, C and D (all that the method adds), each with its multiplier `lr_mult` and weight decay.

    With `decay = "kernels"` biases and norms are spared (Keras's kernel regulariser).
    """
    groups = []
    for part, module in (("F", net.F), ("C", net.C), ("D", method)):
        mult, decay = getattr(recipe.lr_mult, part), getattr(recipe.weight_decay, part)
        params = [q for q in module.parameters() if q.requires_grad]
        spared = [q for q in params if q.ndim < 2] if recipe.decay == "kernels" else []
        for some, wd in (([q for q in params if all(q is not r for r in spared)], decay), (spared, 0.0)):
            if some:
                groups.append({"params": some, "weight_decay": wd, "lr_mult": mult, "lr": recipe.lr * mult})
    return groups


def optimiser(net: Network, method: Method, recipe: Recipe) -> torch.optim.Optimizer:
    groups = parameter_groups(net, method, recipe)
    if recipe.optimiser == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)
