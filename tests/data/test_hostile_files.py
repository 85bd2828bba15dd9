"""What lies among the pictures and is none: nothing waits for ever, nothing crashes, all is named."""

import os
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import digit_files as tiny
import numpy as np
import pytest
from PIL import Image

from bench.data import decode
from bench.data.decode import decode_listing, find_unreadable
from bench.data.files import Listing, Picture
from bench.data.listing import (
    _list_listed,
    list_class_folders,
    list_folder,
    list_from_file,
)
from bench.data.resize import Square
from bench.errors import BenchError, printable

ROOT = Path(__file__).resolve().parents[2]
SQUARE = Square(8, "bilinear")


@pytest.fixture
def art(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two classes of two pictures."""
    tiny.cache_in(monkeypatch, tmp_path / "cache")
    for name in ("ant", "bee"):
        (tmp_path / "art" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (9, 9), (i, 0, 0)).save(tmp_path / "art" / name / f"{i}.png")
    return tmp_path / "art"


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(path.parent)  # the whole path is longer than a socket's may be
        try:
            s.bind(path.name)
        finally:
            os.chdir(here)


SPECIAL: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a socket": make_socket,
    "a device": lambda path: path.symlink_to("/dev/zero"),
}
READ = """
import sys
from pathlib import Path
from bench import paths
from bench.data.decode import decode_listing, find_unreadable
from bench.data.listing import list_class_folders, read_list_file
from bench.data.resize import Square
from bench.datasets.generated import are_generated
from bench.errors import BenchError

paths.cache_root = lambda: Path("cache")
listing = list_class_folders(Path("art"))
print(*find_unreadable(listing.pictures), sep="\\n")
print(*decode_listing(listing, Square(8, "bilinear")).unreadable[0], sep=" ")
try:
    read_list_file(Path("list.txt"))
except BenchError as e:
    print(e)
print(are_generated([Path("art/bee/0.png")]))
"""


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_is_named_and_waited_for_by_nobody(kind: str, art: Path) -> None:
    """In a process of its own: what waits for a FIFO cannot be stopped otherwise."""
    for place in ("art/ant/z.png", "list.txt", "art/bee/generated.json"):
        SPECIAL[kind](art.parent / place)
    done = subprocess.run(
        [sys.executable, "-c", READ],
        cwd=art.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"art/ant/z.png cannot be read (it is {kind}, not a file)",
        f"2 it is {kind}, not a file",
        f"list.txt cannot be read (it is {kind}, not a file): delete it and run "
        "`bench data get`, or put an intact copy there",
        "True",
    ]


def png_of(width: int, height: int) -> bytes:
    """The beginning of a png file of that size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 1 << 30) + b"IDAT"


def test_a_picture_of_169_million_pixels_is_refused_before_it_is_decoded(art: Path) -> None:
    (art / "ant/wide.png").write_bytes(png_of(13_000, 13_000))
    [text] = find_unreadable(list_class_folders(art).pictures)
    assert text == (
        f"{art}/ant/wide.png cannot be read (it has 13,000 x 13,000 pixels, and no picture of more "
        "than 134 million is decoded)"
    )


def test_a_picture_of_just_as_many_pixels_is_read(
    art: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "PIXELS", 81)
    assert decode_listing(list_class_folders(art), SQUARE).unreadable == []
    monkeypatch.setattr(decode, "PIXELS", 80)
    assert len(list(find_unreadable(list_class_folders(art).pictures))) == 4


