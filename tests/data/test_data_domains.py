"""PACS and Office-Home: found however they are spelled, labelled by the names of their classes,
checked by their counts."""

import json
from collections import Counter
from pathlib import Path

import digit_files as tiny
import numpy as np
import pyarrow
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from bench.cli.app import app
from bench.data import doctor, get
from bench.data.generate import generate
from bench.data.images import Domain, require_same_classes
from bench.data.load import load_domain
from bench.datasets import sets
from bench.datasets.locate import find_folder
from bench.errors import BenchError, UsageError
from bench.suite.suite import DomainSpec

CLASSES = [
    "Alarm_Clock",
    "TV",
    "Table",
]  # sorted as Python and the papers' code sort: capitals first
COUNTS = {
    "Art": {"Alarm_Clock": 2, "TV": 1, "Table": 3},
    "Clipart": {"Alarm_Clock": 1, "TV": 1, "Table": 1},
    "Product": {"Alarm_Clock": 1, "TV": 2, "Table": 1},
    "Real World": {"Alarm_Clock": 1, "TV": 3, "Table": 2},
}


@pytest.fixture(autouse=True)
def _small_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny.cache_in(monkeypatch, tmp_path / "cache")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one test, an Office-Home of 19 images was published."""
    monkeypatch.setattr(sets, "class_counts", lambda name: COUNTS)


def colour(domain: str, name: str, i: int) -> tuple[int, int, int]:
    return 80 * CLASSES.index(name), 60 * list(COUNTS).index(domain), 9 * i


def write_officehome(root: Path, *, fourth: str = "Real World", folder: str = "OfficeHome") -> Path:
    for domain, classes in COUNTS.items():
        for name, n in classes.items():
            place = root / folder / (fourth if domain == "Real World" else domain) / name
            place.mkdir(parents=True)
            for i in range(1, n + 1):
                Image.new("RGB", (20 + i, 30), colour(domain, name, i)).save(
                    place / f"{i:05}.jpg", quality=100
                )
    return root / folder


def read(
    root: Path, domain: str | None = "Real World", *, classes: int = 3, **spec: object
) -> Domain:
    settings = DomainSpec.model_validate({"set": "officehome", "domain": domain} | spec)
    return load_domain("R", settings, root=root, size=8, resize="bilinear", classes=classes)


def told(root: Path, level: str) -> list[str]:
    return [
        finding.text for finding in doctor.examine("officehome", root) if finding.level == level
    ]


def test_published_counts_are_those_of_the_papers() -> None:
    pacs, home = sets.class_counts("pacs"), sets.class_counts("officehome")
    assert {d: sum(classes.values()) for d, classes in pacs.items()} == {
        "photo": 1670, "art_painting": 2048, "cartoon": 2344, "sketch": 3929,
    }  # fmt: skip
    assert {d: sum(classes.values()) for d, classes in home.items()} == {
        "Art": 2427,
        "Clipart": 4365,
        "Product": 4439,
        "Real World": 4357,
    }
    assert [len(classes) for classes in (*pacs.values(), *home.values())] == [7] * 4 + [65] * 4
    assert all([*classes] == sorted(classes) for classes in (*pacs.values(), *home.values()))
    assert (pacs["sketch"]["horse"], home["Art"]["Bottle"]) == (816, 99)
    assert all(
        [*sets.find_set(name).domains] == [*sets.class_counts(name)]
        for name in ("pacs", "officehome")
    )


def test_the_other_sets_have_as_many_images_of_each_domain_as_published() -> None:
    totals = {
        "office31": {"amazon": 2817, "dslr": 498, "webcam": 795},
        "officecaltech": {"amazon": 958, "caltech": 1123, "dslr": 157, "webcam": 295},
        "visda": {"synthetic": 152_397, "real": 55_388},
        "domainnet126": {"real": 69_622, "clipart": 18_523, "painting": 30_042, "sketch": 24_147},
    }
    classes = {"office31": 31, "officecaltech": 10, "visda": 12, "domainnet126": 126}
    for name, expected in totals.items():
        counts = sets.class_counts(name)
        assert {d: sum(c.values()) for d, c in counts.items()} == expected
        assert all(len(c) == classes[name] and [*c] == sorted(c) for c in counts.values())
        assert len({(*c,) for c in counts.values()}) == 1, "every domain has the same classes"
        assert [*sets.find_set(name).domains] == [*counts] and sets.find_set(name).source


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("fourth", ["Real World", "RealWorld", "Real_World"])
def test_the_fourth_domain_is_found_in_each_of_its_spellings(tmp_path: Path, fourth: str) -> None:
    folder = write_officehome(tmp_path, fourth=fourth)
    for asked in ("Real World", "RealWorld", "Real_World"):
        domain = read(tmp_path, asked)
        assert domain.train is domain.test and domain.classes == tuple(CLASSES)
        assert domain.train.y.tolist() == [0, 1, 1, 1, 2, 2]
        assert domain.origin == "image files in OfficeHome"
    expected = torch.tensor(
        [
            colour("Real World", name, i)
            for name, n in COUNTS["Real World"].items()
            for i in range(1, n + 1)
        ]
    )
    assert (domain.train.x.float().mean((2, 3)) - expected).abs().max() < 3
    assert find_folder("officehome", tmp_path) == folder
    assert {finding.level for finding in doctor.examine("officehome", tmp_path)} == {"ok"}


@pytest.mark.usefixtures("small")
def test_two_spellings_at_once_are_refused(tmp_path: Path) -> None:
    folder = write_officehome(tmp_path)
    (folder / "Real_World").mkdir()
    with pytest.raises(
        BenchError, match="holds Real World as Real World and Real_World: keep one of them"
    ):
        read(tmp_path)
    assert any("keep one of them" in text for text in told(tmp_path, "error"))


@pytest.mark.usefixtures("small")
def test_a_domain_that_does_not_exist_or_is_not_said_is_a_usage_error(tmp_path: Path) -> None:
    write_officehome(tmp_path)
    with pytest.raises(
        UsageError, match=r"unknown domain of officehome 'Clipars'; did you mean 'Clipart'\?"
    ):
        read(tmp_path, "Clipars")
    with pytest.raises(
        UsageError, match="officehome has several domains: say with `domain` which one 'R' is"
    ):
        read(tmp_path, None)
    with pytest.raises(
        UsageError, match="the set usps takes no `domain`: remove it from domain 'R'"
    ):
        read(tmp_path, set="usps")
    with pytest.raises(UsageError, match="the set usps takes no `path`"):
        read(tmp_path, None, set="usps", path="elsewhere")
    with pytest.raises(UsageError, match="the set usps takes no `list`"):
        read(tmp_path, None, set="usps", list="a.txt")


def test_a_set_that_is_not_there_is_asked_for_with_its_layout(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="bench data get officehome") as e:
        read(tmp_path)
    assert "OfficeHome/<domain>/<class>/00001.jpg" in str(e.value)


@pytest.mark.usefixtures("small")
def test_a_domain_alone_is_enough_to_read_it_but_not_to_be_whole(tmp_path: Path) -> None:
    folder = write_officehome(tmp_path)
    (folder / "Art").rename(tmp_path / "elsewhere")
    assert len(read(tmp_path).train) == 6
    with pytest.raises(BenchError, match=r"officehome is incomplete .*OfficeHome has no Art"):
        read(tmp_path, "Art")
    assert find_folder("officehome", tmp_path) is None
    [text] = told(tmp_path, "error")
    assert text.startswith("Art: officehome is incomplete")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("one less", "has 2 images of class TV where the published set has 3"),
        ("one more", "has 4 images of class TV where the published set has 3"),
        ("no class", "has 0 images of class TV where the published set has 3"),
        ("empty class", "has 0 images of class TV where the published set has 3"),
        ("new class", "has a class Zebra that the published set has not"),
    ],
)
def test_what_is_not_as_published_is_refused(tmp_path: Path, change: str, says: str) -> None:
    television = write_officehome(tmp_path) / "Real World/TV"
    match change:
        case "one less":
            (television / "00002.jpg").unlink()
        case "one more":
            (television / "00003.jpg").rename(television / "00004.jpg")
            for i in (3, 5):
                Image.new("RGB", (9, 9)).save(television / f"{i:05}.jpg")
            (television / "00005.jpg").unlink()
        case "no class" | "empty class":
            television.rename(tmp_path / "elsewhere")
            if change == "empty class":
                television.mkdir()
        case "new class":
            television.with_name("Zebra").mkdir()
    with pytest.raises(
        BenchError, match=f"officehome Real World {says} .*see `bench data doctor officehome`"
    ):
        read(tmp_path)
    assert f"Real World: {says}" in told(tmp_path, "error")


@pytest.mark.usefixtures("small")
def test_the_doctor_names_missing_extra_and_unreadable_files(tmp_path: Path) -> None:
    art = write_officehome(tmp_path) / "Art"
    (art / "Table/00002.jpg").unlink()
    (art / "Alarm_Clock/00001.jpg").rename(art / "Alarm_Clock/copy.jpg")
    (art / "TV/00001.jpg").write_bytes((art / "TV/00001.jpg").read_bytes()[:400])
    (art / "Thumbs.db").write_bytes(b"")
    count, *missing, broken = told(tmp_path, "error")
    assert count == "Art: has 2 images of class Table where the published set has 3"
    assert missing == [
        f"Art: {art}/Alarm_Clock/00001.jpg is missing",
        f"Art: {art}/Table/00002.jpg is missing",
    ]
    assert broken.startswith(f"Art: {art}/TV/00001.jpg cannot be read (")
    passed, copy = told(tmp_path, "warn")
    assert passed.startswith(f"Art: {art}/Thumbs.db is passed over")
    assert copy == f"Art: {art}/Alarm_Clock/copy.jpg is not one of the published pictures"
    assert told(tmp_path, "ok")[1:] == [
        f"{domain}: {sum(COUNTS[domain].values())} images, "
        "as many of each class as expected, all readable"
        for domain in ("Clipart", "Product", "Real World")
    ]


# a folder between domain and classes, and list files

BIKES = {
    "amazon": {"bike": 2, "mug": 1},
    "dslr": {"bike": 1, "mug": 2},
    "webcam": {"bike": 1, "mug": 1},
}
NETS = {d: {"ant": 2, "bee": 1} for d in ("real", "clipart", "painting", "sketch")}
CARS = {"synthetic": {"bus": 2, "car": 1}, "real": {"bus": 1, "car": 2}}


@pytest.fixture
def tiny_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one test, an Office-31, a DomainNet-126 and a VisDA of a few images were published."""
    published = {"office31": BIKES, "domainnet126": NETS, "visda": CARS}
    monkeypatch.setattr(sets, "class_counts", published.__getitem__)


