"""Natural pictures are decoded once, to torchvision's pixels, and a damaged cache is not used."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import digit_files as tiny
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, Resize

from bench.data import cache, decode
from bench.data.images import Domain, Images
from bench.data.listing import list_class_folders
from bench.data.load import load_domain
from bench.data.resize import Square
from bench.errors import BenchError
from bench.suite.suite import DomainSpec

SIZE = 24


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the cache."""
    tiny.cache_in(monkeypatch, tmp_path / "cache")
    return tmp_path / "cache/images"


@pytest.fixture
def art(tmp_path: Path) -> Path:
    """Two classes, three and four pictures of different sizes."""
    rng = np.random.default_rng(0)
    for name, n in (("ant", 3), ("bee", 4)):
        (tmp_path / "art" / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 256, (20 + 9 * i, 50 - 7 * i, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"art/{name}/{i}.png")
    return tmp_path / "art"


def read(
    art: Path, *, size: int = SIZE, resize: str = "bilinear", skip: bool = False, **spec: object
) -> Domain:
    settings = DomainSpec.model_validate(
        {"set": "folder", "path": art.name, "transductive": True} | spec
    )
    return load_domain(
        "Art", settings, root=art.parent, size=size, resize=resize, classes=2, skip_unreadable=skip
    )


def torchvisions(picture: Image.Image, resize: str = "bilinear") -> torch.Tensor:
    resized = Resize((SIZE, SIZE), InterpolationMode(resize))(picture.convert("RGB"))
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


@pytest.mark.parametrize("resize", ["bilinear", "nearest", "bicubic"])
def test_pixels_are_those_of_torchvisions_resize(art: Path, resize: str) -> None:
    domain = read(art, resize=resize)
    files = sorted(art.rglob("*.png"))
    assert domain.train.x.shape == (7, 3, SIZE, SIZE) and domain.train.x.dtype == torch.uint8
    for x, file in zip(domain.train.x, files, strict=True):
        assert torch.equal(x, torchvisions(Image.open(file), resize))
    assert domain.train is domain.test and domain.train.y.tolist() == [0] * 3 + [1] * 4
    assert domain.classes == ("ant", "bee")


def test_the_crop_comes_before_the_resize(art: Path) -> None:
    first = Image.open(art / "ant/0.png")  # 50 x 20
    assert torch.equal(read(art, crop=16).train.x[0], torchvisions(first.crop((17, 2, 33, 18))))
    with pytest.raises(
        BenchError,
        match=r"ant/0.png cannot be read .*crop = 40 is larger than the image, 50x20 pixels",
    ):
        read(art, crop=40)


def odd(mode: str) -> tuple[Image.Image, Image.Image]:
    """A picture of that mode, and the same picture in RGB."""
    grey = np.linspace(0, 255, 30 * 40).astype(np.uint8).reshape(30, 40)
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 256 + 77), Image.fromarray(grey).convert(
            "RGB"
        )
    rgb = Image.merge(
        "RGB", [Image.fromarray(g) for g in (grey, grey[::-1].copy(), grey[:, ::-1].copy())]
    )
    if mode == "P, transparent":
        picture = rgb.quantize(16)
        picture.info["transparency"] = bytes(range(0, 256, 16))
        return picture, rgb.quantize(16).convert("RGB")
    return rgb.convert(mode), rgb.convert(mode).convert("RGB")


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *((mode, "png") for mode in ("L", "1", "P", "P, transparent", "RGBA", "LA", "I;16")),
        ("CMYK", "jpg"),
        ("L", "jpg"),
    ],
)
def test_pictures_of_every_mode_become_rgb(art: Path, mode: str, suffix: str) -> None:
    picture, rgb = odd(mode)
    picture.save(art / f"ant/00.{suffix}", **({"quality": 100} if suffix == "jpg" else {}))
    ours, theirs = read(art).train.x[1], torchvisions(rgb)
    assert (ours.int() - theirs.int()).abs().max() <= (8 if suffix == "jpg" else 0)


