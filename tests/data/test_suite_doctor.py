"""The doctor of a suite says how many images each class has, and names what would spoil a result."""

from collections.abc import Callable
from pathlib import Path

import digit_files as tiny
import numpy as np
import pytest
from PIL import Image

from bench.data.counts import ImageCount, count_plan
from bench.data.doctor import Finding
from bench.data.listing import Listing
from bench.data.suite_doctor import Part, examine_suite
from bench.errors import UsageError
from bench.runs import plan
from bench.suite import suites
from bench.suite.suite import DomainSpec, Suite

COUNTS = {
    "amazon": {"bike": 5, "mug": 3},
    "dslr": {"bike": 2, "mug": 2},
    "webcam": {"bike": 3, "mug": 2},
}
SUITE = """
title = "Objects"
classes = 2
tasks = ["amazon-dslr", "webcam-amazon"]
domains.amazon = { set = "folder", path = "amazon" }
domains.dslr = { set = "folder", path = "dslr" }
domains.webcam = { set = "folder", path = "webcam" }

[recipe]
backbone = "ganin-mnist"
size = 28
iterations = 2
batch = 2
lr = 0.1

[budgets.short]
note = "short"
recipe = { train_limit = 6, test_limit = 5 }

[[rows]]
id = "one"
label = "One"
method = "source_only"
"""


def draw(path: Path, *color: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9), color).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for d, (domain, classes) in enumerate(COUNTS.items()):
        for c, (name, n) in enumerate(classes.items()):
            for i in range(n):
                draw(tmp_path / domain / name / f"{i}.png", 50 * d, 50 * c, i)
    return tmp_path


def load(root: Path, *changes: tuple[str, str]) -> Suite:
    text = SUITE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (root / "objects.toml").write_text(text, encoding="utf-8")
    return suites.load(root / "objects.toml")


def told(found: list[Finding], level: str) -> list[str]:
    return [finding.text for finding in found if finding.level == level]