def load(root: Path, name: str, domain: str, classes: int = 2) -> Domain:
    spec = DomainSpec(set=name, domain=domain)
    return load_domain("D", spec, root=root, size=8, resize="bilinear", classes=classes)


def said(name: str, root: Path, level: str) -> list[str]:
    return [f.text for f in doctor.examine(name, root) if f.level == level]


def published(name: str, root: Path) -> Path:
    """A set as if it were the published one: made up, without the mark."""
    folder = generate(name, root, scale=1)
    (folder / "generated.json").unlink()
    return folder


@pytest.mark.usefixtures("tiny_sets")
def test_the_folder_between_a_domain_and_its_classes_may_be_missing(tmp_path: Path) -> None:
    folder = published("office31", tmp_path)
    assert sorted(p.name for p in (folder / "dslr/images/mug").iterdir()) == [
        "frame_0001.jpg",
        "frame_0002.jpg",
    ]
    there = load(tmp_path, "office31", "dslr")
    assert there.classes == ("bike", "mug") and there.train.y.tolist() == [0, 1, 1]
    assert {f.level for f in doctor.examine("office31", tmp_path)} == {"ok"}
    for domain in BIKES:
        (folder / domain / "images").rename(folder / "aside")
        (folder / domain).rmdir()
        (folder / "aside").rename(folder / domain)
    assert load(tmp_path, "office31", "dslr").train.fingerprint() == there.train.fingerprint()
    (folder / "dslr/mug/frame_0002.jpg").rename(folder / "dslr/mug/frame_0003.jpg")
    assert said("office31", tmp_path, "error") == [
        f"dslr: {folder}/dslr/mug/frame_0002.jpg is missing"
    ]


