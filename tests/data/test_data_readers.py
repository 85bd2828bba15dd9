"""Published files are read into the images they hold, or refused with one sentence."""

import bz2
import gzip
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import digit_files as tiny
import numpy as np
import pyarrow
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from bench import paths
from bench.data import decode, digits, mat, parquet
from bench.data.digits import read_digits
from bench.data.files import choose_test
from bench.data.generate import blend_mnist_m
from bench.data.images import Domain
from bench.data.load import load_domain
from bench.data.resize import Square
from bench.datasets import sets
from bench.errors import BenchError, UsageError
from bench.suite.suite import DomainSpec


@pytest.fixture(autouse=True)
def _tiny_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny.shrink(monkeypatch, "mnist", "usps", "svhn", "mnist-m")
    tiny.cache_in(monkeypatch, tmp_path / "cache")


def read(name: str, root: Path, *, size: int | None = None, **spec: object) -> Domain:
    """The set as it is, at its native size unless told otherwise."""
    native = size or sets.find_set(name).size or 8
    settings = DomainSpec.model_validate({"set": name} | spec)
    return load_domain(name, settings, root=root, size=native, resize="nearest", classes=10)


def cuts(data: bytes) -> Iterable[bytes]:
    """Beginnings of the data: the first 20 lengths, 30 spread over the rest, and all but the last
    one or two bytes."""
    lengths = {
        *range(20),
        *np.linspace(20, len(data) - 1, 30).astype(int).tolist(),
        len(data) - 1,
        len(data) - 2,
    }
    return (data[:n] for n in sorted(n for n in lengths if n < len(data)))


def refuses_every_cut(path: Path, attempt: Callable[[], object]) -> None:
    """attempt() works, and raises a BenchError however short the file is cut."""
    attempt()
    for part in cuts(path.read_bytes()):
        path.write_bytes(part)
        with pytest.raises(BenchError):
            attempt()


# MNIST


@pytest.mark.parametrize("gz", [False, True])
def test_idx_files_give_their_images_and_labels(tmp_path: Path, gz: bool) -> None:
    images = tiny.write_mnist(tmp_path, gz=gz)
    domain = read("mnist", tmp_path)
    assert np.array_equal(domain.train.x[:, 0], images.train)
    assert np.array_equal(domain.test.x[:, 0], images.test)
    assert domain.train.y.tolist() == tiny.TRAIN.tolist()
    assert domain.train.x.dtype == torch.uint8 and domain.train.y.dtype == torch.int64
    assert domain.origin == "idx files in MNIST/raw"


@pytest.mark.parametrize("folder", ["MNIST", "mnist", "."])
def test_mnist_is_found_wherever_people_put_it(tmp_path: Path, folder: str) -> None:
    tiny.write_mnist(tmp_path / "elsewhere")
    (tmp_path / folder).mkdir(exist_ok=True)
    for file in (tmp_path / "elsewhere/MNIST/raw").iterdir():
        file.rename(tmp_path / folder / file.name)
    assert len(read("mnist", tmp_path).train) == len(tiny.TRAIN)


@pytest.mark.parametrize(
    "name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"]
)
@pytest.mark.parametrize("gz", [False, True])
def test_idx_files_cut_anywhere_are_refused(tmp_path: Path, name: str, gz: bool) -> None:
    tiny.write_mnist(tmp_path, gz=gz)
    path = tmp_path / "MNIST/raw" / (f"{name}.gz" if gz else name)
    refuses_every_cut(path, lambda: read("mnist", tmp_path))


@pytest.mark.parametrize(
    ("name", "write", "file", "limit"),
    [
        (
            "mnist",
            lambda root: tiny.write_mnist(root, gz=True),
            "MNIST/raw/train-images-idx3-ubyte.gz",
            "UNPACKED",
        ),
        ("usps", tiny.write_usps, "USPS/zip.train.gz", "TEXT"),
    ],
)
def test_a_file_that_unpacks_without_end_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    write: Callable[[Path], object],
    file: str,
    limit: str,
) -> None:
    write(tmp_path)
    with gzip.open(tmp_path / file, "ab") as packed:
        packed.write(bytes(3 << 20))
    monkeypatch.setattr(digits, limit, 2 << 20)
    with pytest.raises(BenchError, match=rf"{file} cannot be read \(it holds more than 2 MiB"):
        read(name, tmp_path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (b"\0\0\x0d\3", "magic number"),
        (
            b"\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            "promises 4294967295x4294967295x4294967295",
        ),
        (b"\0\0\x08\3\0\0\0\x0b", "promises 11x28x28 bytes, it holds 9,408"),
    ],
)
def test_a_damaged_idx_header_is_named(tmp_path: Path, damage: bytes, says: str) -> None:
    tiny.write_mnist(tmp_path)
    path = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    path.write_bytes(damage + path.read_bytes()[len(damage) :])
    with pytest.raises(BenchError, match=says) as e:
        read("mnist", tmp_path)
    assert str(path) in str(e.value)


