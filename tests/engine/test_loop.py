"""The loop against a hand-written one, bit for bit; what it may not do inside a window."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from helpers import descend, state, tiny_batches, tiny_net
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from bench.engine.clock import Clock, Lap
from bench.engine.loop import Window, train
from methods import Batch, Method, Network, get

CPU = torch.device("cpu")
ITERATIONS = 7


def batches(step: int) -> tuple[Batch, Batch]:
    return tiny_batches(seed=step)


def lr_at(p: float) -> float:
    return 0.1 / (1 + p)


def make(name: str = "dann") -> tuple[Network, Method]:
    torch.manual_seed(0)
    net = tiny_net()
    return net, get(name)(net)


def sgd(net: Network, method: Method, momentum: float = 0.9) -> torch.optim.SGD:
    parts = ((net.F, 1.0, 0.0), (net.C, 10.0, 0.02), (method, 0.5, 0.1))
    groups = [
        {"params": list(m.parameters()), "lr_mult": mult, "weight_decay": decay}
        for m, mult, decay in parts
        if [*m.parameters()]
    ]
    return torch.optim.SGD(groups, lr=1.0, momentum=momentum)


def windows(
    method: Any, net: Network, optimizer: torch.optim.Optimizer, stops: set[int], clock: Any = None
) -> list[Window]:
    options = {"iterations": ITERATIONS, "stops": stops, "autocast": nullcontext()}
    return list(train(method, net, batches, optimizer, lr_at, clock or Clock(CPU), **options))


@pytest.mark.parametrize("name", ["source_only", "dann", "nogrl"])
def test_it_is_stochastic_gradient_descent_bit_for_bit(name: str) -> None:
    net, method = make(name)
    found = windows(method, net, sgd(net, method), {3, ITERATIONS})

    plain, same = make(name)
    parts = [(plain.F, 1.0, 0.0), (plain.C, 10.0, 0.02), (same, 0.5, 0.1)]
    velocity: dict[Tensor, Tensor] = {}
    losses = []
    for it in range(ITERATIONS):
        p = it / ITERATIONS
        (loss,) = same.step(plain, *batches(it), p)
        losses.append(loss.item())
        for module, _, decay in parts:
            params = list(module.parameters())
            grads = torch.autograd.grad(loss, params, retain_graph=True) if params else ()
            with torch.no_grad():
                for w, g in zip(params, grads, strict=True):
                    g = g.add(w, alpha=decay)
                    velocity[w] = velocity[w].mul(0.9).add(g) if w in velocity else g
        with torch.no_grad():
            for module, mult, _ in parts:
                for w in module.parameters():
                    w.add_(velocity[w], alpha=-lr_at(p) * mult)

    assert [x for w in found for x in w.loss] == losses
    theirs = state(plain, same)
    assert all(torch.equal(v, theirs[k]) for k, v in state(net, method).items())


@pytest.mark.parametrize(
    "stops", [{ITERATIONS}, {1, 2, ITERATIONS}, {5, 6, ITERATIONS}, set(range(1, ITERATIONS + 1))]
)
def test_windows_end_at_the_stops_and_lose_no_iteration(stops: set[int]) -> None:
    net, method = make()
    found = windows(method, net, sgd(net, method), stops)
    assert [w.step for w in found] == sorted(stops)
    starts = [0, *sorted(stops)][:-1]
    assert [len(w.loss) for w in found] == [w.step - a for w, a in zip(found, starts, strict=True)]
    assert all(len(w.lap.ms) == len(w.lap.wait_ms) == len(w.loss) for w in found)
    assert [w.lr for w in found] == [lr_at((w.step - 1) / ITERATIONS) for w in found]


def test_the_windows_chosen_do_not_change_the_training() -> None:
    ends = []
    for stops in ({ITERATIONS}, {2, 3, ITERATIONS}):
        net, method = make()
        losses = [x for w in windows(method, net, sgd(net, method), stops) for x in w.loss]
        ends.append((losses, state(net, method)))
    (a, x), (b, y) = ends
    assert a == b and all(torch.equal(v, y[k]) for k, v in x.items())


def test_a_window_says_at_which_iteration_its_training_diverged() -> None:
    nan, inf = float("nan"), float("inf")
    lap = Lap([1.0] * 4, [0.0] * 4)
    for losses, first in (
        ([nan, 1.0, 1.0, 1.0], 7),
        ([1.0, 1.0, inf, nan], 9),
        ([1.0, 1.0, 1.0, -inf], 10),
        ([3.0, 1.0, 1.0, 1.0], None),
    ):
        assert Window(10, lap, [[x] for x in losses], 0.1).diverged_at == first
    assert Window(10, lap, [[3.0], [1.0], [0.5, 0.5], [1.0]], 0.1).mean_loss == 1.5


class InTurns(Method):
    """Two steps an iteration: all of it by the first loss, then D alone by the second."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.D = net.discriminator(net.dim)

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Any]:
        yield cross_entropy(net.C(net.F(s.x)), s.y)
        yield self.D(net.F(t.x)).square().mean() + net.C(net.F(t.x)).square().mean(), self.D


