"""The methods against numbers of the authors' own code: loss and every gradient, in float64.

See README.md here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_trajectories import is_trajectory
from torch import Tensor, nn

import methods._parts as parts
from bench.suite.recipe import Recipe
from methods import Batch, Network, Progress, get

RELATIVE, FLOOR = 1e-8, 1e-15

Hyper = Callable[[dict[str, float]], dict[str, Any]]


@dataclass(frozen=True)
class Port:
    """Our method for a golden file."""

    method: str  # its name
    hyper: Hyper = lambda hp: {}  # the file's `hp.*` -> its hyper-parameters
    alt: dict[str, Hyper] = field(default_factory=dict)  # the same for each `alt.*` reading
    loss: tuple[str, ...] = ("total",)  # the terms `loss.*` of the file that our loss is the sum of


def aligned(**more: Any) -> Hyper:
    """microsoft/UDA: the weight of the alignment, entropy flag and fixed scale if given."""
    return lambda hp: {
        "weight": hp["w_alg"],
        **({"entropy": bool(hp["ent"])} if "ent" in hp else {}),
        **({"scale": max(hp["s_fixed"], 0.0)} if "s_fixed" in hp else {}),
        **more,
    }


def released(**more: Any) -> Hyper:
    """The schedule of the code bases whose D counts to 10,000 by itself, and is a step ahead."""
    return lambda hp: {"gamma": 10 * hp["T"] / 10_000, "lead": 1 / hp["T"], **more}


def counted(**more: Any) -> Hyper:
    """The same, with CDAN's random maps where the file has them."""
    return lambda hp: released(random_dim=int(hp["random_dim"]), **more)(hp)


def tllib(**more: Any) -> Hyper:
    return lambda hp: {"gamma": hp["T"] / 1000, "random_dim": int(hp["random_dim"]), **more}


def alda(hp: dict[str, float]) -> dict[str, Any]:
    return released(threshold=hp["threshold"])(hp)


def symnets(hp: dict[str, float]) -> dict[str, Any]:
    """Their λ is that of an epoch, which is not the iteration's share of T."""
    gamma = 10 * hp["epoch"] / hp["epochs"] * hp["T"] / hp["it"]
    return {"gamma": gamma, "entropy": bool(hp["em"])}


PORTS = {
    "source_only": Port("source_only"),
    "dann_ms": Port("dann", lambda hp: {"weight": hp["w_alg"], "eps": hp["eps_bce"]}),
    "dann_ms_ent": Port(
        "dann", lambda hp: {"weight": hp["w_alg"], "eps": hp["eps_bce"], "entropy": True}
    ),
    "dann_ms_saturated": Port("dann", lambda hp: {"weight": hp["w_alg"], "eps": hp["eps_bce"]}),
    "dann_tllib": Port("dann", lambda hp: {"gamma": hp["T"] / hp["grl_max"]}),
    "dann_tllib_bn": Port("dann", lambda hp: {"gamma": hp["T"] / hp["grl_max"]}),
    "dann_cdanrepo": Port("dann", released()),
    "nogrl": Port(
        "nogrl",
        lambda hp: {"gamma": hp["gamma"]},
        alt={
            "literal": lambda hp: {"reading": "literal"},
            "perdomain": lambda hp: {"per_domain": True},
            "source0": lambda hp: {"source_label": 0},
            "source0_perdomain": lambda hp: {"source_label": 0, "per_domain": True},
        },
    ),
    "dannp": Port("dannp", aligned()),
    "dannp_ent": Port("dannp", aligned()),
    "toalign": Port("toalign", aligned()),
    "toalign_noent": Port("toalign", aligned()),
    "toalign_s1": Port("toalign", aligned()),
    "toalign_s16": Port("toalign", aligned()),
    "toalign_hda": Port("toalign", aligned(heads=3)),
    "toalign_hda_s1": Port("toalign", aligned(heads=3)),
    "toalign_hda_s16": Port("toalign", aligned(heads=3)),
    "gvb": Port("gvb", released()),
    "gvb_mu05": Port("gvb", released(mu_d=0.5)),
    "gvb_off": Port("gvb", released(mu_g=0.0, mu_d=0.0)),
    "metaalign_cls_first": Port("metaalign", released(bridges=True, turn="cls", gamma_inner=8.0)),
    "metaalign_cls_first_bk": Port(
        "metaalign", released(bridges=True, turn="cls", gamma_inner=8.0)
    ),
    "metaalign_aln_first": Port("metaalign", released(bridges=True, turn="aln", gamma_inner=8.0)),
    "metaalign_aln_first_bk": Port(
        "metaalign", released(bridges=True, turn="aln", gamma_inner=8.0)
    ),
    "hda": Port("hda", released()),
    "cdan": Port("cdan", counted()),
    "cdan_random": Port("cdan", counted()),
    "cdan_e": Port("cdan", counted(entropy="domain")),
    "cdan_e_random": Port("cdan", counted(entropy="domain")),
    "cdan_tllib": Port("cdan", tllib()),
    "cdan_tllib_random": Port("cdan", tllib()),
    "cdan_e_tllib": Port("cdan", tllib(entropy="batch")),
    # several classifiers or outputs of D: ALDA, SymNets
    "alda": Port("alda", alda, loss=("total", "reg")),
    "alda_thr06": Port("alda", alda, loss=("total", "reg")),
    "alda_nokeep": Port("alda", alda, loss=("total_without_correct", "reg")),
    "symnets": Port("symnets", symnets, loss=("classifier", "G")),
    "symnets_noem": Port("symnets", symnets, loss=("classifier", "G")),
}


