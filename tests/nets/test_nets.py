"""Networks of a recipe: their shapes, their pretrained weights, the groups of their parameters."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from bench import nets
from bench.errors import BenchError, UsageError
from bench.nets import heads
from bench.suite.recipe import Bottleneck, Head, Parts, Recipe
from methods import Network, get


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(
        {"backbone": "ganin-mnist", "size": 28, "iterations": 1, "batch": 2, "lr": 0.5} | changes
    )


def small() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """A backbone `small` and its published weights, which have a classifier that we do not use."""
    monkeypatch.setitem(
        nets.BACKBONES, "small", nets.Backbone(small, ("features.", "0."), "Small_Weights.V1")
    )
    torch.manual_seed(1)
    theirs = nn.ModuleDict({"features": small()[0], "classifier": nn.Linear(4, 1000)})
    return theirs.state_dict()


SMALL = {"backbone": "small", "weights": "imagenet"}


def same(net: Network, published: dict[str, Tensor], atol: float = 0.0) -> bool:
    ours = net.F.state_dict()
    return all(
        torch.allclose(
            ours[f"0.{k.removeprefix('features.')}"].float(), v.float(), rtol=0, atol=atol
        )
        for k, v in published.items()
        if k.startswith("features.")
    )


# shapes


def test_ganins_mnist_network_has_768_features_at_28_pixels() -> None:
    net = nets.build(recipe(classifier={"hidden": [100, 100]}), classes=10)
    assert net.dim == 768 and net.classes == 10
    assert net.F(torch.zeros(2, 3, 28, 28)).shape == (2, 768)
    assert [m.out_features for m in net.C if isinstance(m, nn.Linear)] == [100, 100, 10]
    assert sum(q.numel() for q in net.F.parameters()) == (3 * 25 + 1) * 32 + (32 * 25 + 1) * 48


def test_the_network_is_left_in_training_mode_and_its_statistics_untouched(
    published: dict[str, Tensor],
) -> None:
    net = nets.build(recipe(backbone="small"), classes=3)
    assert all(m.training for m in net.modules())
    norm = net.F[0][1]
    assert norm.num_batches_tracked == 0 and torch.equal(norm.running_mean, torch.zeros(4))


def test_vgg16_is_torchvisions_up_to_the_last_pooling_then_the_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torchvision.models import vgg16

    # its fully connected layers, which nobody uses here, take seconds to draw
    monkeypatch.setattr(nn.Linear, "reset_parameters", lambda layer: None)
    monkeypatch.setattr(nn.init, "normal_", lambda tensor, *_: tensor)
    torch.manual_seed(0)
    theirs = vgg16(weights=None, init_weights=False)
    net = nets.build(recipe(backbone="vgg16", weights="imagenet"), 10, theirs.state_dict())
    for size in (28, 32):
        x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size))
        with torch.no_grad():
            assert net.F(x).shape == (2, 512) == (2, net.dim)
            torch.testing.assert_close(net.F(x), theirs.features[:-1](x).mean((2, 3)))


NATURAL = {
    "alexnet": 9216,
    "resnet50": 2048,
    "resnet101": 2048,
    "resnet50_v1": 2048,
    "mobilenet_v2": 1280,
    "efficientnet_lite0": 1280,
}


@pytest.mark.parametrize("name", NATURAL)
def test_a_backbone_of_natural_images_makes_its_features(name: str) -> None:
    net = nets.build(recipe(backbone=name, size=64), classes=3)
    assert net.dim == NATURAL[name]
    with torch.no_grad():
        assert net.C(net.F(torch.randn(2, 3, 64, 64))).shape == (2, 3)


def theirs(name: str) -> dict[str, Tensor]:
    """The publisher's own model, as shapes without numbers."""
    import timm
    import torchvision.models as tv

    with torch.device("meta"):
        if name == "efficientnet_lite0":
            model: nn.Module = timm.create_model("tf_efficientnet_lite0")
        else:
            model = getattr(tv, name.removesuffix("_v1"))(weights=None)
    return model.state_dict()


