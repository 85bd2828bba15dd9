"""Whole trainings against the authors' own code: parameters, statistics, momenta, rates, predictions.

Through the real path from preset or suite to recipe, network, optimizer, loop, method and predict.
See README.md here.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from bench import nets
from bench.engine.clock import Clock
from bench.engine.training import Training
from bench.nets import backbones
from bench.nets.backbones import Backbone
from bench.suite import suites
from bench.suite.presets import find_preset
from bench.suite.recipe import Recipe
from bench.suite.schema import merged
from methods import Batch, Method, Network, get

RELATIVE, FLOOR = 1e-9, 1e-15
KINDS = ("weight", "bias", "running_mean", "running_var")

SMALL: dict[str, Any] = {
    "backbone": "golden", "weights": "none", "size": 8, "crop": None,
    "train_crop": "none", "test_crop": "none", "flip": False,
    "discriminator": {"hidden": (8, 8), "dropout": 0.0},
}  # fmt: skip
"""What was made small in the authors' code before it was run."""


@dataclass(frozen=True)
class Port:
    """Our row, or preset and method, for a file."""

    row: str = ""  # SUITE:ROW
    preset: str = ""  # in place of a row
    method: str = ""  # likewise
    hyper: Callable[[int], dict[str, Any]] = lambda T: {}  # T -> the method's hyper-parameters
    recipe: dict[str, Any] = field(default_factory=dict)  # what the case has otherwise
    differs: str = ""  # why it does not agree, as the preset's differences say it
    plus: float = 0.0  # what the original's loss has more than ours, without a gradient
    calls: tuple[int, ...] = ()
    """Where a step has several backward calls, those whose values our loss is the sum of."""


def ahead(**more: Any) -> Callable[[int], dict[str, Any]]:
    """The ramp of the code bases whose D counts to 10,000 by itself, and is a step ahead."""
    return lambda T: {"gamma": T / 1000, "lead": 1 / T, **more}


def tllib(**more: Any) -> Callable[[int], dict[str, Any]]:
    return lambda T: {"gamma": T / 1000, **more}


def meta(T: int) -> dict[str, Any]:
    return ahead(bridges=True, gamma_inner=T / 1000)(T)


def atdoc(**more: Any) -> Callable[[int], dict[str, Any]]:
    return lambda T: {"lead": 1 / T, **more}


