"""Models of timm and torchvision as backbones: their names, their sizes, their weights' namings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import timm
import torch
from helpers import write_pictures, write_suite
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models as tv
from torchvision.models.convnext import CNBlockConfig

from bench import nets
from bench.data.views import Views
from bench.engine.lab import Lab
from bench.engine.training import set_precision
from bench.errors import BenchError, UsageError
from bench.execute.here import Here
from bench.nets import zoo
from bench.runs import files, plan, records
from bench.suite import suites
from bench.suite.recipe import Recipe
from methods import Batch, Progress, get

State = dict[str, Tensor]


def recipe(backbone: str, **changes: Any) -> Recipe:
    return Recipe.model_validate(
        {"backbone": backbone, "size": 32, "iterations": 2, "batch": 2, "lr": 0.01} | changes
    )


# what is built


FEATURES = {
    "timm/convnext_atto": 320,
    "timm/vit_tiny_patch16_224": 192,
    "torchvision/squeezenet1_1": 512,
    "torchvision/resnet18": 512,
}


@pytest.mark.parametrize("name", FEATURES)
def test_methods_train_every_part_of_it(name: str) -> None:
    asked = recipe(
        name,
        bottleneck={"width": 5},
        channels_last=True,
        precision="bf16" if "squeezenet" in name else "fp32",  # slow on most CPUs
        lr_mult={"F": 0.5, "C": 1, "D": 2},
    )
    g = torch.Generator().manual_seed(0)
    s, t = (Batch(torch.rand(4, 3, 32, 32, generator=g), torch.tensor([0, 1, 2, 0])) for _ in "st")
    torch.manual_seed(0)
    net = nets.build(asked, 3)
    assert net.F(s.x).shape == (4, 5) and net.F[1][0].in_features == FEATURES[name]
    for method in (get("metaalign")(net), get("toalign")(net)):
        optimizer = nets.optimizer(net, method, asked)
        halved = [
            q
            for group in optimizer.param_groups
            if group["lr_mult"] == 0.5
            for q in group["params"]
        ]
        assert halved == list(net.F[0].parameters())
        optimizer.zero_grad()
        with set_precision(asked, torch.device("cpu")):
            (loss,) = method.step(net, s, t, Progress(1, 2))
        loss.backward()
        assert all(q.grad is not None and q.grad.isfinite().all() for q in halved)
        optimizer.step()


@pytest.mark.parametrize("name", ["torchvision/alexnet", "torchvision/mnasnet0_5"])
def test_torchvisions_classifier_ends_before_its_last_layer_and_that_ones_dropout(
    name: str,
) -> None:
    with torch.device("meta"):
        whole, net = tv.get_model(name.partition("/")[2]), nets.find_backbone(recipe(name)).build()
    names = [k for k, m in whole.named_modules() if isinstance(m, nn.Linear)]
    last = whole.get_submodule(names[-1])
    assert set(whole.state_dict()) - set(net.state_dict()) == {
        f"{names[-1]}.{k}" for k in ("weight", "bias")
    }
    assert net(torch.zeros(1, 3, 64, 64, device="meta")).shape == (1, last.in_features)


WRONG = {
    "timm/convnext_ato": "did you mean 'timm/convnext_atto'? `bench ls backbones convnext`",
    "torchvision/resnet19": "did you mean 'torchvision/resnet18'? `bench ls backbones resnet`",
    "torchvison/resnet18": "unknown collection of backbones 'torchvison'; did you mean 'torchvision'",
    "timm/resnet18.a1_in1": "unknown weights of timm/resnet18 'a1_in1'; did you mean 'a1_in1k'",
    "timm/ResNet18": "did you mean 'timm/resnet18'",
    "resnet18": "and timm/NAME, torchvision/NAME for any model of theirs",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_name_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(UsageError) as e:
        nets.find_backbone(recipe(name))
    assert WRONG[name] in str(e.value) and len(str(e.value)) < 300


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "timm/vit_tiny_patch16_224",
            r"no images of 40 pixels \(it cuts .* patches of 16 pixels\)",
        ),
        ("torchvision/squeezenet1_1", r"no images of 8 pixels \(.*\): change size"),
    ],
)
def test_images_of_a_size_that_it_does_not_take_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nets.build(recipe(name, size=40 if "vit" in name else 8), 3)


# normalization


def test_pixels_are_normalized_as_the_model_says_unless_the_recipe_does(tmp_path: Path) -> None:
    vit = recipe("timm/vit_tiny_patch16_224")
    own = nets.find_backbone(vit).mean_std
    assert vit.normalize == "model" and own == ((0.5,) * 3, (0.5,) * 3)
    assert recipe("torchvision/resnet18", normalize="half").normalize == "half"
    x, cpu = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8), torch.device("cpu")
    (seen,) = Views(vit, cpu, seed=0, own=own).test(x)
    (half,) = Views(recipe("resnet50", normalize="half"), cpu, seed=0).test(x)
    assert torch.equal(seen, half)
    with pytest.raises(UsageError, match='"model" goes with timm/NAME and torchvision/NAME'):
        nets.find_backbone(recipe("resnet50", normalize="model"))


def test_a_suite_of_another_backbone_leaves_normalization_to_the_one_that_is_set(
    tmp_path: Path,
) -> None:
    suite = suites.load(write_suite(tmp_path))
    cells = [
        plan.cells(suite, override={"backbone": "timm/resnet18"} | more)[0]
        for more in ({}, {"normalize": "model"}, {"normalize": "unit"})
    ]
    assert [c.recipe.normalize for c in cells] == ["model", "model", "unit"]
    assert cells[0].key == cells[1].key != cells[2].key


def test_a_record_says_with_what_numbers_pixels_were_normalized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_pictures(tmp_path / "data", "A", "B", each=5)
    lab = Lab(tmp_path / "data", tmp_path / "results", torch.device("cpu"))
    suite = suites.load(
        write_suite(tmp_path, backbone="torchvision/squeezenet1_1", size=32, iterations=1)
    )
    list(Here(lab).run(plan.cells(suite)))
    (record,) = records.read_all(tmp_path / "results")
    assert record.status == "ok" and not record.problem
    said = files.read(record.path).run.normalization
    assert said.mean == (0.485, 0.456, 0.406) and said.std == (0.229, 0.224, 0.225)


# weights


def shaken(net: nn.Module) -> nn.Module:
    """The network with numbers that no initialization gives, so that none can go astray unseen."""
    g = torch.Generator().manual_seed(0)
    for k, v in net.state_dict().items():
        if v.is_floating_point():
            v.copy_(
                1 + torch.rand(v.shape, generator=g)
                if "var" in k
                else torch.randn(v.shape, generator=g) / 20
            )
    return net.eval()


def of_timm(name: str) -> nn.Module:
    return shaken(timm.create_model(name, num_classes=7))


def renamed(state: State, *pairs: tuple[str, str]) -> State:
    out = {}
    for k, v in state.items():
        for old, new in pairs:
            k = k.replace(old, new)
        out[k] = v
    return out


def original_convnext(state: State) -> State:
    """timm's names as facebookresearch/ConvNeXt has them."""
    out = renamed(
        state, ("head.norm.", "norm."), ("head.fc.", "head."), ("stem.", "downsample_layers.0."),
        (".blocks.", "."), ("conv_dw", "dwconv"), ("mlp.fc", "pwconv"),
    )  # fmt: skip
    for i in (1, 2, 3):
        out = renamed(out, (f"stages.{i}.downsample.", f"downsample_layers.{i}."))
    return {k: v.flatten(1) if "pwconv" in k and v.ndim == 4 else v for k, v in out.items()}