def test_no_images_of_a_size_beyond_all_numbers_are_refused(tmp_path: Path) -> None:
    tiny.write_mnist(tmp_path)
    path = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    path.write_bytes(b"\0\0\x08\3\0\0\0\0" + b"\xff" * 8)
    with pytest.raises(BenchError, match=f"{path} cannot be read .*array is too big"):
        read("mnist", tmp_path)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (tiny.TRAIN[:-1], "12 images and 11 labels"),
        (np.where(tiny.TRAIN == 9, 77, tiny.TRAIN), r"labels outside 0..9: 77"),
        (
            np.where(tiny.TRAIN == 9, 8, tiny.TRAIN),
            "2 images of class 8 where the published set has 1",
        ),
    ],
)
def test_labels_that_cannot_be_right_are_refused(
    tmp_path: Path, labels: np.ndarray, says: str
) -> None:
    tiny.write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/train-labels-idx1-ubyte").write_bytes(tiny.idx(labels))
    with pytest.raises(BenchError, match=f"mnist train has {says}.*bench data doctor mnist"):
        read("mnist", tmp_path)


def test_a_set_that_is_not_there_is_asked_for_with_its_layout(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="bench data get svhn") as e:
        read("svhn", tmp_path / "nowhere")
    assert "SVHN/train_32x32.mat" in str(e.value)


def test_the_missing_file_of_a_set_is_named(tmp_path: Path) -> None:
    tiny.write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(BenchError, match=r"incomplete.*MNIST/raw has no t10k-labels"):
        read("mnist", tmp_path)


def test_an_unknown_set_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'mnist'"):
        sets.find_set("mnits")


# USPS


def grey(v: float) -> int:
    return round((v + 1) * 127.5)


def test_usps_lines_become_rounded_grey_levels(tmp_path: Path) -> None:
    values = tiny.write_usps(tmp_path)
    domain = read("usps", tmp_path)
    assert domain.train.x.flatten(1).tolist() == [
        [grey(v) for v in row] for row in values.train.tolist()
    ]
    assert domain.test.y.tolist() == tiny.TEST.tolist()


def write_libsvm(root: Path) -> None:
    """The numbers of write_usps as LIBSVM publishes them: labels from 1, and pairs of an index
    from 1 and a value."""
    for split, v, y in zip(
        ("usps.bz2", "usps.t.bz2"), tiny.write_usps(root), (tiny.TRAIN, tiny.TEST), strict=True
    ):
        lines = [
            " ".join([str(k + 1), *(f"{i}:{x:.3f}" for i, x in enumerate(row, 1))])
            for k, row in zip(y, v, strict=True)
        ]
        (root / "USPS" / split).write_bytes(bz2.compress("\n".join(lines).encode() + b"\n"))


def test_both_forms_of_usps_give_the_same_images(tmp_path: Path) -> None:
    write_libsvm(tmp_path)
    original = read("usps", tmp_path)
    for path in (tmp_path / "USPS").glob("zip.*"):
        path.unlink()
    libsvm = read("usps", tmp_path)
    assert libsvm.origin == "libsvm files in USPS"
    assert libsvm.train.fingerprint() == original.train.fingerprint()
    refuses_every_cut(tmp_path / "USPS/usps.t.bz2", lambda: read("usps", tmp_path))


def test_usps_cut_anywhere_is_refused(tmp_path: Path) -> None:
    tiny.write_usps(tmp_path)
    refuses_every_cut(tmp_path / "USPS/zip.train.gz", lambda: read("usps", tmp_path))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("5.0 " + "0.1 " * 255, "holds 256 numbers"),
        ("5.0 " + "1.5 " * 256, "outside"),
        ("5.0 " + "nan " * 256, "outside"),
        ("5.9 " + "0.1 " * 256, "not all labels are whole numbers"),
        ("nan " + "0.1 " * 256, "not all labels are whole numbers"),
        ("1e99 " + "0.1 " * 256, "not all labels are whole numbers"),
        ("\x1f\n\n", "it has 0 lines where a published one has up to 12"),
        ("5.0 " + "0.1 " * 256 + "\n" * 12, "it has 14 lines where a published one has up to 12"),
        ("# nothing but a remark", "could not convert string '#'"),
    ],
)
def test_usps_lines_that_are_no_images_are_refused(tmp_path: Path, line: str, says: str) -> None:
    tiny.write_usps(tmp_path)
    (tmp_path / "USPS/zip.test.gz").write_bytes(gzip.compress(f"{line}\n{line}\n".encode()))
    with pytest.raises(BenchError, match=says):
        read("usps", tmp_path)


def test_one_image_too_few_is_refused(tmp_path: Path) -> None:
    tiny.write_usps(tmp_path)
    path = tmp_path / "USPS/zip.train.gz"
    path.write_bytes(
        gzip.compress(b"".join(gzip.decompress(path.read_bytes()).splitlines(keepends=True)[:-1]))
    )
    with pytest.raises(BenchError, match="usps train has 11 images where the published set has 12"):
        read("usps", tmp_path)


# SVHN


