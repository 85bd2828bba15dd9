"""Data files with anything done to them: what is loaded is the known data, or is not called so.

Nothing but a BenchError of one sentence is raised, nothing is warned of, nothing takes long.
"""

import bz2
import gzip
import io
import os
import random
import resource
import shutil
import struct
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import digit_files as tiny
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from attack.mutations import mutated
from attack.rounds import Count, seeds
from data import test_data_domains as domains
from data import test_data_readers as readers
from PIL import Image
from runs import test_kept_files as kept_files
from safetensors.torch import save
from scipy.io import savemat

from bench import nets
from bench.data import doctor
from bench.data.generate import generate
from bench.data.images import Domain, Images
from bench.data.load import load_domain
from bench.datasets import sets
from bench.errors import BenchError, printable
from bench.paths import special_kind
from bench.runs import artefacts, records
from bench.suite.recipe import Recipe
from bench.suite.suite import DomainSpec

ROUNDS = len(seeds(5, 24))  # of a test
SENTENCE = 800  # characters of a message; the names of the test's folders take up to 300
CPU, WALL = 5.0, 60.0  # seconds that one load may take: of a core, and on a busy machine
MEMORY = 1 << 28  # bytes that one load may take


# what is done to the bytes of a file

Mutate = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


def promising(raw: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """A number near the beginning or the end promises nothing, or more than there is."""
    data, width = bytearray(raw), chance.choice((1, 2, 4, 8))
    at = chance.randrange(max(1, min(len(data), chance.choice((16, 64, 256)))))
    at = len(data) - at if chance.random() < 0.3 else at
    first, rest = chance.choice((b"\0", b"\1", b"\x7f", b"\x80", b"\xff")), chance.choice((0, 255))
    number = first + bytes([rest]) * (width - 1)
    data[at : at + width] = number if chance.random() < 0.5 else number[::-1]
    return bytes(data)


def exchanged(raw: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Two bytes have changed places, or the last words of two lines: two labels, perhaps."""
    if chance.random() < 0.5 and b"\n" in raw:
        lines = [line.rpartition(b" ") for line in raw.split(b"\n")]
        (*a, x), (*b, y) = chance.choices(lines, k=2)
        renamed = {(*a, x): b"".join((*a, y)), (*b, y): b"".join((*b, x))}
        return b"\n".join(renamed.get(line, b"".join(line)) for line in lines)
    data = bytearray(raw or b" ")
    i, j = (chance.randrange(len(data)) for _ in range(2))
    data[i], data[j] = data[j], data[i]
    return bytes(data)


def repacked(raw: bytes, pack: Any, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """What is packed is mutated, and packed again."""
    unpacked = [pack.decompress(other) for other in others]
    mutate = any_of(mutated, promising, exchanged)
    return bytes(pack.compress(mutate(pack.decompress(raw), chance, unpacked)))


def with_checksums(raw: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Some chunks of a png file are mutated; all have the right checksums."""
    out, at = [raw[:8]], 8
    while at < len(raw):
        (length,) = struct.unpack_from(">I", raw, at)
        name, content = raw[at + 4 : at + 8], raw[at + 8 : at + 8 + length]
        if chance.random() < 0.4:
            content = any_of(mutated, promising, exchanged)(content, chance, [content])
        checksum = zlib.crc32(name + content)
        out.append(struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum))
        at += 12 + length
    return b"".join(out)


def of_other_columns(raw: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Rows, values, types or names of a Parquet file are others; its metadata stay."""
    whole = pq.read_table(io.BytesIO(raw))
    columns = whole.to_pydict()
    name, row = chance.choice(list(columns)), chance.randrange(len(whole))
    values, value = columns[name], columns[name][row]
    match chance.randrange(9):
        case 0:
            values[row] = None
        case 1:
            columns[name] = [str(v)[:5000] for v in values]
        case 2:
            columns[name] = ["/dev/zero"] * len(values)
        case 3:
            columns["x" * 5000 if chance.random() < 0.5 else name.upper()] = columns.pop(name)
        case 4:
            other = chance.randrange(len(values))
            values[row], values[other] = values[other], value
        case 5 | 6 if isinstance(value, int):
            values[row] = chance.choice((-1, value + 1, value + 0.5, 1 << 40, 1e300, float("nan")))
            if isinstance(values[row], float):
                columns[name] = list(map(float, values))
        case 5 | 6 if isinstance(value, dict):
            png = value["bytes"]
            values[row] = value | {"bytes": any_of(mutated, with_checksums)(png, chance, [png])}
        case _:
            chosen = chance.choices(range(len(values)), k=chance.randint(1, len(values)))
            columns = {k: [v[i] for i in sorted(chosen)] for k, v in columns.items()}
    table, out = pa.table(columns).replace_schema_metadata(whole.schema.metadata), io.BytesIO()
    pq.write_table(table, out, row_group_size=chance.choice((1, 5, 100)))
    return out.getvalue()


def rezipped(raw: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """A member of a zip archive, which a .pth file is, is mutated; it has the right checksum."""
    if not zipfile.is_zipfile(io.BytesIO(raw)):
        return mutated(raw, chance, others)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w") as new:
        victim = chance.choice(old.namelist())
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, mutated(content, chance, [content]) if name == victim else content)
    return out.getvalue()


def reheaded(raw: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """The header of a safetensors file is mutated; its length is the right one."""
    end = 8 + int.from_bytes(raw[:8], "little")
    header = mutated(raw[8:end], chance, [other[8:] for other in others])
    return len(header).to_bytes(8, "little") + header + raw[end:]


def any_of(*mutations: Mutate) -> Mutate:
    return lambda raw, chance, others: chance.choice(mutations)(raw, chance, others)


BENEATH: Mapping[str, Mutate] = {
    ".gz": lambda raw, *rest: repacked(raw, gzip, *rest),
    ".bz2": lambda raw, *rest: repacked(raw, bz2, *rest),
    ".png": with_checksums,
    ".parquet": of_other_columns,
    ".pth": rezipped,
    ".safetensors": reheaded,
}
"""How to mutate what lies beneath a format's own checks, by the end of the file's name."""


# what is done to files


@dataclass
class Disk:
    """The files below a folder, harmed and put right again; each change has a time of its own."""

    folder: Path
    chance: random.Random
    whole: dict[Path, tuple[bytes, int]] = field(init=False)  # content, and time of its change
    now: int = 10**18  # nanoseconds

    def __post_init__(self) -> None:
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        self.whole = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    def put_right(self) -> None:
        for path in list(self.folder.rglob("*")):
            if not (path in self.whole or path.is_dir()):
                path.unlink()
        for path, (raw, then) in self.whole.items():
            if path.is_file() and path.stat().st_mtime_ns == then:
                continue
            remove(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
            os.utime(path, ns=(then, then))

    def harm(self, below: Path) -> int:
        """Harm one to three of the files below a folder; how many."""
        files = [path for path in self.whole if below in path.parents]
        victims = self.chance.sample(files, min(len(files), self.chance.choice((1, 1, 1, 2, 3))))
        for path in victims:
            self._harm(path, [p for p in files if p.suffix == path.suffix])
        return len(victims)

    def _harm(self, path: Path, alike: Sequence[Path]) -> None:
        chance, raw, others = self.chance, self.whole[path][0], [self.whole[p][0] for p in alike]
        match chance.randrange(20):
            case 0:
                self._write(path, b"")
            case 1:
                self._write(path, chance.choice(others))
            case 2:
                other = chance.choice(alike)
                self._write(path, self.whole[other][0])
                self._write(other, raw)
            case 3:
                self._replace(chance.choice((path, path, path, path.parent)))
            case 4 | 5 | 6:
                self._write(path, promising(raw, chance, others))
            case 7 | 13:
                self._write(path, exchanged(raw, chance, others))
            case 8 | 9 | 10 | 11 | 12:
                self._write(path, BENEATH.get(path.suffix, mutated)(raw, chance, others))
            case _:
                self._write(path, mutated(raw, chance, others))

    def _write(self, path: Path, raw: bytes) -> None:
        if not path.is_file():  # replaced already
            return
        self.now += 1
        path.write_bytes(raw)
        os.utime(path, ns=(self.now, self.now))

    def _replace(self, path: Path) -> None:
        """In its place is what is no file, or nothing."""
        if path == self.folder or not path.exists():
            return
        remove(path)
        match self.chance.randrange(5):
            case 0:
                path.mkdir()
            case 1:
                os.mkfifo(path)
            case 2:
                path.symlink_to("nowhere")
            case 3:
                path.symlink_to("/dev/zero")


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def attempt(load: Callable[[], Any], named: Iterable[object], allowed: str | None = None) -> Any:
    """What is loaded; None where a sentence says why nothing is.

    named: the sentence names one of them. allowed: part of the one warning that may be given.
    """
    loaded, cpu, wall = None, time.process_time(), time.monotonic()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", module=r"PIL\.")  # as bench.data.decode has it
        try:
            loaded = load()
        except BenchError as e:
            said = str(e)
            assert said == printable(said) and len(said) < SENTENCE, said
            assert any(str(name) in said for name in named), said
    said = [str(w.message) for w in told]
    assert [x for x in said if allowed is None or allowed not in x] == []
    assert time.process_time() - cpu < CPU and time.monotonic() - wall < WALL
    return loaded


# sets of images


@dataclass(frozen=True)
class Form:
    """A form in which a set of images lies on the disk."""

    write: Callable[[Path], object]
    spec: Mapping[str, object]  # as a suite states it
    classes: int = 10

    def load(self, root: Path, *, skip: bool = False, pixels: bool = True) -> Domain:
        return load_domain(
            "Odd",
            DomainSpec.model_validate(self.spec),
            root=root,
            size=8,
            resize="nearest",
            classes=self.classes,
            skip_unreadable=skip,
            pixels=pixels,
        )

    def examine(self, root: Path) -> list[doctor.Finding]:
        place = root / "art" if self.spec["set"] == "folder" else root
        return doctor.examine(str(self.spec["set"]), place)


def write_libsvm(root: Path) -> None:
    readers.write_libsvm(root)
    for path in (root / "USPS").glob("zip.*"):
        path.unlink()


def write_parquet(root: Path) -> None:
    train, test = tiny.pixels(12, 16, 16), tiny.pixels(10, 16, 16, seed=1)
    readers.write_parquet(root / "usps/train-0.parquet", train[:5], tiny.TRAIN[:5])
    readers.write_parquet(root / "usps/train-1.parquet", train[5:], tiny.TRAIN[5:])
    readers.write_parquet(root / "usps/test-0.parquet", test, tiny.TEST)


def write_domains(root: Path) -> None:
    folder = domains.write_officehome(root / "aside")
    domains.write_parquet(root, folder, domains.CLASSES)
    shutil.rmtree(root / "aside")


KINDS = {
    "png": "png", "jpeg": "jpeg", "webp": "webp", "bmp": "bmp", "ppm": "ppm",
    "tiff": "png", "gif": "png",
}  # fmt: skip
"""What a file of a folder holds -> what its name ends in."""


def write_pictures(root: Path) -> None:
    """Two classes of pictures of every kind, some of which say how the camera was held."""
    turned = Image.Exif()
    turned[0x0112] = 6
    for k, name in enumerate(("ant", "bee")):
        (root / "art" / name).mkdir(parents=True)
        for i, (kind, suffix) in enumerate(KINDS.items()):
            picture = Image.fromarray(tiny.pixels(1, 12, 10, 3, seed=10 * k + i)[0])
            more = {"exif": turned} if kind in ("png", "jpeg", "webp") else {}
            picture.save(root / f"art/{name}/{i}.{suffix}", kind, **more)
        picture.quantize(8).save(root / f"art/{name}/palette.png", transparency=3)


def write_list(root: Path) -> None:
    write_pictures(root)
    art = root / "art"
    lines = [f"{p.relative_to(art)} {int(p.parent.name == 'bee')}\n" for p in art.glob("*/*.*")]
    (root / "list.txt").write_text("".join(sorted(lines)))


LISTS = {"set": "domainnet126", "domain": "real"}
FOLDER = {"set": "folder", "path": "art", "split": 0.5}
FORMS = {
    "idx": Form(tiny.write_mnist, {"set": "mnist"}),
    "idx.gz": Form(lambda root: tiny.write_mnist(root, gz=True), {"set": "mnist"}),
    "usps": Form(tiny.write_usps, {"set": "usps"}),
    "libsvm": Form(write_libsvm, {"set": "usps"}),
    "mat": Form(readers.write_svhn, {"set": "svhn"}),
    "mnist-m": Form(tiny.write_mnist_m, {"set": "mnist-m"}),
    "parquet": Form(write_parquet, {"set": "usps"}),
    "domains": Form(write_domains, {"set": "officehome", "domain": "Real World"}, 3),
    "lists": Form(lambda root: domains.published("domainnet126", root), LISTS, 2),
    "folder": Form(write_pictures, FOLDER, 2),
    "list": Form(write_list, FOLDER | {"list": "list.txt"}, 2),
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of data, beside which lies the cache; the published sets are tiny."""
    tiny.shrink(monkeypatch, "mnist", "usps", "svhn", "mnist-m")
    counts = {"officehome": domains.COUNTS, "domainnet126": domains.NETS}
    monkeypatch.setattr(sets, "class_counts", counts.__getitem__)
    tiny.cache_in(monkeypatch, tmp_path / "all/cache")
    return tmp_path / "all/data"


@pytest.fixture
def silent(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Any:
    """Nothing is printed during the test, and nothing logged."""
    yield
    assert caplog.get_records("call") == [] and capfd.readouterr() == ("", "")


def remembered(domain: Domain) -> Domain:
    """In memory: a map of a file is what the file becomes."""
    train, test = (replace(part, x=part.x.clone()) for part in (domain.train, domain.test))
    return replace(domain, train=train, test=test)


def same(one: Images, other: Images) -> bool:
    return torch.equal(one.x, other.x) and torch.equal(one.y, other.y)


def check(found: Domain, known: Domain) -> None:
    """Each fingerprint is that of the pixels and labels that are there; other ones have another."""
    for one, other in ((found.train, known.train), (found.test, known.test)):
        assert one.fingerprint() == Images(one.x, one.y).fingerprint()
        assert same(one, other) == (one.fingerprint() == other.fingerprint())


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("name", [name for name in FORMS if name != "mat"])
@pytest.mark.parametrize("seed", seeds(1, 25))
def test_other_data_never_pass_as_the_known_ones(
    name: str, seed: int, data: Path, count: Count
) -> None:
    harm_and_load(FORMS[name], random.Random(f"{name} {seed}"), data, count)


@pytest.mark.slow
@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("seed", seeds(1, 2))
def test_other_mat_files_never_pass_as_the_known_ones(seed: int, data: Path, count: Count) -> None:
    """Each is read by an interpreter of its own, which takes a second to start."""
    harm_and_load(FORMS["mat"], random.Random(f"mat {seed}"), data, count)


def harm_and_load(form: Form, chance: random.Random, data: Path, count: Count) -> None:
    form.write(data)
    known, named, harmed = remembered(form.load(data)), ("Odd", form.spec["set"], data), 0
    disk = Disk(data.parent, chance)
    for _ in range(ROUNDS):
        harmed += disk.harm(data)
        load = partial(form.load, data, skip=chance.random() < 0.3)
        found = attempt(load, named)
        if found:
            check(found, known)
        if chance.random() < 0.2:  # now from the cache, if anything is kept there
            again = attempt(load, named)
            assert (found is None) == (again is None)
            if found:
                check(again, found)
                assert same(again.train, found.train) and same(again.test, found.test)
        if chance.random() < 0.2:
            attempt(partial(form.load, data, pixels=False), named)
            findings = attempt(partial(form.examine, data), named)
            assert max(len(finding.text) for finding in findings) < SENTENCE, findings
        disk.put_right()
    count("mutated data files", harmed)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("name", ["lists"])
@pytest.mark.parametrize("seed", seeds(1, 25))
def test_made_up_images_never_pass_as_published_ones(
    name: str, seed: int, data: Path, count: Count
) -> None:
    chance, form = random.Random(f"mark {seed}"), FORMS[name]
    mark = generate("domainnet126", data, scale=1) / "generated.json"
    raw = mark.read_bytes()
    for _ in range(ROUNDS):
        mark.write_bytes(any_of(mutated, promising)(raw, chance, [raw]))
        found = attempt(partial(form.load, data), ("Odd", "domainnet126", mark))
        assert found is None or found.generated, mark.read_bytes()
    count("mutated data files", ROUNDS)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("name", ["folder", "mnist-m"])
@pytest.mark.parametrize("seed", seeds(1, 25))
def test_pictures_are_what_they_are_whatever_lies_in_the_cache(
    name: str, seed: int, data: Path, count: Count
) -> None:
    form, chance = FORMS[name], random.Random(f"cache {name} {seed}")
    form.write(data)
    if name == "folder":
        (data / "art/ant/broken.png").write_bytes(b"no picture")
    known, harmed = remembered(form.load(data, skip=True)), 0
    disk = Disk(data.parent, chance)
    for _ in range(ROUNDS):
        harmed += disk.harm(data.with_name("cache"))
        found = attempt(partial(form.load, data, skip=True), (), "images cannot be kept in")
        check(found, known)
        assert same(found.train, known.train) and same(found.test, known.test)
        assert found.origin == known.origin
        disk.put_right()
    count("mutated data files", harmed)


BOMBS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "idx": (
        "idx.gz",
        "MNIST/raw/train-images-idx3-ubyte.gz",
        lambda path: path.write_bytes(gzip.compress(tiny.idx(tiny.TRAIN) + bytes(1 << 29), 1)),
    ),
    "one line": (
        "usps",
        "USPS/zip.train.gz",
        lambda path: path.write_bytes(gzip.compress(b"1 " * (64 << 20), 1)),
    ),
    "short lines": (
        "libsvm",
        "USPS/usps.bz2",
        lambda path: path.write_bytes(bz2.compress(b"1\n" * (1 << 20))),
    ),
    "rows": (
        "parquet",
        "usps/train-0.parquet",
        lambda path: pq.write_table(
            pa.table({"image": [b""] * (3 << 20), "label": np.zeros(3 << 20, np.int64)}), path
        ),
    ),
    "values": (
        "mat",
        "SVHN/train_32x32.mat",
        lambda path: savemat(path, {"X": np.zeros(1 << 29, np.uint8), "y": 1}, do_compression=True),
    ),
}


@pytest.mark.slow
@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("bomb", BOMBS)
def test_what_unpacks_to_gigabytes_takes_little(bomb: str, data: Path, count: Count) -> None:
    name, file, write = BOMBS[bomb]
    FORMS[name].write(data)
    write(data / file)
    # a process of its own: this one has held the bomb itself
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        assert alone.submit(weigh, name, data, file).result() < MEMORY
    count("mutated data files", 1)


def weigh(name: str, data: Path, file: str) -> int:
    """The bytes that it takes to refuse a set of images."""
    before = peak()
    assert attempt(partial(FORMS[name].load, data), (file,)) is None
    return peak() - before


def peak() -> int:
    """The most bytes that this process, or one that it waited for, ever took."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(w).ru_maxrss for w in who) << 10


# weights and artefacts


class Trap:
    """Whoever runs what this is pickled as makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("seed", seeds(1, 25))
def test_mutated_weights_are_others_and_never_run(seed: int, tmp_path: Path, count: Count) -> None:
    chance, folder = random.Random(f"weights {seed}"), tmp_path / "weights"
    folder.mkdir()
    state = {"features.0.weight": torch.arange(108.0).view(4, 3, 3, 3), "n": torch.arange(4)}
    torch.save(state, folder / "new.pth")
    torch.save({"model": state}, folder / "old.pth", _use_new_zipfile_serialization=False)
    (folder / "new.safetensors").write_bytes(save(state))
    honest = [path.read_bytes() for path in folder.iterdir()]
    torch.save(state | {"more": Trap(tmp_path / "sprung")}, folder / "trap.pth")
    recipe = Recipe(
        backbone="mobilenet_v2", weights="imagenet", size=32, iterations=1, batch=2, lr=0.5
    )
    disk, harmed = Disk(folder, chance), 0
    for _ in range(ROUNDS):
        harmed += disk.harm(folder)
        for path in disk.whole:
            if special_kind(path):  # load_weights would wait for it
                continue
            given = attempt(partial(nets.load_weights, recipe, path), (path,), "pickle protocol")
            if given:
                tensors, facts = given
                assert facts["sha256"] == sha256(path.read_bytes()).hexdigest()
                if path.read_bytes() in honest:
                    assert tensors.keys() == state.keys()
                    assert all(torch.equal(tensors[k], state[k]) for k in state)
        disk.put_right()
    assert not (tmp_path / "sprung").exists()
    count("mutated data files", harmed)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("seed", seeds(1, 25))
def test_a_mutated_artefact_is_not_taken_for_what_a_run_kept(
    seed: int, tmp_path: Path, count: Count
) -> None:
    chance, path = random.Random(f"kept {seed}"), kept_files.keep(tmp_path, kept_files.A)
    record = records.read_record(path)
    disk, harmed = Disk(path.parent, chance), 0
    for _ in range(ROUNDS):
        harmed += disk.harm(path.parent)
        for name in ("logits", "weights"):
            kept = artefacts.locate(path, artefacts.FILES[name])
            read = attempt(partial(artefacts.read_artefact, record, name), (kept,))
            assert read in (None, disk.whole[kept][0])
        disk.put_right()
    count("mutated data files", harmed)