def lite_original(state: State) -> State:
    """timm's names as RangiLyu/EfficientNet-Lite has them."""
    out = {}
    for k, v in state.items():
        for i, part in enumerate(("conv_stem", "bn1")):
            k = k.replace(part, f"stem.{i}", 1) if k.startswith(part) else k
        for i, part in enumerate(("conv_head", "bn2")):
            k = k.replace(part, f"head.{i}", 1) if k.startswith(part) else k
        if k.startswith("blocks.0."):
            k = k.replace("conv_pw", "_project_conv").replace("bn2", "_bn2").replace("bn1", "_bn1")
        k = k.replace("conv_dw", "_depthwise_conv").replace("conv_pwl", "_project_conv")
        k = k.replace("conv_pw", "_expand_conv").replace("classifier", "fc")
        for ours, theirs in (("bn1", "_bn0"), ("bn2", "_bn1"), ("bn3", "_bn2")):
            k = k.replace(f".{ours}.", f".{theirs}.") if k.startswith("blocks.") else k
        out[k] = v
    return out


def small_vit() -> nn.Module:
    return shaken(tv.VisionTransformer(32, 16, 12, 3, 192, 768, num_classes=7))


def small_convnext() -> nn.Module:
    widths, depths = (40, 80, 160, 320, None), (2, 2, 6, 2)
    blocks = [
        CNBlockConfig(w, widths[i + 1], n)
        for i, (w, n) in enumerate(zip(widths, depths, strict=False))
    ]  # type: ignore[arg-type]
    return shaken(tv.ConvNeXt(blocks, num_classes=7))