def write_svhn(root: Path, **content: np.ndarray) -> np.ndarray:
    (root / "SVHN").mkdir(parents=True)
    for split, y in (("train", tiny.TRAIN), ("test", tiny.TEST)):
        x = tiny.pixels(len(y), 32, 32, 3)
        savemat(
            root / f"SVHN/{split}_32x32.mat",
            {"X": x.transpose(1, 2, 3, 0), "y": np.where(y == 0, 10, y)[:, None]},
        )
    return tiny.pixels(len(tiny.TRAIN), 32, 32, 3)


def test_svhn_calls_the_digit_zero_ten(tmp_path: Path) -> None:
    images = write_svhn(tmp_path)
    domain = read("svhn", tmp_path)
    assert domain.train.y.tolist() == tiny.TRAIN.tolist()
    assert np.array_equal(domain.train.x.permute(0, 2, 3, 1), images)


def test_svhn_cut_anywhere_is_refused(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    path = tmp_path / "SVHN/train_32x32.mat"
    whole = path.read_bytes()
    for n, part in enumerate(cuts(whole)):
        path.write_bytes(part)
        with pytest.raises(Exception):  # noqa: B017  # turned into a sentence by its parent
            mat.load_arrays(path)
        if n in (0, 40):
            with pytest.raises(BenchError, match=r"train_32x32.mat cannot be read"):
                mat.read_mat(path)


@pytest.mark.parametrize(("place", "value"), [(184, 187), (185, 134)])
def test_a_mat_file_that_kills_its_reader_is_one_sentence(
    tmp_path: Path, place: int, value: int
) -> None:
    """Either byte of the tag of X makes scipy 1.17 read where no memory is."""
    write_svhn(tmp_path)
    path = tmp_path / "SVHN/train_32x32.mat"
    damage = bytearray(path.read_bytes())
    damage[place] = value
    path.write_bytes(damage)
    with pytest.raises(BenchError) as e:
        mat.read_mat(path)
    assert str(e.value).startswith(f"{path} cannot be read (") and "\n" not in str(e.value)


def test_a_mat_file_that_is_no_file_is_waited_for_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train_32x32.mat")
    with pytest.raises(BenchError, match=r"train_32x32.mat cannot be read \(it is a FIFO, not a"):
        mat.read_mat(tmp_path / "train_32x32.mat")


def test_a_mat_file_of_more_values_than_published_is_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_svhn(tmp_path)
    path = tmp_path / "SVHN/train_32x32.mat"
    monkeypatch.setattr(mat, "UNPACKED", 12 * 3 * 32 * 32)
    assert len(mat.load_arrays(path).y) == 12
    monkeypatch.setattr(mat, "UNPACKED", 12 * 3 * 32 * 32 - 1)
    with pytest.raises(ValueError, match="X has 36,864 values, more than any published one"):
        mat.load_arrays(path)


def test_a_mat_file_whose_labels_are_no_whole_numbers_is_refused(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    path = tmp_path / "SVHN/train_32x32.mat"
    for label in (2.5, np.nan):
        savemat(path, {"X": np.zeros((32, 32, 3, 1), np.uint8), "y": [[label]]})
        with pytest.raises(ValueError, match="not all labels are whole numbers"):
            mat.load_arrays(path)


def test_a_mat_file_that_is_read_for_ever_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_svhn(tmp_path)
    monkeypatch.setattr(mat, "PATIENCE", 0.01)
    with pytest.raises(BenchError, match=r"it is not read within 0\.01 seconds"):
        mat.read_mat(tmp_path / "SVHN/train_32x32.mat")


def test_a_mat_file_of_something_else_is_refused(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    savemat(tmp_path / "SVHN/test_32x32.mat", {"Z": np.zeros(3)})
    with pytest.raises(BenchError, match=r"test_32x32.mat cannot be read"):
        read("svhn", tmp_path)


# MNIST-M


def test_listed_pictures_come_in_the_order_of_the_list(tmp_path: Path) -> None:
    images = tiny.write_mnist_m(tmp_path)
    domain = read("mnist-m", tmp_path)
    assert np.array_equal(domain.train.x, images.train)
    assert domain.train.y.tolist() == tiny.TRAIN.tolist()


def test_a_crop_takes_the_middle(tmp_path: Path) -> None:
    images = tiny.write_mnist_m(tmp_path)
    domain = read("mnist-m", tmp_path, crop=28, size=28)
    assert np.array_equal(domain.train.x, images.train[:, :, 2:30, 2:30])
    with pytest.raises(BenchError, match="crop = 33 is larger than the image, 32x32"):
        read("mnist-m", tmp_path, crop=33)


def test_label_lists_and_pictures_cut_anywhere_are_refused(tmp_path: Path) -> None:
    tiny.write_mnist_m(tmp_path)
    labels = tmp_path / "mnist_m/mnist_m_train_labels.txt"
    labels.write_text(labels.read_text().rstrip("\n"))  # the last line break is nobody's loss
    whole = labels.read_bytes()
    refuses_every_cut(labels, lambda: read("mnist-m", tmp_path))
    labels.write_bytes(whole)
    picture = tmp_path / "mnist_m/mnist_m_train/00000003.png"
    checksums_and_end_mark = 20  # the image is whole without them
    for part in cuts(picture.read_bytes()[:-checksums_and_end_mark]):
        picture.write_bytes(part)
        with pytest.raises(BenchError, match=r"mnist_m_train/00000003.png cannot be read"):
            read("mnist-m", tmp_path)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("00000000.png", "line 1 is not a name and a label: '00000000.png'"),
        ("00000000.png five", "line 1 is not a name and a label"),
        ("00000000.png -5", "line 1 is not a name and a label"),
        ("00000000.png 99999999999999999999", "cannot be read"),
        (
            "../../outside.png 5",
            "mnist_m_train lacks 1 of the images .* lists: ../../outside.png first",
        ),
        ("picture.png 5", "lacks 1 of the images"),
        ("x" * 1000 + " 5", r"lists: x{300}… first"),
        ("x" * 1000, "line 1 is not a name and a label: 'xxxxxx.{100,200}…"),
    ],
)
def test_a_wrong_line_of_a_label_list_is_named(tmp_path: Path, line: str, says: str) -> None:
    tiny.write_mnist_m(tmp_path)
    labels = tmp_path / "mnist_m/mnist_m_train_labels.txt"
    labels.write_text("\n".join([line, *labels.read_text().splitlines()[1:]]))
    with pytest.raises(BenchError, match=says):
        read("mnist-m", tmp_path)


def test_pictures_of_another_size_are_not_mnist_m(tmp_path: Path) -> None:
    tiny.write_mnist_m(tmp_path)
    for i in range(len(tiny.TRAIN)):
        (tmp_path / f"mnist_m/mnist_m_train/{i:08}.png").write_bytes(
            tiny.png(tiny.pixels(1, 3, 28, 28)[0])
        )
    with pytest.raises(
        BenchError, match=r"00000000.png cannot be read .*28x28 pixels where 32x32 are published"
    ):
        read("mnist-m", tmp_path)


# the cache of decoded pictures


def test_pictures_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write_mnist_m(tmp_path)
    first = read("mnist-m", tmp_path)
    monkeypatch.setattr(decode, "open_upright", lambda _: pytest.fail("decoded again"))
    assert read("mnist-m", tmp_path).train.fingerprint() == first.train.fingerprint()


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    tiny.write_mnist_m(tmp_path)
    first = read("mnist-m", tmp_path)
    pixels, _ = (tmp_path / "cache/images").glob("*.u8")
    for kept in (pixels, pixels.with_suffix(".json")):
        whole = kept.read_bytes()
        places = (0, 8, 40, len(whole) // 2, -60, -1)
        flipped = (bytes([*whole[:i], whole[i] ^ 0xFF, *whole[i:][1:]]) for i in places)
        for damaged in [*cuts(whole), *flipped]:
            kept.write_bytes(damaged)
            again = read("mnist-m", tmp_path)
            for now, before in ((again.train, first.train), (again.test, first.test)):
                assert now.fingerprint() == before.fingerprint()


def test_a_changed_picture_is_decoded_again(tmp_path: Path) -> None:
    tiny.write_mnist_m(tmp_path)
    read("mnist-m", tmp_path)
    black = np.zeros((3, 32, 32), np.uint8)
    (tmp_path / "mnist_m/mnist_m_train/00000000.png").write_bytes(tiny.png(black))
    assert read("mnist-m", tmp_path).train.x[0].sum() == 0


def test_a_cache_that_cannot_be_written_is_only_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tiny.write_mnist_m(tmp_path)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(paths, "cache_root", lambda: tmp_path / "file")
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert np.array_equal(read("mnist-m", tmp_path).train.x, images.train)


# Parquet


def write_parquet(
    path: Path, images: np.ndarray, labels: np.ndarray, *, plain: bool = False
) -> None:
    encoded = [tiny.png(image) for image in images]
    rows = encoded if plain else [{"bytes": b, "path": None} for b in encoded]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pyarrow.table({"image": rows, "label": labels}), path)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("name", "where", "shape"),
    [
        ("mnist", "mnist/mnist", (28, 28)),
        ("usps", "usps/data", (16, 16)),
        ("svhn", "svhn/cropped_digits", (3, 32, 32)),
        ("mnist-m", "mnist-m/data", (3, 32, 32)),
    ],
)
def test_the_hubs_parquet_files_are_read(
    tmp_path: Path, name: str, where: str, shape: tuple[int, ...], plain: bool
) -> None:
    train, test = tiny.pixels(len(tiny.TRAIN), *shape), tiny.pixels(len(tiny.TEST), *shape, seed=1)
    write_parquet(
        tmp_path / where / "train-00000-of-00002.parquet", train[:5], tiny.TRAIN[:5], plain=plain
    )
    write_parquet(
        tmp_path / where / "train-00001-of-00002.parquet", train[5:], tiny.TRAIN[5:], plain=plain
    )
    write_parquet(
        tmp_path / where / "test-00000-of-00001-0123.parquet", test, tiny.TEST, plain=plain
    )
    domain = read(name, tmp_path)
    assert np.array_equal(domain.train.x.squeeze(1), train)
    assert np.array_equal(domain.test.x.squeeze(1), test)
    assert domain.train.y.tolist() == tiny.TRAIN.tolist()


