"""What every method promises by being in `methods/`. A new file there is tested by existing."""

import ast
import inspect
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CLASSES, at, descend, ended, state, tiny_batches, tiny_net
from torch import nn

from bench.engine.lab import Lab
from bench.runs import plan
from bench.suite import catalog, suites
from methods import Batch, Method, Network, get

NAMES = sorted(catalog.methods())

HONEST: dict[str, list[dict[str, Any]]] = {
    # hyper-parameters with which the gradient is that of the loss: reversals undone, nothing stopped
    "dann": [
        {"lam": -1.0, "gamma": math.inf},
        {"lam": -1.0, "gamma": math.inf, "weight": 0.3, "eps": 1e-3},
    ],
    "nogrl": [{"reading": "literal"}, {"reading": "literal", "per_domain": True, "source_label": 0}],
    "pseudo_label": [{"tau": 0.4}],
    "dannp": [{"lam": -1.0, "gamma": math.inf, "entropy": False}],
    # these hold a factor constant that depends on the weights (entropy weights, ω, p in p ⊗ f): golden files check them
    "hda": [],
    "toalign": [],
    "cdan": [],
    "gvb": [],
    "metaalign": [],
}


def make(name: str, seed: int = 0, *, dtype: torch.dtype = torch.float32, **hyper: Any) -> tuple[Network, Method]:
    torch.manual_seed(seed)
    net = tiny_net(dropout=hyper.pop("dropout", 0.0), joint=hyper.pop("joint", False)).to(dtype)
    return net, get(name)(net, **hyper).to(dtype)


def batches(name: str, dtype: torch.dtype = torch.float32) -> tuple[Batch, Batch]:
    """Target labels only for those that say so."""
    s, t = tiny_batches(dtype=dtype)
    return s, Batch(t.x, torch.arange(len(t.x)) % CLASSES) if get(name).supervised_target else t


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("joint", [False, True], ids=["separate", "joint"])
def test_losses_are_finite_scalars_that_reach_the_backbone(name: str, dtype: torch.dtype, joint: bool) -> None:
    for p in (0.0, 0.5, 1.0):
        net, method = make(name, dtype=dtype, joint=joint)
        yields = 0
        for out in method.step(net, *batches(name, dtype), at(p)):
            loss = out[0] if isinstance(out, tuple) else out
            assert loss.shape == () and loss.dtype == dtype and loss.isfinite()
            loss.backward()
            yields += 1
        assert yields >= 1
        grads = [q.grad for q in net.F.parameters()]
        assert all(g is not None and g.isfinite().all() for g in grads)
        assert any(g.abs().max() > 0 for g in grads if g is not None)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_training(name: str) -> None:
    def trained(seed: int) -> tuple[list[float], dict[str, torch.Tensor]]:
        net, method = make(name, seed, dropout=0.5)
        losses = [x for it in range(4) for x in descend(method, net, *batches(name), it / 4)]
        return losses, state(net, method)

    (losses, weights), (again, same), (others, _) = trained(3), trained(3), trained(4)
    assert losses == again and all(torch.equal(v, same[k]) for k, v in weights.items())
    assert losses != others


@pytest.mark.parametrize("name", NAMES)
def test_progress_is_the_only_clock(name: str) -> None:
    """A step twice from one state at one p gives one loss: no counter hides in the method."""
    net, method = make(name)
    before = state(net, method)
    first = [out[0] if isinstance(out, tuple) else out for out in method.step(net, *batches(name), at(0.7))]
    again = [out[0] if isinstance(out, tuple) else out for out in method.step(net, *batches(name), at(0.7))]
    assert [x.item() for x in first] == [x.item() for x in again]
    assert all(torch.equal(v, before[k]) for k, v in state(net, method).items())


@pytest.mark.parametrize("name", NAMES)
def test_what_a_method_adds_is_its_own(name: str) -> None:
    net, method = make(name)
    assert not {id(q) for q in net.parameters()} & {id(q) for q in method.parameters()}


@pytest.mark.parametrize("name", NAMES)
def test_prediction_is_a_logit_per_class(name: str) -> None:
    net, method = make(name)
    s, _ = batches(name)
    assert method.predict(net, s.x).shape == (len(s.x), CLASSES)


