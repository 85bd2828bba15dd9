"""What every method promises by being in `methods/`: one function a promise, in `CHECKS`.

No table here knows a method by its name: which values of a hyper-parameter to try is derived from
its declaration, and which other hyper-parameter must be on for it to matter is found by trying.
"""

import ast
import inspect
import math
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import chain, combinations, product
from typing import Any

import torch
from helpers import CLASSES, course, descend, on_meta, stages, state, tiny_batches, tiny_net
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.engine.artefacts import read_weights, write_weights
from bench.engine.maps import MapReader
from bench.suite import catalog
from bench.suite.catalog import Entry
from contract.constants import Constants, check_gradient
from methods import Batch, Method, Network, Progress, get

Check = Callable[[str], None]
CHECKS: list[Check] = []
FLOATS = (torch.float32, torch.float64)
LONGEST = 120  # lines of a method's file, of 100 columns and one line a hyper-parameter


def promise(check: Check) -> Check:
    """Add a check to the list."""
    CHECKS.append(check)
    return check


# what the checks share


def make(
    name: str, seed: int = 0, *, dtype: torch.dtype = torch.float64, **hyper: Any
) -> tuple[Network, Method]:
    torch.manual_seed(seed)
    net = tiny_net(dropout=hyper.pop("dropout", 0.0), joint=hyper.pop("joint", False)).to(dtype)
    net = normed(net) if hyper.pop("with_norm", False) else net
    return net, get(name)(net, **hyper).to(dtype)


def batches(name: str, dtype: torch.dtype = torch.float64) -> tuple[Batch, Batch]:
    """Target labels only for those that say so."""
    s, t = tiny_batches(dtype=dtype)
    return s, replace(t, y=t.i % CLASSES) if get(name).supervised_target else t


def losses(
    name: str, net: Network, method: Method, p: Progress, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, ...]:
    """What the method yields at progress p, without any step, from one seed of what it draws.

    What it remembers is forgotten.
    """
    torch.manual_seed(0)
    buffers = {b: b.clone() for m in (net, method) for b in m.buffers()}
    found = tuple(map(one, method.step(net, *batches(name, dtype), p)))
    for b, value in buffers.items():
        if not torch.equal(b, value):  # else the graph of the losses would find it overwritten
            b.copy_(value)
    return found


def one(out: Tensor | tuple[Tensor, nn.Module]) -> Tensor:
    """The loss of a yield."""
    return out[0] if isinstance(out, tuple) else out


def normed(net: Network) -> Network:
    """The network with a backbone that has a batch norm: that tells what passes it together."""
    torch.manual_seed(1)
    layers = nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 6), nn.Tanh()
    net.F = nn.Sequential(net.F[0], *layers).double()
    nn.init.normal_(layers[2].weight)
    return net


def alternatives(entry: Entry, knob: str) -> list[Any]:
    """Other values of a hyper-parameter than its default."""
    default = entry.hyper[knob]
    if knob in entry.choices:
        return [v for v in entry.choices[knob] if v != default]
    match default:
        case bool():
            return [not default]
        case int():
            return [default + 1 if default < 2 else default - 1]
        case float():
            other = default / 2 + 0.01 if math.isfinite(default) else 1.0
            return [other if other != default else default / 2]
    raise AssertionError(
        f"{knob} has no default to vary: make it a number, a bool, or a Literal with a default"
    )


def variations(entry: Entry, without: str = "") -> list[dict[str, Any]]:
    """Every hyper-parameter but one at each other value, the rest at their defaults."""
    return [{k: v} for k in entry.hyper if k != without for v in alternatives(entry, k)]


# the promises


@promise
def check_losses_are_finite_scalars_that_reach_the_backbone(name: str) -> None:
    """From the first iteration on they are finite; when a ramp has begun, they reach all."""
    for dtype, joint, p in product(FLOATS, (False, True), course(name, 0.0, 0.5, 1.0)):
        net, method = make(name, dtype=dtype, joint=joint)
        found = losses(name, net, method, p, dtype)
        assert found
        for loss in found:
            assert loss.shape == () and loss.dtype == dtype and loss.isfinite()
            loss.backward()
        grads = [q.grad for q in net.F.parameters()]
        assert all(g is not None and g.isfinite().all() for g in grads)
        assert p == 0 or any(g.abs().max() > 0 for g in grads if g is not None)