@pytest.mark.parametrize("name", NATURAL)
def test_its_tensors_stand_where_the_publisher_has_them(name: str) -> None:
    backbone, published = nets.BACKBONES[name], theirs(name)
    with torch.device("meta"):
        ours = backbone.build().state_dict()
    there, here = backbone.prefix
    for key, tensor in ours.items():
        assert published.pop(there + key.removeprefix(here)).shape == tensor.shape
    assert {k.split(".")[0] for k in published} <= {"fc", "classifier"}, (
        "only the publisher's own classes are left out"
    )


def test_resnet50_v1_strides_in_the_1x1_and_fits_resnet50s_weights_all_the_same() -> None:
    new, old = (nets.BACKBONES[n].build().eval() for n in ("resnet50", "resnet50_v1"))

    def blocks(net: Any) -> list[Any]:
        return [layer[0] for layer in (net.layer1, net.layer2, net.layer3, net.layer4)]

    assert [b.conv1.stride + b.conv2.stride for b in blocks(new)] == [(1, 1, 1, 1)] + [
        (1, 1, 2, 2)
    ] * 3
    assert [b.conv1.stride + b.conv2.stride for b in blocks(old)] == [(1, 1, 1, 1)] + [
        (2, 2, 1, 1)
    ] * 3
    old.load_state_dict(
        new.state_dict()
    )  # nothing in the file tells the two apart: hence two names
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(new(x), old(x), rtol=0.1)


def test_images_are_as_large_as_their_crop() -> None:
    assert nets.build(recipe(size=40, crop=28, train_crop="random"), 3).dim == 768


def test_a_bottleneck_ends_the_backbone_and_is_what_classifier_and_discriminator_see() -> None:
    net = nets.build(
        recipe(bottleneck={"width": 5, "batch_norm": True, "relu": True, "dropout": 0.5}), classes=3
    )
    assert net.dim == 5 and net.F(torch.randn(4, 3, 28, 28)).shape == (4, 5)
    assert [type(m).__name__ for m in net.F[1]] == ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    assert [type(m).__name__ for m in heads.bottleneck(7, Bottleneck(width=5))] == ["Linear"]
    assert net.C[0].in_features == 5


@pytest.mark.parametrize(
    "init, variance",
    [
        ("default", 1 / 3 / 400),
        ("kaiming", 2 / 400),
        ("kaiming-100", 2 / 10001 / 400),
        ("xavier", 2 / 500),
    ],
)
def test_heads_start_as_the_recipe_says(init: Any, variance: float) -> None:
    torch.manual_seed(0)
    for layers in (
        nets.head(400, 100, Head(init=init)),
        heads.bottleneck(400, Bottleneck(width=100, init=init)),
    ):
        assert layers[0].weight.var().item() == pytest.approx(variance, rel=0.05)
        assert bool(layers[0].bias.any()) == (init == "default")