def test_a_picture_is_turned_as_its_camera_says(art: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    lying = Image.open(art / "bee/0.png")
    lying.save(art / "ant/00.png", exif=exif)
    assert torch.equal(
        read(art).train.x[1], torchvisions(lying.transpose(Image.Transpose.ROTATE_270))
    )


# damage


def test_a_damaged_picture_is_named_and_refused_each_time(art: Path) -> None:
    whole = (art / "bee/1.png").read_bytes()
    (art / "bee/1.png").write_bytes(whole[: len(whole) // 2])
    (art / "ant/2.png").write_bytes(b"no picture")
    for _ in range(2):
        with pytest.raises(
            BenchError, match=r"ant/2.png cannot be read .*nor can 1 more: .*--skip-unreadable"
        ) as e:
            read(art)
        assert "\n" not in str(e.value)


def test_damaged_pictures_can_be_skipped_and_are_counted(art: Path) -> None:
    clean = read(art)
    (art / "ant/0.png").write_bytes(b"no picture")
    (art / "bee/1.png").write_bytes((art / "bee/1.png").read_bytes()[:300])
    domain = read(art, skip=True)
    left = torch.tensor([1, 2, 3, 5, 6])
    assert domain.origin == "folder art, 2 unreadable left out" and domain.train.y.tolist() == [
        0,
        0,
        1,
        1,
        1,
    ]
    assert torch.equal(domain.train.x, clean.train.x[left])
    assert (
        domain.train.fingerprint() == Images(clean.train.x[left], clean.train.y[left]).fingerprint()
    )


def test_a_class_or_a_domain_of_nothing_but_damage_is_refused(art: Path) -> None:
    for file in art.glob("ant/*"):
        file.write_bytes(b"no picture")
    with pytest.raises(
        BenchError, match="Art has no image of 1 of the suite's 2 classes \\(class 0\\)"
    ):
        read(art, skip=True)
    for file in art.glob("bee/*"):
        file.write_bytes(b"no picture")
    with pytest.raises(BenchError, match="cannot be read"):
        read(art, skip=True)


# what is kept


def never(*_: object) -> None:
    pytest.fail("decoded again")


def test_pictures_are_decoded_once_wherever_they_lie(
    art: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read(art)
    monkeypatch.setattr(decode, "open_upright", never)
    assert torch.equal(read(art).train.x, first.train.x)
    assert torch.equal(read(art.rename(art.with_name("moved"))).train.x, first.train.x)


def test_progress_is_told_while_pictures_are_decoded_and_only_then(art: Path) -> None:
    for i in range(70):
        os.link(art / "ant/0.png", art / f"bee/more{i}.png")
    listing, told = list_class_folders(art), []
    decode.decode_listing(listing, Square(8, "nearest"), progress=lambda *n: told.append(n))
    assert told == [(32, 77), (64, 77), (77, 77)]
    decode.decode_listing(listing, Square(8, "nearest"), progress=never)


def test_the_kept_fingerprint_is_that_of_the_same_images_in_memory(art: Path) -> None:
    images = read(art).train
    assert images.known == images.fingerprint() == Images(images.x.clone(), images.y).fingerprint()
    assert (
        images.thin(3).fingerprint()
        == Images(images.x[[0, 3, 6]], images.y[[0, 3, 6]]).fingerprint()
    )


def test_writing_to_the_images_leaves_the_file_alone(art: Path, kept: Path) -> None:
    images, [file] = read(art).train, [*kept.glob("*.u8")]
    before = file.read_bytes()
    images.x.zero_()
    assert file.read_bytes() == before


@pytest.mark.parametrize("change", ["bytes", "name", "label", "size", "resize", "crop", "Pillow"])
def test_whatever_changes_the_pixels_or_labels_makes_a_new_file(
    art: Path, kept: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(art)
    match change:
        case "bytes":
            Image.new("RGB", (9, 9)).save(art / "ant/0.png")
        case "name":
            (art / "ant/0.png").rename(art / "ant/9.png")
        case "label":
            (art / "ant").rename(art / "cat")
        case "Pillow":
            monkeypatch.setattr(decode.PIL, "__version__", "0")
    options = {"size": {"size": 12}, "resize": {"resize": "nearest"}, "crop": {"crop": 8}}.get(
        change, {}
    )
    read(art, **options)  # type: ignore[arg-type]
    assert len([*kept.glob("*.u8")]) == 2


@pytest.mark.parametrize("later", [1, 10**9], ids=["a nanosecond", "a second"])
def test_a_picture_replaced_by_one_of_equal_size_is_decoded(art: Path, later: int) -> None:
    picture = art / "ant/0.bmp"  # as large as its pixels are many
    Image.new("RGB", (9, 9), "red").save(picture)
    before, first = picture.stat(), read(art).train.x[0].clone()
    Image.new("RGB", (9, 9), "blue").save(picture)
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns + later))
    if picture.stat().st_mtime_ns == before.st_mtime_ns:
        pytest.skip("this file system keeps coarser times")
    assert picture.stat().st_size == before.st_size
    again = read(art).train.x[0]
    assert not torch.equal(again, first) and torch.equal(again, torchvisions(Image.open(picture)))


def test_other_labels_of_the_same_pictures_are_not_those_of_the_cache(art: Path) -> None:
    """As another list of a suite gives them."""
    listing, square = list_class_folders(art), Square(8, "nearest")
    for y in (listing.y, 1 - listing.y):
        kept = decode.decode_listing(replace(listing, y=y), square)
        assert kept.y.tolist() == y.tolist()


def test_a_cache_that_is_not_whole_is_made_anew(art: Path, kept: Path) -> None:
    first, fingerprint = read(art).train.x.clone(), read(art).train.fingerprint()
    [pixels], [sidecar] = [*kept.glob("*.u8")], [*kept.glob("*.json")]
    raw, text = pixels.read_bytes(), sidecar.read_text()
    written = json.loads(text)

    def damage() -> list[tuple[Path, bytes | None]]:
        cuts: list[tuple[Path, bytes | None]] = [
            (pixels, raw[:n]) for n in (0, 1, len(raw) // 2, len(raw) - 1)
        ]
        cuts += [(sidecar, text[:n].encode()) for n in (0, 1, len(text) // 2, len(text) - 1)]
        cuts += [
            (sidecar, json.dumps(sealed(written | {"key": "of other data"})).encode()),
            (sidecar, b"[]"),
            (sidecar, b"\xff"),
        ]
        return [*cuts, (pixels, raw + b"\0"), (pixels, None), (sidecar, None)]

    for path, content in damage():
        then = pixels.stat().st_mtime_ns
        path.unlink() if content is None else path.write_bytes(content)
        if pixels.exists():  # a copy that broke off can have the time of the whole
            os.utime(pixels, ns=(then, then))
        again = read(art).train
        assert torch.equal(again.x, first) and again.fingerprint() == fingerprint
        assert pixels.read_bytes() == raw
        now = json.loads(sidecar.read_text())
        assert now == sealed(written | {"modified": pixels.stat().st_mtime_ns})


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """What a sidecar says, with the seal that belongs to it."""
    said = {k: v for k, v in content.items() if k != "seal"}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    return said | {"seal": digest.hexdigest()}


def test_kept_pixels_that_somebody_changed_are_not_taken_for_whole(art: Path, kept: Path) -> None:
    first = read(art).train.x.clone()
    [pixels] = kept.glob("*.u8")
    raw = pixels.read_bytes()
    for i in (0, len(raw) // 2, len(raw) - 1):
        pixels.write_bytes(raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :])
        again = read(art).train
        assert torch.equal(again.x, first) and pixels.read_bytes() == raw
        assert again.fingerprint() == Images(again.x, again.y).fingerprint()


def test_kept_pixels_are_read_whole_where_their_time_is_another(
    art: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a copy is."""
    read(art)
    [pixels] = kept.glob("*.u8")
    real, checked = cache._fingerprint, []
    monkeypatch.setattr(cache, "_fingerprint", lambda *x: checked.append(1) or real(*x))
    monkeypatch.setattr(decode, "open_upright", never)
    read(art)
    assert not checked
    os.utime(pixels)
    read(art)
    assert checked


@pytest.mark.parametrize(
    "change",
    [
        {"labels": [1] + [0] * 3 + [1] * 3},
        {"fingerprint": "f00d" * 4},
        {"unreadable": [[6, "torn"]]},
    ],
)
def test_a_sidecar_that_somebody_changed_is_not_taken_for_whole(
    art: Path, kept: Path, change: dict[str, Any]
) -> None:
    first = read(art).train
    [sidecar] = kept.glob("*.json")
    written = json.loads(sidecar.read_text())
    assert sealed(written) == written
    sidecar.write_text(json.dumps(written | change))
    again = read(art, skip=True)
    assert again.train.y.tolist() == first.y.tolist() and again.origin == "folder art"
    assert again.train.fingerprint() == first.fingerprint()


@pytest.mark.parametrize("text", ["[" * 100_000, '"text"', "1", "{}"])
def test_a_sidecar_of_another_program_is_made_anew(art: Path, kept: Path, text: str) -> None:
    read(art)
    [sidecar] = kept.glob("*.json")
    sidecar.write_text(text)
    assert len(read(art).train) == 7 and "seal" in json.loads(sidecar.read_text())


def test_a_sidecar_that_is_no_file_is_waited_for_by_nobody(art: Path, kept: Path) -> None:
    read(art)
    [sidecar] = kept.glob("*.json")
    sidecar.unlink()
    os.mkfifo(sidecar)
    assert len(read(art).train) == 7 and sidecar.is_file()


def test_the_pixels_are_flushed_before_the_file_that_vouches_for_them_is_there(
    art: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[int, int]] = []
    monkeypatch.setattr(
        cache.os,
        "fsync",
        lambda fd: flushed.append((os.fstat(fd).st_size, len([*kept.glob("*.json")]))),
    )
    images = read(art).train
    assert flushed == [(images.x.numel(), 0)]


@pytest.mark.parametrize("moment", [0, 1])
def test_a_build_that_is_interrupted_leaves_nothing_to_be_used(
    art: Path, kept: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the pixels are moved into place, and before the file that describes them is."""
    real, calls = os.replace, iter(range(9))

    def replace(*paths: Path) -> None:
        if next(calls) == moment:
            raise KeyboardInterrupt
        real(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(cache.os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            read(art)
    assert not [*kept.glob("*.json")]
    assert torch.equal(read(art).train.x[0], torchvisions(Image.open(art / "ant/0.png")))
    assert sorted(path.suffix for path in kept.iterdir()) == [".json", ".lock", ".u8"]


def test_a_build_that_is_killed_leaves_nothing_to_be_used_and_no_lock(
    art: Path, kept: Path
) -> None:
    code = f"""
import os, signal
from pathlib import Path
from bench import paths
from bench.data import decode
from bench.data.listing import list_class_folders
from bench.data.resize import Square
paths.cache_root = lambda: Path({str(kept.parent)!r})
decode_all = decode._decode_all
def die_half_way(pictures, *rest):
    decode_all(pictures[:4], *rest)
    os.kill(os.getpid(), signal.SIGKILL)
decode._decode_all = die_half_way
decode.decode_listing(list_class_folders(Path({str(art)!r})), Square({SIZE}, "bilinear"))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert sorted(path.suffix for path in kept.iterdir()) == [".lock", ".part"]
    assert torch.equal(read(art).train.x[0], torchvisions(Image.open(art / "ant/0.png")))
    assert sorted(path.suffix for path in kept.iterdir()) == [".json", ".lock", ".u8"]


def test_one_of_many_builds_and_the_others_wait(art: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, built = decode._decode_all, []
    monkeypatch.setattr(decode, "_decode_all", lambda *args: built.append(1) or real(*args))
    with ThreadPoolExecutor(6) as pool:
        marks = {domain.train.fingerprint() for domain in pool.map(read, [art] * 6)}
    assert len(marks) == len(built) == 1


def test_a_cache_that_cannot_be_written_costs_a_few_pictures_only_time(
    art: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (art / "ant/1.png").write_bytes(b"no picture")
    kept = read(art, skip=True).train
    (tmp_path / "file").write_text("not a folder")
    tiny.cache_in(monkeypatch, tmp_path / "file")
    with pytest.warns(UserWarning, match="cannot be kept"):
        made = read(art, skip=True).train
    assert torch.equal(made.x, kept.x) and made.fingerprint() == kept.fingerprint()
    monkeypatch.setattr(cache, "FEW_BYTES", 1000)
    with pytest.raises(
        BenchError,
        match=r"cannot keep 0.0 GB of decoded images in .*: make room, or set XDG_CACHE_HOME",
    ):
        read(art)


def test_a_disk_that_fills_up_is_noticed_and_cleared(
    art: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "FEW_BYTES", 1000)
    with monkeypatch.context() as patch:
        patch.setattr(cache.os, "pwrite", lambda *_: 100)  # as much as there was room for
        with pytest.raises(BenchError, match="No space left on device"):
            read(art)
    assert [path.suffix for path in kept.iterdir()] == [".lock"]
    assert len(read(art).train) == 7


@pytest.mark.slow
def test_a_build_takes_little_memory(tmp_path: Path) -> None:
    """In an interpreter of its own: 600 pictures that make 118 MB of pixels."""
    (tmp_path / "art/ant").mkdir(parents=True)
    Image.effect_noise((300, 200), 80).convert("RGB").save(tmp_path / "one.jpg")
    for i in range(600):
        os.link(tmp_path / "one.jpg", tmp_path / f"art/ant/{i}.jpg")
    code = f"""
import resource
from pathlib import Path
from bench.data.decode import decode_listing
from bench.data.listing import list_class_folders
from bench.data.resize import Square
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
listing = list_class_folders(Path({str(tmp_path)!r}, "art"))
decode_listing(listing, Square(32, "bilinear"))
before = peak()
kept = decode_listing(listing, Square(256, "bilinear"))
print(kept.pixels.stat().st_size >> 20, peak() - before)
"""
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    made, grown = map(int, ended.stdout.split())
    assert made == 112 and grown < 60, ended.stdout  # MiB