@pytest.mark.usefixtures("tiny_sets")
def test_a_set_of_list_files_is_the_pictures_that_they_name(tmp_path: Path) -> None:
    """What else the folders of the larger set hold is left alone; labels follow the names."""
    folder = published("domainnet126", tmp_path)
    more = folder / "real/zebra"
    more.mkdir()
    Image.new("RGB", (9, 9)).save(more / "1.jpg")
    listed = (folder / "real_list.txt").read_text().splitlines()
    assert [line.split()[1] for line in listed] == ["0", "0", "1"]
    (folder / "real_list.txt").write_text("\n".join(f"{x.split()[0]} 7" for x in listed[::-1]))
    real = load(tmp_path, "domainnet126", "real")
    assert real.classes == ("ant", "bee") and real.train.y.tolist() == [0, 0, 1]
    assert real.train is real.test and real.origin == "lists files in domainnet-126"
    assert find_folder("domainnet126", tmp_path) == folder
    assert {f.level for f in doctor.examine("domainnet126", tmp_path)} == {"ok"}


@pytest.mark.usefixtures("tiny_sets")
def test_what_a_list_file_names_and_is_not_there_is_named(tmp_path: Path) -> None:
    folder = published("domainnet126", tmp_path)
    gone = next((folder / "real/ant").iterdir())
    gone.unlink()
    (folder / "clipart_list.txt").write_text("alone.jpg 0\n")
    (folder / "sketch_list.txt").unlink()
    count, missing, alone, absent = said("domainnet126", tmp_path, "error")
    assert count == "real: has 1 images of class ant where the published set has 2"
    assert missing == f"real: {gone} is missing"
    assert "clipart_list.txt cannot be read ('alone.jpg' lies in no folder of a class)" in alone
    assert "domainnet126 is incomplete" in absent and "has no sketch_list.txt" in absent
    with pytest.raises(BenchError, match="domainnet126 real has 1 images of class ant"):
        load(tmp_path, "domainnet126", "real")
    assert find_folder("domainnet126", tmp_path) is None


