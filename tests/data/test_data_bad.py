"""Bad input at the command line, in real processes: one sentence that names it, exit code 1, no
traceback, no result.

What each reader, the cache and the download do about bad input is tested in the other files.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from children import Children, Ended
from helpers import CLASSES, write_pictures, write_suite
from PIL import Image

from bench.runs import records

RUN = ("run", "--suite", "tiny.toml", "--data", "data", "--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder: data/A and data/B with 15 pictures of each of three classes, and a suite of
    one row."""
    write_pictures(tmp_path / "data", "A", "B")
    write_suite(tmp_path)
    return tmp_path


def refused(ended: Ended) -> str:
    """The one line that says why: on stderr before anything is trained, else of the one cell."""
    assert ended.code == 1 and "Traceback" not in ended.text, ended.text
    if ended.err:
        (line,) = ended.err.splitlines()
        return line.replace("bench: ", "error: ", 1)
    (line,) = [line for line in ended.out.splitlines() if line.startswith("only A-B seed 0: ")]
    assert "1 of 1 cell pending" in ended.out
    return line.removeprefix("only A-B seed 0: ")


def cut_short(data: Path) -> None:
    picture = data / "B/class1/7.png"
    picture.write_bytes(picture.read_bytes()[:300])


def other_class(data: Path) -> None:
    (data / "B/class2").rename(data / "B/klass2")


def no_picture(data: Path) -> None:
    (data / "A/class0/0.png").write_text("none")


def empty_class(data: Path) -> None:
    for picture in (data / "B/class2").iterdir():
        picture.unlink()


def no_class(data: Path) -> None:
    (data / "B/class2").rename(data / "away")


HARM: dict[str, tuple[Callable[[Path], None], str]] = {
    "a picture cut short": (cut_short, "error: B: data/B/class1/7.png cannot be read (OSError: "),
    "no picture": (no_picture, "error: A: data/A/class0/0.png cannot be read ("),
    "other class folders": (
        other_class,
        "error: A and B have different class folders (only one has class2, klass2): name them",
    ),
    "an empty class": (
        empty_class,
        "error: B has no image of 1 of the suite's 3 classes (class 2)",
    ),
    "no class": (no_class, "error: B has no image of 1 of the suite's 3 classes"),
}


@pytest.mark.parametrize("harm", HARM)
def test_bad_pictures_and_folders_are_named_and_leave_no_record(
    harm: str, folder: Path, bench: Children
) -> None:
    do, says = HARM[harm]
    do(folder / "data")
    assert refused(bench.run(*RUN)).startswith(says)
    assert not list(folder.rglob("*.jsonl"))


def test_a_damaged_picture_can_be_left_out_and_the_record_counts_it(
    folder: Path, bench: Children
) -> None:
    cut_short(folder / "data")
    ended = bench.run(*RUN, "--skip-unreadable")
    assert (ended.code, ended.err) == (0, "")
    (record,) = records.read_all(folder / "results")
    assert record.status == "ok"
    assert {k: v.origin for k, v in record.run.data.items()} == {
        "A": "folder A",
        "B": "folder B, 1 unreadable left out",
    }
    assert [record.run.data[k].train.images + record.run.data[k].test.images for k in "AB"] == [
        45,
        44,
    ]