FROM_1 = {
    "iterations": 8000, "lr": 0.01 * (1 + 10 / 8000) ** -0.75, "schedule_gamma": 10 / (1 + 10 / 8000),
}  # fmt: skip
"""0.01 (1 + 10 p)^-0.75 for p that is one of 8000 iterations ahead, which our knobs have no word for."""
ERM = {
    "bottleneck": {"width": 0, "batch_norm": False, "relu": False}, "lr": 0.001, "iterations": 2500,
    "schedule_gamma": 3e-4 * 2500, "weight_decay": {"F": 5e-4, "C": 5e-4, "D": 5e-4},
}  # fmt: skip
MMD = {
    "lr": 0.003, "iterations": 10_000, "schedule_gamma": 3e-4 * 10_000,
    "weight_decay": {"F": 5e-4, "C": 5e-4, "D": 5e-4},
}  # fmt: skip
EPOCHS = {
    "iterations": 1600, "schedule": "step", "schedule_at": (9 / 1600,),
    "schedule_gamma": 1.05**-0.75,
}  # fmt: skip
"""SymNets' rate falls once an epoch, here of 8 batches, and with the second batch of the epoch."""
DECAY = {"weight_decay": {"F": 5e-4, "C": 5e-4, "D": 5e-4}}  # half of the preset's
CONSTANT = {  # of the examples with a rate for all and no momentum of the backbone
    "lr": 0.001, "schedule": "constant", "lr_mult": {"F": 1, "C": 1, "D": 1},
    "momentum_mult": {"F": 0, "C": 1, "D": 1}, "nesterov": False, "iterations": 10000,
}  # fmt: skip
PORTS = {
    "uda_source_only": Port("officehome:source_only"),
    "uda_dann": Port("officehome:dann"),
    "uda_dannp": Port("officehome:dannp"),
    "uda_toalign": Port("officehome:hda-toalign"),
    "uda_toalign_nohda": Port("officehome:toalign"),
    "hda_hda": Port("officehome:hda-own"),
    "gvb_gvb": Port(preset="gvb", method="gvb", hyper=ahead()),
    "cdan_cdan": Port(preset="cdan", method="cdan", hyper=ahead()),
    "cdan_cdan_e": Port(preset="cdan", method="cdan", hyper=ahead(entropy="domain")),
    "cdan_dann": Port(preset="cdan", method="dann", hyper=ahead()),
    "metaalign_metaalign": Port(
        preset="metaalign", method="metaalign", hyper=meta,
        differs="The MetaAlign code never clears its inner weights",
    ),
    "metaalign_metaalign_clean": Port(preset="metaalign", method="metaalign", hyper=meta),
    "metaalign_metaalign_split_clean": Port(
        preset="metaalign", method="metaalign", hyper=meta, recipe={"forward": "separate"}
    ),
    "tllib_dann": Port(preset="tllib", method="dann", hyper=tllib()),
    "tllib_cdan": Port(preset="tllib", method="cdan", hyper=tllib()),
    "tllib_cdan_e": Port(preset="tllib", method="cdan", hyper=tllib(entropy="batch")),
    "tllib_erm": Port(preset="tllib", method="source_only", recipe=ERM),
    # discrepancies and regularizers: MCC, BNM, BSP, DAN, JAN
    "tllib_mcc": Port(preset="tllib", method="mcc", recipe={"lr": 0.005}),
    "bnm_bnm": Port(preset="bnm", method="bnm"),
    "bnm_fbnm": Port(preset="bnm", method="bnm", hyper=lambda T: {"norm": "columns"}),
    "tllib_bsp": Port(preset="tllib", method="bsp", hyper=tllib(bsp=2e-4), recipe={"lr": 0.003}),
    "tllib_dan": Port(
        preset="tllib", method="dan", plus=0.4,
        recipe=MMD | {"bottleneck": {"batch_norm": False}, "forward": "separate"},
    ),
    "tllib_jan": Port(
        preset="tllib", method="jan", plus=0.4, recipe=MMD,
        hyper=lambda T: {"estimate": "unbiased"},
    ),
    "tllib_jan_linear": Port(
        preset="tllib", method="jan", plus=0.4, recipe=MMD, hyper=lambda T: {"estimate": "linear"}
    ),
    "tllib_jan_adv": Port(
        preset="tllib", method="jan", plus=0.4, recipe=MMD | {"lr_mult": {"F": 0.1, "C": 1, "D": 0.1}},
        hyper=lambda T: {"estimate": "unbiased", "adversarial": True},
    ),
    # several classifiers or outputs of D, nuclear norms, smooth losses
    "alda_alda": Port(
        preset="alda", method="alda", hyper=ahead(threshold=0.3), calls=(0, 1),
        recipe={"iterations": 100004, "schedule_gamma": 100.004},
    ),
    "symnets_symnet": Port(
        preset="symnets", method="symnets", hyper=lambda T: {"epochs": 200}, recipe=EPOCHS,
        calls=(0, 1),
    ),
    "daln_daln": Port(preset="tllib", method="daln", hyper=tllib()),
    "sdat_cdan_sdat": Port(preset="sdat", method="sdat", hyper=tllib(), calls=(1,)),
    "sdat_cdan_mcc_sdat": Port(
        preset="sdat", method="sdat", hyper=tllib(confusion=1.0), recipe={"lr": 0.002},
        calls=(1,),
    ),
    # two heads, norms
    "mdd_mdd": Port(
        preset="mdd", method="mdd",
        hyper=lambda T: {"margin": 2.0, "gamma": T / 1000, "lead": 1 / T},
    ),
    "tllib_mdd": Port(
        preset="tllib", method="mdd", hyper=tllib(eps=1e-6),
        recipe=DECAY | {
            "classifier": {"hidden": (4,)}, "lr": 0.004, "schedule_gamma": 2e-4 * 30000,
        },
    ),
    "tllib_mcd": Port(
        preset="tllib", method="mcd", hyper=lambda T: {"weight": 30.0, "balance": 0.01},
        recipe=DECAY | CONSTANT | {
            "bottleneck": {"width": 0, "batch_norm": False, "relu": False},
            "classifier": {"hidden": (4, 4), "batch_norm": True},
        },
    ),
    "tllib_afn": Port(
        preset="tllib", method="afn", hyper=lambda T: {"eps": 1e-5},
        recipe=DECAY | CONSTANT | {"forward": "separate"},
    ),
    # of a memory
    "atdoc_na": Port(preset="atdoc", method="atdoc", hyper=atdoc(), recipe=FROM_1),
    "atdoc_nc": Port(
        preset="atdoc", method="atdoc", hyper=atdoc(by="centroids", weight=0.1), recipe=FROM_1
    ),
    "atdoc_srconly": Port(
        preset="atdoc", method="source_only", hyper=lambda T: {"smooth": 0.1}, recipe=FROM_1
    ),
}  # fmt: skip


