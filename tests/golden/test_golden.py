"""The methods against numbers of the authors' own code: loss and every gradient, in float64.

See README.md here.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
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
    plus: Callable[[dict[str, float]], float] = lambda hp: 0.0
    """What the original's loss has more than ours: a number, without a gradient."""
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


def confused(hp: dict[str, float]) -> dict[str, Any]:
    return {"weight": hp["trade_off"], "temperature": hp["temperature"]}


def weighed(**more: Any) -> Hyper:
    return lambda hp: {"weight": hp["trade_off"], **more}


def positive(hp: dict[str, float]) -> float:
    """What TLlib adds to its MMD, to keep it from being negative."""
    return 2 / (hp["B"] - 1)


def alda(hp: dict[str, float]) -> dict[str, Any]:
    return released(threshold=hp["threshold"])(hp)


def symnets(hp: dict[str, float]) -> dict[str, Any]:
    """Their λ is that of an epoch, which is not the iteration's share of T."""
    gamma = 10 * hp["epoch"] / hp["epochs"] * hp["T"] / hp["it"]
    return {"gamma": gamma, "entropy": bool(hp["em"])}


def mdd(**more: Any) -> Hyper:
    """thuml/MDD: its reversal counts to 1,000 by itself, and is a step ahead."""
    return lambda hp: {
        "margin": hp["srcweight"], "gamma": hp["T"] / 1000, "lead": 1 / hp["T"], **more,
    }  # fmt: skip


def mcd(hp: dict[str, float]) -> dict[str, Any]:
    return {"weight": hp["trade_off"], "k": int(hp["num_k"]), "balance": hp["trade_off_entropy"]}


def tllib_afn(hp: dict[str, float]) -> dict[str, Any]:
    names = {"trade_off_norm": "weight", "delta": "step_length", "trade_off_entropy": "entropy"}
    return {ours: hp[theirs] for theirs, ours in names.items()} | {"eps": hp["eps_ent"]}


def own_afn(**more: Any) -> Hyper:
    """jihanyang/AFN."""
    return lambda hp: {
        "weight": hp["weight_L2norm"], "radius": hp["radius"], "step_length": hp["delta"], **more,
    }  # fmt: skip


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
    # discrepancies and regularizers: MCC, BNM, BSP, DAN, JAN
    "mcc": Port("mcc", confused),
    "mcc_t1": Port("mcc", confused),
    "bnm": Port("bnm", weighed()),
    "bnm_deepda": Port("bnm", weighed()),
    "fbnm": Port("bnm", weighed(norm="columns")),
    "bfm": Port("bnm", weighed(norm="frobenius")),
    "bsp_dann": Port("bsp", lambda hp: {"bsp": hp["trade_off_bsp"], "gamma": hp["T"] / 1000}),
    "dan": Port("dan", weighed(estimate="unbiased"), plus=positive),
    "dan_linear": Port("dan", weighed(estimate="linear"), plus=positive),
    "mmd_deepda": Port("dan", weighed(estimate="biased")),
    "jan": Port("jan", weighed(estimate="unbiased"), plus=positive),
    "jan_linear": Port("jan", weighed(estimate="linear"), plus=positive),
    "jan_adv": Port("jan", weighed(estimate="unbiased", adversarial=True), plus=positive),
    # several classifiers or outputs of D: ALDA, SymNets
    "alda": Port("alda", alda, loss=("total", "reg")),
    "alda_thr06": Port("alda", alda, loss=("total", "reg")),
    "alda_nokeep": Port("alda", alda, loss=("total_without_correct", "reg")),
    "symnets": Port("symnets", symnets, loss=("classifier", "G")),
    "symnets_noem": Port("symnets", symnets, loss=("classifier", "G")),
    # two heads, norms, covariances
    "mdd_thuml": Port("mdd", mdd()),
    "mdd_thuml_w4": Port("mdd", mdd()),
    "mdd_thuml_mlp": Port("mdd", mdd()),
    "mdd_tllib": Port(
        "mdd",
        lambda hp: {"margin": hp["margin"], "gamma": hp["T"] / 1000, "eps": hp["eps_log"]},
    ),
    "mcd": Port("mcd", mcd),
    "mcd_tllib": Port("mcd", mcd),
    "safn": Port("afn", tllib_afn),
    "safn_ent": Port("afn", tllib_afn),
    "safn_afnrepo": Port("afn", own_afn()),
    "safn_ent_afnrepo": Port("afn", lambda hp: own_afn(entropy=hp["weight_entropy"])(hp)),
    "hafn_afnrepo": Port("afn", own_afn(norm="hard")),
    "deepcoral": Port("coral", lambda hp: {"weight": hp["trade_off"], "of": "features"}),
    # of a strong view, of two stages, of a memory
    "fixmatch": Port("fixmatch", lambda hp: {"tau": hp["threshold"], "weight": hp["trade_off"]}),
    "adda": Port("adda", lambda hp: {"lam": hp["grl_hi"], "gamma": hp["T"] / hp["grl_max"]}),
    "shot_source": Port("shot", lambda hp: {"smooth": hp["smooth"]}),
    "shot": Port("shot", lambda hp: {"beta": hp["cls_par"] / hp["ent_par"]}),
}
TERMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"bsp_penalty": parts.spectral}
"""Files of one term of a loss -> our function of the features."""


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
    if name not in PORTS.keys() | TERMS:
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


