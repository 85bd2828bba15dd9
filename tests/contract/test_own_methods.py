"""Methods of one's own in ./methods: found, checked as those of the program are, and run."""

import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from children import Ended, environment, fresh
from helpers import ROOT, write_pictures, write_suite

from bench.errors import UsageError
from bench.runs import records
from bench.suite import catalog
from contract.method_checks import (
    CHECKS,
    Check,
    check_the_loss_is_the_cross_entropy_of_the_prediction,
)
from methods import get

HEAD = """\
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods import Batch, Method, Network

"""

KNOBS = (
    HEAD
    + '''
class Knobs(Method):
    """L = L_y + w·Σ_i |mean f_s − mean f_t|^k: integers and words, most idle until times > 0"""

    def __init__(
        self, net: Network, *, power: int = 2, times: int = 0, weight: float = 1.0,
        side: Literal["features", "logits"] = "features", squared: bool = False,
    ) -> None:
        super().__init__()
        self.power, self.times, self.side = power, times, side
        self.weight, self.squared = weight, squared

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        f_s, f_t = net.features(s.x, t.x)
        y_s = net.C(f_s)
        a, b = (f_s, f_t) if self.side == "features" else (y_s, net.C(f_t))
        gap = self.times * self.weight * ((a.mean(0) - b.mean(0)) ** 2) ** (self.power / 2)
        yield cross_entropy(y_s, s.y) + (gap**2 if self.squared else gap).sum()
'''
)

STOPS = (
    HEAD
    + '''
class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad * ctx.saved_tensors[0]


class Stops(Method):
    """L = L_y + w·Σ stopgrad(c)·(f_s − stopgrad(f_t))²: gradients stopped in all ways"""

    def __init__(self, net: Network, *, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        f_s, f_t = net.features(s.x, t.x)
        y_s = net.C(f_s)
        with torch.no_grad():
            sure = torch.exp(y_s.softmax(1).max(1).values)
        (slope,) = torch.autograd.grad(net.C(f_t).logsumexp(1).sum(), f_t, retain_graph=True)
        gap = Square.apply(f_s.mean(0) - f_t.detach().mean(0)) * slope.abs().sum(0).exp()
        yield cross_entropy(y_s, s.y) + self.weight * sure.mean() * gap.sum() * f_s.data.norm()
'''
)

ALIGNS_CLASSES = (
    HEAD
    + '''
class AlignsClasses(Method):
    """L = CE(C(f_s) − b(f_s)) + w·Σ_y ‖mean f_s of class y − mean f_t‖²: labels in a domain term"""

    def __init__(self, net: Network, *, weight: float = 1.0) -> None:
        super().__init__()
        self.weight, self.b = weight, torch.nn.Linear(net.dim, net.classes)

    def predict(self, net: Network, x: Tensor) -> Tensor:
        f = net.F(x)
        return net.C(f) - self.b(f)

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        f_s, f_t = net.features(s.x, t.x)
        gaps = [(f_s[s.y == y].mean(0) - f_t.mean(0)).square().sum() for y in s.y.unique()]
        L_y = cross_entropy(net.C(f_s) - self.b(f_s), s.y)
        yield L_y + self.weight * torch.stack(gaps).sum()
'''
)

COUNTER = """
    n = 0

    def count(self) -> int:
        self.n += 1
        return self.n

    def step("""
RIGHT = STOPS.replace("\n    def step(", COUNTER)  # it counts nothing

WRONG = {
    # what is wrong: (text, by what it is replaced, the check that finds it)
    "a backward pass": ("2 * grad", "3 * grad", "autograd_agrees_with_finite_differences"),
    "a counter": ("* gap.sum()", "* gap.sum() * self.count()", "progress_is_the_only_clock"),
    "a knob that turns nothing": (
        "+ self.weight * sure",
        "+ sure",
        "every_hyper_parameter_changes_the_training",
    ),
    "a prediction by another network": (
        "    def step(",
        "    def predict(self, net, x):\n        return -net.C(net.F(x))\n\n    def step(",
        "the_loss_is_the_cross_entropy_of_the_prediction",
    ),
    "a loss of the other domain": (
        "cross_entropy(y_s",
        "cross_entropy(net.C(f_t[[0, 1, 2, 3, 3]])",
        "the_loss_is_the_cross_entropy_of_the_prediction",
    ),
    "a tensor on the CPU": (
        "yield cross",
        "gap = gap + torch.rand(6)\n        yield cross",
        "every_tensor_is_where_the_batches_are",
    ),
}


