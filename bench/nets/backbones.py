"""The backbones by name: F, images (B, 3, H, W) -> features (B, dim), and where their pretrained weights come from."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.errors import unknown

State = dict[str, Tensor]


def ganin_mnist() -> nn.Module:
    """The feature extractor of Ganin and Lempitsky's MNIST architecture (ICML 2015, figure 4a): 768 features at 28×28."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 48, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip


def vgg16() -> nn.Module:
    """VGG-16's 13 convolutions without the last pooling, which would leave nothing of 28×28; then the spatial mean: 512."""
    from torchvision.models import vgg16

    return _pooled(vgg16(weights=None).features[:-1])


def alexnet() -> nn.Module:
    """torchvision's AlexNet up to its fully connected layers: 256 maps averaged to 6×6, 9216 features."""
    from torchvision.models import alexnet

    net = alexnet(weights=None, num_classes=1)
    return nn.Sequential(net.features, net.avgpool, nn.Flatten())


def resnet50() -> nn.Module:
    """torchvision's ResNet-50 up to its last layer, 2048 features. It is "v1.5": a block halves the image in its 3×3."""
    from torchvision.models import resnet50

    net: nn.Module = resnet50(weights=None)
    net.fc = nn.Identity()
    return net


def resnet50_v1() -> nn.Module:
    """He et al.'s ResNet-50 (CVPR 2016) as published: a block halves the image in its first 1×1.

    Its tensors have the names and shapes of `resnet50`'s, so weights of one load into the other: features plausible and wrong.
    """
    net = resnet50()
    for block in (net.layer2[0], net.layer3[0], net.layer4[0]):  # type: ignore[index]
        block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)  # type: ignore[union-attr]
    return net


def mobilenet_v2() -> nn.Module:
    """torchvision's MobileNetV2, pooled: 1280 features."""
    from torchvision.models import mobilenet_v2

    return _pooled(mobilenet_v2(weights=None).features)


def efficientnet_lite0() -> nn.Module:
    """timm's tf_efficientnet_lite0, pooled: 1280 features. Its weights were trained with `normalize = "half"`."""
    import timm

    return timm.create_model("tf_efficientnet_lite0", num_classes=0)


def _pooled(features: nn.Module) -> nn.Module:
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def from_torchvision(name: str) -> State:
    """'VGG16_Weights.IMAGENET1K_V1' -> its tensors, downloaded once."""
    from torchvision.models import get_weight

    state: State = get_weight(name).get_state_dict(progress=False, check_hash=True)
    return state


def from_timms_releases(name: str) -> State:
    """'tf_efficientnet_lite0-0aa007d2' -> its tensors, downloaded once. Not by timm: its client retries for a minute offline."""
    url = f"https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/{name}.pth"
    state: State = torch.hub.load_state_dict_from_url(
        url, progress=False, check_hash=True, map_location="cpu"
    )
    return state


@dataclass(frozen=True)
class Backbone:
    """build: a fresh, randomly initialised F. prefix: where its tensors stand in the published weights file, and in F.

    published: the weights that "imagenet" means, as a record names them. download: gets them by that name; None: they come
    from a local file alone.
    """

    build: Callable[[], nn.Module]
    prefix: tuple[str, str] = ("", "")
    published: str | None = None
    download: Callable[[str], State] | None = from_torchvision


FEATURES = ("features.", "0.")
BACKBONES = {
    "ganin-mnist": Backbone(ganin_mnist),
    "vgg16": Backbone(vgg16, FEATURES, "VGG16_Weights.IMAGENET1K_V1"),
    "alexnet": Backbone(alexnet, FEATURES, "AlexNet_Weights.IMAGENET1K_V1"),
    "resnet50": Backbone(resnet50, published="ResNet50_Weights.IMAGENET1K_V1"),
    "resnet50_v1": Backbone(resnet50_v1, published="ResNet-50 v1 of He et al.", download=None),
    "mobilenet_v2": Backbone(mobilenet_v2, FEATURES, "MobileNet_V2_Weights.IMAGENET1K_V1"),
    "efficientnet_lite0": Backbone(
        efficientnet_lite0, published="tf_efficientnet_lite0-0aa007d2", download=from_timms_releases
    ),
}


def find(name: str) -> Backbone:
    """The backbone of that name. Raises UsageError with the nearest one."""
    if name not in BACKBONES:
        raise unknown("backbone", name, BACKBONES)
    return BACKBONES[name]