def test_a_loss_with_a_module_steps_that_module_alone() -> None:
    torch.manual_seed(0)
    net = tiny_net()
    method = InTurns(net)
    seen: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []

    class Watch(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            before = state(net, method)
            super().step(closure)
            seen.append((before, state(net, method)))

    groups = sgd(net, method).param_groups
    windows(method, net, Watch(groups, lr=1.0, momentum=0.9, weight_decay=0.1), {ITERATIONS})
    assert len(seen) == 2 * ITERATIONS
    moved = [
        {k for k, v in after.items() if not torch.equal(v, before[k])} for before, after in seen
    ]
    own = {k for k in seen[0][0] if k.startswith("1.D")}
    assert all(x == own for x in moved[1::2]), (
        "neither momentum nor weight decay may move the others"
    )
    assert all(x == set(seen[0][0]) - own for x in moved[0::2]), (
        "D has no gradient in the first loss"
    )


def test_the_loss_of_an_iteration_is_the_sum_of_those_it_stepped() -> None:
    (net, method), (plain, same) = ((n, InTurns(n)) for n in (make()[0], make()[0]))
    same.load_state_dict(method.state_dict())
    everything = [*net.parameters(), *method.parameters()]
    optimizer = torch.optim.SGD([{"params": everything, "lr_mult": 1.0}], lr=1.0)
    found = windows(method, net, optimizer, {ITERATIONS})[0].loss
    wanted = [
        sum(descend(same, plain, *batches(it), 0.0, lr=lr_at(it / ITERATIONS)))
        for it in range(ITERATIONS)
    ]
    assert found == pytest.approx(wanted, rel=1e-5)


class Ops(TorchDispatchMode):
    """Records every operation, and the marks of the clock between them, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


class Marks(Clock):
    """A clock that also writes its marks among the operations."""

    def __init__(self, ops: Ops) -> None:
        super().__init__(CPU)
        self.ops = ops

    def begin(self) -> None:
        self.ops.names.append("begin")
        super().begin()

    def end(self) -> Lap:
        self.ops.names.append("end")
        return super().end()


READS = (
    "aten._local_scalar_dense.",
    "aten.item.",
    "aten.nonzero.",
    "aten.is_nonzero.",
    "aten.equal.",
    "aten.masked_select.",
)


@pytest.mark.parametrize("name", ["source_only", "dann", "nogrl", "pseudo_label"])
def test_nothing_inside_a_window_reads_a_value_back(name: str) -> None:
    """`.item()`, `if tensor:` and results of a size that the data decide would wait for a GPU."""
    net, method = make(name)
    optimizer = sgd(net, method)
    with Ops() as ops:
        windows(method, net, optimizer, {3, ITERATIONS}, Marks(ops))
    inside, within = [], False
    for op in ops.names:
        within = op == "begin" or (within and op != "end")
        inside += [op] if within else []
    assert sum("addmm" in op for op in inside) >= ITERATIONS, "the forwards were seen"
    assert [op for op in inside if f"{op}.".startswith(READS)] == []


def test_a_read_inside_a_window_would_be_seen() -> None:
    class Peeks(Method):
        def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
            loss = cross_entropy(net.C(net.F(s.x)), s.y)
            if loss.item() > 0:
                yield loss

    torch.manual_seed(0)
    net = tiny_net()
    with Ops() as ops:
        windows(Peeks(), net, sgd(net, Peeks()), {ITERATIONS}, Marks(ops))
    assert sum(f"{op}.".startswith(READS) for op in ops.names) == ITERATIONS


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", ["source_only", "dann", "nogrl", "pseudo_label"])
def test_no_window_synchronises_a_gpu(name: str) -> None:
    device = torch.device("cuda:0")
    net, method = (m.to(device) for m in make(name))
    data = [
        tuple(Batch(b.x.to(device), None if b.y is None else b.y.to(device)) for b in batches(i))
        for i in range(ITERATIONS)
    ]

    class Strict(Clock):
        def begin(self) -> None:
            super().begin()
            torch.cuda.set_sync_debug_mode("error")

        def end(self) -> Lap:
            torch.cuda.set_sync_debug_mode("default")
            return super().end()

    options = {"iterations": ITERATIONS, "stops": {3, ITERATIONS}, "autocast": nullcontext()}
    found = list(
        train(method, net, lambda i: data[i], sgd(net, method), lr_at, Strict(device), **options)
    )  # type: ignore[arg-type]
    assert [w.step for w in found] == [3, ITERATIONS]


def test_a_method_that_yields_nothing_is_told_so() -> None:
    class Silent(Method):
        def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
            yield from ()

    net = tiny_net()
    with pytest.raises(AssertionError, match="yields at least one loss"):
        windows(Silent(), net, sgd(net, Silent()), {ITERATIONS})


def test_autocast_covers_the_forward_and_not_the_step() -> None:
    net, method = make("source_only")
    kinds = []
    net.C.register_forward_hook(lambda m, i, out: kinds.append(out.dtype))
    optimizer = sgd(net, method)
    optimizer.register_step_pre_hook(lambda *_: kinds.append(torch.is_autocast_enabled("cpu")))
    list(
        train(
            method, net, batches, optimizer, lr_at, Clock(CPU),
            iterations=2, stops={2}, autocast=torch.autocast("cpu", torch.bfloat16),
        )
    )  # fmt: skip
    assert kinds == [torch.bfloat16, False] * 2
    assert all(q.dtype == torch.float32 for q in net.parameters())


def test_unused_parameters_do_not_move() -> None:
    """A module that no loss reaches keeps its weights, weight decay or not."""
    net, _ = make("source_only")
    extra = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(
        [{"params": [*net.parameters(), *extra.parameters()], "lr_mult": 1.0}],
        lr=1.0,
        weight_decay=0.1,
    )
    before = state(extra)
    windows(get("source_only")(net), net, optimizer, {ITERATIONS})
    assert all(torch.equal(v, before[k]) for k, v in state(extra).items())