def write(folder: Path, **files: str) -> None:
    (folder / "methods").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "methods" / f"{name}.py").write_text(text, encoding="utf-8")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# the same promises


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("toy", ["knobs", "stops"])
def test_a_right_method_passes_every_check_without_an_entry_anywhere(
    toy: str, check: Check, here: Path
) -> None:
    write(here, knobs=KNOBS, stops=STOPS)
    check(toy)


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_method_is_found(what: str, here: Path) -> None:
    old, new, found_by = WRONG[what]
    assert RIGHT.count(old) == 1
    write(here, right=RIGHT, wrong=RIGHT.replace(old, new))
    (check,) = (c for c in CHECKS if c.__name__ == f"check_{found_by}")
    check("right")
    with pytest.raises(
        (AssertionError, RuntimeError)
    ):  # torch's gradcheck and meta tensors raise RuntimeErrors
        check("wrong")


def test_labels_in_a_domain_term_do_not_hide_a_wrong_prediction(here: Path) -> None:
    """The weight of the term is found and set to 0."""
    wrong = ALIGNS_CLASSES.replace("return net.C(f) - self", "return net.C(f) + self")
    write(here, right=ALIGNS_CLASSES, wrong=wrong)
    check_the_loss_is_the_cross_entropy_of_the_prediction("right")
    with pytest.raises(AssertionError, match="the network that learns is not the one that"):
        check_the_loss_is_the_cross_entropy_of_the_prediction("wrong")


# which file is which method


def test_own_methods_stand_beside_those_of_the_program(here: Path) -> None:
    shipped = set(catalog.methods())
    write(here, mine=KNOBS, _helper="x = 1")
    assert (
        set(catalog.methods()) == {*shipped, "mine"}
        and catalog.find_method("mine").path == here / "methods/mine.py"
    )
    assert get("mine").__name__ == "Knobs" and get("dann").__module__ == "methods.dann"
    with pytest.raises(UsageError, match="unknown method 'mien'; did you mean 'mine'"):
        catalog.find_method("mien")


def test_a_file_that_was_edited_is_read_anew(here: Path) -> None:
    for k, weight in enumerate(("1.0", "0.25")):
        write(here, mine=KNOBS.replace("weight: float = 1.0", f"weight: float = {weight}"))
        os.utime(here / "methods/mine.py", ns=(k, k))
        listed = catalog.find_method("mine").hyper["weight"]
        assert listed == float(weight) == get("mine").__init__.__kwdefaults__["weight"]


def test_two_folders_may_have_a_method_of_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, text in (("a", KNOBS), ("b", STOPS)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, mine=text)
    for folder, name in (("a", "Knobs"), ("b", "Stops"), ("a", "Knobs")):
        monkeypatch.chdir(tmp_path / folder)
        assert get("mine").__name__ == catalog.find_method("mine").class_name == name


def test_a_method_of_the_program_cannot_be_replaced(here: Path) -> None:
    write(here, dann=KNOBS)
    with pytest.raises(
        UsageError,
        match=r"methods/dann\.py: the program has a method named 'dann' itself; rename your file",
    ):
        catalog.find_method("dann")
    assert get("dann").__name__ == "DANN"
    shutil.copy(ROOT / "methods/dann.py", here / "methods/dann.py")
    assert catalog.find_method("dann").path == ROOT / "methods/dann.py", "a copy replaces nothing"


def test_a_folder_that_would_hide_the_package_is_refused(here: Path) -> None:
    write(here, mine=KNOBS, __init__="")
    with pytest.raises(
        UsageError,
        match=r"methods/__init__\.py makes Python take your folder for .* remove that file",
    ):
        catalog.find_method("mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = = 1", "cannot be read as a method"),
        ("x = 1", "exactly one class that derives from Method, this one has 0"),
        (KNOBS + KNOBS, "exactly one class that derives from Method, this one has 2"),
        (KNOBS.replace("float = 1.0", "float = torch.pi"), "defaults .* are plain values"),
    ],
)  # fmt: skip
def test_what_is_no_method_is_refused_with_the_file_and_leaves_the_others_alone(
    text: str, message: str, here: Path
) -> None:
    write(here, mine=text)
    with pytest.raises(UsageError, match=rf"methods/mine\.py.*{message}"):
        catalog.find_method("mine")
    assert catalog.find_method("dann").class_name == "DANN"


# words that are not allowed