def test_rows_of_parquet_come_in_their_order_whatever_the_row_groups(tmp_path: Path) -> None:
    images = [bytes([i]) for i in range(100)]
    for size in (1, 7, 20, 100):
        pq.write_table(pyarrow.table({"image": images}), tmp_path / "table", row_group_size=size)
        for rows in ([*range(100)], [0, 3, 16, 17, 19, 20, 39, 47, 99], [50], [*range(33, 99, 5)]):
            read = list(parquet.read_pictures(tmp_path / "table", rows))
            assert read == [images[row] for row in rows]


def test_pictures_of_other_colors_are_read_only_where_nothing_is_lost(tmp_path: Path) -> None:
    train, test = tiny.pixels(12, 32, 32), tiny.pixels(10, 3, 32, 32)
    write_parquet(tmp_path / "svhn/cropped_digits/train-0.parquet", train, tiny.TRAIN)
    write_parquet(tmp_path / "svhn/cropped_digits/test-0.parquet", test, tiny.TEST)
    domain = read("svhn", tmp_path)
    assert np.array_equal(domain.train.x, np.repeat(train[:, None], 3, axis=1))
    write_parquet(tmp_path / "usps/train-0.parquet", tiny.pixels(12, 3, 16, 16), tiny.TRAIN)
    write_parquet(tmp_path / "usps/test-0.parquet", tiny.pixels(10, 16, 16), tiny.TEST)
    with pytest.raises(BenchError, match=r"row 0 of .*cannot be read \(it is colored"):
        read("usps", tmp_path)


