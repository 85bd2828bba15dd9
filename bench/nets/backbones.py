"""The backbones by name, and where their pretrained weights come from.

Each is F: images (B, 3, H, W) -> features (B, dim).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from bench.errors import UsageError, unknown
from bench.nets.namings import StateDict
from bench.suite.recipe import Recipe


def ganin_mnist() -> nn.Module:
    """The feature extractor of the MNIST architecture: 768 features of 28×28 pixels.

    Ganin and Lempitsky, ICML 2015, figure 4a.
    """
    return nn.Sequential(
        nn.Conv2d(3, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 48, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip


def vgg16() -> nn.Module:
    """The 13 convolutions of VGG-16, then the mean over all pixels: 512 features.

    Without the last pooling, which would leave nothing of 28×28 pixels.
    """
    from torchvision.models import vgg16

    return _pooled(vgg16(weights=None).features[:-1])


def alexnet() -> nn.Module:
    """torchvision's AlexNet up to its fully connected layers: 256 maps of 6×6, 9216 features."""
    from torchvision.models import alexnet

    net = alexnet(weights=None, num_classes=1)
    return nn.Sequential(net.features, net.avgpool, nn.Flatten())


def resnet50() -> nn.Module:
    """torchvision's ResNet-50 up to its last layer: 2048 features.

    It is version 1.5, in which a block halves the image in its 3×3 convolution.
    """
    from torchvision.models import resnet50

    net: nn.Module = resnet50(weights=None)
    net.fc = nn.Identity()
    return net


def resnet101() -> nn.Module:
    """torchvision's ResNet-101 up to its last layer: 2048 features. It is version 1.5, too."""
    from torchvision.models import resnet101

    net: nn.Module = resnet101(weights=None)
    net.fc = nn.Identity()
    return net


def resnet50_v1() -> nn.Module:
    """ResNet-50 as published, in which a block halves the image in its first 1×1 convolution.

    He et al., CVPR 2016. Its tensors have the names and shapes of those of `resnet50`, so that the
    weights of one load into the other, and make features that are plausible and wrong.
    """
    net = resnet50()
    for block in (net.layer2[0], net.layer3[0], net.layer4[0]):  # type: ignore[index]
        block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)  # type: ignore[union-attr]
    return net


def mobilenet_v2() -> nn.Module:
    """torchvision's MobileNetV2, then the mean over all pixels: 1280 features."""
    from torchvision.models import mobilenet_v2

    return _pooled(mobilenet_v2(weights=None).features)


def efficientnet_lite0() -> nn.Module:
    """timm's tf_efficientnet_lite0, then the mean over all pixels: 1280 features.

    Its weights were trained with `normalize = "half"`.
    """
    import timm

    return timm.create_model("tf_efficientnet_lite0", num_classes=0)


def _pooled(features: nn.Module) -> nn.Module:
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def download_from_torchvision(name: str) -> StateDict:
    """The tensors of a name such as 'VGG16_Weights.IMAGENET1K_V1', downloaded once."""
    from torchvision.models import get_weight

    state: StateDict = get_weight(name).get_state_dict(progress=False, check_hash=True)
    return state


def download_from_timm(name: str) -> StateDict:
    """The tensors of a name such as 'tf_efficientnet_lite0-0aa007d2', downloaded once.

    From timm's releases, not by timm, whose client retries for a minute when there is no network.
    """
    releases = "https://github.com/rwightman/pytorch-image-models/releases/download"
    state: StateDict = torch.hub.load_state_dict_from_url(
        f"{releases}/v0.1-weights/{name}.pth", progress=False, check_hash=True, map_location="cpu"
    )
    return state


@dataclass(frozen=True)
class Backbone:
    """How a backbone is made, and its published weights."""

    build: Callable[[], nn.Module]  # makes F with random weights
    prefix: tuple[str, str] = ("", "")
    """How the names of its tensors begin in the published weights file, and in F."""
    published: str | None = None  # the weights that "imagenet" means, as a record names them
    download: Callable[[str], StateDict] | None = download_from_torchvision
    """Gets the published weights by their name; None: they come from a local file alone."""
    convert: Callable[[StateDict, nn.Module], StateDict] | None = None
    """Brings the tensors of a weights file to the names and shapes of F, where they may differ."""
    mean_std: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """Mean and deviation of each channel that `normalize = "model"` stands for."""


FEATURES = ("features.", "0.")
BACKBONES = {
    "ganin-mnist": Backbone(ganin_mnist),
    "vgg16": Backbone(vgg16, FEATURES, "VGG16_Weights.IMAGENET1K_V1"),
    "alexnet": Backbone(alexnet, FEATURES, "AlexNet_Weights.IMAGENET1K_V1"),
    "resnet50": Backbone(resnet50, published="ResNet50_Weights.IMAGENET1K_V1"),
    "resnet101": Backbone(resnet101, published="ResNet101_Weights.IMAGENET1K_V1"),
    "resnet50_v1": Backbone(resnet50_v1, published="ResNet-50 v1 of He et al.", download=None),
    "mobilenet_v2": Backbone(mobilenet_v2, FEATURES, "MobileNet_V2_Weights.IMAGENET1K_V1"),
    "efficientnet_lite0": Backbone(
        efficientnet_lite0,
        published="tf_efficientnet_lite0-0aa007d2",
        download=download_from_timm,
    ),
}


def find_backbone(recipe: Recipe) -> Backbone:
    """The backbone that a recipe names. Raises UsageError, with the nearest name if there is none.

    It also checks that the recipe's `weights` and `normalize` are ones that the backbone has.
    """
    name = recipe.backbone
    if "/" in name:
        from bench.nets.zoo import find_in_zoo

        return find_in_zoo(recipe)
    if name not in BACKBONES:
        raise UsageError(
            f"{unknown('backbone', name, BACKBONES)}; "
            "and timm/NAME, torchvision/NAME for any model of theirs"
        )
    if recipe.normalize == "model":
        raise UsageError(
            f'normalize = "model" goes with timm/NAME and torchvision/NAME; for {name} '
            'state "unit", "half" or "imagenet"'
        )
    return BACKBONES[name]