GIVEN: dict[str, tuple[str, Callable[[], nn.Module], Callable[[State], Any]]] = {
    "of DataParallel, in the file of a training": (
        "torchvision/resnet18",
        lambda: of_timm("resnet18"),
        lambda x: {"state_dict": {f"module.{k}": v for k, v in x.items()}, "epoch": 3},
    ),
    "of torchvision's ResNet": ("timm/resnet18", lambda: shaken(tv.resnet18()), dict),
    "of DeiT": (
        "timm/deit_tiny_patch16_224",
        lambda: shaken(timm.create_model("deit_tiny_patch16_224", num_classes=7, img_size=32)),
        lambda x: {"model": x},
    ),
    "of torchvision's ViT": ("timm/vit_tiny_patch16_224", small_vit, dict),
    "of the original ConvNeXt": (
        "timm/convnext_atto", lambda: of_timm("convnext_atto"), lambda x: {"model": original_convnext(x)},
    ),
    "of torchvision's ConvNeXt": ("timm/convnext_atto", small_convnext, dict),
    "of torchvision's MobileNetV2": ("timm/mobilenetv2_100", lambda: shaken(tv.mobilenet_v2()), dict),
    "of timm's MobileNetV2": ("mobilenet_v2", lambda: of_timm("mobilenetv2_100"), dict),
    "of the original EfficientNet-Lite": (
        "efficientnet_lite0", lambda: of_timm("tf_efficientnet_lite0"), lite_original,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", GIVEN)
def test_weights_are_read_by_the_names(what: str, tmp_path: Path) -> None:
    name, make, respell = GIVEN[what]
    theirs = make()
    torch.save(respell(theirs.state_dict()), tmp_path / "w.pth")
    asked = recipe(name, weights="imagenet")
    state, _ = nets.load_weights(asked, tmp_path / "w.pth")
    F = nets.build(asked, 3, state).F.eval()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    seen: list[Tensor] = []  # what its last layer is given
    last = [m for m in theirs.modules() if isinstance(m, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        theirs(x)
        torch.testing.assert_close(F(x), seen[0].flatten(1), rtol=1e-4, atol=1e-5)
    assert seen[0].std() > 0


@pytest.mark.parametrize("name", ["timm/vit_tiny_patch16_224", "torchvision/vit_b_16"])
def test_a_transformers_positions_are_resampled_for_other_images(name: str) -> None:
    with torch.device("meta"):
        whole = nets.find_backbone(recipe(name, size=224)).build()
        state = {k: torch.empty(v.shape, device="meta") for k, v in whole.state_dict().items()}
        positions = next(k for k in state if "pos_embed" in k)
        state[positions] = torch.ones(state[positions].shape, device="cpu")
        net = nets.build(recipe(name, size=48, weights="imagenet"), 3, state)
    assert net.F.get_parameter(positions).shape[1] == 10, "9 patches and the class"


MISFITS: dict[str, tuple[str, Callable[[], State], str]] = {
    "another kind": (
        "timm/convnext_atto", lambda: tv.resnet18().state_dict(),
        r"timm/convnext_atto's: stem\.0\.weight and \d+ more tensors are missing; the names are those "
        r"of ResNet in torchvision and timm; give the file",
    ),
    "a longer one": (
        "torchvision/resnet18", lambda: tv.resnet34().state_dict(),
        r"resnet18's: layer1\.2\.conv1\.weight and \d+ more of its tensors have no place there; give",
    ),
    "another package's": (
        "timm/resnet18", lambda: {"resnet.embedder.embedder.convolution.weight": torch.zeros(1)},
        "the names are those of Hugging Face Transformers",
    ),
    "batch norms of another ε": (
        "timm/efficientnet_lite0", lambda: lite_original(of_timm("tf_efficientnet_lite0").state_dict()),
        "conv_stem.* missing; the names are those of EfficientNet-Lite for PyTorch",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", MISFITS)
def test_weights_of_another_architecture_are_refused_with_whose_they_look_like(what: str) -> None:
    name, make, message = MISFITS[what]
    state = make()
    with pytest.raises(BenchError, match=message), torch.device("meta"):
        nets.build(recipe(name, weights="imagenet"), 3, state)


def test_weights_have_names_in_each_collection() -> None:
    def published(name: str, weights: str = "imagenet") -> str | None:
        return nets.find_backbone(recipe(name, weights=weights)).published

    assert published("torchvision/resnet18") == "ResNet18_Weights.IMAGENET1K_V1"
    assert published("torchvision/resnet50", "IMAGENET1K_V2") == "ResNet50_Weights.IMAGENET1K_V2"
    assert published("timm/resnet18.tv_in1k") == "timm/resnet18.tv_in1k"
    assert published("timm/convnext_atto") == "timm/convnext_atto.d2_in1k"
    with pytest.raises(
        UsageError, match=r"unknown weights of torchvision/vit_h_14 'imagenet'; .*SWAG"
    ):
        published("torchvision/vit_h_14")
    with pytest.raises(UsageError, match=r'write backbone = "timm/resnet18\.tv_in1k"'):
        published("timm/resnet18", "tv_in1k")
    with pytest.raises(UsageError, match="nobody published weights of timm/botnet50ts_256"):
        nets.load_weights(recipe("timm/botnet50ts_256", weights="imagenet"), None)


def test_timms_weights_are_taken_from_the_hubs_cache_or_asked_for_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    state = timm.create_model("resnet18").state_dict()
    save_file(state, tmp_path / "model.safetensors")
    asked, cached = recipe("timm/resnet18", weights="imagenet"), str(tmp_path / "model.safetensors")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: cached)
    found, facts = nets.load_weights(asked, None)
    assert found is not None and torch.equal(found["conv1.weight"], state["conv1.weight"])
    assert facts["asked"] == facts["file"] == "timm/resnet18.a1_in1k"
    # another upload under the same name shows in the record
    state["conv1.weight"][0, 0, 0, 0] += 1
    save_file(state, tmp_path / "model.safetensors")
    _, other = nets.load_weights(asked, None)
    assert len(facts["tensors"]) == 64 and facts["tensors"] != other["tensors"]

    def no_network(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(zoo, "urlopen", no_network)  # the hub's own client would retry for a minute
    with pytest.raises(
        BenchError, match=r"timm/resnet18\.a1_in1k could not be downloaded .*no network.*--weights"
    ):
        nets.load_weights(asked, None)