def test_parquet_cut_anywhere_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "usps/test-0.parquet", tiny.pixels(10, 16, 16), tiny.TEST)
    write_parquet(tmp_path / "usps/train-0.parquet", tiny.pixels(12, 16, 16), tiny.TRAIN)
    refuses_every_cut(tmp_path / "usps/train-0.parquet", lambda: read("usps", tmp_path))


def test_parquet_of_something_else_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "usps/test-0.parquet", tiny.pixels(10, 16, 16), tiny.TEST)
    path = tmp_path / "usps/train-0.parquet"
    for table, says in (
        ({"text": ["a"]}, "its columns are text, not image and label"),
        ({"image": [b"not a png"], "label": [1]}, "it is no JPEG, PNG, "),
        ({"image": [None], "label": [1]}, "cannot be read"),
        (
            {"image": [tiny.png(tiny.TEST[None].astype(np.uint8))], "label": [None]},
            "cannot be read",
        ),
        (
            {"image": [tiny.png(tiny.TEST[None].astype(np.uint8))], "label": ["one"]},
            "cannot be read",
        ),
    ):
        pq.write_table(pyarrow.table(table), path)
        with pytest.raises(BenchError, match=says):
            read("usps", tmp_path)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0.5] + [1.0] * 11, "not all labels are whole numbers"),
        ([None] + [1] * 11, "not all labels are whole numbers"),
        ([1e300] + [1.0] * 11, "not all labels are whole numbers"),
    ],
)
def test_parquet_whose_labels_are_no_numbers_of_classes_is_refused(
    tmp_path: Path, labels: list[float | None], says: str
) -> None:
    encoded = [tiny.png(image) for image in tiny.pixels(12, 16, 16)]
    pq.write_table(pyarrow.table({"image": encoded, "label": labels}), tmp_path / "table")
    with pytest.raises(BenchError, match=rf"table cannot be read \(ValueError: {says}\)"):
        parquet.read_labels(tmp_path / "table")


def test_a_row_of_parquet_that_holds_no_bytes_is_no_picture(tmp_path: Path) -> None:
    """A text least of all: Pillow would open the file of that name."""
    good = tmp_path / "good.png"
    good.write_bytes(tiny.png(tiny.pixels(1, 16, 16)[0]))
    for column in ([str(good), None], [{"path": str(good), "bytes": None}] * 2):
        pq.write_table(pyarrow.table({"image": column, "label": [0, 1]}), tmp_path / "table")
        assert [*parquet.read_pictures(tmp_path / "table", [0, 1])] == [b"", b""]


def test_parquet_whose_row_groups_are_not_as_long_as_it_says_is_refused(tmp_path: Path) -> None:
    """Its pictures would get the labels of others."""
    path = tmp_path / "table"
    columns = {"image": [bytes([i]) for i in range(12)], "label": tiny.TRAIN}
    pq.write_table(pyarrow.table(columns), path, row_group_size=5)
    five, six, next_field = b"\x16\x0a", b"\x16\x0c", b"\x26"  # as thrift writes them
    raw = path.read_bytes()
    assert raw.count(five + next_field) == 2
    path.write_bytes(raw.replace(five + next_field, six + next_field))
    with pytest.raises(BenchError, match="its row groups are of other sizes than it says"):
        parquet.read_labels(path)
    with pytest.raises(BenchError, match="it holds 10 of the 12 pictures that it lists"):
        list(parquet.read_pictures(path, range(12)))


