"""What the code does, whatever its spelling: the probe that a record carries."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT

import methods
from bench import nets
from bench.engine import history, probe
from bench.runs import plan
from bench.runs.cell import Cell
from bench.suite import catalog, suites
from bench.suite.recipe import Recipe

DEMO = suites.find("demo")
RECIPE = DEMO.recipe
NAMES = sorted(catalog.methods())


def losses(method: str = "dann", recipe: Recipe = RECIPE, **hyper: Any) -> list[float]:
    return probe.losses(methods, nets.optimizer, method, hyper, recipe)


@pytest.fixture
def cell() -> Cell:
    return plan.cells(DEMO, methods=["dann"], seeds=[0])[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_method_can_be_probed_and_the_same_code_gives_the_same_probe(name: str) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = losses(name)
    assert torch.equal(torch.get_rng_state(), state), "a training's random numbers stay as they are"
    torch.manual_seed(6)
    assert losses(name) == first and len(first) == probe.STEPS + 1
    assert torch.tensor(first).isfinite().all()


def test_methods_are_told_apart() -> None:
    """But for AdaBN, which learns what the source alone teaches and differs in what tests see."""
    names = [name for name in NAMES if name != "adabn"]
    assert len({tuple(losses(name)) for name in names}) == len(names)
    assert losses("adabn") == losses("source_only")


def apart(a: list[float], b: list[float]) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


OTHER_RECIPES: dict[str, dict[str, Any]] = {
    "optimizer": {"optimizer": "adam"},
    "momentum": {"momentum": 0.5},
    "nesterov": {"nesterov": True},
    "a multiplier": {"lr_mult": {"F": 0.1, "C": 1.0, "D": 1.0}},
    "weight decay": {"weight_decay": {"F": 0.01, "C": 0.01, "D": 0.01}},
    "the schedule": {"schedule": "step", "schedule_steps": 2, "schedule_gamma": 0.1},
    "one forward for both": {"forward": "joint"},
}


@pytest.mark.parametrize("change", OTHER_RECIPES)
def test_a_change_of_what_the_optimizer_does_shows(change: str) -> None:
    base = RECIPE.model_dump() | {"schedule": "constant", "momentum": 0.9}
    plain = losses(recipe=Recipe.model_validate(base))
    other = losses(recipe=Recipe.model_validate(base | OTHER_RECIPES[change]))
    assert apart(plain, other) > 1e-4


def test_a_changed_loss_shows_and_a_changed_spelling_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = losses()
    cls = methods.get("dann")
    genuine = cls.step

    def renamed(self: Any, network: Any, labelled: Any, unlabelled: Any, progress: Any) -> Any:
        """Another docstring."""
        yield from genuine(self, network, labelled, unlabelled, progress)  # and a comment

    def stronger(self: Any, net: Any, s: Any, t: Any, p: Any) -> Any:
        for loss in genuine(self, net, s, t, p):
            yield loss * 1.001

    monkeypatch.setattr(cls, "step", renamed)
    assert losses() == before
    monkeypatch.setattr(cls, "step", stronger)
    assert apart(losses(), before) > 1e-4
    monkeypatch.setattr(cls, "step", genuine)
    assert apart(losses(lam=-5.0), before) > 1e-4, "DANN with λ × −5"


def test_optimizer_groups_are_part_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = losses()

    def halved(net: Any, method: Any, recipe: Any) -> torch.optim.Optimizer:
        optimizer = nets.optimizer(net, method, recipe)
        optimizer.param_groups[0]["lr_mult"] /= 2
        return optimizer

    assert apart(probe.losses(methods, halved, "dann", {}, RECIPE), before) > 1e-4


def test_a_subject_is_the_method_its_hyper_parameters_and_the_optimizer(cell: Cell) -> None:
    found = probe.probe(cell)
    assert found and found.losses == tuple(losses(**cell.hyper, recipe=cell.recipe))
    for same in (replace(cell, seed=3), replace(cell, row="x"), replace(cell, classes=7)):
        assert probe.probe(same) == found
    longer = replace(cell, recipe=cell.recipe.model_copy(update={"iterations": 7, "size": 32}))
    assert probe.probe(longer) == found
    for other in (replace(cell, method="nogrl", hyper={}), replace(cell, hyper={"lam": 0.5})):
        assert (again := probe.probe(other)) and again.subject != found.subject


@pytest.mark.parametrize("knob", probe.OF_THE_OPTIMIZER + probe.LATER)
def test_every_knob_of_the_optimizer_makes_a_subject_of_its_own(knob: str, cell: Cell) -> None:
    recipe = cell.recipe.model_dump(mode="json")
    plain = probe.subject("dann", {}, recipe)
    assert probe.subject("dann", {}, recipe | {knob: "otherwise"}) != plain
    assert probe.subject("dann", {}, recipe | {"iterations": 7}) == plain


def test_what_the_optimizer_does_is_all_that_a_subject_leaves_nothing_out_of() -> None:
    """A knob of the optimizer that is added later belongs to a subject, too."""
    knobs = list(Recipe.model_fields)
    of_it = knobs[knobs.index("optimizer") : knobs.index("eval_every")]
    assert {*of_it, "forward", "first_stage"} == {*probe.OF_THE_OPTIMIZER, *probe.LATER}


class InTurns(methods.Method):
    """Two losses a step, the second of the method's own part alone."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.D = net.discriminator(net.dim)

    def step(self, net: Any, s: Any, t: Any, p: float) -> Any:
        yield torch.nn.functional.cross_entropy(net.C(net.F(s.x)), s.y)
        yield self.D(net.F(t.x)).square().mean(), self.D