def test_pictures_of_every_kind_are_trained_on(folder: Path, bench: Children) -> None:
    grey = np.linspace(0, 255, 30 * 40).astype(np.uint8).reshape(30, 40)
    rgb = Image.merge(
        "RGB", [Image.fromarray(g) for g in (grey, grey[::-1].copy(), grey[:, ::-1].copy())]
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    for k in range(CLASSES):
        place = folder / f"data/A/class{k}"
        rgb.convert("L").save(place / "grey.jpg")
        rgb.convert("CMYK").save(place / "cmyk.jpg")
        rgb.quantize(16).save(place / "palette.png")
        Image.fromarray(grey.astype(np.uint16) * 257).save(place / "deep.png")
        rgb.save(place / "turned.jpg", exif=exif)
    ended = bench.run(*RUN)
    assert (ended.code, ended.err) == (0, ""), ended.text
    (record,) = records.read_all(folder / "results")
    assert record.run.data["A"].train.images + record.run.data["A"].test.images == 45 + 5 * CLASSES


@pytest.mark.parametrize(
    "harm", ["cut short", pytest.param("of another set", marks=pytest.mark.slow)]
)
def test_a_cache_that_is_not_whole_or_not_this_sets_is_made_anew(
    harm: str, folder: Path, bench: Children
) -> None:
    assert bench.run(*RUN).code == 0
    harmed = list((bench.home / "cache").rglob("*.u8" if harm == "cut short" else "*.json"))
    assert len(harmed) >= 4  # train and test of A and of B
    for path in harmed:
        path.write_bytes(
            path.read_bytes()[:-1000] if harm == "cut short" else b'{"key": "of another set"}'
        )
    again = bench.run(*RUN, "--redo")
    assert (again.code, again.err) == (0, "")
    first, second = records.read_all(folder / "results")
    assert first.run.data == second.run.data and first.evals == second.evals


def test_a_batch_larger_than_a_domain_is_refused(folder: Path, bench: Children) -> None:
    says = refused(bench.run(*RUN, "--set", "batch=64"))
    assert says == "error: a batch of 64 does not fit A's 36 training images; lower the batch"
    assert not list(folder.rglob("*.jsonl"))


@pytest.mark.parametrize("name", ["pacs", "officehome"])
def test_a_hub_that_cannot_be_reached_is_one_sentence_within_seconds(
    name: str, folder: Path, bench: Children
) -> None:
    begun = time.monotonic()
    ended = bench.run(
        "data", "get", name, "--data", "none", env={"HF_ENDPOINT": "http://127.0.0.1:9"}
    )
    assert time.monotonic() - begun < 15
    assert ended.code == 1 and "Traceback" not in ended.text and ended.out.strip() == ""
    assert ended.err.startswith(
        f"bench: {name} could not be downloaded (Hugging Face data set flwrlabs/"
    )
    assert f"run `bench data get {name}` again when there is a network" in ended.err


def test_weights_that_cannot_be_downloaded_are_one_sentence_and_no_record(
    folder: Path, bench: Children
) -> None:
    write_suite(folder, backbone="vgg16", weights="imagenet", size=32)
    nowhere = {"https_proxy": "http://127.0.0.1:9", "TORCH_HOME": str(folder)}
    ended = bench.run(*RUN, env=nowhere)
    assert ended.code == 1 and "Traceback" not in ended.text
    assert (
        "bench: the weights VGG16_Weights.IMAGENET1K_V1 could not be downloaded (<urlopen error"
        in ended.err
    )
    assert "give a local .pth or .safetensors file with --weights" in ended.err
    assert not list(folder.rglob("*.jsonl"))


LARGE = """
import torch
from torch.nn.functional import cross_entropy

from methods import Method


class Large(Method):
    \"\"\"L = CE, with a petabyte at hand.\"\"\"

    def __init__(self, net):
        super().__init__()
        if net.F.training and next(net.F.parameters()).numel() > 100:
            self.register_buffer("more", torch.empty(10**15))

    def step(self, net, s, t, p):
        yield cross_entropy(net.C(net.F(s.x)), s.y)
"""


def test_a_cell_too_large_for_the_memory_says_its_sizes_and_the_next_is_run(
    folder: Path, bench: Children
) -> None:
    """The cell needs more than any address space holds, so that it fails at once everywhere."""
    (folder / "methods").mkdir()
    (folder / "methods/large.py").write_text(LARGE, encoding="utf-8")
    write_suite(folder, rows={"large": {"method": "large"}, "small": {"method": "dann"}})
    ended = bench.run(*RUN)
    assert ended.code == 1 and ended.err == "" and "Traceback" not in ended.text
    assert (
        "large A-B seed 0: failed: out of memory on cpu in row large: "
        "batches of 2 × 4 images of 28×28 through ganin-mnist; "
        "try --set batch=2, --set precision=bf16, a device with more memory\n"
    ) in ended.out
    assert "1 out of memory, 1 ok; 1 of 2 cells pending" in ended.out
    large_one, small = records.read_all(folder / "results")
    assert (
        small.status == "ok"
        and large_one.status == "failed"
        and large_one.end
        and "trace" not in large_one.end
    )