@pytest.mark.usefixtures("tiny_sets")
def test_the_doctor_compares_folders_with_the_list_files_beside_them(tmp_path: Path) -> None:
    folder = published("visda", tmp_path)
    assert load(tmp_path, "visda", "synthetic").train.y.tolist() == [0, 0, 1]
    assert load(tmp_path, "visda", "real").train.y.tolist() == [0, 1, 1]
    assert {f.level for f in doctor.examine("visda", tmp_path)} == {"ok"}
    _, second = sorted((folder / "validation/car").iterdir())
    second.rename(second.with_name("other.jpg"))
    assert said("visda", tmp_path, "error") == [f"real: {second} is missing"]
    assert said("visda", tmp_path, "warn") == [
        f"real: {second.with_name('other.jpg')} is not in image_list.txt"
    ]
    for domain in ("train", "validation"):
        (folder / domain / "image_list.txt").unlink()
    assert {f.level for f in doctor.examine("visda", tmp_path)} == {"ok"}, "as many as published"


@pytest.mark.parametrize("name", ["office31", "officecaltech", "visda", "domainnet126"])
def test_a_set_that_is_not_downloaded_says_where_to_get_it(name: str, tmp_path: Path) -> None:
    facts = sets.find_set(name)
    for do in (
        lambda: get.get(name, tmp_path, mirror="http://127.0.0.1:9"),
        lambda: load(tmp_path, name, next(iter(facts.domains))),
    ):
        with pytest.raises(BenchError) as e:
            do()
        text = str(e.value)
        assert facts.source in text and facts.layout.splitlines()[0] in text
        assert "http" in text and "bench data get" not in text


@pytest.mark.parametrize("name", ["office31", "officecaltech", "visda", "domainnet126"])
@pytest.mark.slow
def test_a_made_up_copy_satisfies_the_doctor(name: str, tmp_path: Path) -> None:
    folder = generate(name, tmp_path, scale=0.0001)
    assert find_folder(name, tmp_path) == folder
    assert said(name, tmp_path, "error") == []
    (warning,) = said(name, tmp_path, "warn")
    assert "made-up images at scale 0.0001" in warning


# Parquet