def test_parquet_of_more_rows_than_any_set_is_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table"
    pq.write_table(pyarrow.table({"image": [b""] * 12, "label": tiny.TRAIN}), path)
    monkeypatch.setattr(parquet, "ROWS", 12)
    assert len(parquet.read_labels(path)) == 12
    monkeypatch.setattr(parquet, "ROWS", 11)
    with pytest.raises(BenchError, match="it has 12 rows, more than any published one"):
        parquet.read_labels(path)
    twelve, two, next_field = b"\x16\x18", b"\x16\x04", b"\x26"
    path.write_bytes(path.read_bytes().replace(twelve + next_field, two + next_field))
    assert len(parquet.read_labels(path)) == 2, "and not more than it says"


def test_columns_of_endless_names_are_told_of_in_a_sentence(tmp_path: Path) -> None:
    pq.write_table(pyarrow.table({"x" * 9999: [0]}), tmp_path / "table")
    with pytest.raises(BenchError, match=r"its columns are x{180,200}…") as e:
        parquet.read_labels(tmp_path / "table")
    assert len(str(e.value)) < 600


# sets that come with a package


def test_the_embedded_sets_are_as_their_facts_say(tmp_path: Path) -> None:
    for name in ("mnist-sample", "uci-digits"):
        domain, facts = read(name, tmp_path), sets.find_set(name)
        assert tuple(domain.train.y.bincount().tolist()) == facts.counts.train
        assert tuple(domain.test.y.bincount().tolist()) == facts.counts.test
        assert domain.train.x.shape[1:] == (1, facts.size, facts.size)
        assert int(domain.train.x.max()) == 255


def test_every_fifth_image_of_each_class_is_test(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    zeros = digits.images[digits.target == 0] / 16 * 255
    domain = read("uci-digits", tmp_path)
    assert np.array_equal(domain.test.x[domain.test.y == 0][:, 0], zeros[4::5].round())
    kept = [i for i in range(len(zeros)) if i % 5 != 4]
    assert np.array_equal(domain.train.x[domain.train.y == 0][:, 0], zeros[kept].round())


# folders of images


def write_folder(
    path: Path, classes: dict[str, int], *, size: int = 8, suffix: str = ".png"
) -> None:
    for label, (name, n) in enumerate(classes.items()):
        (path / name).mkdir(parents=True)
        for i in range(n):
            Image.new("RGB", (size, size), (label, i, 200)).save(path / name / f"{i:03}{suffix}")


def read_folder(root: Path, classes: int = 2, **spec: object) -> Domain:
    settings = DomainSpec.model_validate({"set": "folder", "path": "art"} | spec).complete()
    return load_domain("Art", settings, root=root, size=8, resize="bilinear", classes=classes)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".PNG"])
def test_the_sub_folders_of_a_folder_are_its_classes_in_order(tmp_path: Path, suffix: str) -> None:
    write_folder(tmp_path / "art", {"ant": 10, "bee": 6}, suffix=suffix)
    domain = read_folder(tmp_path, split=0.2)
    assert domain.train.y.tolist() == domain.train.x[:, 0, 0, 0].tolist() == [0] * 8 + [1] * 5
    assert domain.test.x[:, 1, 0, 0].tolist() == [4, 9, 4]
    assert domain.origin == "folder art"


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_pictures_are_read_too(tmp_path: Path, suffix: str) -> None:
    write_folder(tmp_path / "art", {"ant": 5, "bee": 5}, suffix=suffix)
    assert (read_folder(tmp_path).train.x[:, 2].float() - 200).abs().max() < 20


def test_train_and_test_folders_are_the_splits(tmp_path: Path) -> None:
    write_folder(tmp_path / "art/train", {"ant": 3, "bee": 2})
    write_folder(tmp_path / "art/test", {"ant": 1, "bee": 1})
    domain = read_folder(tmp_path)
    assert domain.train.y.tolist() == [0, 0, 0, 1, 1]
    assert domain.test.y.tolist() == [0, 1]


@pytest.mark.parametrize("stated", [{}, {"transductive": True}, {"split": "own"}])
def test_a_folder_without_parts_is_one_whole(tmp_path: Path, stated: dict[str, object]) -> None:
    write_folder(tmp_path / "art", {"ant": 10, "bee": 6})
    domain = read_folder(tmp_path, **stated)
    assert domain.train is domain.test
    assert domain.train.y.bincount().tolist() == [10, 6]


@pytest.mark.parametrize(("split", "tested"), [(0.2, [2, 1]), (0.5, [5, 3]), (0.29, [2, 1])])
def test_a_stated_split_tests_on_that_fraction_of_each_class(
    tmp_path: Path, split: float, tested: list[int]
) -> None:
    write_folder(tmp_path / "art", {"ant": 10, "bee": 6})
    domain = read_folder(tmp_path, split=split)
    assert domain.test.y.bincount().tolist() == tested
    assert len(domain.train) + len(domain.test) == 16
    assert choose_test(np.zeros(100, dtype=np.int64), 0.29).sum() == 29


