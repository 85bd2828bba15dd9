"""Images that the program made up are known by the mark in their folder, wherever they are used."""

import json
from pathlib import Path

import pytest

from bench.datasets.generated import Mark, are_generated, read_mark, write_mark
from bench.errors import BenchError


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A file three folders below the data root."""
    path = tmp_path / "data/OfficeHome/Art/TV/1.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    return path


def test_a_mark_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_mark(tmp_path) is None
    write_mark(tmp_path, Mark("pacs", 0.02, 3))
    assert read_mark(tmp_path) == Mark("pacs", 0.02, 3)
    assert str(read_mark(tmp_path)) == "made-up images at scale 0.02, seed 3"


@pytest.mark.parametrize("depth", range(4))
def test_a_mark_counts_for_all_that_lies_below_it(picture: Path, depth: int) -> None:
    assert not are_generated([picture])
    write_mark(picture.parents[depth], Mark("officehome", 0.01, 0))
    assert are_generated([picture])
    other = picture.parents[4] / "real/1.jpg"
    assert not are_generated([other]) and are_generated([other, picture])


@pytest.mark.parametrize("link", ["the picture", "its folder", "a folder above"])
def test_a_link_to_made_up_images_does_not_hide_the_mark(picture: Path, link: str) -> None:
    write_mark(picture.parents[2], Mark("officehome", 0.01, 0))
    own = picture.parents[3] / "own/TV/1.jpg"
    depth = ("the picture", "its folder", "a folder above").index(link)
    place, aim = ([path, *path.parents][depth] for path in (own, picture))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(aim)
    assert own.is_file() and are_generated([own])


def test_real_images_linked_into_a_marked_folder_count_as_made_up(
    picture: Path, tmp_path: Path
) -> None:
    write_mark(picture.parents[2], Mark("officehome", 0.01, 0))
    (tmp_path / "real").mkdir()
    (picture.parents[1] / "Bed").symlink_to(tmp_path / "real")
    assert are_generated([picture.parents[1] / "Bed/1.jpg"])


def test_a_path_with_dots_is_followed(picture: Path) -> None:
    write_mark(picture.parents[2], Mark("officehome", 0.01, 0))
    (picture.parents[3] / "own").mkdir()
    assert are_generated([picture.parents[3] / "own/../OfficeHome/Art/TV/1.jpg"])


@pytest.mark.parametrize(
    ("content", "counts"),
    [
        ("{", True),
        ("", True),
        ("\0", True),
        ('{"scale": 0.1, "seed": 0, "kind": "pacs"}', True),
        ("{}", False),
        ("[]", False),
        (json.dumps({"version": 3, "generated": []}), False),
    ],
)
def test_a_damaged_mark_counts_and_another_programs_file_does_not(
    picture: Path, content: str, counts: bool
) -> None:
    (picture.parents[2] / "generated.json").write_text(content)
    assert are_generated([picture]) == counts


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"kind": "pacs", "scale": "x", "seed": 0}'])
def test_a_damaged_mark_is_named_when_it_is_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "generated.json").write_text(content)
    with pytest.raises(BenchError, match=r"generated.json is not what `bench data generate` wrote"):
        read_mark(tmp_path)