def write_parquet(
    root: Path, folder: Path, names: list[str] | None, *, spelt: str = "Real World"
) -> Path:
    """The pictures of an Office-Home folder as the Hub serves them, in two files.

    names: the classes in the order of their numbers.
    """
    rows = [
        {"image": {"bytes": path.read_bytes(), "path": path.name},
         "domain": spelt if "Real" in str(path) else path.parts[-3],
         "label": names.index(path.parent.name) if names else CLASSES.index(path.parent.name)}
        for path in sorted(folder.rglob("*.jpg"))
    ]  # fmt: skip
    np.random.default_rng(0).shuffle(rows)
    metadata = (
        {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}} if names else {}
    )
    (root / "officehome/data").mkdir(parents=True)
    for number, part in enumerate((rows[:11], rows[11:])):
        table = pyarrow.Table.from_pylist(part).replace_schema_metadata(
            {"huggingface": json.dumps(metadata)}
        )
        pq.write_table(
            table, root / f"officehome/data/train-0000{number}-of-00002.parquet", row_group_size=4
        )
    return root / "officehome"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("names", [CLASSES, ["Table", "Alarm_Clock", "TV"]])
def test_parquet_gives_the_images_of_the_folder_under_the_same_labels(
    tmp_path: Path, names: list[str]
) -> None:
    folder = write_officehome(tmp_path / "folders")
    place = write_parquet(tmp_path, folder, names, spelt="RealWorld")
    for asked in COUNTS:
        ours, theirs = read(tmp_path, asked), read(tmp_path / "folders", asked)
        assert ours.origin == "parquet files in officehome" and ours.classes == theirs.classes
        pairs = [
            Counter(
                (x.numpy().tobytes(), y) for x, y in zip(d.train.x, d.train.y.tolist(), strict=True)
            )
            for d in (ours, theirs)
        ]
        assert pairs[0] == pairs[1]
    assert find_folder("officehome", tmp_path) == place
    assert {finding.level for finding in doctor.examine("officehome", tmp_path)} == {"ok"}


@pytest.mark.usefixtures("small")
def test_parquet_that_does_not_name_its_classes_is_not_guessed_at(tmp_path: Path) -> None:
    write_parquet(tmp_path, write_officehome(tmp_path / "folders"), None)
    with pytest.raises(BenchError, match="has 0 images of class Alarm_Clock"):
        read(tmp_path)
    assert "Real World: has a class 0 that the published set has not" in told(tmp_path, "error")


@pytest.mark.usefixtures("small")
def test_damage_in_parquet_is_named(tmp_path: Path) -> None:
    path = (
        write_parquet(tmp_path, write_officehome(tmp_path / "folders"), CLASSES)
        / "data/train-00000-of-00002.parquet"
    )
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[3]["image"]["bytes"] = b"no picture"
    pq.write_table(pyarrow.Table.from_pylist(rows, table.schema), path)
    with pytest.raises(BenchError, match=f"row 3 of {path} cannot be read"):
        read(tmp_path, rows[3]["domain"])
    [text] = told(tmp_path, "error")
    assert text.startswith(f"{rows[3]['domain']}: row 3 of {path} cannot be read (")
    for cut in (b"", b"PAR1", path.read_bytes()[:-9]):
        path.write_bytes(cut)
        with pytest.raises(BenchError, match="cannot be read"):
            read(tmp_path)


# list files


@pytest.mark.usefixtures("small")
def test_a_list_file_says_which_pictures_and_what_they_show(tmp_path: Path) -> None:
    folder = write_officehome(tmp_path, fourth="Real World")
    lines = ["Real World/TV/00003.jpg 1", "Art/Table/00001.jpg 0", f"{folder}/Art/TV/00001.jpg 1"]
    (tmp_path / "some.txt").write_text("\n".join(lines) + "\n")
    domain = read(tmp_path, list="some.txt", classes=2)
    assert (
        domain.train is domain.test
        and domain.train.y.tolist() == [1, 0, 1]
        and domain.classes == ()
    )
    assert domain.origin == "list some.txt, image files in OfficeHome"
    own = read(
        tmp_path,
        None,
        set="folder",
        path=folder.name,
        list="some.txt",
        transductive=True,
        classes=2,
    )
    assert torch.equal(own.train.x, domain.train.x) and own.origin == "list some.txt"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "Art/TV/00009.jpg 0",
            r"some.txt lists 1 pictures that are not there, .*Art/TV/00009.jpg first: "
            r"correct it or `path`",
        ),
        ("Art/TV/00001.jpg", "line 2 is not a name and a label"),
        ("Art/TV/00001.jpg 7", "R has 8 classes, the suite 2"),
    ],
)
def test_what_is_wrong_with_a_list_file_is_said(tmp_path: Path, line: str, says: str) -> None:
    write_officehome(tmp_path)
    (tmp_path / "some.txt").write_text(f"Art/TV/00001.jpg 1\n{line}\n")
    with pytest.raises(BenchError, match=says):
        read(tmp_path, list="some.txt", classes=2)
    (tmp_path / "some.txt").write_text("")
    with pytest.raises(BenchError, match=r"some.txt lists no pictures"):
        read(tmp_path, list="some.txt", classes=2)
    with pytest.raises(BenchError, match=r"no list file .*none.txt: correct `list` in the suite"):
        read(tmp_path, list="none.txt", classes=2)


