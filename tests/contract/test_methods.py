"""What every method promises by being in `methods/`. A new file there is tested by existing."""

from typing import Any

import pytest
import torch
from helpers import CLASSES, ended, needed, tiny_batches, tiny_net
from torch import nn

from bench.engine.lab import Lab
from bench.engine.uda import UDA
from bench.runs import plan
from bench.suite import catalog, suites
from bench.suite.suite import Suite
from contract.method_checks import CHECKS, SLOW, Check
from methods import Batch, Method, Network, Progress, get

NAMES = catalog.adapting()
QUICK = ("dann", "pseudo_label", "target_only")  # of all others the slow tests train a cell
LARGE = ("gsda",)  # so many parameters that finite differences take long


def list_promises() -> list[Any]:
    """Each check with each method."""
    found = []
    for check in CHECKS:
        title = check.__name__.removeprefix("check_")
        for name in NAMES:
            slow = check in SLOW or (name in LARGE and "differences" in title)
            marks = pytest.mark.slow if slow else ()
            found.append(pytest.param(check, name, id=f"{title}-{name}", marks=marks))
    return found


@pytest.mark.parametrize(("check", "name"), list_promises())
def test_a_method_keeps_its_promises(check: Check, name: str) -> None:
    check(name)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """It reads the images of the demo once, for all methods."""
    folder = tmp_path_factory.mktemp("lab")
    return Lab(folder, folder, torch.device("cpu"))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_has_target_labels_for_upper_bounds_alone(name: str, lab: Lab) -> None:
    demo = suites.find("demo")
    row = {"id": name, "label": name, "method": name, "recipe": needed(name)}
    suite = Suite.model_validate(demo.model_dump() | {"rows": [row]})
    (cell,) = plan.cells(suite, tasks=[demo.tasks[0]], seeds=[0], budget="smoke")
    task = UDA(cell, lab)
    task.build(), task.open()
    s, t = task.batches(0)
    task.close()
    assert s.y is not None and (t.y is not None) == get(name).supervised_target


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)
def test_a_run_hands_out_target_labels_only_to_upper_bounds(
    name: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls, seen = get(name), []
    genuine = cls.step

    def watched(self: Method, net: Network, s: Batch, t: Batch, p: float) -> Any:
        seen.append((s.y is not None, t.y is not None))
        return genuine(self, net, s, t, p)

    monkeypatch.setattr(cls, "step", watched)
    demo = suites.find("demo")
    row = {"id": name, "label": name, "method": name, "recipe": needed(name)}
    suite = Suite.model_validate(demo.model_dump() | {"rows": [row]})
    (cell,) = plan.cells(suite, tasks=[demo.tasks[0]], seeds=[0], budget="smoke")
    assert ended(cell, lab).status == "ok"
    # the probe of the record runs the method, too
    assert len(seen) >= cell.recipe.iterations and set(seen) == {(True, cls.supervised_target)}


def test_a_network_computes_joint_and_separate_features_alike_without_batch_norm() -> None:
    torch.manual_seed(0)
    net = tiny_net()
    s, t = tiny_batches()
    apart = net.features(s.x, t.x)
    net.joint = True
    for a, b in zip(apart, net.features(s.x, t.x), strict=True):
        torch.testing.assert_close(a, b)


def test_a_joint_forward_normalizes_both_domains_together() -> None:
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


def test_progress_is_the_share_of_the_steps_that_are_done() -> None:
    assert [Progress(it, 4) for it in range(4)] == [0.0, 0.25, 0.5, 0.75]
    assert [Progress(it, 4).it for it in range(4)] == [0, 1, 2, 3]