@pytest.mark.parametrize(("name", "hyper"), [(n, h) for n in NAMES for h in HONEST.get(n, [{}])])
def test_autograd_agrees_with_finite_differences(name: str, hyper: dict[str, Any]) -> None:
    net, method = make(name, dtype=torch.float64, **hyper)
    s, t = batches(name, torch.float64)
    params = [*net.parameters(), *method.parameters()]

    def losses(*_: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(out[0] if isinstance(out, tuple) else out for out in method.step(net, s, t, at(0.9)))

    assert torch.autograd.gradcheck(losses, params)


@pytest.mark.parametrize("name", [n for n in NAMES if not get(n).supervised_target])
def test_target_labels_change_nothing(name: str) -> None:
    """Even if they leaked into the batch: the training with them is the training without."""
    s, t = batches(name)
    leaked = Batch(t.x, torch.zeros(len(t.x), dtype=torch.int64))
    (net, method), (net2, method2) = make(name), make(name)
    assert descend(method, net, s, t, 0.9) == descend(method2, net2, s, leaked, 0.9)
    assert all(torch.equal(v, state(net2, method2)[k]) for k, v in state(net, method).items())


@pytest.mark.parametrize("name", NAMES)
def test_a_run_hands_out_target_labels_only_to_upper_bounds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cls, seen = get(name), []
    genuine = cls.step

    def watched(self: Method, net: Network, s: Batch, t: Batch, p: float) -> Any:
        seen.append((s.y is not None, t.y is not None))
        return genuine(self, net, s, t, p)

    monkeypatch.setattr(cls, "step", watched)
    demo = suites.find("demo")
    row = {"id": "x", "label": "x", "method": name}
    suite = suites.Suite.model_validate(demo.model_dump() | {"rows": [row]})
    (cell,) = plan.cells(suite, tasks=[demo.tasks[0]], seeds=[0], budget="smoke")
    assert ended(cell, Lab(tmp_path, tmp_path, torch.device("cpu"))).status == "ok"
    assert seen == [(True, cls.supervised_target)] * cell.recipe.iterations


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_short_says_its_equation_and_knows_nothing_of_bench(name: str) -> None:
    source = catalog.methods()[name].path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 90
    tree = ast.parse(source)
    imported = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    imported += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    top = {x.split(".")[0] for x in imported}
    assert top <= {"torch", "methods", "math", "collections", "typing"}, "methods import torch and their own package"
    others = {f"methods.{n}" for n in NAMES}
    assert not others & set(imported), "one method never imports another"
    first = (get(name).__doc__ or "").splitlines()[0]
    assert re.search(r"=|\bmin\b|\bmax\b", first), "the first line of the docstring is the equation"


@pytest.mark.parametrize("name", NAMES)
def test_hyper_parameters_are_keywords_with_the_defaults_that_the_catalog_lists(name: str) -> None:
    listed = dict(catalog.methods()[name].hyper)
    signature = inspect.signature(get(name).__init__).parameters
    assert list(signature)[:2] == ["self", "net"]
    kinds = {k: v.kind for k, v in signature.items() if k not in ("self", "net")}
    assert set(kinds.values()) <= {inspect.Parameter.KEYWORD_ONLY}
    assert listed == {k: signature[k].default for k in kinds}

    net, method = make(name, **listed)
    plain, default = make(name)
    assert descend(method, net, *batches(name), 0.9) == descend(default, plain, *batches(name), 0.9)


KNOBS = [(n, k) for n in NAMES for k in catalog.methods()[n].hyper]
OTHER = {"reading": "literal", "omega": "grad-cam++", "source_label": 0, "heads": 2, "random_dim": 3}
OTHER_OF = {("cdan", "entropy"): "batch", ("metaalign", "turn"): "aln"}
NEEDS: dict[tuple[str, str], dict[str, Any]] = {
    # what must be on for a knob to turn something
    **{("pseudo_label", k): {"tau": 0.4} for k in ("weight", "start", "stop")},
    ("toalign", "mu"): {"heads": 2},
}
SAME = {("toalign", "twice"): "two forwards give the loss and the gradient of one"}


@pytest.mark.parametrize(("name", "knob"), KNOBS)
def test_every_hyper_parameter_changes_the_training(name: str, knob: str) -> None:
    """A knob that turns nothing is a lie in the suite file."""
    default = catalog.methods()[name].hyper[knob]
    kind = type(default)
    other = OTHER_OF.get((name, knob)) or (not default if kind is bool else default / 2 + 0.01 if kind is float else OTHER[knob])
    base = NEEDS.get((name, knob), {})

    def trained(**hyper: Any) -> list[float]:
        net, method = make(name, dtype=torch.float64, **hyper)
        return [x for p in (0.4, 0.4, 0.4) for x in descend(method, net, *batches(name, torch.float64), p)]

    assert (trained(**base) == trained(**base | {knob: other})) == ((name, knob) in SAME)


def test_a_network_computes_joint_and_separate_features_alike_without_batch_norm() -> None:
    torch.manual_seed(0)
    net = tiny_net()
    s, t = tiny_batches()
    apart = net.features(s.x, t.x)
    net.joint = True
    for a, b in zip(apart, net.features(s.x, t.x), strict=True):
        torch.testing.assert_close(a, b)


def test_a_joint_forward_normalises_both_domains_together() -> None:
    s, t = tiny_batches()
    net = Network(
        nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12)), nn.Linear(12, CLASSES),
        dim=12, classes=CLASSES, discriminator=lambda n: nn.Linear(n, 1), joint=True,
    )  # fmt: skip
    both = torch.cat(net.features(s.x, t.x))
    torch.testing.assert_close(both.mean(0), torch.zeros(12), atol=1e-6, rtol=0)
    net.joint = False
    for f in net.features(s.x, t.x):
        torch.testing.assert_close(f.mean(0), torch.zeros(12), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("source_only", "target_only")])
def test_every_method_that_sees_both_domains_forwards_them_as_the_network_says(name: str) -> None:
    """Batch norm tells one forward of both from two: a method that went past `net.joint` would train alike."""

    def trained(joint: bool) -> list[float]:
        net, method = make(name, dtype=torch.float64, joint=joint)
        net.F = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 6), nn.Tanh()).double()
        torch.manual_seed(1)
        nn.init.normal_(net.F[2].weight)
        return [x for p in (0.4, 0.4) for x in descend(method, net, *batches(name, torch.float64), p)]

    assert trained(True) != trained(False)