# class folders


def test_domains_with_other_class_folders_do_not_agree(tmp_path: Path) -> None:
    for name in ("A/ant", "A/bee", "B/ant", "B/cat"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name / "1.png")
    a, b = (
        read(tmp_path, None, set="folder", path=path, transductive=True, classes=2) for path in "AB"
    )
    require_same_classes(a, a)
    with pytest.raises(
        BenchError, match=r"different class folders \(only one has bee, cat\): name them alike"
    ):
        require_same_classes(a, b)


# made-up sets


def side(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_a_made_up_set_has_the_published_shape_and_says_what_it_is(tmp_path: Path) -> None:
    folder = generate("officehome", tmp_path, scale=0.02, seed=3)
    assert folder == tmp_path / "OfficeHome" and find_folder("officehome", tmp_path) == folder
    counts = {
        d: Counter(p.parent.name for p in (folder / d).rglob("*.jpg"))
        for d in sets.class_counts("officehome")
    }
    assert counts == {
        d: {c: max(1, round(n * 0.02)) for c, n in classes.items()}
        for d, classes in sets.class_counts("officehome").items()
    }
    assert len({side(path) for path in (folder / "Art").rglob("*.jpg")}) > 50
    assert told(tmp_path, "error") == []
    assert told(tmp_path, "warn") == [
        f"{folder} holds made-up images at scale 0.02, seed 3, not the published ones: "
        "no result comes of them"
    ]
    domain = read(tmp_path, classes=65)
    assert domain.origin == "made-up images at scale 0.02, seed 3, image files in OfficeHome"
    (folder / "Art/Bed/00001.jpg").unlink()
    with pytest.raises(BenchError, match="officehome Art has 0 images of class Bed"):
        read(tmp_path, "Art", classes=65)


def test_made_up_pacs_is_the_same_for_the_same_seed_and_can_be_learnt(tmp_path: Path) -> None:
    def made(place: str, seed: int) -> dict[str, Domain]:
        folder = generate("pacs", tmp_path / place, scale=0.01, seed=seed)
        assert {side(path) for path in folder.rglob("*.*g")} == {(227, 227)}
        options = {"root": tmp_path / place, "size": 32, "resize": "bilinear", "classes": 7}
        return {
            d: load_domain(d, DomainSpec(set="pacs", domain=d), **options)
            for d in ("photo", "sketch")
        }

    one, again, other = made("a", 0), made("b", 0), made("c", 1)
    prints = [
        {name: domain.train.fingerprint() for name, domain in domains.items()}
        for domains in (one, again, other)
    ]
    assert prints[0] == prints[1] and not set(prints[0].values()) & set(prints[2].values())
    photo, sketch = one["photo"].train, one["sketch"].train
    means = torch.stack([photo.x[photo.y == k].float().mean(0).flatten() for k in range(7)])
    guess = torch.cdist(sketch.x.float().flatten(1), means).argmin(1)
    assert (guess == sketch.y).float().mean() > 0.9


def test_made_up_images_are_known_whatever_way_a_suite_names_them(tmp_path: Path) -> None:
    generate("officehome", tmp_path, scale=0.001)
    (tmp_path / "some.txt").write_text("Art/TV/00001.jpg 0\nArt/Bed/00001.jpg 1\n")
    (tmp_path / "root.txt").write_text(
        "OfficeHome/Art/TV/00001.jpg 0\nOfficeHome/Art/Bed/00001.jpg 1\n"
    )
    whole = {"domain": None, "set": "folder", "transductive": True}
    assert read(tmp_path, "Art", classes=65).generated
    assert read(tmp_path, "Art", classes=2, list="some.txt").generated
    assert read(tmp_path, classes=65, path="OfficeHome/Art", **whole).generated
    assert read(tmp_path, classes=4, path="OfficeHome", **whole).generated
    assert read(tmp_path, classes=1, path=".", **whole).generated
    assert read(tmp_path, classes=2, path="OfficeHome", list="some.txt", **whole).generated
    assert read(tmp_path, classes=2, list="root.txt", **whole).generated
    assert read(tmp_path / "OfficeHome", classes=65, path="Art", **whole).generated
    assert read(tmp_path / "OfficeHome/Art", classes=65, path=".", **whole).generated


@pytest.mark.usefixtures("small")
def test_the_users_own_and_the_published_images_are_not_made_up(tmp_path: Path) -> None:
    folder = write_officehome(tmp_path)
    write_parquet(tmp_path / "parquet", folder, CLASSES)
    assert not read(tmp_path).generated
    assert not read(tmp_path / "parquet").generated
    own = read(tmp_path, None, set="folder", path="OfficeHome/Art", transductive=True)
    assert not own.generated
    embedded = DomainSpec(set="uci-digits")
    options = {"root": tmp_path, "size": 8, "resize": "nearest", "classes": 10}
    assert not load_domain("D", embedded, **options).generated
    assert load_domain("D", embedded, **options, synthetic=True).generated


def test_generate_never_touches_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "PACS").mkdir()
    with pytest.raises(BenchError, match="PACS exists already"):
        generate("pacs", tmp_path)
    for kind, scale, says in (
        ("pcs", 0.01, "did you mean 'pacs'"),
        ("mnist", 0.01, "known: domainnet126, office31, officecaltech, officehome, pacs, visda"),
        ("pacs", 0, "a scale of 0 makes no sense"),
        ("pacs", float("nan"), "a scale of nan"),
    ):
        with pytest.raises(UsageError, match=says):
            generate(kind, tmp_path, scale=scale)
    assert [path.name for path in tmp_path.iterdir()] == ["PACS"]


