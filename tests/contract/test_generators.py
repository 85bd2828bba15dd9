"""What every method promises that generates images. A new file in `methods/` is tested by existing."""

from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from helpers import CLASSES, at, state
from torch import Tensor, nn
from torch.nn.functional import one_hot

from bench.suite import catalog
from contract.constants import check_gradient
from methods import Batch, Method, Network, get

NAMES = sorted(catalog.methods().keys() - set(catalog.adapting()))
DIM, BATCH = 4, 5
VARIANTS = [
    (name, {knob: not default})
    for name in NAMES
    for knob, default in catalog.find_method(name).hyper.items()
    if isinstance(default, bool)
]
CASES = [*((name, {}) for name in NAMES), *VARIANTS]


class Told(nn.Module):
    """Rows, and classes where there are any -> what a smooth layer makes of both."""

    def __init__(self, n_in: int, classes: int, *shape: int) -> None:
        super().__init__()
        self.layer = nn.Linear(n_in + classes, int(torch.tensor(shape).prod()) if shape else 1)
        self.classes, self.shape = classes, shape

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        rows = x.flatten(1)
        rows = rows if y is None else torch.cat([rows, one_hot(y, self.classes).to(rows)], 1)
        return self.layer(rows).tanh().view(-1, *self.shape)


def make(name: str, seed: int = 0, **hyper: object) -> tuple[Network, Method]:
    torch.manual_seed(seed)
    told = get(name).generates == "classes"
    net = Network(
        Told(DIM, CLASSES * told, 3, 2, 2), nn.Identity(), dim=DIM, classes=CLASSES,
        discriminator=lambda classes: Told(12, classes),
    ).double()  # fmt: skip
    return net, get(name)(net, **hyper).double()


def batches() -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(1)
    x, z = (
        torch.randn(*n, generator=g, dtype=torch.float64) for n in ((BATCH, 3, 2, 2), (BATCH, DIM))
    )
    return Batch(x, torch.arange(BATCH) % CLASSES), Batch(z, None)


def losses(net: Network, method: Method, s: Batch, t: Batch) -> tuple[Tensor, ...]:
    return tuple(loss for loss, _ in method.step(net, s, t, at(0.5)))


def log_sigmoid(d: Tensor) -> Tensor:
    return (1 / (1 + (-d).exp())).log()


@pytest.mark.parametrize(("name", "hyper"), CASES)
def test_the_losses_are_those_of_the_equations(name: str, hyper: dict[str, bool]) -> None:
    """−log D(x) − log(1 − D(G)), and −log D(G), with the probabilities written out."""
    (net, method), (s, t) = make(name, **hyper), batches()
    told = (s.y,) if get(name).generates == "classes" else ()
    seen = told if hyper.get("y_in_D", True) else ()
    x_g = net.F(t.x, *told)
    d, d_g = method.D(s.x, *seen), method.D(x_g, *seen)
    L_D = -(log_sigmoid(d).mean() + log_sigmoid(-d_g).mean())
    torch.testing.assert_close(losses(net, method, s, t), (L_D, -log_sigmoid(d_g).mean()))


@pytest.mark.parametrize(("name", "hyper"), CASES)
def test_autograd_agrees_with_finite_differences(name: str, hyper: dict[str, bool]) -> None:
    """Of D's loss in D and of G's loss in G; what D's step holds constant is held."""
    (net, method), (s, t) = make(name, **hyper), batches()
    for k, module in enumerate((method, net)):
        loss = lambda k=k: (losses(net, method, s, t)[k],)  # noqa: E731
        check_gradient(partial(loss), [*module.parameters()], fast=False)


@pytest.mark.parametrize(("name", "hyper"), CASES)
def test_d_learns_first_and_g_then_learns_from_the_new_d(name: str, hyper: dict[str, bool]) -> None:
    (net, method), (s, t) = make(name, **hyper), batches()
    before = deepcopy(state(net)), deepcopy(state(method))
    steps = method.step(net, s, t, at(0.5))
    loss, module = next(steps)
    assert module is method.D and set(module.parameters()) == set(method.parameters())
    loss.backward()
    assert all(q.grad is None for q in net.parameters()), "D's step moves D alone"
    with torch.no_grad():
        for q in module.parameters():
            q -= 0.1 * q.grad
    loss, module = next(steps)
    assert module is net
    learnt = make(name, **hyper)[1]
    learnt.load_state_dict(method.state_dict())
    told = (s.y,) if get(name).generates == "classes" else ()
    seen = told if hyper.get("y_in_D", True) else ()
    with torch.no_grad():
        torch.testing.assert_close(loss, -log_sigmoid(learnt.D(net.F(t.x, *told), *seen)).mean())
    assert next(steps, None) is None
    assert all(torch.equal(v, before[0][k]) for k, v in state(net).items())
    assert any(not torch.equal(v, before[1][k]) for k, v in state(method).items())


@pytest.mark.parametrize(("name", "hyper"), CASES)
def test_labels_count_where_classes_are_made(name: str, hyper: dict[str, bool]) -> None:
    (net, method), (s, t) = make(name, **hyper), batches()
    other = replace(s, y=s.y.roll(1))
    same = losses(net, method, s, t) == losses(net, method, other, t)
    assert same == (get(name).generates == "images")


@pytest.mark.parametrize("name", [n for n in NAMES if get(n).generates == "images"])
def test_who_makes_images_of_no_class_reads_no_label(name: str) -> None:
    (net, method), (s, t) = make(name), batches()
    losses(net, method, replace(s, y=None), t)


@pytest.mark.parametrize("name", NAMES)
def test_tensors_are_where_the_batches_are(name: str) -> None:
    (net, method), (s, t) = make(name), batches()
    meta = Batch(s.x.to("meta"), s.y.to("meta")), Batch(t.x.to("meta"), None)
    assert all(loss.is_meta for loss in losses(net.to("meta"), method.to("meta"), *meta))


@pytest.mark.parametrize("name", NAMES)
def test_a_docstring_has_an_equation_and_its_source(name: str) -> None:
    entry = catalog.find_method(name)
    assert entry.source and "=" in entry.doc and "−log D" in entry.equation


def test_there_are_some() -> None:
    assert {"dcgan", "cdcgan"} <= set(NAMES)