@promise
def check_the_same_seed_gives_the_same_training(name: str) -> None:
    def trained(seed: int) -> tuple[list[float], dict[str, Tensor]]:
        net, method = make(name, seed, dropout=0.5)
        steps = course(name, 0.0, 0.25, 0.5, 0.75)
        values = [x for p in steps for x in descend(method, net, *batches(name), p)]
        return values, state(net, method)

    (values, weights), (again, same), (others, _) = trained(3), trained(3), trained(4)
    assert values == again and all(torch.equal(v, same[k]) for k, v in weights.items())
    assert values != others


@promise
def check_progress_is_the_only_clock(name: str) -> None:
    """A step twice from one state at one p gives one loss: no counter hides in the method.

    What it remembers is a buffer, and so part of the state; so are torch's random numbers.
    """
    for p in course(name, 0.7):
        net, method = make(name)
        before = [deepcopy(m.state_dict()) for m in (net, method)]
        torch.manual_seed(1)
        once = [one(out).item() for out in method.step(net, *batches(name), p)]
        for module, values in zip((net, method), before, strict=True):
            module.load_state_dict(values)
        torch.manual_seed(1)
        assert once == [one(out).item() for out in method.step(net, *batches(name), p)]


@promise
def check_what_a_method_adds_is_its_own(name: str) -> None:
    net, method = make(name)
    assert not {id(q) for q in net.parameters()} & {id(q) for q in method.parameters()}


@promise
def check_prediction_is_a_logit_per_class(name: str) -> None:
    net, method = make(name)
    s, _ = batches(name)
    assert method.predict(net, s.x).shape == (len(s.x), CLASSES)


@promise
def check_the_loss_is_the_cross_entropy_of_the_prediction(name: str) -> None:
    """What a label changes of the loss is what it changes of the cross-entropy of `predict`.

    Terms that know no labels drop out of the difference, so nothing has to be turned off for it,
    whatever the hyper-parameters. Where a domain term knows the labels, a weight at 0 takes it away.
    Where the loss is that of weights a step ahead, a step of length 0 does. A second stage may do
    without labels.
    """
    entry = catalog.find_method(name)
    numbers = [k for k, v in entry.hyper.items() if type(v) is float]
    for p, hyper in product(course(name, 0.9), ({}, *variations(entry))):
        taken = (k for k in numbers if weighs(name, p, hyper, k) or steps_ahead(name, hyper, k))
        settings = chain([hyper], (hyper | {k: 0.0} for k in taken))
        assert any(predicts_what_it_learns(name, p, **h) for h in settings), (
            f"with {hyper or 'the defaults'}, the network that learns is not the one that predicts"
        )


def predicts_what_it_learns(name: str, p: Progress, **hyper: Any) -> bool:
    """Whether every label moves the loss as it moves CE(predict(x), y), up to one factor > 0.

    At an even iteration; methods that take turns have the classification as it is there. True, too,
    in a second stage that no label moves.
    """
    net, method = make(name, **hyper)
    (s, t), constants = batches(name), Constants()
    learnt = t if method.supervised_target else s
    logits, y = method.predict(net, learnt.x), learnt.y

    before = [deepcopy(m.state_dict()) for m in (net, method)]

    def loss(y: Tensor) -> Tensor:
        for module, values in zip((net, method), before, strict=True):
            module.load_state_dict(values)
        batch = replace(learnt, y=y)
        given = (s, batch) if method.supervised_target else (batch, t)
        torch.manual_seed(0)
        with constants.evaluation():
            return sum(one(out) for out in method.step(net, *given, p))  # type: ignore[return-value]

    base, ours, theirs = loss(y), [], []
    for i, k in product(range(len(y)), range(1, CLASSES)):
        other = y.clone()
        other[i] = (y[i] + k) % CLASSES
        ours.append(loss(other) - base)
        theirs.append(cross_entropy(logits, other) - cross_entropy(logits, y))
    a, b = torch.stack(ours), torch.stack(theirs)
    if len(stages(name)) == 2 and not p.first and not a.any():
        return True
    factor = (a @ b) / (b @ b)
    return bool(factor > 0 and torch.allclose(a, factor * b, rtol=1e-6, atol=1e-9))


def weighs(name: str, p: Progress, hyper: dict[str, Any], knob: str) -> bool:
    """Whether a hyper-parameter is the weight of some terms: the loss is a line in it.

    What the method holds constant is held, since a step ahead may depend on the weight, too.
    """
    constants = Constants()

    def loss(value: float) -> Tensor:
        net, method = make(name, **hyper | {knob: value})
        with constants.evaluation():
            return sum(losses(name, net, method, p))  # type: ignore[return-value]

    high, middle, low = map(loss, (1.0, 0.5, 0.0))
    return bool(torch.allclose(low + high, 2 * middle, rtol=1e-9) and low != high)