def test_a_value_that_its_literal_does_not_list_is_refused_before_anything_runs() -> None:
    with pytest.raises(
        UsageError,
        match=r"unknown reading of nogrl 'litteral'; did you mean 'literal'\? known: literal, sep",
    ):
        catalog.check("nogrl", {"reading": "litteral"})
    with pytest.raises(UsageError, match="source_label of nogrl is one of 0, 1, not 2"):
        catalog.check("nogrl", {"source_label": 2})
    with pytest.raises(UsageError, match="unknown source_label of nogrl 'one'; known: 0, 1"):
        catalog.check("nogrl", {"source_label": "one"})
    assert catalog.find_method("cdan").choices == {"entropy": ("none", "domain", "batch")}


def test_it_is_refused_from_python_too() -> None:
    from helpers import tiny_net

    for name, knob in ((n, k) for n, entry in catalog.methods().items() for k in entry.choices):
        with pytest.raises(
            ValueError, match=rf"^{knob} of {get(name).__name__} is one of .*, not 'no such word'$"
        ):
            get(name)(tiny_net(), **{knob: "no such word"})
        for value in catalog.find_method(name).choices[knob]:
            get(name)(tiny_net(), **{knob: value})


BOUNDED = [(n, k) for n, entry in catalog.methods().items() for k in entry.bounds]


@pytest.mark.parametrize(("name", "knob"), BOUNDED)
def test_a_value_beyond_its_bounds_is_refused_and_the_bounds_are_allowed(
    name: str, knob: str
) -> None:
    from helpers import tiny_net

    low, high = catalog.find_method(name).bounds[knob]
    allowed = f"at least {low}" if high == math.inf else f"from {low} to {high}"
    for value in (low - 1, *([] if high == math.inf else [high + 1])):
        with pytest.raises(UsageError, match=f"^{knob} of {name} is {allowed}, not {value}$"):
            catalog.check(name, {knob: value})
        with pytest.raises(ValueError, match=rf"^{knob} of {get(name).__name__} is from {low} to"):
            get(name)(tiny_net(), **{knob: value})
    for value in (low, low + 1):
        catalog.check(name, {knob: value})
        get(name)(tiny_net(), **{knob: value})


# in real processes, from a folder that is no checkout


def bench(folder: Path, way: str, *args: str) -> Ended:
    """Run `python -m bench`, or a script like that which pip installs.

    The first has the working folder first on Python's path, the second does not have it at all.
    """
    if way == "module":
        return fresh(*args, cwd=folder)
    script = folder / "bin" / "bench"
    script.parent.mkdir(exist_ok=True)
    script.write_text("from bench.cli.app import main\nmain()\n", encoding="utf-8")
    return fresh(*args, cwd=folder, python=(str(script),))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["module", "script"])
def test_a_suite_runs_a_method_of_its_own_from_any_folder(way: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / "data", "A", "B")
    write(tmp_path, mine=KNOBS)
    rows = {
        "own": {"method": "mine", "hyper": {"times": 1, "side": "logits"}},
        "theirs": {"method": "dann"},
    }
    write_suite(tmp_path, name="own", rows=rows, iterations=3)
    ended = bench(tmp_path, way, "run", "--suite", "own.toml", "--data", "data", "--device", "cpu")
    assert ended.code == 0, ended.text
    assert {r.run.method: r.status for r in records.read_all(tmp_path / "results")} == {
        "mine": "ok",
        "dann": "ok",
    }

    write_suite(tmp_path, name="own", rows={"own": {"method": "mine", "hyper": {"side": "logit"}}})
    refused = bench(
        tmp_path, way, "run", "--suite", "own.toml", "--data", "data", "--device", "cpu"
    )
    assert (
        refused.code == 2 and "unknown side of mine 'logit'; did you mean 'logits'?" in refused.err
    )
    assert len(refused.err.splitlines()) == 1


@pytest.mark.parametrize("way", ["module", "script"])
def test_a_folder_that_would_hide_the_package_is_refused_in_a_sentence(
    way: str, tmp_path: Path
) -> None:
    write(tmp_path, mine=KNOBS, __init__="")
    ended = bench(tmp_path, way, "run", "--suite", "demo", "--smoke")
    assert ended.code == 2 and re.search(r"methods/__init__\.py .* remove that file", ended.err)


@pytest.mark.slow
def test_an_own_method_is_found_from_python(tmp_path: Path) -> None:
    """As in a notebook: the working folder is first on Python's path."""
    write(tmp_path, mine=KNOBS)
    code = "import methods; print(methods.get('mine').__name__, methods.get('dann').__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["Knobs", "DANN"]


def test_torch_is_not_needed_to_refuse() -> None:
    code = """import sys
from bench.suite import catalog
catalog.methods()
sys.exit("torch" in sys.modules)"""
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment(ROOT), check=False).returncode
        == 0
    )