def layers(module: nn.Module, prefix: str = "") -> dict[str, nn.Parameter]:
    """A file's names -> weights and biases of C or of a head like it."""
    if isinstance(module, nn.Linear):
        return {f"W{prefix}": module.weight, f"b{prefix}": module.bias}
    every = enumerate((m for m in module if isinstance(m, nn.Linear)), 1)
    return {f"{prefix}.{k}{i}": q for i, m in every for k, q in (("w", m.weight), ("b", m.bias))}


def leaves(given: dict[str, Tensor], D: nn.Module, C: nn.Module) -> dict[str, nn.Parameter]:
    """The file's names -> our parameters, filled with the file's values."""
    found = layers(C, "" if "W" in given else "h")
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
    hp = {k.removeprefix("hp."): float(v) for k, v in raw.items() if k[:3] == "hp." and v.ndim == 0}
    place = f"alt.{reading}." if reading else ""

    name = file.stem.split(".")[0]
    if name in TERMS:
        features = {k: given[k].clone().requires_grad_() for k in ("f_s", "f_t")}
        compare(TERMS[name](features["f_s"], features["f_t"]), features, raw)
        return
    port = PORTS[name]
    hyper = port.hyper(hp) | (port.alt[reading](hp) if reading else {}) | (wrong or {})
    D = (
        discriminator({k.removeprefix("D."): v for k, v in given.items()})
        if "D.w1" in given
        else nn.Sequential()
    )
    C = classifier(given)
    found: dict[str, Tensor] = dict(leaves(given, D, C))
    F: nn.Module = nn.Identity()
    if "Wb" in given:  # MetaAlign's linear backbone
        F = nn.Linear(given["Wb"].shape[1], len(given["Wb"])).double()
        found |= {"Wb": filled(F.weight, given["Wb"]), "bb": filled(F.bias, given["bb"])}
        x_s, x_t = given["x_s"], given["x_t"]
    else:
        found |= {k: given[k].clone().requires_grad_() for k in ("f_s", "f_t")}
        x_s, x_t = found["f_s"], found["f_t"]
    target = Batch(x_t, None, given.get("i"))
    if "f_t_strong" in given:
        found["f_t_strong"] = given["f_t_strong"].clone().requires_grad_()
        target = replace(target, strong=found["f_t_strong"])
    if "f_whole" in given:  # SHOT's: all of the target
        target = replace(target, whole=lambda: map(Batch, given["f_whole"].split(6), repeat(None)))
    net = Network(
        F, C, dim=F(x_s).shape[1], classes=C(F(x_s)).shape[1], discriminator=lambda n, k=1: D,
        n_t=len(given.get("f_whole", x_t)),
    )  # fmt: skip
    method = get(port.method)(net, **hyper).double()
    found |= own(method, given)

    with pytest.MonkeyPatch.context() as patch:
        if "Wb" not in given:  # the features are no parameters, and need a gradient all the same
            patch.setattr("methods.metaalign.differentiate", differentiate_live)
        p = Progress(int(hp["it"]), int(hp["T"]), int(hp.get("first", 0)))
        steps = method.step(net, Batch(x_s, given["y_s"]), target, p)
        outs = [out if isinstance(out, tuple) else (out, None) for out in steps]
    if "loss.A" in raw:
        return check_steps(outs, raw, found, k=int(hp["num_k"]))
    ((loss, module),) = outs
    every = {*net.parameters(), *method.parameters()}
    unstepped = set() if module is None else every - {*module.parameters()}
    compare(loss + port.plus(hp), found, raw, place, port.loss, unstepped)


def compare(
    loss: Tensor,
    found: dict[str, Tensor],
    raw: dict[str, np.ndarray],
    place: str = "",
    terms: Sequence[str] = ("total",),
    unstepped: Collection[Tensor] = (),
) -> None:
    """Assert that the loss and its gradient of every leaf are those of the file.

    terms: those of the file, `loss.*`, that our loss is the sum of. unstepped: leaves that may have
    a gradient, but that the optimizer would not step.
    """
    loss.backward()
    for q in unstepped:
        q.grad = None
    close(loss.detach(), sum(raw[f"{place}loss.{k}"] for k in terms), "loss")
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