def ramp_at(c: float, gamma: float, late: int = 0, top: float = 1.0) -> Callable[[int, int], float]:
    """top·ramp((it + late)/c, γ); late = 1 where the original counts before it uses the counter."""
    return lambda it, T: top * parts.ramp((it + late) / c, gamma)


def inv(
    lr: float, per_step: float | None = None, gamma: float = 10.0
) -> Callable[[int, int], float]:
    """lr (1 + γp)^-0.75 by our recipe, γ = per_step·T where the original counts iterations."""

    def at(it: int, T: int) -> float:
        g = gamma if per_step is None else per_step * T
        recipe = Recipe(
            backbone="any", size=1, iterations=T, batch=2, lr=lr, schedule="inv", schedule_gamma=g
        )
        return recipe.lr_at(it / T)

    return at


def alpha_of_nogrl(it: int, T: int) -> float:
    """α as it acts: the part of L_y's gradient for the bias of C that NoGRL leaves."""
    net = Network(
        nn.Identity(),
        nn.Linear(2, 3).double(),
        dim=2,
        classes=3,
        discriminator=lambda n: nn.Flatten(0),
    )
    net.discriminator = lambda n: nn.Sequential(nn.Linear(n, 1), nn.Flatten(0)).double()
    s, t = (
        Batch(torch.ones(1, 2, dtype=torch.float64), torch.tensor([1])),
        Batch(torch.zeros(1, 2, dtype=torch.float64), None),
    )
    (whole,) = get("nogrl")(net).step(net, s, t, it / T)
    (alone,) = get("source_only")(net).step(net, s, t, it / T)
    slopes = [torch.autograd.grad(loss, net.C.bias)[0][0].item() for loss in (whole, alone)]
    return slopes[0] / slopes[1]


SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "grl_ms_T8000": ramp_at(8000, 10),
    "grl_gvb_max10000": ramp_at(10000, 10),
    "grl_gvb_discriminator": ramp_at(10000, 10, late=1),
    "grl_tllib_dann": ramp_at(1000, 1),
    "grl_tllib_mdd": ramp_at(1000, 1, top=0.1),
    "grl_mdd_thuml_backward": ramp_at(1000, 1, late=1, top=0.1),
    "grl_deepda_gamma1_T8000": ramp_at(8000, 1),
    "grl_dann_jmlr": ramp_at(8000, 10),
    "symnets_lam_T8000": ramp_at(8000, 10),
    "lr_ms": inv(1e-3),
    "lr_ms_mult5": inv(1e-3, gamma=50),
    "lr_gvb": inv(1e-3, per_step=1e-3),
    "lr_mdd_thuml": inv(4e-3, per_step=2e-4),
    "lr_tllib_dann": inv(1e-2, per_step=1e-3),
    "lr_tllib_mdd": inv(4e-3, per_step=2e-4),
    "lr_tllib_dan_jan": inv(3e-3, per_step=3e-4),
    "lr_deepda": inv(3e-3, per_step=3e-4),
    "lr_symnets_T8000": inv(1e-2),
    "lr_dann_jmlr": inv(1e-2),
    "alpha_nogrl": alpha_of_nogrl,
}
NOT_OURS = {"wd_gvb_effective": "a weight decay, which our recipes hold constant"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per file of the folder (and per reading in it), one per column of the schedules."""
    folder: Path = metafunc.config.getoption("golden")
    if "case" in metafunc.fixturenames:
        every = [f for f in sorted(folder.rglob("*.npz")) if f.name != "schedules.table.npz"]
        assert every, f"no golden cases in {folder}"
        files = [f for f in every if not is_trajectory(f)]
        metafunc.parametrize("case", [p for f in files for p in _readings(f)])
    if "schedule" in metafunc.fixturenames:
        columns = []
        if (table := folder / "schedules.table.npz").is_file():
            with np.load(table) as z:
                columns = [k.removeprefix("out.") for k in z.files if k.startswith("out.")]
        metafunc.parametrize("schedule", columns)


def _readings(file: Path) -> Iterator[Any]:
    name = file.stem.split(".")[0]
    if name not in PORTS:
        yield pytest.param(
            (file, ""),
            id=file.stem,
            marks=pytest.mark.skip(reason=f"no method here for {name} yet"),
        )
        return
    with np.load(file) as z:
        readings = sorted({k.split(".")[1] for k in z.files if k.startswith("alt.")})
    for reading in ("", *readings):
        yield pytest.param((file, reading), id=file.stem + (f"-{reading}" if reading else ""))


def discriminator(given: dict[str, Tensor]) -> nn.Module:
    """The D of a file, n -> 8 -> 8 -> k with ReLU, and batch norm if the file has it."""
    layers: list[nn.Module] = []
    for i in (1, 2, 3):
        w = given[f"w{i}"]
        layers.append(nn.Linear(w.shape[1], w.shape[0]))
        if f"g{i}" in given:
            layers.append(nn.BatchNorm1d(len(w)))
        layers.append(nn.ReLU())
    if "wz" in given:
        return TwoEnded(nn.Sequential(*layers[:-2]), layers[-2]).double()
    return nn.Sequential(*layers[:-1], nn.Flatten(0 if len(given["w3"]) == 1 else 1)).double()


class TwoEnded(nn.Sequential):
    """A D with GVB's bridge z beside its output a, (B, 2)."""

    def __init__(self, trunk: nn.Sequential, a: nn.Module) -> None:
        super().__init__(*trunk, a)
        self.z = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in list(self)[:-2]:
            x = layer(x)
        return torch.cat([self[-2](x), self.z(x)], 1)


def leaves(given: dict[str, Tensor], D: nn.Module, C: nn.Linear) -> dict[str, nn.Parameter]:
    """The file's names -> our parameters, filled with the file's values."""
    found = {"W": C.weight, "b": C.bias}
    linear, norm = ([m for m in D if isinstance(m, kind)] for kind in (nn.Linear, nn.BatchNorm1d))
    if "D.wz" in given:
        *linear, _ = linear
        found |= {"D.wz": D.z.weight, "D.bz": D.z.bias}
    for i, m in enumerate(linear, 1):
        found |= {f"D.w{i}": m.weight, f"D.b{i}": m.bias}
    for i, m in enumerate(norm, 1):
        found |= {f"D.g{i}": m.weight, f"D.be{i}": m.bias}
    with torch.no_grad():
        for k, v in found.items():
            v.copy_(given[k])
    return found


def check(file: Path, reading: str = "", wrong: dict[str, Any] | None = None) -> None:
    """Assert that our method has the file's loss and gradients; `wrong`: other hyper-parameters."""
    with np.load(file) as z:
        raw = halved({k: z[k] for k in z.files})
    given = {
        k.removeprefix("in."): torch.from_numpy(v) for k, v in raw.items() if k.startswith("in.")
    }
    hp = {k.removeprefix("hp."): float(v) for k, v in raw.items() if k.startswith("hp.")}
    place = f"alt.{reading}." if reading else ""

    port = PORTS[file.stem.split(".")[0]]
    hyper = port.hyper(hp) | (port.alt[reading](hp) if reading else {}) | (wrong or {})
    D = (
        discriminator({k.removeprefix("D."): v for k, v in given.items()})
        if "D.w1" in given
        else nn.Sequential()
    )
    C = nn.Linear(given["W"].shape[1], len(given["W"])).double()
    found: dict[str, Tensor] = dict(leaves(given, D, C))
    F: nn.Module = nn.Identity()
    if "Wb" in given:  # MetaAlign's linear backbone
        F = nn.Linear(given["Wb"].shape[1], len(given["Wb"])).double()
        found |= {"Wb": filled(F.weight, given["Wb"]), "bb": filled(F.bias, given["bb"])}
        x_s, x_t = given["x_s"], given["x_t"]
    else:
        found |= {k: given[k].clone().requires_grad_() for k in ("f_s", "f_t")}
        x_s, x_t = found["f_s"], found["f_t"]
    net = Network(
        F, C, dim=given["W"].shape[1], classes=len(C.bias), discriminator=lambda n, k=1: D
    )
    method = get(port.method)(net, **hyper).double()
    found |= own(method, given)

    with pytest.MonkeyPatch.context() as patch:
        if "Wb" not in given:  # the features are no parameters, and need a gradient all the same
            patch.setattr("methods.metaalign.differentiate", differentiate_live)
        (loss,) = method.step(
            net, Batch(x_s, given["y_s"]), Batch(x_t, None), Progress(int(hp["it"]), int(hp["T"]))
        )
    loss.backward()
    close(loss.detach(), sum(raw[f"{place}loss.{k}"] for k in port.loss), "loss")
    wanted = {
        k.removeprefix(f"{place}grad."): v for k, v in raw.items() if k.startswith(f"{place}grad.")
    }
    assert set(wanted) == set(found), "the file has other gradients than our method has leaves"
    for k, leaf in found.items():
        close(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad, wanted[k], k)


def halved(raw: dict[str, Any]) -> dict[str, Any]:
    """A layer of two classifiers' outputs, source first, as two layers: W and b, Wt and bt."""
    if len(raw.get("in.W", ())) == 2 * int(raw.get("hp.C", -1)):
        for k in ("in.W", "in.b", "grad.W", "grad.b"):
            raw[k], raw[f"{k}t"] = np.split(raw[k], 2)
    return raw


def differentiate_live(
    loss: Tensor, x: list[Tensor], *, keep_graph: bool = False
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """`methods._parts.differentiate`, but for every leaf: the loss keeps its whole graph."""
    return loss, torch.autograd.grad(loss, x, retain_graph=True, allow_unused=True)


def filled(parameter: Tensor, value: Tensor) -> Tensor:
    with torch.no_grad():
        return parameter.copy_(value)


def own(method: nn.Module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file's names -> what the method adds beside D, filled with the file's values."""
    heads = enumerate(getattr(method, "H", ()))
    found = {k: v for i, h in heads for k, v in ((f"Wh{i}", h.weight), (f"bh{i}", h.bias))}
    if "Wg" in given:
        found |= {"Wg": method.g.weight, "bg": method.g.bias}
    if "Wt" in given:
        found |= {"Wt": method.C_t.weight, "bt": method.C_t.bias}
    maps = {"R_f": method.R_f, "R_g": method.R_p} if "R_f" in given else {}
    with torch.no_grad():
        for k, v in (found | maps).items():
            v.copy_(given[k])
    return found


def close(ours: Tensor, theirs: Any, what: str) -> None:
    theirs = np.asarray(theirs)
    assert ours.dtype == torch.float64 and tuple(ours.shape) == theirs.shape
    off = np.abs(ours.numpy() - theirs).max()
    assert off <= RELATIVE * np.abs(theirs).max() + FLOOR, (
        f"{what} is off by {off:.3g} of {np.abs(theirs).max():.3g}"
    )


def test_loss_and_every_gradient_agree_with_the_authors_code(case: tuple[Path, str]) -> None:
    check(*case)


def test_ramps_and_learning_rates_agree_with_the_authors_code(
    schedule: str, request: pytest.FixtureRequest
) -> None:
    if schedule in NOT_OURS:
        pytest.skip(NOT_OURS[schedule])
    with np.load(request.config.getoption("golden") / "schedules.table.npz") as z:
        its, T, wanted = z["in.it"].tolist(), int(z["hp.T"]), z[f"out.{schedule}"]
    ours = torch.tensor([SCHEDULES[schedule](it, T) for it in its], dtype=torch.float64)
    close(ours, wanted, schedule)


def test_every_port_has_a_committed_case() -> None:
    names = {f.stem.split(".")[0] for f in Path(__file__).parent.glob("*.npz")}
    assert names == {*PORTS, "schedules"}


def detached(logits: Tensor, lam: float) -> Tensor:
    return parts.entropy_weights(logits, lam).detach()


def unreversed(logits: Tensor, lam: float) -> Tensor:
    return parts.entropy_weights(logits, -1.0)


def live_denominator(logits: Tensor, lam: float) -> Tensor:
    e = torch.exp(-parts.reverse(parts.entropy(logits), lam))
    return e / e.sum()


HERE = Path(__file__).parent
MISTAKES: dict[str, tuple[str, str, dict[str, Any], tuple[str, Any] | None]] = {
    # what is wrong: (file, reading, wrong hyper-parameters, wrong function in methods.dann)
    "lambda off by 1e-3": (
        "dann_cdanrepo.b6c5_early",
        "",
        {"lam": 1.001},
        None,
    ),
    "gamma off by 1e-6": ("dann_tllib.b5c3_mid", "", {"gamma": 8 * (1 + 1e-6)}, None),
    "no reversal": ("dann_ms.b6c5_early", "", {"lam": -1.0}, None),
    "weight of the domain loss": ("dann_ms.b5c3_mid", "", {"weight": 0.1001}, None),
    "no epsilon": ("dann_ms.b6c5_early", "", {"eps": 0.0}, None),
    "no epsilon, saturated": ("dann_ms_saturated.b6c5_early", "", {"eps": 0.0}, None),
    "no entropy weights": ("dann_ms_ent.b5c3_mid", "", {"entropy": False}, None),
    "entropy weights detached": ("dann_ms_ent.b6c5_early", "", {}, ("entropy_weights", detached)),
    "entropy weights not reversed": (
        "dann_ms_ent.b6c5_early",
        "",
        {},
        ("entropy_weights", unreversed),
    ),
    "gradient kept in the weights' denominator": (
        "dann_ms_ent.b6c5_early",
        "",
        {},
        ("entropy_weights", live_denominator),
    ),
    "reading of NoGRL": ("nogrl.b6c5_early", "", {"reading": "literal"}, None),
    "means per domain": ("nogrl.b6c5_mid", "", {"per_domain": True}, None),
    "label of the source": ("nogrl.b5c3_mid", "", {"source_label": 0}, None),
    "alpha": ("nogrl.b5c3_mid", "", {"gamma": 10.001}, None),
    "D's counter not ahead": ("hda.b6c5_early", "", {"lead": 0.0}, None),
    "no heads": ("toalign_hda.b6c5_mid", "", {"heads": 0}, None),
    "fixed for adaptive scale": ("toalign.b6c5_early", "", {"scale": 1.0}, None),
    "weights over both domains": ("cdan_e.b6c5_early", "", {"entropy": "batch"}, None),
    "every target image is kept": ("alda.b6c5_early", "", {"threshold": 0.0}, None),
    "no target image is kept": ("alda_thr06.b5c3_mid", "", {"threshold": 1.0}, None),
    "D not ahead of the correction": ("alda_nokeep.b6c5_early", "", {"lead": 0.0}, None),
    "entropy of the target": ("symnets_noem.b6c5_early", "", {"entropy": True}, None),
    "lambda by the iteration": ("symnets.b6c5_early", "", {"gamma": 10.0}, None),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_typical_mistake_is_caught(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, reading, wrong, replaced = MISTAKES[mistake]
    if replaced:
        check(HERE / f"{name}.npz", reading)
        monkeypatch.setattr(f"methods.dann.{replaced[0]}", replaced[1])
    with pytest.raises(AssertionError, match=r"is off by|other gradients"):
        check(HERE / f"{name}.npz", reading, wrong)