MAPS = {
    "ganin-mnist": (28, ("5", (48, 4, 4))),
    "vgg16": (32, ("0", (512, 2, 2))),
    "alexnet": (64, ("1", (256, 6, 6))),
    "resnet50": (64, ("layer4", (2048, 2, 2))),
    "timm/resnet10t": (64, ("layer4", (512, 2, 2))),
    "timm/convnext_atto": (64, None),  # a norm stands behind them
    "timm/vit_tiny_patch16_224": (32, None),
    "timm/swin_s3_tiny_224": (224, None),  # its channels are last
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("width", [0, 5])
def test_the_last_maps_are_those_that_features_are_made_of(name: str, width: int) -> None:
    size, found = MAPS[name]
    with torch.device("meta"):
        asked = recipe(backbone=name, size=size, bottleneck={"width": width})
        net = nets.build(asked, classes=3)
    assert net.maps == (found and (f"0.{found[0]}" if width else found[0], found[1]))
    assert not any(m._forward_hooks for m in net.modules())


def test_channels_last_reaches_what_the_backbone_computes() -> None:
    x = torch.randn(2, 3, 28, 28)
    for asked in (False, True):
        first = nets.build(recipe(channels_last=asked), classes=3).F[0](x)
        assert first.is_contiguous(memory_format=torch.channels_last) == asked


# AlexNet's heads


def test_alexnets_classifier_is_torchvisions() -> None:
    published = {
        k.removeprefix("classifier."): v.shape
        for k, v in theirs("alexnet").items()
        if k.startswith("classifier.")
    }
    with torch.device("meta"):
        assert {
            k: v.shape for k, v in heads.alexnet_classifier(9216, 1000).state_dict().items()
        } == published


def test_alexnets_discriminator_starts_as_a_copy_of_the_classifier_and_lives_on_its_own() -> None:
    C = heads.alexnet_classifier(12, 3, width=8)
    D = heads.alexnet_discriminator(C, 12)
    for k in (1, 4):
        assert torch.equal(D[k].weight, C[k].weight) and torch.equal(D[k].bias, C[k].bias)
        assert D[k].weight is not C[k].weight
    assert D[6].out_features == 2 and D(torch.randn(5, 12)).shape == (5,)
    two = D[:-1].eval()(x := torch.randn(5, 12))
    labels = torch.tensor([0, 1, 1, 0, 1])
    torch.testing.assert_close(
        nn.functional.binary_cross_entropy_with_logits(D.eval()(x), labels.float()),
        nn.functional.cross_entropy(two, labels),
    )


def test_a_file_of_alexnets_convolutions_alone_is_recorded_as_such(tmp_path: Path) -> None:
    convolutions = {
        k: torch.zeros(v.shape) for k, v in theirs("alexnet").items() if k.startswith("features.")
    }
    asked = recipe(backbone="alexnet", head="alexnet", weights="imagenet", size=64)
    for more, head in (({}, "random"), ({"classifier.1.bias": torch.zeros(4096)}, None)):
        save_file(convolutions | more, tmp_path / "w.safetensors")
        assert nets.load_weights(asked, tmp_path / "w.safetensors")[1].get("head") == head

    torch.manual_seed(0)
    net = nets.build(asked, 3, convolutions)
    D = net.discriminator(net.dim)
    assert torch.equal(net.C[1].weight, D[1].weight) and net.C[1].weight.std() > 0


def test_alexnets_fully_connected_weights_fill_both_heads_where_the_file_has_them() -> None:
    fc = {k: torch.tensor(0.25).expand(v.shape) for k, v in theirs("alexnet").items()}
    net = nets.build(recipe(backbone="alexnet", head="alexnet", weights="imagenet", size=64), 3, fc)
    D = net.discriminator(net.dim)
    for layers in (net.C, D):
        assert all(bool((layers[k].weight == 0.25).all()) for k in (1, 4))
    assert net.C[6].weight.shape == (3, 4096) and not torch.equal(net.C[6].weight[:2], D[6].weight)
    with pytest.raises(
        UsageError, match=r"makes D of the features alone, this method's D reads 3 numbers"
    ):
        net.discriminator(3)
    del fc["classifier.4.weight"]
    with pytest.raises(
        BenchError, match=r"not alexnet's: classifier\.4\.weight and 0 more tensors are missing"
    ):
        nets.build(recipe(backbone="alexnet", head="alexnet", weights="imagenet", size=64), 3, fc)


def test_a_head_is_as_it_is_written() -> None:
    kinds = lambda shape: [type(m).__name__ for m in nets.head(5, 2, shape)]  # noqa: E731
    assert kinds(Head()) == ["Linear"]
    assert kinds(Head(hidden=(4, 3))) == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert kinds(Head(hidden=(4,), dropout=0.5, batch_norm=True)) == [
        "Linear",
        "BatchNorm1d",
        "ReLU",
        "Dropout",
        "Linear",
    ]
    widths = [
        (m.in_features, m.out_features)
        for m in nets.head(5, 2, Head(hidden=(4, 3)))
        if isinstance(m, nn.Linear)
    ]
    assert widths == [(5, 4), (4, 3), (3, 2)]


def test_a_discriminator_gives_one_logit_a_sample_and_every_one_is_fresh() -> None:
    net = nets.build(recipe(discriminator={"hidden": [6]}), classes=3)
    D, other = net.discriminator(7), net.discriminator(7)
    assert D(torch.zeros(4, 7)).shape == (4,)
    assert not torch.equal(D[0].weight, other[0].weight)


def test_forward_joint_or_separate_is_the_recipes() -> None:
    assert [nets.build(recipe(forward=f), 3).joint for f in ("joint", "separate")] == [True, False]


def test_an_unknown_backbone_is_refused_with_the_nearest() -> None:
    for ask in (lambda r: nets.build(r, 3), lambda r: nets.load_weights(r, None)):
        with pytest.raises(UsageError, match="unknown backbone 'vgg-16'; did you mean 'vgg16'"):
            ask(recipe(backbone="vgg-16", weights="imagenet"))


# weights


def test_no_weights_are_no_weights() -> None:
    assert nets.load_weights(recipe(), None) == (None, {"asked": "none"})


def test_weights_of_a_backbone_that_nobody_published_are_refused() -> None:
    with pytest.raises(
        UsageError, match='nobody published weights of ganin-mnist; write weights = "none"'
    ):
        nets.load_weights(recipe(weights="imagenet"), None)


@pytest.mark.parametrize(
    "name, suffix, dtype",
    [("mobilenet_v2", ".pth", torch.float32), ("resnet50_v1", ".safetensors", torch.float16)],
)
def test_weights_of_natural_images_come_back_from_a_file(
    name: str, suffix: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    there, here = nets.BACKBONES[name].prefix
    given = {
        there + k.removeprefix(here): v
        for k, v in nets.BACKBONES[name].build().to(dtype).state_dict().items()
    }
    extra = given | {"fc.weight": torch.zeros(1000, 7), "classifier.1.weight": torch.zeros(1000, 7)}
    file = tmp_path / f"w{suffix}"
    save_file(extra, file) if suffix == ".safetensors" else torch.save(extra, file)
    asked = recipe(backbone=name, weights="imagenet", size=64)
    ours = nets.build(asked, 3, nets.load_weights(asked, file)[0]).F.state_dict()
    assert all(torch.equal(ours[here + k.removeprefix(there)], v.float()) for k, v in given.items())
    other = recipe(backbone="efficientnet_lite0", weights="imagenet", size=64)
    with pytest.raises(
        BenchError,
        match=r"not efficientnet_lite0's: conv_stem\.weight and \d+ more tensors are missing",
    ):
        nets.build(other, 3, nets.load_weights(other, file)[0])


def test_weights_that_nobody_offers_for_download_are_asked_for() -> None:
    with pytest.raises(
        BenchError, match=r"ResNet-50 v1 of He et al\. are not for download; give a local \.pth or"
    ):
        nets.load_weights(recipe(backbone="resnet50_v1", weights="imagenet"), None)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_any_float_type_are_taken(
    suffix: str, dtype: torch.dtype, published: dict[str, Tensor], tmp_path: Path
) -> None:
    file = tmp_path / f"w{suffix}"
    cast = {k: v.to(dtype) if v.is_floating_point() else v for k, v in published.items()}
    save_file(cast, file) if suffix == ".safetensors" else torch.save(cast, file)
    state, facts = nets.load_weights(recipe(**SMALL), file)
    assert facts["asked"] == "Small_Weights.V1" and facts["file"] == file.name
    assert facts["sha256"] == sha256(file.read_bytes()).hexdigest()
    assert str(dtype).removeprefix("torch.") in facts["dtypes"]

    net = nets.build(recipe(**SMALL), 3, state)
    assert all(q.dtype == torch.float32 for q in net.parameters())
    assert same(net, published, atol=0.0 if dtype in (torch.float32, torch.float64) else 0.01)
    assert not same(nets.build(recipe(**SMALL), 3), published)


def test_a_checkpoint_that_wraps_its_state_is_unwrapped(
    published: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save({"epoch": 3, "state_dict": published}, tmp_path / "w.pth")
    state, _ = nets.load_weights(recipe(**SMALL), tmp_path / "w.pth")
    assert same(nets.build(recipe(**SMALL), 3, state), published)


def test_weights_of_another_architecture_are_refused(published: dict[str, Tensor]) -> None:
    with pytest.raises(
        BenchError,
        match=r"these weights are not small's: features\.0\.weight and 5 more tensors are missing",
    ):
        nets.build(recipe(**SMALL), 3, {"conv1.weight": torch.zeros(1)})
    wide = published | {"features.0.weight": torch.zeros(8, 3, 3, 3)}
    message = (
        r"features\.0\.weight has shape \(8, 3, 3, 3\), small has \(4, 3, 3, 3\); give the file"
    )
    with pytest.raises(BenchError, match=message):
        nets.build(recipe(**SMALL), 3, wide)


def test_weights_without_the_counter_of_batch_norm_are_taken(published: dict[str, Tensor]) -> None:
    old = {k: v for k, v in published.items() if not k.endswith("num_batches_tracked")}
    assert same(nets.build(recipe(**SMALL), 3, old), old)


DAMAGE = {
    "cut short": lambda raw: raw[: len(raw) // 2],
    "empty": lambda raw: b"",
    "of something else": lambda raw: b"<html>404 not found</html>",
    "a flipped header": lambda raw: bytes([raw[0] ^ 0xFF]) + raw[1:],
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_one_sentence(
    suffix: str, damage: str, published: dict[str, Tensor], tmp_path: Path
) -> None:
    file = tmp_path / f"w{suffix}"
    save_file(published, file) if suffix == ".safetensors" else torch.save(published, file)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.raises(
        BenchError,
        match=r"cannot be read as .pth or .safetensors weights \(\w+\); download it again$",
    ) as e:
        nets.load_weights(recipe(**SMALL), file)
    assert "\n" not in str(e.value), "a sentence, not the parser's essay"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_absent_is_one_sentence(
    suffix: str, published: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(
        BenchError, match=f"no weights file .*w{suffix}; check the path given with --weights"
    ):
        nets.load_weights(recipe(**SMALL), tmp_path / f"w{suffix}")


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {"state_dict": {"a": "b"}}])
def test_a_file_without_a_state_dict_is_refused(
    content: Any, published: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(BenchError, match="holds no state dict"):
        nets.load_weights(recipe(**SMALL), tmp_path / "w.pth")


def test_a_file_that_would_run_code_is_not_unpickled(
    published: dict[str, Tensor], tmp_path: Path
) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"features.0.weight": Trap()}, tmp_path / "w.pth")
    with pytest.raises(BenchError, match="cannot be read as"):
        nets.load_weights(recipe(**SMALL), tmp_path / "w.pth")
    assert not (tmp_path / "sprung").exists()


# parameter groups


def grouped(r: Recipe) -> tuple[Network, Any, dict[int, tuple[float, float, float]]]:
    """Every parameter's (lr, lr_mult, weight decay), by its id."""
    net = nets.build(r, classes=3)
    method = get("dann")(net)
    groups = nets.parameter_groups(net, method, r)
    listed = [id(q) for g in groups for q in g["params"]]
    assert len(listed) == len(set(listed)), "no parameter is in two groups"
    assert set(listed) == {id(q) for q in [*net.parameters(), *method.parameters()]}
    return (
        net,
        method,
        {id(q): (g["lr"], g["lr_mult"], g["weight_decay"]) for g in groups for q in g["params"]},
    )


def test_backbone_classifier_and_the_methods_own_have_their_rates_and_decays() -> None:
    r = recipe(lr_mult=Parts(F=0.1, C=1, D=10), weight_decay=Parts(F=1e-4, C=1e-3, D=1e-2))
    net, method, rates = grouped(r)
    for module, wanted in (
        (net.F, (0.05, 0.1, 1e-4)),
        (net.C, (0.5, 1.0, 1e-3)),
        (method, (5.0, 10.0, 1e-2)),
    ):
        assert {rates[id(q)] for q in module.parameters()} == {wanted}


def test_a_bottleneck_is_trained_as_the_classifier_is() -> None:
    net, _, rates = grouped(recipe(bottleneck={"width": 4}, lr_mult=Parts(F=0.1, C=1, D=10)))
    backbone, bottleneck = net.F
    assert {rates[id(q)][1] for q in backbone.parameters()} == {0.1}
    assert {rates[id(q)][1] for q in [*bottleneck.parameters(), *net.C.parameters()]} == {1.0}


def test_decay_of_kernels_spares_biases_and_norms() -> None:
    r = recipe(
        decay="kernels",
        weight_decay=Parts(F=1, C=2, D=3),
        classifier={"hidden": [4], "batch_norm": True},
    )
    net, method, rates = grouped(r)
    for module, decay in ((net.F, 1), (net.C, 2), (method, 3)):
        for q in module.parameters():
            assert rates[id(q)][2] == (decay if q.ndim >= 2 else 0)
    assert sum(q.ndim < 2 for q in net.C.parameters()) == 4, "two biases, a scale and a shift"


def test_each_part_has_its_momentum() -> None:
    r = recipe(momentum=0.8, nesterov=True, momentum_mult=Parts(F=0, C=1, D=0.5))
    net = nets.build(r, classes=3)
    method = get("dann")(net)
    of = {
        id(q): g["momentum"]
        for g in nets.optimizer(net, method, r).param_groups
        for q in g["params"]
    }
    for module, wanted in ((net.F, 0.0), (net.C, 0.8), (method, 0.4)):
        assert {of[id(q)] for q in module.parameters()} == {wanted}
    with pytest.raises(ValidationError, match="a factor of momentum_mult is at most 1"):
        recipe(momentum_mult=Parts(F=2, C=1, D=1))


def test_frozen_parameters_are_not_optimized() -> None:
    net = nets.build(recipe(), classes=3)
    method = get("source_only")(net)
    net.F[0].requires_grad_(False)
    listed = {id(q) for g in nets.parameter_groups(net, method, recipe()) for q in g["params"]}
    assert not listed & {id(q) for q in net.F[0].parameters()} and listed


def test_the_optimizer_is_the_recipes() -> None:
    net = nets.build(recipe(), classes=3)
    method = get("dann")(net)
    sgd = nets.optimizer(net, method, recipe(momentum=0.8, nesterov=True))
    assert (
        isinstance(sgd, torch.optim.SGD)
        and sgd.defaults["momentum"] == 0.8
        and sgd.defaults["nesterov"]
    )
    adam = nets.optimizer(net, method, recipe(optimizer="adam", lr_mult=Parts(F=1, C=2, D=3)))
    assert isinstance(adam, torch.optim.Adam) and [g["lr"] for g in adam.param_groups] == [
        0.5,
        1.0,
        1.5,
    ]
    assert all(g["betas"] == (0.9, 0.999) for g in adam.param_groups)
    slow = nets.optimizer(net, method, recipe(optimizer="adam", beta1=0.5))
    assert all(g["betas"] == (0.5, 0.999) for g in slow.param_groups)