def check_steps(
    outs: list[tuple[Tensor, Any]], raw: dict[str, Any], found: dict[str, Tensor], k: int
) -> None:
    """MCD's steps A, B and k times C, all at the same weights, and whom B and C step."""
    assert len(outs) == 2 + k
    heads = {id(q) for name, q in found.items() if not name.startswith("f_")}
    for name, (loss, only) in zip("AB" + "C" * k, outs, strict=True):
        close(loss.detach(), raw[f"loss.{name}"], f"loss {name}")
        prefix = f"grad{name}."
        wanted = {key.removeprefix(prefix): v for key, v in raw.items() if key.startswith(prefix)}
        for key, theirs in wanted.items():
            (ours,) = torch.autograd.grad(loss, found[key], retain_graph=True, allow_unused=True)
            close(torch.zeros_like(found[key]) if ours is None else ours, theirs, f"{prefix}{key}")
        if only is not None:  # the features stand for F, which has no parameters here
            assert {id(q) for q in only.parameters()} == (heads if name == "B" else set())


def classifier(given: dict[str, Tensor]) -> nn.Module:
    """The C of a file, linear or of two layers; `leaves` and `own` fill it."""
    if "W" in given:
        return nn.Linear(given["W"].shape[1], len(given["W"])).double()
    w1, w2 = given["h.w1"], given["h.w2"]
    layers = nn.Linear(w1.shape[1], len(w1)), nn.ReLU(), nn.Linear(w2.shape[1], len(w2))
    return nn.Sequential(*layers).double()


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
    for i, layer in enumerate(getattr(method, "theta", ())):  # JAN's
        found |= {f"Th{i}.w": layer.weight, f"Th{i}.b": layer.bias}
    if "Wt" in given:
        found |= {"Wt": method.C_t.weight, "bt": method.C_t.bias}
    for name, prefix in (("A", "a"), ("C2", "2")):
        found |= layers(getattr(method, name), prefix) if hasattr(method, name) else {}
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
    assert names == {*PORTS, *TERMS, "schedules"}


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
    # discrepancies and regularizers
    "the temperature of another data set": ("mcc.b6c5_early", "", {"temperature": 3.0}, None),
    "column norms for singular values": ("bnm.b6c5_early", "", {"norm": "columns"}, None),
    "no spectral penalty": ("bsp_dann.b5c3_mid", "", {"bsp": 0.0}, None),
    "pairs of a sample with itself": ("dan.b6c5_early", "", {"estimate": "biased"}, None),
    "neighbours for all pairs": ("jan.b5c3_mid", "", {"estimate": "linear"}, None),
    "σ² for σ": ("jan.b6c5_early", "", {"sigma": 0.92**2}, None),
    "one kernel": ("jan_linear.b5c3_mid", "", {"kernels": 1}, None),
    "every target image is kept": ("alda.b6c5_early", "", {"threshold": 0.0}, None),
    "no target image is kept": ("alda_thr06.b5c3_mid", "", {"threshold": 1.0}, None),
    "D not ahead of the correction": ("alda_nokeep.b6c5_early", "", {"lead": 0.0}, None),
    "entropy of the target": ("symnets_noem.b6c5_early", "", {"entropy": True}, None),
    "lambda by the iteration": ("symnets.b6c5_early", "", {"gamma": 10.0}, None),
    # two heads, norms, covariances
    "the margin off by 1e-6": ("mdd_thuml.b5c3_mid", "", {"margin": 2 * (1 + 1e-6)}, None),
    "the adversary not reversed": ("mdd_thuml.b6c5_early", "", {"lam": -0.1}, None),
    "no epsilon in MDD's logarithm": ("mdd_tllib.b6c5_early", "", {"eps": 0.0}, None),
    "no balance of the classes": ("mcd_tllib.b5c3_mid", "", {"balance": 0.0}, None),
    "the discrepancy off by 1e-6": ("mcd.b6c5_early", "", {"weight": 1 + 1e-6}, None),
    "the hard norm for the stepwise": ("safn.b6c5_early", "", {"norm": "hard"}, None),
    "the entropy's epsilon": ("safn_ent.b5c3_mid", "", {"eps": 1e-30}, None),
    "the covariance of logits": ("deepcoral.b5c3_mid", "", {"of": "logits"}, None),
    "another threshold": ("fixmatch.b6c5_early", "", {"tau": 0.5}, None),
    "FixMatch's target twice as heavy": ("fixmatch.b5c3_mid", "", {"weight": 2.0}, None),
    "a reversal that ends at 1": ("adda.b5c3_mid", "", {"lam": 1.0}, None),
    "a reversal of the other side": ("adda.b6c5_early", "", {"lam": -2.0}, None),
    "no label smoothing": ("shot_source.b6c5_early", "", {"smooth": 0.0}, None),
    "no pseudo-labels": ("shot.b6c5_early", "", {"beta": 0.0}, None),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_typical_mistake_is_caught(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, reading, wrong, replaced = MISTAKES[mistake]
    if replaced:
        check(HERE / f"{name}.npz", reading)
        monkeypatch.setattr(f"methods.dann.{replaced[0]}", replaced[1])
    with pytest.raises(AssertionError, match=r"is off by|other gradients"):
        check(HERE / f"{name}.npz", reading, wrong)