def test_a_program_in_the_guise_of_a_picture_is_not_run(art: Path) -> None:
    """Pillow would let Ghostscript run it."""
    (art / "ant/0.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    )
    [text] = find_unreadable(list_class_folders(art).pictures)
    assert text.endswith("(it is no JPEG, PNG, WEBP, BMP, DIB, PPM, GIF or TIFF)")


TOLD = """
import sys
from pathlib import Path
from bench.data.decode import find_unreadable
from bench.data.files import Picture
print(*find_unreadable([Picture(Path(name)) for name in sys.argv[1:]]))
"""


def test_damaged_metadata_are_nobodys_business(tmp_path: Path) -> None:
    """Pillow warns of the first and logs of the second, which would stand among what a run says."""
    whole = Image.new("RGB", (9, 9))
    exif = Image.Exif()
    exif[0x0112] = 6
    whole.save(tmp_path / "cut.jpg", exif=exif.tobytes()[:-5])
    whole.save(tmp_path / "deep.tiff")
    raw = (tmp_path / "deep.tiff").read_bytes()
    three_samples, many = (struct.pack("<HHIHH", 277, 3, 1, n, 0) for n in (3, 1070))
    assert three_samples in raw
    (tmp_path / "deep.tiff").write_bytes(raw.replace(three_samples, many))
    told = subprocess.run(
        [sys.executable, "-c", TOLD, "cut.jpg", "deep.tiff"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stderr == "" and told.stdout.startswith("deep.tiff cannot be read (")


def test_a_list_of_names_that_no_file_can_have_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list.txt").write_text("x" * 300 + "/0.png 0\n")
    for read in (lambda path: list_from_file(path, tmp_path), _list_listed):
        with pytest.raises(BenchError, match=r"list.txt cannot be read \(OSError: .*too long"):
            read(tmp_path / "list.txt")


@pytest.mark.parametrize("damage", [b"", b"\x89PNG", b"\xff\xd8\xff\xe0"])
def test_empty_and_truncated_pictures_are_named(art: Path, damage: bytes) -> None:
    (art / "bee/1.png").write_bytes(damage)
    [text] = find_unreadable(list_class_folders(art).pictures)
    assert text.startswith(f"{art}/bee/1.png cannot be read (")


def test_links_in_a_circle_are_not_followed_and_named(art: Path) -> None:
    (art / "ant/up").symlink_to("..")
    assert len(list_class_folders(art).pictures) == 4
    (art / "ant/self.png").symlink_to("self.png")
    with pytest.raises(BenchError, match=r"ant/self.png cannot be opened \(Too many levels"):
        decode_listing(list_class_folders(art), SQUARE)


def test_a_folder_called_like_a_picture_is_a_folder(art: Path) -> None:
    (art / "ant/more.png").mkdir()
    Image.new("RGB", (9, 9)).save(art / "ant/more.png/2.png")
    listing = list_class_folders(art)
    assert len(listing.pictures) == 5
    assert decode_listing(listing, SQUARE).unreadable == []


def test_a_folder_that_cannot_be_read_is_not_passed_over(
    art: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (art / "ant/closed").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:  # the tests may run as a user who can read everything
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BenchError, match=r"ant/closed cannot be read \(Permission denied\)"):
        list_class_folders(art)


def test_a_picture_of_any_name_is_read_and_named_on_one_line(art: Path) -> None:
    names = [b"line\nbreak.png", b"\xff\xfe.png", b"\x1b[31mred.png"]
    good = (art / "ant/0.png").read_bytes()
    for name in names:
        path = os.path.join(os.fsencode(art), b"ant", name)
        with open(path, "wb") as file:
            file.write(good)
    listing = list_class_folders(art)
    assert decode_listing(listing, SQUARE).shape[0] == 7
    for name in names:
        with open(os.path.join(os.fsencode(art), b"ant", name), "wb"):
            pass
    told = [printable(text) for text in find_unreadable(list_class_folders(art).pictures)]
    shown = ("\\x1b[31mred.png", "line\\nbreak.png", "\\udcff\\udcfe.png")
    assert [text.split(" cannot be read")[0] for text in told] == [f"{art}/ant/{x}" for x in shown]
    missing = Listing(art, [Picture(art / "ant" / os.fsdecode(names[1] + b"x"))], np.zeros(1, int))
    with pytest.raises(BenchError) as e:
        decode_listing(missing, SQUARE)
    assert str(e.value).encode().startswith(f"{art}/ant/\\udcff\\udcfe.pngx cannot".encode())


def test_a_class_whose_name_is_no_text_is_refused(art: Path) -> None:
    """Names of classes go into records, which are UTF-8."""
    os.mkdir(os.path.join(os.fsencode(art), b"\xff"))
    with pytest.raises(BenchError, match=r"\\udcff has a name that is not UTF-8"):
        list_folder(art)