def test_a_loss_of_one_module_steps_that_module_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Aside(InTurns):
        def step(self, net: Any, s: Any, t: Any, p: float) -> Any:
            yield torch.nn.functional.cross_entropy(net.C(net.F(s.x)), s.y)
            yield self.D(net.F(t.x).detach()).square().mean(), self.D

    found = []
    for cls in (InTurns, Aside):
        monkeypatch.setattr(methods, "get", lambda _, cls=cls: cls)
        found.append(losses("any", RECIPE.model_copy(update={"momentum": 0.0})))
    assert found[0] == pytest.approx(found[1], rel=1e-12)


def test_a_method_that_breaks_has_no_probe(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("absent")

    monkeypatch.setattr(methods.get("dann"), "step", broken)
    fresh = replace(cell, hyper={"lam": 0.123})
    assert probe.probe(fresh) is None


def head() -> str:
    asked = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True
    )
    return asked.stdout.strip()[:12]


@pytest.mark.skipif(not (ROOT / ".git").exists() or not head(), reason="not a checkout")
@pytest.mark.slow
def test_the_code_of_a_commit_is_run_for_the_records_that_it_made(cell: Cell) -> None:
    def run(commit: str, dirty: bool = False) -> dict[str, Any]:
        recipe = cell.recipe.model_dump(mode="json")
        git = {"commit": commit, "dirty": dirty}
        about = {"method": "dann", "hyper_all": cell.hyper_all, "recipe": recipe}
        return about | {"env": {"git": git}}

    with history.History() as past:
        assert past.probe(run("0" * 12)) is None, "not a commit of this checkout"
        assert past.probe(run(head(), dirty=True)) is None
        assert past.probe({**run(head()), "env": {}}) is None
        assert past.probe({**run(head()), "method": "absent"}) is None


@pytest.mark.slow
def test_an_older_program_answers_for_itself(tmp_path: Path, cell: Cell) -> None:
    """As `bench convert` asks it, with this checkout in the place of an older one."""
    import json
    import os
    import sys

    asked = {
        "method": "dann",
        "hyper": cell.hyper_all,
        "recipe": cell.recipe.model_dump(mode="json"),
    }
    old = tmp_path / "old"
    (old / "bench").mkdir(parents=True)
    (old / "bench" / "__init__.py").write_text("")
    (old / "bench" / "nets.py").write_text(NETS)
    (old / "bench" / "suites.py").write_text(
        "from pydantic import BaseModel, ConfigDict\n" + RECIPES
    )
    (old / "methods").symlink_to(ROOT / "methods")
    lines = json.dumps(asked) + "\n" + json.dumps(asked | {"method": "absent"}) + "\n"
    said = subprocess.run(
        [sys.executable, "-P", probe.__file__], input=lines, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(old)}, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert len(json.loads(said[0])) == probe.STEPS + 1 and json.loads(said[1]) is None


NETS = """
import torch

def optimiser(net, method, recipe):
    groups = [{"params": [*net.parameters(), *method.parameters()], "lr_mult": 1.0}]
    return torch.optim.SGD(groups, lr=0.1)
"""
RECIPES = """
class Recipe(BaseModel):
    model_config = ConfigDict(extra="allow")
    lr: float
    forward: str

    def lr_at(self, p):
        return self.lr
"""
