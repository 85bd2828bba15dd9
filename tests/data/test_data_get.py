"""Downloads are resumed and checked, and give up soon with one clear sentence.

All of them are asked of a server in this process.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import digit_files as tiny
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from bench.data import download, get
from bench.data.load import load_domain
from bench.datasets import sets
from bench.datasets.facts import Both
from bench.errors import BenchError, UsageError
from bench.suite.suite import DomainSpec

DATA = bytes(range(256)) * 400
MD5 = hashlib.md5(DATA).hexdigest()


@dataclass
class Shop:
    """A web server: its files, how it behaves, and its requests as (path, Range header)."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    breaks_after: int | None = None
    stalls: bool = False
    resumes: bool = True


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop, over = Shop(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            asked = self.headers["Range"]
            shop.asked.append((self.path, asked))
            if self.path not in shop.files:
                return self.send_error(404)
            whole = shop.files[self.path]
            start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and shop.resumes else 0
            if start and start >= len(whole):
                return self.send_error(416)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(whole) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
            self.send_header(
                "ETag", hashlib.md5(whole).hexdigest()
            )  # this and the next for the Hub's client
            self.send_header("X-Repo-Commit", "c" * 40)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(whole[start : shop.breaks_after])
            if shop.stalls:
                over.wait(10)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shop.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield shop
    over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mnist(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Both[np.ndarray]:
    """A tiny MNIST on the server, its checksums and counts taken for the published ones.

    Returns its images.
    """
    tiny.shrink(monkeypatch, "mnist")
    tiny.cache_in(monkeypatch, tmp_path / "cache")
    images = tiny.write_mnist(tmp_path / "shop", gz=True)
    files = {p.name: p.read_bytes() for p in (tmp_path / "shop/MNIST/raw").iterdir()}
    shop.files = {f"/MNIST/raw/{name}": data for name, data in files.items()}
    md5s = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    monkeypatch.setitem(sets.ALL, "mnist", replace(sets.ALL["mnist"], md5s=md5s))
    return images


# one file


def test_a_file_arrives_whole_and_its_progress_is_told(shop: Shop, tmp_path: Path) -> None:
    shop.files["/file"] = DATA
    told: list[tuple[str, int, int | None]] = []
    download.download(
        [f"{shop.url}/file"], tmp_path / "deep/file", MD5, lambda *what: told.append(what)
    )
    assert (tmp_path / "deep/file").read_bytes() == DATA
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["file"]
    assert told[-1] == ("file", len(DATA), len(DATA))


def test_a_broken_download_is_resumed_where_it_broke(shop: Shop, tmp_path: Path) -> None:
    shop.files["/file"], shop.breaks_after = DATA, 70_000
    with pytest.raises(BenchError, match="broke after 70,000 of 102,400 bytes"):
        download.download([f"{shop.url}/file"], tmp_path / "file", MD5)
    assert not (tmp_path / "file").exists()
    shop.breaks_after = None
    download.download([f"{shop.url}/file"], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == DATA
    assert shop.asked == [("/file", None), ("/file", "bytes=70000-")]


def test_a_server_that_cannot_resume_sends_all_anew(shop: Shop, tmp_path: Path) -> None:
    shop.files["/file"], shop.resumes = DATA, False
    (tmp_path / "file.part").write_bytes(DATA[:1000])
    download.download([f"{shop.url}/file"], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_file_that_was_whole_already_needs_only_its_checksum(shop: Shop, tmp_path: Path) -> None:
    shop.files["/file"] = DATA
    (tmp_path / "file.part").write_bytes(DATA)
    download.download([f"{shop.url}/file"], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == DATA


@pytest.mark.parametrize("begun", [b"", b"something else", DATA + b"and more"])
def test_a_file_with_another_checksum_is_refused_and_removed(
    shop: Shop, tmp_path: Path, begun: bytes
) -> None:
    shop.files["/file"] = DATA if begun else DATA[::-1]
    (tmp_path / "file.part").write_bytes(begun)
    with pytest.raises(
        BenchError, match=f"does not have the published checksum {MD5}, and was removed"
    ):
        download.download([f"{shop.url}/file"], tmp_path / "file", MD5)
    assert list(tmp_path.iterdir()) == []


def test_addresses_are_tried_in_their_order(shop: Shop, tmp_path: Path) -> None:
    shop.files |= {"/wrong": b"an excuse", "/right": DATA, "/never": DATA}
    urls = [f"{shop.url}/{name}" for name in ("absent", "wrong", "right", "never")]
    download.download(["http://127.0.0.1:9/closed", *urls], tmp_path / "file", MD5)
    assert [path for path, _ in shop.asked] == ["/absent", "/wrong", "/right"]


def test_a_server_that_stops_sending_is_left_and_what_it_sent_is_kept(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "STALL", 0.3)
    shop.files["/file"], shop.breaks_after, shop.stalls = DATA, 70_000, True
    with pytest.raises(BenchError, match="timed out"):
        download.download([f"{shop.url}/file"], tmp_path / "file", MD5)
    assert (tmp_path / "file.part").exists()


def test_what_takes_too_long_is_given_up() -> None:
    with pytest.raises(TimeoutError, match=r"no answer within 0.1 s"):
        download.call_within(0.1, lambda: time.sleep(1))
    with pytest.raises(ZeroDivisionError):
        download.call_within(1, lambda: 1 / 0)
    assert download.call_within(1, lambda: 7) == 7


# a set


def test_a_set_is_downloaded_once_and_can_be_read(
    shop: Shop, tmp_path: Path, mnist: Both[np.ndarray]
) -> None:
    root = tmp_path / "data"
    assert get.get("mnist", root, mirror=shop.url) == root / "MNIST/raw"
    domain = load_domain(
        "mnist", DomainSpec(set="mnist"), root=root, size=28, resize="nearest", classes=10
    )
    assert np.array_equal(domain.train.x[:, 0], mnist.train)
    shop.asked.clear()
    assert get.get("mnist", root, mirror=shop.url) == root / "MNIST/raw"
    assert shop.asked == []


@pytest.mark.usefixtures("mnist")
def test_only_the_damaged_file_of_a_set_is_downloaded_again(shop: Shop, tmp_path: Path) -> None:
    root = tmp_path / "data"
    get.get("mnist", root, mirror=shop.url)
    (root / "MNIST/raw/t10k-labels-idx1-ubyte.gz").write_bytes(b"\x1f\x8b\x08")
    shop.asked.clear()
    get.get("mnist", root, mirror=shop.url)
    assert [path for path, _ in shop.asked] == ["/MNIST/raw/t10k-labels-idx1-ubyte.gz"]


@pytest.mark.usefixtures("mnist")
def test_a_damaged_copy_in_the_way_is_named(shop: Shop, tmp_path: Path) -> None:
    tiny.write_mnist(tmp_path / "data")
    in_the_way = tmp_path / "data/MNIST/raw/t10k-labels-idx1-ubyte"
    in_the_way.write_bytes(b"")
    with pytest.raises(BenchError, match=f"{in_the_way} cannot be read .*: delete it"):
        get.get("mnist", tmp_path / "data", mirror=shop.url)


def test_the_hub_is_asked_when_the_publishers_have_nothing(
    shop: Shop, tmp_path: Path, mnist: Both[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow
    import pyarrow.parquet as pq

    names = {
        "train": "mnist/train-00000-of-00001.parquet",
        "test": "mnist/test-00000-of-00001.parquet",
    }
    page = {
        "_id": "1",
        "id": "ylecun/mnist",
        "sha": "c" * 40,
        "siblings": [{"rfilename": n} for n in ("README.md", *names.values())],
    }
    shop.files = {
        f"/api/datasets/ylecun/mnist{end}": json.dumps(page).encode()
        for end in ("", "/revision/main")
    }
    for name, x, y in zip(names.values(), mnist, (tiny.TRAIN, tiny.TEST), strict=True):
        pq.write_table(
            pyarrow.table({"image": [{"bytes": tiny.png(i), "path": None} for i in x], "label": y}),
            tmp_path / "table",
        )
        shop.files[f"/datasets/ylecun/mnist/resolve/{'c' * 40}/{name}"] = (
            tmp_path / "table"
        ).read_bytes()
    root = tmp_path / "data"
    assert get.get("mnist", root, mirror=shop.url) == root / "mnist"
    domain = load_domain(
        "mnist", DomainSpec(set="mnist"), root=root, size=28, resize="nearest", classes=10
    )
    assert np.array_equal(domain.test.x[:, 0], mnist.test)


@pytest.mark.parametrize("name", ["mnist", "usps", "svhn", "mnist-m"])
def test_without_a_network_one_sentence_comes_soon(tmp_path: Path, name: str) -> None:
    begun = time.monotonic()
    with pytest.raises(BenchError, match="could not be downloaded") as e:
        get.get(name, tmp_path, mirror="http://127.0.0.1:9")
    assert time.monotonic() - begun < 15
    assert sets.find_set(name).layout.splitlines()[0] in str(e.value)
    assert f"put the published layout here:\n{tmp_path}\n" in str(e.value)


def test_a_server_that_never_answers_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    for module in (download, get):
        monkeypatch.setattr(module, "ANSWER", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(BenchError, match=r"no answer within 0.2 s.*no answer within 0.2 s"):
            get.get("usps", tmp_path, mirror=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - begun < 5


def test_what_cannot_be_downloaded_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="images of your own"):
        get.get("folder", tmp_path)
    with pytest.raises(UsageError, match="only mnist-m is made from photographs"):
        get.get("usps", tmp_path, photos=tmp_path)
    with pytest.raises(UsageError, match="did you mean 'svhn'"):
        get.get("shvn", tmp_path)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BenchError, match="cannot write below"):
        get.get("usps", tmp_path / "file", mirror="http://127.0.0.1:9")


def test_embedded_sets_are_there_already(tmp_path: Path) -> None:
    assert get.get("uci-digits", tmp_path).name == "sklearn"
    assert list(tmp_path.iterdir()) == []


def test_two_do_not_download_the_same_set_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get, "PATIENCE", 0.1)
    with (
        FileLock(tmp_path / ".usps.lock"),
        pytest.raises(BenchError, match="another process is at work on usps"),
    ):
        get.get("usps", tmp_path, mirror="http://127.0.0.1:9")


@pytest.mark.usefixtures("mnist")
def test_mnist_m_can_be_made_from_photographs(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, photos = tmp_path / "data", tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (40, 40), (200, 0, 0)).save(photos / "red.png")
    with pytest.raises(BenchError, match="no mnist below"):
        get.get("mnist-m", root, photos=photos)
    get.get("mnist", root, mirror=shop.url)
    assert get.get("mnist-m", root, photos=photos) == root / "mnist-m/generated"
    tiny.shrink(monkeypatch, "mnist-m")
    domain = load_domain(
        "mnist-m", DomainSpec(set="mnist-m"), root=root, size=32, resize="nearest", classes=10
    )
    assert domain.origin == "parquet files in mnist-m/generated"
    assert (domain.train.x[:, 0, 0, 0] == 200).all()


def test_a_copy_of_mnist_m_is_not_covered_by_one_made_anew(tmp_path: Path) -> None:
    tiny.write_mnist_m(tmp_path)
    with pytest.raises(BenchError, match=r"mnist_m already holds an MNIST-M"):
        get.get("mnist-m", tmp_path, photos=tmp_path)