def steps_ahead(name: str, hyper: dict[str, Any], knob: str) -> bool:
    """Whether a hyper-parameter is the length of a step ahead.

    With it, not without it, some forward of F uses other weights than its own.
    """

    def moved(value: dict[str, Any]) -> bool:
        net, method = make(name, **hyper | value)
        own, seen = [q.clone() for q in net.F.parameters()], []
        net.F.register_forward_pre_hook(lambda F, _: seen.append([*F.parameters()]))
        losses(name, net, method, 0.9)
        return any(not torch.equal(a, b) for used in seen for a, b in zip(own, used, strict=True))

    return moved({}) and not moved({knob: 0.0})


@promise
def check_every_tensor_is_where_the_batches_are(name: str) -> None:
    """On torch's `meta` device: a tensor that a method makes on the CPU does not fit the others."""
    net, method = make(name)
    s, t = (on_meta(b) for b in batches(name))
    net, method = net.to("meta"), method.to("meta")
    for p in course(name, 0.5):
        for loss in map(one, method.step(net, s, t, p)):
            assert loss.is_meta
            loss.backward()
    assert method.predict(net, s.x).is_meta


@promise
def check_autograd_agrees_with_finite_differences(name: str) -> None:
    """With what the method holds constant held constant; see `contract.constants`.

    Along a random direction, with the defaults and with each hyper-parameter changed.
    """
    for p in course(name, 0.9):
        for hyper in ({}, *variations(catalog.find_method(name))):
            compare_gradients(name, p, hyper, fast=True)


@promise
def check_every_entry_of_every_gradient_agrees_too(name: str) -> None:
    """With all hyper-parameters changed at once."""
    single = variations(catalog.find_method(name))
    for p in course(name, 0.9):
        changed = {k: v for change in single for k, v in change.items()}
        compare_gradients(name, p, changed, fast=False)


SLOW: list[Check] = [check_every_entry_of_every_gradient_agrees_too]
"""Those of several seconds."""


def compare_gradients(name: str, p: Progress, hyper: dict[str, Any], *, fast: bool) -> None:
    net, method = make(name, **hyper)
    params = [*net.parameters(), *method.parameters()]
    check_gradient(partial(losses, name, net, method, p), params, fast=fast)


@promise
def check_target_labels_change_nothing(name: str) -> None:
    """Even if they leaked into the batch: the training with them is the training without."""
    if get(name).supervised_target:
        return
    s, t = batches(name)
    leaked = replace(t, y=torch.zeros(len(t.x), dtype=torch.int64))

    def trained(target: Batch) -> tuple[list[list[float]], dict[str, Tensor]]:
        net, method = make(name)  # from one seed, as what the step draws
        return [descend(method, net, s, target, p) for p in course(name, 0.9)], state(net, method)

    (ours, after), (theirs, same) = trained(t), trained(leaked)
    assert ours == theirs and all(torch.equal(v, same[k]) for k, v in after.items())


@promise
def check_the_file_is_short_says_its_equation_and_knows_nothing_of_bench(name: str) -> None:
    source = catalog.find_method(name).path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= LONGEST
    tree = ast.parse(source)
    imported = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    imported += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    top = {x.split(".")[0] for x in imported}
    assert top <= {"torch", "methods", "math", "collections", "typing"}, (
        "methods import torch and their own package"
    )
    others = {f"methods.{n}" for n in catalog.files()}
    assert not others & set(imported), "one method never imports another"
    first = (get(name).__doc__ or "").splitlines()[0]
    assert re.search(r"=|\bmin\b|\bmax\b", first), "the first line of the docstring is the equation"


@promise
def check_hyper_parameters_are_keywords_with_the_defaults_that_the_catalog_lists(name: str) -> None:
    listed = dict(catalog.find_method(name).hyper)
    signature = inspect.signature(get(name).__init__).parameters
    assert list(signature)[:2] == ["self", "net"]
    kinds = {k: v.kind for k, v in signature.items() if k not in ("self", "net")}
    assert set(kinds.values()) <= {inspect.Parameter.KEYWORD_ONLY}
    assert listed == {k: signature[k].default for k in kinds}

    def trained(**hyper: Any) -> list[list[float]]:
        net, method = make(name, **hyper)
        return [descend(method, net, *batches(name), p) for p in course(name, 0.9)]

    assert trained(**listed) == trained()


