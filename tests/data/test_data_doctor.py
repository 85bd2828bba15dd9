"""The doctor names every missing, surplus and unreadable thing, and never raises over one."""

from pathlib import Path

import digit_files as tiny
import numpy as np
import pytest
from PIL import Image

from bench.data.doctor import SHOWN, examine
from bench.datasets.locate import find_folder
from bench.errors import UsageError


@pytest.fixture(autouse=True)
def _tiny_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny.shrink(monkeypatch, "mnist", "usps", "mnist-m")
    tiny.cache_in(monkeypatch, tmp_path / "cache")


def told(name: str, root: Path, level: str) -> list[str]:
    return [finding.text for finding in examine(name, root) if finding.level == level]


def test_a_good_copy_is_found_good(tmp_path: Path) -> None:
    tiny.write_usps(tmp_path)
    tiny.write_mnist_m(tmp_path)
    for name, place in (("usps", "USPS"), ("mnist-m", "mnist_m")):
        assert find_folder(name, tmp_path) == tmp_path / place
        assert {finding.level for finding in examine(name, tmp_path)} == {"ok"}
        assert told(name, tmp_path, "ok")[-2:] == [
            "train: 12 images, as many of each class as published",
            "test: 10 images, as many of each class as published",
        ]


def test_nothing_there_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    assert find_folder("svhn", tmp_path / "nowhere") is None
    [text] = told("svhn", tmp_path / "nowhere", "error")
    assert "bench data get svhn" in text and "SVHN/train_32x32.mat" in text


def test_files_that_are_not_the_published_ones_are_a_warning(tmp_path: Path) -> None:
    tiny.write_mnist(tmp_path)
    warnings = told("mnist", tmp_path, "warn")
    assert len(warnings) == 4 and all(
        "is not the published file: its md5 is" in text for text in warnings
    )
    assert told("mnist", tmp_path, "error") == []


def test_a_missing_file_is_named_and_the_other_split_still_checked(tmp_path: Path) -> None:
    tiny.write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    assert find_folder("mnist", tmp_path) is None
    assert told("mnist", tmp_path, "error") == [
        f"{tmp_path}/MNIST/raw/t10k-labels?idx1-ubyte is missing"
    ]
    assert "train: 12 images, as many of each class as published" in told("mnist", tmp_path, "ok")


def test_every_count_that_is_off_is_told(tmp_path: Path) -> None:
    tiny.write_mnist(tmp_path)
    swapped = np.where(tiny.TEST == 3, 4, tiny.TEST)
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").write_bytes(tiny.idx(swapped))
    assert told("mnist", tmp_path, "error") == [
        "test: has 0 images of class 3 where the published set has 1",
        "test: has 2 images of class 4 where the published set has 1",
    ]


def test_missing_surplus_and_unreadable_pictures_are_named_one_by_one(tmp_path: Path) -> None:
    tiny.write_mnist_m(tmp_path)
    pictures = tmp_path / "mnist_m/mnist_m_train"
    for i in (2, 5):
        (pictures / f"{i:08}.png").unlink()
    (pictures / "00000007.png").write_bytes(b"broken")
    (pictures / "notes.txt").write_text("mine")
    errors = told("mnist-m", tmp_path, "error")
    assert errors[:2] == [f"train: {pictures}/{i:08}.png is missing" for i in (2, 5)]
    assert len(errors) == 3 and f"{pictures}/00000007.png cannot be read" in errors[2]
    assert told("mnist-m", tmp_path, "warn") == [
        f"train: {pictures}/notes.txt is not in mnist_m_train_labels.txt"
    ]


def test_long_lists_are_cut_and_counted(tmp_path: Path) -> None:
    tiny.write_mnist_m(tmp_path)
    for i in range(SHOWN + 5):
        (tmp_path / f"mnist_m/mnist_m_test/extra{i}.png").write_bytes(b"")
    warnings = told("mnist-m", tmp_path, "warn")
    assert len(warnings) == SHOWN + 1 and warnings[-1] == "test: ... and 5 more like it"


@pytest.mark.parametrize("bad", [b"", b"\0" * 50, b"\xff" * 5000, b"00000000.png"])
def test_the_doctor_never_raises_over_bad_bytes(tmp_path: Path, bad: bytes) -> None:
    tiny.write_mnist(tmp_path)
    tiny.write_usps(tmp_path)
    tiny.write_mnist_m(tmp_path)
    for path in [
        *tmp_path.glob("MNIST/raw/*"),
        *tmp_path.glob("USPS/*"),
        *tmp_path.glob("mnist_m/*.txt"),
    ]:
        path.write_bytes(bad)
    for name in ("mnist", "usps", "mnist-m"):
        assert len(told(name, tmp_path, "error")) == 2


def test_folders_where_files_should_be_are_an_error(tmp_path: Path) -> None:
    for name in ("zip.train.gz", "zip.test.gz"):
        (tmp_path / "USPS" / name).mkdir(parents=True)
    assert len(told("usps", tmp_path, "error")) == 2
    tiny.write_mnist_m(tmp_path)
    (tmp_path / "mnist_m/mnist_m_test").rename(tmp_path / "elsewhere")
    (tmp_path / "mnist_m/mnist_m_test").write_text("not a folder")
    assert len(told("mnist-m", tmp_path, "error")) == 1


def test_a_folder_of_ones_own_is_examined_too(tmp_path: Path) -> None:
    for name in ("ant", "bee", "empty"):
        (tmp_path / "art" / name).mkdir(parents=True)
    for name in ("ant/1.png", "ant/2.jpg", "bee/1.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / "art" / name)
    (tmp_path / "art/bee/2.png").write_bytes(b"broken")
    (tmp_path / "art/bee/notes.txt").write_text("mine")
    art = tmp_path / "art"
    assert told("folder", art, "ok") == [f"{art}: 4 images in 3 classes"]
    assert told("folder", art, "warn")[0].startswith(f"{art}/bee/notes.txt is passed over")
    empty, broken = told("folder", art, "error")
    assert empty == f"{art}/empty has no images" and broken.startswith(
        f"{art}/bee/2.png cannot be read"
    )
    assert told("folder", tmp_path / "nowhere", "error") == [f"no folder {tmp_path}/nowhere"]


def test_train_and_test_folders_are_compared(tmp_path: Path) -> None:
    for name in ("train/ant", "train/bee", "test/ant"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name / "1.png")
    assert told("folder", tmp_path, "error") == [
        f"{tmp_path} has class bee in only one of train/ and test/"
    ]


def test_embedded_sets_are_always_there(tmp_path: Path) -> None:
    assert told("uci-digits", tmp_path, "ok") == [
        "1,442 train and 355 test images, part of sklearn"
    ]
    package = find_folder("uci-digits", tmp_path)
    assert package is not None and package.name == "sklearn"


def test_an_unknown_set_is_not_examined(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'usps'"):
        examine("upsp", tmp_path)