def test_a_list_is_one_whole_unless_its_split_is_stated(tmp_path: Path) -> None:
    write_folder(tmp_path / "art", {"ant": 10, "bee": 6})
    lines = [f"ant/{i:03}.png 0" for i in range(10)] + [f"bee/{i:03}.png 1" for i in range(6)]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    whole = read_folder(tmp_path, list="list.txt")
    assert whole.train is whole.test and len(whole.train) == 16
    assert len(read_folder(tmp_path, list="list.txt", split=0.2).test) == 3


def test_a_split_that_contradicts_the_folders_or_the_set_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "art/train", {"ant": 3, "bee": 2})
    write_folder(tmp_path / "art/test", {"ant": 1, "bee": 1})
    with pytest.raises(UsageError, match="'Art' lies in train/ and test/: remove its `split`"):
        read_folder(tmp_path, split=0.2)
    assert len(read_folder(tmp_path, transductive=True).test) == 7
    with pytest.raises(UsageError, match="the set usps takes no `split`"):
        read("usps", tmp_path, split=0.2)
    with pytest.raises(ValueError, match="state one of the two"):
        DomainSpec(set="folder", path="art", split=0.2, transductive=True)
    unstated = DomainSpec(set="folder", path="art")
    with pytest.raises(UsageError, match="'Art' lies in train/ and test/"):
        load_domain("Art", unstated, root=tmp_path, size=8, resize="nearest", classes=2)


def test_pictures_are_turned_as_their_camera_says_and_made_rgb(tmp_path: Path) -> None:
    write_folder(tmp_path / "art", {"ant": 4, "bee": 5})
    left_half_white = Image.new("L", (8, 8))
    left_half_white.paste(255, (0, 0, 4, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: left becomes top
    left_half_white.save(tmp_path / "art/ant/turned.png", exif=exif)
    image = read_folder(tmp_path).test.x[4]
    assert (image[:, :4] == 255).all() and (image[:, 4:] == 0).all()


def test_what_is_wrong_with_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'Art' is a folder of images: say which with `path`"):
        read_folder(tmp_path, path=None)
    with pytest.raises(BenchError, match=r"no folder .*art"):
        read_folder(tmp_path)
    (tmp_path / "art").mkdir()
    with pytest.raises(BenchError, match=r"no images in .*art"):
        read_folder(tmp_path)
    write_folder(tmp_path / "art", {"ant": 10, "bee": 6})
    with pytest.raises(BenchError, match="Art has 2 classes, the suite 1"):
        read_folder(tmp_path, classes=1)
    (tmp_path / "art/aardvark").mkdir()
    with pytest.raises(
        BenchError, match="Art has no image of 1 of the suite's 3 classes \\(class 0\\)"
    ):
        read_folder(tmp_path, classes=3)
    (tmp_path / "art/aardvark").rmdir()
    (tmp_path / "art/bee/000.png").write_bytes(b"\x89PNG but not really")
    with pytest.raises(BenchError, match=r"bee/000.png cannot be read"):
        read_folder(tmp_path)


def test_an_empty_class_moves_the_labels_even_if_the_pictures_are_cached(tmp_path: Path) -> None:
    write_folder(tmp_path / "art", {"ant": 10, "bee": 6})
    read_folder(tmp_path)
    (tmp_path / "art/aardvark").mkdir()
    with pytest.raises(BenchError, match="Art has 3 classes, the suite 2"):
        read_folder(tmp_path)


def test_train_and_test_must_hold_the_same_classes(tmp_path: Path) -> None:
    write_folder(tmp_path / "art/train", {"ant": 3, "bee": 2})
    write_folder(tmp_path / "art/test", {"ant": 1})
    with pytest.raises(BenchError, match=r"only one of train/ and test/ \(bee\)"):
        read_folder(tmp_path)


# resizing, limits, stand-ins


@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("old", "new"), [(8, 28), (16, 28), (16, 32), (28, 32), (32, 28), (37, 45)]
)
def test_arrays_are_resized_as_by_pillow_to_one_grey_level(old: int, new: int, name: str) -> None:
    images = tiny.pixels(3, 3, old, old + 5)
    ours = Square(new, name).convert_arrays(images)
    for image, result in zip(images, ours, strict=True):
        pillow = Image.fromarray(image.transpose(1, 2, 0)).resize(
            (new, new), Image.Resampling[name.upper()]
        )
        assert abs(result.astype(int) - np.asarray(pillow).transpose(2, 0, 1)).max() <= 1


def test_nearest_agrees_with_pillow_but_where_two_pixels_are_as_near() -> None:
    for old in range(1, 65):
        ramp = np.tile(np.arange(old, dtype=np.uint8), (old, 1))
        for new in range(1, 65):
            ours = Square(new, "nearest").convert_arrays(ramp[None, None])[0, 0].astype(int)
            pillow = np.asarray(
                Image.fromarray(ramp).resize((new, new), Image.Resampling.NEAREST)
            ).astype(int)
            border, off_centre = np.divmod(
                (2 * np.arange(new) + 1) * old, 2 * new
            )  # the new centre, in old pixels
            assert (ours == pillow)[:, off_centre != 0].all()
            for column in np.flatnonzero((ours != pillow).any(0)):
                assert {*ours[:, column], *pillow[:, column]} == {
                    border[column] - 1,
                    border[column],
                }


@pytest.mark.slow
def test_limits_keep_images_from_all_over_the_set(tmp_path: Path) -> None:
    options = {"root": tmp_path, "size": 28, "resize": "nearest", "classes": 10}
    domain = load_domain(
        "sample", DomainSpec(set="mnist-sample"), train_limit=20, test_limit=10, **options
    )
    assert len(domain.train) == 20 and len(domain.test) == 10
    assert domain.train.y.unique().tolist() == list(range(10))


def test_synthetic_images_stand_in_for_any_set(tmp_path: Path) -> None:
    def make(name: str, set_: str) -> Domain:
        settings = DomainSpec(set=set_, path="art" if set_ == "folder" else None)
        return load_domain(
            name,
            settings,
            root=tmp_path,
            size=32,
            resize="nearest",
            classes=7,
            synthetic=True,
            train_limit=64,
        )

    one, again, other = make("A", "svhn"), make("A", "svhn"), make("B", "mnist")
    assert one.origin == "synthetic"
    assert one.train.x.shape == (64, 3, 32, 32) and other.train.x.shape == (64, 1, 32, 32)
    assert one.train.fingerprint() == again.train.fingerprint() != other.train.fingerprint()
    assert make("A", "folder").train.y.unique().tolist() == list(range(7))


def test_synthetic_classes_can_be_learnt(tmp_path: Path) -> None:
    options = {"root": tmp_path, "size": 16, "resize": "nearest", "classes": 5, "synthetic": True}
    domain = load_domain("A", DomainSpec(set="mnist"), **options)
    means = torch.stack(
        [domain.train.x[domain.train.y == k].float().mean(0).flatten() for k in range(5)]
    )
    nearest = torch.cdist(domain.test.x.float().flatten(1), means).argmin(1)
    assert (nearest == domain.test.y).all()


# MNIST-M made anew


def test_mnist_m_is_the_distance_of_photograph_and_digit(tmp_path: Path) -> None:
    images = tiny.write_mnist(tmp_path)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 50), (10, 100, 250)).save(tmp_path / "photos/flat.png")
    made = blend_mnist_m(read_digits(sets.find_set("mnist"), tmp_path)[0], tmp_path / "photos")
    digit = np.pad(images.train, ((0, 0), (2, 2), (2, 2))).astype(int)
    for channel, level in enumerate((10, 100, 250)):
        assert np.array_equal(made.train.x[:, channel], abs(level - digit))
    assert made.test.y.tolist() == tiny.TEST.tolist()