def test_a_mark_that_is_damaged_is_not_taken_for_the_published_set(tmp_path: Path) -> None:
    (generate("officehome", tmp_path, scale=0.001) / "generated.json").write_text("{")
    with pytest.raises(BenchError, match=r"generated.json is not what `bench data generate` wrote"):
        read(tmp_path, classes=65)
    assert len(told(tmp_path, "error")) == 1


def test_the_command_makes_what_the_doctor_then_accepts(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    made = CliRunner().invoke(app, ["data", "generate", "pacs", data, "--scale", "0.001"])
    assert (made.exit_code, made.output) == (0, f"{data}/PACS: synthetic images, never a result\n")
    seen = CliRunner().invoke(app, ["data", "doctor", "pacs", "--data", data])
    assert (
        seen.exit_code == 0 and "sketch: 7 images, as many of each class as expected" in seen.output
    )
    assert (
        CliRunner().invoke(app, ["data", "where", "pacs", "--data", data]).output
        == f"{data}/PACS\n"
    )


def test_made_up_images_are_never_taken_for_a_download(tmp_path: Path) -> None:
    generate("officehome", tmp_path, scale=0.001)
    with pytest.raises(BenchError, match=r"OfficeHome holds made-up images, .*move it away first"):
        get.get("officehome", tmp_path, mirror="http://127.0.0.1:9")


@pytest.mark.usefixtures("small")
def test_a_set_that_is_whole_is_not_downloaded_again(tmp_path: Path) -> None:
    folder = write_officehome(tmp_path)
    assert get.get("officehome", tmp_path, mirror="http://127.0.0.1:9") == folder
    (folder / "Art/TV/00001.jpg").unlink()
    with pytest.raises(
        BenchError, match=r"officehome could not be downloaded .*flwrlabs/office-home"
    ):
        get.get("officehome", tmp_path, mirror="http://127.0.0.1:9")