@promise
def check_every_hyper_parameter_changes_the_training(name: str) -> None:
    """A knob that turns nothing is a lie in the suite file.

    Some do nothing until another one is on: then one or two others are changed first. What counts
    is a difference in the losses, in the network and the statistics of its batch norm, or in how
    many forwards of the backbone a step takes.
    """

    def trained(hyper: dict[str, Any]) -> list[Tensor]:
        net, method = make(name, with_norm=True, **hyper)
        forwards: list[int] = []
        net.F.register_forward_hook(lambda *_: forwards.append(1))
        steps = course(name, 0.4, 0.401, 0.402)
        values = [x for p in steps for x in descend(method, net, *batches(name), p)]
        return [torch.tensor([*values, len(forwards)]), *state(net).values()]

    def differ(a: list[Tensor], b: list[Tensor]) -> bool:
        pairs = list(zip(a, b, strict=True))
        if any(x.shape != y.shape for x, y in pairs):  # another number of losses
            return True
        return any(not torch.allclose(x, y, rtol=1e-9, atol=0) for x, y in pairs)

    def settings(entry: Entry, knob: str) -> Iterator[dict[str, Any]]:
        others = variations(entry, without=knob)
        return chain([{}], others, (a | b for a, b in combinations(others, 2)))

    entry = catalog.find_method(name)
    for knob in entry.hyper:
        for other in alternatives(entry, knob):
            changes = (
                differ(trained(base), trained(base | {knob: other}))
                for base in settings(entry, knob)
            )
            assert any(changes), f"{knob} = {other!r} trains as {entry.hyper[knob]!r} does"


@promise
def check_a_method_that_sees_both_domains_forwards_them_as_the_network_says(name: str) -> None:
    """Batch norm tells one forward from two: who ignores `net.joint` would train alike."""

    for p in course(name, 0.4):
        plain, blind = trained(name, p), [trained(name, p, blind=k) for k in ("source", "target")]
        if all(value != ours for other in blind for value, ours in zip(other, plain, strict=True)):
            assert trained(name, p, joint=True) != plain


def trained(
    name: str, p: Progress, *, joint: bool = False, blind: str = ""
) -> tuple[list[float], list[float]]:
    """The losses of two steps, and what F was given: sums of its images, pixel by pixel weighed.

    blind: the domain whose images are others.
    """
    net, method = make(name, joint=joint, with_norm=True)
    (s, t), given = batches(name), []
    s = replace(s, x=s.x.flip(0), strong=s.strong.flip(0)) if blind == "source" else s
    t = replace(t, x=t.x.flip(3), strong=t.strong.flip(3)) if blind == "target" else t

    def look(_: nn.Module, inputs: tuple[Tensor]) -> None:
        pixels = inputs[0].flatten()
        given.append((pixels * torch.arange(len(pixels))).sum().item())

    net.F.register_forward_pre_hook(look)
    return [x for _ in range(2) for x in descend(method, net, s, t, p)], given


@promise
def check_what_is_kept_of_a_method_predicts_as_it_did(name: str) -> None:
    """Written after a few steps, and read into a network and a method that were drawn otherwise."""
    for hyper in [{}, *variations(catalog.find_method(name))]:
        net, method = make(name, dtype=torch.float32, **hyper)
        s, t = batches(name, torch.float32)
        for p in course(name, 0.2, 0.8):
            descend(method, net, s, t, p)
        file = BytesIO()
        write_weights(net, method, file)
        again, own = make(name, seed=1, dtype=torch.float32, **hyper)
        states = read_weights(file.getvalue())
        again.load_state_dict(states[0], strict=True), own.load_state_dict(states[1], strict=True)
        for module in (net, method, again, own):
            module.eval()
        with torch.no_grad():
            made, kept = method.predict(net, t.x), own.predict(again, t.x)
        assert torch.equal(made, kept), f"{name} {hyper}"


@promise
def check_its_predictions_can_be_explained(name: str) -> None:
    """Maps are read without changing a prediction, and the predicted class can be derived by them."""
    for hyper in [{}, *variations(catalog.find_method(name))]:
        net, method = make(name, dtype=torch.float32, **hyper)
        net.eval(), method.eval()
        x = batches(name, torch.float32)[1].x
        y, A = MapReader(net, method).read(x)
        with torch.no_grad():
            assert torch.equal(y, method.predict(net, x)), f"{name} {hyper}"
        (g,) = torch.autograd.grad(y.max(1).values.sum(), A)
        assert g.shape == A.shape and g.isfinite().all() and g.any(), f"{name} {hyper}"