def test_a_good_suite_is_counted_class_by_class(root: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = examine_suite(load(root), root, lambda *done: seen.append(done))
    assert {finding.level for finding in found} == {"ok"} and seen[-1] == (17, 17)
    assert told(found, "ok") == [
        "amazon: 8 images in 2 classes are trained and tested on: bike 5, mug 3",
        "dslr: 4 images in 2 classes are trained and tested on: bike 2, mug 2",
        "webcam: 5 images in 2 classes are trained and tested on: bike 3, mug 2",
        "all 17 pictures can be read",
    ]


def test_a_stated_split_counts_both_parts_and_names_a_class_that_nothing_is_tested_of(
    root: Path,
) -> None:
    found = examine_suite(load(root, ('"amazon" }', '"amazon", split = 0.2 }')), root)
    assert told(found, "ok")[:2] == [
        "amazon: 7 images in 2 classes are trained on: bike 4, mug 3",
        "amazon: 1 images in 2 classes are tested on: bike 1, mug 0",
    ]
    assert told(found, "error") == ["amazon: no image of class mug is tested on"]


def lose_class(root: Path) -> None:
    (root / "dslr/mug").rename(root / "dslr/jug")


def respell_class(root: Path) -> None:
    (root / "dslr/mug").rename(root / "dslr/Mug")


def break_file(root: Path) -> None:
    (root / "webcam/mug/1.png").write_bytes(b"")


def copy_between_domains(root: Path) -> None:
    draw(root / "dslr/bike/again.bmp", 0, 0, 4)  # amazon/bike/4.png in another format


def lose_domain(root: Path) -> None:
    (root / "webcam").rename(root / "cam")


HARM: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "another class": (
        lose_class,
        [
            "there is class jug in dslr, but not in amazon, webcam",
            "there is class mug in amazon, webcam, but not in dslr",
        ],
    ),
    "another spelling": (
        respell_class,
        ["a class is called mug in amazon, webcam but Mug in dslr: name it alike"],
    ),
    "an empty file": (
        break_file,
        [
            "{root}/webcam/mug/1.png cannot be read (it is no JPEG, PNG, WEBP, BMP, DIB, PPM, GIF or TIFF)"
        ],
    ),
    "a picture in two domains of a task": (
        copy_between_domains,
        [
            "{root}/amazon/bike/4.png (amazon, trained and tested on) and "
            "{root}/dslr/bike/again.bmp (dslr, trained and tested on) are one picture"
        ],
    ),
    "no domain": (
        lose_domain,
        [
            "webcam: no folder {root}/webcam: put sub-folders of images there, one per class, "
            "or correct `path` in the suite"
        ],
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_would_spoil_a_result_is_an_error(harm: str, root: Path) -> None:
    do, says = HARM[harm]
    do(root)
    found = examine_suite(load(root), root)
    assert told(found, "error") == [text.format(root=root) for text in says]


def test_a_picture_that_is_trained_and_tested_on_in_two_parts_is_an_error(root: Path) -> None:
    draw(root / "amazon/bike/a copy.png", 0, 0, 0)  # of 0.png, so the third of six
    found = examine_suite(load(root, ('"amazon" }', '"amazon", split = 0.5 }')), root)
    bike = root / "amazon/bike"
    copies = [f"{bike}/a copy.png", f"{bike}/0.png"]
    assert [text for text in told(found, "error") if "are one picture" in text] in (
        [f"{a} (amazon, trained on) and {b} (amazon, tested on) are one picture"]
        for a, b in (copies, copies[::-1])
    )


def test_a_picture_in_two_classes_and_a_file_passed_over_are_warned_of(root: Path) -> None:
    draw(root / "webcam/mug/also.png", 100, 0, 1)
    (root / "webcam/mug/notes.gif").write_bytes(b"")
    found = examine_suite(load(root), root)
    assert told(found, "error") == []
    passed, copied = told(found, "warn")
    assert passed.startswith(f"{root}/webcam/mug/notes.gif is passed over")
    assert copied == (
        f"webcam: {root}/webcam/bike/1.png and {root}/webcam/mug/also.png are one picture, "
        "in classes bike and mug"
    )


def test_classes_and_batches_that_the_suite_cannot_have_are_errors(root: Path) -> None:
    suite = load(root, ("classes = 2", "classes = 3"), ("batch = 2", "batch = 5"))
    assert told(examine_suite(suite, root), "error") == [
        *(f"{name} has 2 classes where the suite states 3" for name in COUNTS),
        "dslr: a batch of 5 does not fit 4 images to train on: lower `batch`",
    ]


def test_digits_of_a_suite_are_examined_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.shrink(monkeypatch, "usps")
    tiny.write_usps(tmp_path)
    both = (
        ('{ set = "folder", path = "amazon" }', '{ set = "usps" }'),
        ('{ set = "folder", path = "dslr" }', '{ set = "usps" }'),
        (', "webcam-amazon"', ""),
    )
    found = examine_suite(load(tmp_path, *both), tmp_path)
    assert told(found, "ok")[0] == f"amazon: usps files in {tmp_path}/USPS"
    assert not [finding for finding in found if finding.text.startswith("dslr")]


def test_a_test_set_without_an_image_has_no_class(tmp_path: Path) -> None:
    """A tenth of each class is none of nine images, and a list names no class."""
    empty = Listing(tmp_path, (), np.zeros(0, dtype=np.int64), ())
    assert Part("dslr", DomainSpec(set="folder", path="dslr"), "tested on", empty).counts == {}


def test_a_plan_counts_what_is_trained_and_tested_on(root: Path) -> None:
    split = ('"webcam" }', '"webcam", split = 0.4 }')
    suite = load(root, split)
    lose_class(root)
    (root / "dslr").rename(root / "away")
    full = dict(count_plan(plan.cells(suite), root))
    assert full["amazon"] == ImageCount(8, 8, same=True)
    assert full["webcam"] == ImageCount(4, 1, same=False)
    assert str(full["dslr"]).startswith("no folder ")
    short = dict(count_plan(plan.cells(suite, budget="short"), root))
    assert short["amazon"] == ImageCount(6, 5, same=False)
    with pytest.raises(UsageError, match="takes no `split`"):
        count_plan(
            plan.cells(load(root, ('"folder", path = "amazon"', '"usps", split = 0.2'))), root
        )


def test_a_plan_counts_digits_as_published(tmp_path: Path) -> None:
    mnist = '{ set = "mnist-sample"%s }'
    suite = load(
        tmp_path,
        ('{ set = "folder", path = "amazon" }', mnist % ""),
        ('{ set = "folder", path = "dslr" }', mnist % ", transductive = true"),
        (', "webcam-amazon"', ""),
    )
    assert count_plan(plan.cells(suite), tmp_path) == [
        ("amazon", ImageCount(4000, 1000, same=False)),
        ("dslr", ImageCount(5000, 5000, same=True)),
    ]