def test_mnist_m_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    tiny.write_mnist(tmp_path)
    mnist, _ = read_digits(sets.find_set("mnist"), tmp_path)
    (tmp_path / "photos/deep").mkdir(parents=True)
    for i in range(3):
        (tmp_path / f"photos/deep/{i}.png").write_bytes(
            tiny.png(tiny.pixels(1, 3, 60, 40, seed=i)[0])
        )
    one, again, other = (blend_mnist_m(mnist, tmp_path / "photos", seed) for seed in (1, 1, 2))
    assert np.array_equal(one.train.x, again.train.x) and np.array_equal(one.train.y, again.train.y)
    assert not np.array_equal(one.train.x, other.train.x)


def test_photographs_that_will_not_do_are_named(tmp_path: Path) -> None:
    tiny.write_mnist(tmp_path)
    mnist, _ = read_digits(sets.find_set("mnist"), tmp_path)
    with pytest.raises(BenchError, match="no photographs in"):
        blend_mnist_m(mnist, tmp_path / "photos")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (31, 50)).save(tmp_path / "photos/narrow.png")
    with pytest.raises(BenchError, match=r"narrow.png is smaller than 32x32"):
        blend_mnist_m(mnist, tmp_path / "photos")


def test_facts_downloads_and_checks_need_no_torch() -> None:
    code = """
import sys
import bench.data.doctor, bench.data.get
sys.exit(", ".join({"torch", "rich"} & set(sys.modules)) or 0)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_published_counts_add_up() -> None:
    totals = {
        name: tuple(map(sum, sets.find_set(name).counts)) for name in ("mnist-sample", "uci-digits")
    }
    published = {
        s.name: tuple(map(sum, s.counts)) for s in (sets.MNIST, sets.USPS, sets.SVHN, sets.MNIST_M)
    }
    assert totals == {"mnist-sample": (4000, 1000), "uci-digits": (1442, 355)}
    assert published == {
        "mnist": (60_000, 10_000),
        "usps": (7_291, 2_007),
        "svhn": (73_257, 26_032),
        "mnist-m": (59_001, 9_001),
    }