def is_trajectory(file: Path) -> bool:
    with np.load(file) as z:
        return "kept" in z.files


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per trajectory in the folder; those of methods that we do not have are skipped."""
    if "trajectory" not in metafunc.fixturenames:
        return
    folder: Path = metafunc.config.getoption("golden")
    files = [f for f in sorted(folder.rglob("*.npz")) if is_trajectory(f)]
    metafunc.parametrize("trajectory", [pytest.param(f, id=f.stem, marks=_marks(f)) for f in files])


def _marks(file: Path) -> list[pytest.MarkDecorator]:
    name = file.stem.rsplit(".", 1)[0]
    if name not in PORTS:
        return [pytest.mark.skip(reason=f"no method here for {name} yet")]
    differs = PORTS[name].differs
    return [pytest.mark.xfail(strict=True, raises=Differs, reason=differs)] if differs else []


class Differs(AssertionError):
    """Ours is not theirs."""


class Backbone8(nn.Module):
    """The small backbone that stood in for ResNet-50: (B, 3, 8, 8) -> (B, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.c2, self.n2 = nn.Conv2d(4, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.c3, self.n3 = nn.Conv2d(5, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        x = max_pool2d(self.n1(self.c1(x)).relu(), 2)
        x = self.n2(self.c2(x)).relu()
        return self.n3(self.c3(x)).relu().mean((2, 3))


def our_recipe(port: Port) -> tuple[Recipe, str, dict[str, Any]]:
    """The recipe, made small, the method, and the hyper-parameters that a row states."""
    small = merged(SMALL, port.recipe)
    if port.row:
        suite_name, _, row_id = port.row.partition(":")
        suite = suites.find(suite_name)
        row = suite.by_id[row_id]
        return suite.recipe_for(row, suite.tasks[0], override=small), row.method, dict(row.hyper)
    stated = find_preset(port.preset).recipe
    if "bottleneck" in stated:
        small = merged({"bottleneck": {"width": 4, "dropout": 0.0}}, small)
    if "classifier" in stated and stated["classifier"].get("hidden"):
        small = merged({"classifier": {"hidden": (4,), "dropout": 0.0}}, small)
    recipe = Recipe.model_validate(merged(stated, small))
    return recipe, port.method, port.hyper(recipe.iterations)


def names(net: Network, method: Method) -> dict[str, tuple[nn.Module, slice]]:
    """The file's names of layers -> our layer, and which of its outputs."""
    every = slice(None)
    F, *bottleneck = net.F if isinstance(net.F, nn.Sequential) else [net.F]
    found = {f"F.{k}": (m, every) for k, m in F.named_children()}
    found |= head_names(net.C, "C", "H1")
    if hasattr(method, "A"):
        found |= head_names(method.A, "A", "")
    if hasattr(method, "C2"):
        found |= head_names(method.C2, "", "H2")
    for layer in bottleneck[0] if bottleneck else ():
        if isinstance(layer, nn.Linear):
            found["B"] = layer, every
        elif isinstance(layer, nn.BatchNorm1d):
            found["Bn.n"] = layer, every
    if hasattr(method, "D"):
        layers = [m for m in method.D.modules() if isinstance(m, nn.Linear)]
        norms = [m for m in method.D.modules() if isinstance(m, nn.BatchNorm1d)]
        found |= {f"D{i}": (m, every) for i, m in enumerate(layers, 1)}
        found |= {f"D.n{i}": (m, every) for i, m in enumerate(norms, 1)}
        if layers[-1].out_features == 2:  # D's output and its bridge
            found |= {"D3": (layers[-1], slice(0, 1)), "Dz": (layers[-1], slice(1, 2))}
    if getattr(method, "g", None) is not None:
        found["g"] = method.g, every
    found |= {f"T{i}": (m, every) for i, m in enumerate(getattr(method, "theta", ()), 1)}  # JAN's
    if hasattr(method, "C_t"):
        found["Ct"] = method.C_t, every
    return found | {f"H{j}": (h, every) for j, h in enumerate(getattr(method, "H", ()))}


def head_names(head: nn.Sequential, plain: str, normed: str) -> dict[str, tuple[nn.Module, slice]]:
    """The same for the layers of a classifier: C, or C1 and C2; with batch norms H1a, H1b, H1c."""
    linear, norms = ([m for m in head if isinstance(m, k)] for k in (nn.Linear, nn.BatchNorm1d))
    if norms:
        found = {f"{normed}{letter}": m for letter, m in zip("abc", linear, strict=True)}
        found |= {f"{normed}.n{i}": m for i, m in enumerate(norms, 1)}
    else:
        found = {f"{plain}{i if len(linear) > 1 else ''}": m for i, m in enumerate(linear, 1)}
    return {name: (m, slice(None)) for name, m in found.items()}


def memories(method: Method, raw: Mapping[str, np.ndarray]) -> dict[Tensor, Tensor]:
    """ATDOC's memory -> what the file says it was at each iteration."""
    kept = {"f": "memory.fea", "q": "memory.cls"}
    return {
        getattr(method, name): torch.from_numpy(raw[key])
        for name, key in kept.items()
        if key in raw
    }


def tensors(net: Network, method: Method) -> dict[str, tuple[Tensor, slice]]:
    """The file's names of tensors -> our tensor, and which of its rows."""
    return {
        f"{name}.{kind}": (value, rows)
        for name, (layer, rows) in names(net, method).items()
        for kind in KINDS
        if (value := getattr(layer, kind, None)) is not None
    }


def close(ours: Tensor, theirs: np.ndarray, what: str) -> None:
    assert ours.dtype == torch.float64 and tuple(ours.shape) == theirs.shape, what
    off = np.abs(ours.detach().numpy() - theirs).max()
    if not off <= RELATIVE * np.abs(theirs).max() + FLOOR:
        raise Differs(f"{what} is off by {off:.3g} of {np.abs(theirs).max():.3g}")


def part(raw: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in raw.items() if k.startswith(prefix)}


def check(file: Path, wrong: Mapping[str, Any] | None = None) -> None:
    """Train as the file did, and compare all along; `wrong`: other knobs and hyper-parameters."""
    with np.load(file) as z:
        raw = halved({k: z[k] for k in z.files})
    about = json.loads(str(raw["meta"]))
    wrong = dict(wrong or {})
    port = PORTS[file.stem.rsplit(".", 1)[0]]
    if port.calls:
        raw["loss"] = raw["loss"][:, port.calls].sum(1)
    recipe, name, hyper = our_recipe(port)
    assert recipe.iterations == about.get("T", recipe.iterations)  # SymNets counts epochs
    hyper |= wrong.pop("hyper", {})
    recipe = Recipe.model_validate(merged(recipe.model_dump(), wrong))
    net = nets.build(recipe, about["classes"]).double()
    if "in.idx" in raw:
        net.n_t = int(raw["in.idx"].max()) + 1
    method = get(name)(net, **hyper).double()
    for buffer, memory in memories(method, raw).items():
        buffer.copy_(memory[0])
    optimizer = nets.optimizer(net, method, recipe)
    ours = tensors(net, method)
    init = part(raw, "init.")
    assert set(init) == set(ours), set(init) ^ set(ours)
    with torch.no_grad():
        for k, v in init.items():
            tensor, rows = ours[k]
            tensor[rows] = torch.from_numpy(v)
    training = Training(net, method, optimizer)
    training.step = about["start"]
    follow(training, recipe, raw, about, ours, port.plus)
    logits = training.measure(
        lambda net, method, step: method.predict(net, torch.from_numpy(raw["in.x_test"] / 32))  # type: ignore[arg-type, return-value]
    )
    if "eval_second_head" in about:  # theirs are of each head, ours the mean
        both = raw["eval.logits"], np.array(about["eval_second_head"])
        close(logits, np.mean(both, axis=0), "the mean logits of the test images")  # type: ignore[arg-type]
        return
    close(logits, raw["eval.logits"], "the logits of the test images")  # type: ignore[arg-type]
    hits = logits.argmax(1).numpy() == raw["in.y_test"]  # type: ignore[attr-defined]
    assert hits.mean() == pytest.approx(float(raw["eval.acc"]))


def halved(raw: dict[str, Any]) -> dict[str, Any]:
    """SymNets' layer Cst of both classifiers' outputs as C and Ct, which predict by their mean."""
    for k in [k for k in raw if ".Cst." in k]:
        value, axis = raw.pop(k), {"init": 0, "step": 1, "mom": 1}.get(k.split(".")[0])
        halves = (value, value) if axis is None else np.split(value, 2, axis)
        for name, half in zip(("C", "Ct"), halves, strict=True):
            raw[k.replace(".Cst.", f".{name}.")] = half
    if "init.Ct.bias" in raw:
        logits = np.stack(np.split(raw["eval.logits"], 2, 1)).mean(0)
        raw |= {"eval.logits": logits, "eval.acc": (logits.argmax(1) == raw["in.y_test"]).mean()}
    return raw


def follow(
    training: Training,
    recipe: Recipe,
    raw: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    ours: Mapping[str, tuple[Tensor, slice]],
    plus: float = 0.0,
) -> None:
    """The iterations of the file: rates and weight decays at each, the state after those it kept."""
    start, N = about["start"], about["N"]
    x = {k: torch.from_numpy(raw[f"in.x_{k}"] / 32) for k in "st"}
    y_s = torch.from_numpy(raw["in.y_s"])

    def batches(it: int) -> tuple[Batch, Batch]:
        k = it - start
        i = torch.from_numpy(raw["in.idx"][k]) if "in.idx" in raw else None
        return Batch(x["s"][k], y_s[k]), Batch(x["t"][k], None, i)  # type: ignore[arg-type]

    kept = {int(step): i for i, step in enumerate(raw["kept"])}
    windows = training.run(
        batches, recipe.lr_at, Clock(torch.device("cpu")), iterations=recipe.iterations,
        stops=frozenset(range(start + 1, start + N + 1)), autocast=nullcontext(),
    )  # fmt: skip
    for k in range(N):
        window = next(windows)
        assert window.step == start + k + 1
        if "loss" in raw and raw["loss"].ndim == 1:
            loss = torch.tensor(window.loss[-1] + plus, dtype=torch.float64)
            close(loss, raw["loss"][k], f"loss {k}")
        check_groups(training.optimizer, raw, k, ours)
        for buffer, memory in memories(training.method, raw).items():
            if k + 1 < N:
                close(buffer, memory[k + 1].numpy(), f"the memory after step {k + 1}")
        if k + 1 in kept:
            check_state(training.optimizer, raw, kept[k + 1], k + 1, ours)
    windows.close()


def check_groups(
    optimizer: torch.optim.Optimizer,
    raw: Mapping[str, np.ndarray],
    k: int,
    ours: Mapping[str, tuple[Tensor, slice]],
) -> None:
    group_of = {id(q): g for g in optimizer.param_groups for q in g["params"]}
    for kind, knob in (("lr.", "lr"), ("wd.", "weight_decay")):
        for name, theirs in part(raw, kind).items():
            group = group_of[id(ours[name][0])]
            if group[knob] != pytest.approx(theirs[k], rel=RELATIVE):
                raise Differs(f"{knob} of {name} is {group[knob]}, not {theirs[k]}")


def check_state(
    optimizer: torch.optim.Optimizer,
    raw: Mapping[str, np.ndarray],
    i: int,
    step: int,
    ours: Mapping[str, tuple[Tensor, slice]],
) -> None:
    for name, theirs in part(raw, "step.").items():
        tensor, rows = ours[name]
        close(tensor[rows], theirs[i], f"{name} after step {step}")
    for name, theirs in part(raw, "mom.").items():
        tensor, rows = ours[name]
        buffer = optimizer.state[tensor].get("momentum_buffer")
        close(buffer[rows], theirs[i], f"the momentum of {name} after step {step}")


@pytest.fixture(autouse=True)
def golden_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbones.BACKBONES, "golden", Backbone(Backbone8))


def test_a_training_agrees_with_the_authors_code(trajectory: Path) -> None:
    check(trajectory)


def test_what_differs_on_purpose_is_among_the_differences_of_its_preset() -> None:
    for port in PORTS.values():
        if port.differs:
            assert any(port.differs in text for text in find_preset(port.preset).differences)


def test_every_port_has_a_committed_training() -> None:
    assert {f.stem.rsplit(".", 1)[0] for f in HERE.glob("trajectories/*.npz")} == set(PORTS)


HERE = Path(__file__).parent
MISTAKES: dict[str, tuple[str, dict[str, Any]]] = {
    "f⁺ and the source seen once": ("uda_toalign", {"hyper": {"twice": False}}),
    "no heads' penalty": ("uda_toalign", {"hyper": {"mu": 0.0}}),
    "the reversal not ahead": ("cdan_dann", {"hyper": {"lead": 0.0}}),
    "the ramp over the whole training": ("hda_hda", {"hyper": {"gamma": 10.0}}),
    "both domains in one forward": ("gvb_gvb", {"forward": "joint"}),
    "one forward for each domain": ("metaalign_metaalign_clean", {"forward": "separate"}),
    "the alignment always first": ("metaalign_metaalign_clean", {"hyper": {"turn": "aln"}}),
    "plain momentum": ("uda_source_only", {"nesterov": False}),
    "weight decay of the kernels alone": ("uda_source_only", {"decay": "kernels"}),
    "one rate for all": ("uda_dann", {"lr_mult": {"F": 1, "C": 1, "D": 1}}),
    "a rate that falls as Ganin's": ("tllib_dann", {"schedule_gamma": 10.0}),
    "four neighbors": ("atdoc_na", {"hyper": {"k": 4}}),
    "a weight that counts from 0": ("atdoc_na", {"hyper": {"lead": 0.0}}),
    "centroids that do not move": ("atdoc_nc", {"hyper": {"momentum": 0.0}}),
    "no label smoothing": ("atdoc_srconly", {"hyper": {"smooth": 0.0}}),
    "no batch norm in D": ("tllib_cdan", {"discriminator": {"batch_norm": False}}),
    # discrepancies and regularizers
    "no class confusion": ("tllib_mcc", {"hyper": {"weight": 0.0}}),
    "the head no faster than the backbone": ("bnm_bnm", {"lr_mult": {"F": 1, "C": 1, "D": 1}}),
    "DAN's domains in one forward": ("tllib_dan", {"forward": "joint"}),
    "θ as fast as the head": ("tllib_jan_adv", {"lr_mult": {"D": 1}}),
    "no spectral penalty": ("tllib_bsp", {"hyper": {"bsp": 0.0}}),
    "another threshold": ("alda_alda", {"hyper": {"threshold": 0.35}}),
    "lambda of every step": ("symnets_symnet", {"hyper": {"epochs": 0}}),
    "the nuclear norms not reversed": ("daln_daln", {"hyper": {"lam": -1.0}}),
    "half a step ahead": ("sdat_cdan_sdat", {"hyper": {"rho": 0.01}}),
    "D without momentum": ("sdat_cdan_sdat", {"momentum_mult": {"F": 1, "C": 1, "D": 0}}),
    "another temperature": ("sdat_cdan_mcc_sdat", {"hyper": {"temperature": 2.5}}),
    # two heads, norms
    "MDD's margin of Office-31": ("mdd_mdd", {"hyper": {"margin": 4.0}}),
    "MDD's reversal not ahead": ("mdd_mdd", {"hyper": {"lead": 0.0}}),
    "a forward for each domain in MCD": ("tllib_mcd", {"forward": "separate"}),
    "the backbone has momentum, too": ("tllib_mcd", {"momentum_mult": {"F": 1}}),
    "three steps of the generator": ("tllib_mcd", {"hyper": {"k": 3}}),
    "both domains' norms together": ("tllib_afn", {"forward": "joint"}),
    "the hard norm": ("tllib_afn", {"hyper": {"norm": "hard"}}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_typical_mistake_in_a_training_is_caught(mistake: str) -> None:
    name, wrong = MISTAKES[mistake]
    with pytest.raises(AssertionError):
        check(HERE / "trajectories" / f"{name}.0.npz", wrong)


def test_a_second_forward_for_toalign_agrees_too() -> None:
    check(HERE / "trajectories/uda_toalign.0.npz", {"hyper": {"twice": True}})
