"""Which pictures a domain consists of: folders, list files, published sets. Decodes nothing."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.data.files import Labels, Listing, Picture, choose_test, damaged, name_file, parsing
from bench.data.parquet import read_names
from bench.datasets import sets
from bench.datasets.facts import Both, DataSet
from bench.datasets.generated import describe_origin, expected_counts
from bench.datasets.locate import Found, incomplete, require
from bench.errors import BenchError, UsageError, shorten
from bench.suite.suite import DomainSpec

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm")

# folders


def list_classes(folder: Path) -> list[str]:
    """The names of the sub-folders, sorted. Raises BenchError."""
    with parsing(folder):
        entries = [entry for entry in folder.iterdir() if entry.is_dir()]
    names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    for name in names:
        if name != os.fsencode(name).decode(errors="replace"):
            raise BenchError(f"{folder / name} has a name that is not UTF-8: give it another")
    return names


def list_names(folder: Path) -> set[str]:
    """The names of all that lies in a folder. Raises BenchError."""
    with parsing(folder):
        return set(os.listdir(folder))


def find_pictures(folder: Path) -> list[Path]:
    """All files below a folder that are called pictures, sorted. Raises BenchError."""
    return sorted(
        path
        for path in _walk(folder)
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def find_other_files(folder: Path) -> list[Path]:
    """The files below a folder that are no pictures, sorted. Raises BenchError."""
    return sorted(path for path in _walk(folder) if path.suffix.lower() not in SUFFIXES)


def _walk(folder: Path) -> Iterator[Path]:
    """All below a folder that is no folder; links to folders are not followed, and so cannot lead
    in a circle. Nothing where there is no folder; raises BenchError for one that cannot be read."""

    def refuse(error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            return
        raise BenchError(
            f"{name_file(error.filename)} cannot be read ({error.strerror}): see that it can"
        )

    for here, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(here, name) for name in names)


def list_class_folders(folder: Path) -> Listing:
    """The pictures below one sub-folder per class, the classes sorted by name."""
    classes = list_classes(folder)
    per_class = [find_pictures(folder / name) for name in classes]
    y = np.repeat(np.arange(len(classes), dtype=np.int64), [len(files) for files in per_class])
    pictures = [Picture(file) for files in per_class for file in files]
    return Listing(folder, pictures, y, tuple(classes))


def find_parts(folder: Path) -> list[Path]:
    """The folder itself or, when it has these two sub-folders and no other, train/ and test/."""
    two = list_classes(folder) == ["test", "train"]
    return [folder / "train", folder / "test"] if two else [folder]


def find_unshared(folder: Path) -> list[str]:
    """The classes that are in only one of train/ and test/, sorted."""
    per_part = [set(list_classes(part)) for part in find_parts(folder)]
    return sorted(per_part[0] ^ per_part[-1])


def list_folder(folder: Path) -> list[Listing]:
    """The parts of a folder: itself, which has one sub-folder of pictures per class, or train/ and
    test/ with such sub-folders.

    Raises BenchError when the folder is absent or empty, or when train/ and test/ hold different
    classes.
    """
    if not folder.is_dir():
        raise BenchError(
            f"no folder {folder}: put sub-folders of images there, one per class, "
            "or correct `path` in the suite"
        )
    if unshared := find_unshared(folder):
        raise BenchError(
            f"{folder} has classes in only one of train/ and test/ ({', '.join(unshared)}): "
            "they must hold the same"
        )
    parts = [list_class_folders(part) for part in find_parts(folder)]
    for part in parts:
        if not part.pictures:
            raise BenchError(
                f"no images in {part.base}: put sub-folders of them there, one per class "
                f"({', '.join(SUFFIXES)})"
            )
    return parts


def divide(name: str, parts: Sequence[Listing], spec: DomainSpec) -> Both[Listing]:
    """The pictures to train and to test on, as a suite's domain of that name states it: one object
    where these are the same. parts: those in which the pictures lie, one or two.

    Raises UsageError when that is stated otherwise than the pictures lie, or not at all.
    """
    whole = parts[0]
    if len(parts) == 2:
        if spec.split == "own":
            return Both(*parts)
        if not spec.transductive:
            raise UsageError(
                f"domain {name!r} lies in train/ and test/: remove its `split` from the suite, "
                "or say transductive = true to train and test on both"
            )
        whole = join_listings(whole.base.parent, parts)
    if spec.transductive or spec.split == "own":
        return Both(whole, whole)
    if spec.split is None:
        raise UsageError(
            f"domain {name!r} does not say what to test on: say split = 0.2, or transductive = true"
        )
    test = choose_test(whole.y, spec.split)
    return Both(whole.select(~test), whole.select(test))


def join_listings(folder: Path, parts: Sequence[Listing]) -> Listing:
    """Listings of the same classes below a folder as one."""
    pictures = [picture for part in parts for picture in part.pictures]
    return Listing(folder, pictures, np.concatenate([part.y for part in parts]), parts[0].classes)


# list files


def read_list_file(path: Path) -> tuple[list[str], Labels]:
    """The names and labels in a file with one `name label` per line. Raises BenchError."""
    with parsing(path):
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [line.rsplit(maxsplit=1) for line in lines]
        for number, row in enumerate(rows, start=1):
            if len(row) != 2 or not row[1].isdecimal():
                text = " ".join(row)
                raise damaged(path, f"line {number} is not a name and a label: {text!r}")
        return [name for name, _ in rows], np.array([int(n) for _, n in rows], dtype=np.int64)


def list_from_file(path: Path, base: Path) -> Listing:
    """The pictures that a list file names, one `relative/path label` per line; relative to base.

    Raises BenchError when the file is absent or has a line of another form, or when a picture is
    missing.
    """
    if not path.is_file():
        raise BenchError(
            f"no list file {path}: correct `list` in the suite, which is relative to the data root"
        )
    names, y = read_list_file(path)
    if not names:
        raise BenchError(f"{path} lists no pictures: give it a line `relative/path label` for each")
    pictures = [Picture(base / name) for name in names]
    with parsing(path):  # no file can have a name of a thousand letters
        missing = [picture.path for picture in pictures if not picture.path.is_file()]
    if missing:
        raise BenchError(
            f"{path} lists {len(missing):,} pictures that are not there, "
            f"{shorten(str(missing[0]), 300)} first: correct it or `path`"
        )
    return Listing(base, pictures, y)


# published sets of several domains


def list_domain(facts: DataSet, root: Path, domain: str) -> tuple[Listing, Found]:
    """The pictures of one domain of a published set, and where the set was found.

    Labels are places in the sorted published names of the classes. Raises UsageError when there is
    no such domain, BenchError when it is not below root or its counts are not the published ones.
    """
    domain = sets.find_domain(facts, domain)
    found = require(facts, root)
    listing = list_found_domain(facts, root, found, domain)
    counts = expected_counts(facts, found.folder)[domain]
    if problem := next(compare_counts(listing, counts), None):
        raise BenchError(
            f"{facts.name} {domain} {problem} ({listing.base}): "
            f"see `bench data doctor {facts.name}`"
        )
    return _relabel(listing, sorted(counts)), found


def list_found_domain(facts: DataSet, root: Path, found: Found, domain: str) -> Listing:
    """The pictures of a domain as they lie there, whatever their number and classes.

    Raises BenchError when the domain's folder is missing, or there under two names.
    """
    if found.form.reader == "parquet":
        return _list_rows(found.files.train, domain)
    if found.form.reader == "lists":
        if not (path := found.folder / facts.lists[domain]).is_file():
            raise incomplete(facts, root, found)
        return _list_listed(path)
    matches = sorted(found.folder.glob(facts.domains[domain]))
    folders = [path for path in matches if path.is_dir()]
    if not folders:
        raise incomplete(facts, root, found)
    if len(folders) > 1:
        spellings = " and ".join(path.name for path in folders)
        raise BenchError(f"{found.folder} holds {domain} as {spellings}: keep one of them")
    inner = folders[0] / facts.inner
    return list_class_folders(inner if facts.inner and inner.is_dir() else folders[0])


def _list_listed(path: Path) -> Listing:
    """The pictures of a domain's list file that are there, labelled by the names of the folders in
    which they lie: the numbers in such files differ from one to the next."""
    named = read_listed(path)
    with parsing(path):  # no folder can have a name of a thousand letters
        folders = [folder for folder in {p.parent for p in named} if folder.is_dir()]
    there = {folder: list_names(folder) for folder in folders}
    here = [p for p in named if p.name in there.get(p.parent, ())]
    classes = sorted({p.parent.name for p in here})
    labels = {name: place for place, name in enumerate(classes)}
    y = np.array([labels[p.parent.name] for p in here], dtype=np.int64)
    return Listing(path.parent, list(map(Picture, here)), y, tuple(classes))


def read_listed(path: Path) -> list[Path]:
    """The pictures that a domain's list file names, sorted. Raises BenchError."""
    names = read_list_file(path)[0]
    if alone := next((name for name in names if "/" not in name), None):
        raise damaged(path, f"{alone!r} lies in no folder of a class")
    return sorted(path.parent / name for name in names)


def compare_counts(listing: Listing, counts: Mapping[str, int]) -> Iterator[str]:
    """How a listing differs from the expected counts per class; each difference is the end of a
    sentence."""
    numbers = np.bincount(listing.y, minlength=len(listing.classes)).tolist()
    here = dict(zip(map(sets.fold, listing.classes), numbers, strict=True))
    for name, n in counts.items():
        if (found := here.get(sets.fold(name), 0)) != n:
            yield f"has {found:,} images of class {name} where the published set has {n:,}"
    known = {sets.fold(name) for name in counts}
    for name in listing.classes:
        if sets.fold(name) not in known:
            yield f"has a class {name} that the published set has not"


def _list_rows(files: Iterable[Path], domain: str) -> Listing:
    """The rows of one domain in Parquet files, which must name the classes."""
    rows = [
        (Picture(path, row), label)
        for path in files
        for row, (name, label) in enumerate(read_names(path))
        if sets.fold(name) == sets.fold(domain)
    ]
    classes = sorted({label for _, label in rows})
    labels = {name: place for place, name in enumerate(classes)}
    y = np.array([labels[label] for _, label in rows], dtype=np.int64)
    base = next(iter(files)).parent
    return Listing(base, [picture for picture, _ in rows], y, tuple(classes))


def _relabel(listing: Listing, names: list[str]) -> Listing:
    """The same pictures, labelled by the places of their classes in these names."""
    places = {sets.fold(name): place for place, name in enumerate(names)}
    labels = np.array([places[sets.fold(name)] for name in listing.classes], dtype=np.int64)
    return Listing(listing.base, listing.pictures, labels[listing.y], tuple(names))


# the domains of a suite


def find_domain_set(name: str, spec: DomainSpec) -> DataSet:
    """The facts about the set that a suite's domain of that name is made of.

    Raises UsageError when there is no such set, or when it has no use for what the suite states.
    """
    facts = sets.find_set(spec.set)
    useless = {
        "domain": spec.domain and not facts.domains,
        "list": spec.list and not has_pictures(facts),
        "split": spec.split and not has_pictures(facts),
        "path": spec.path and facts is not sets.FOLDER,
    }
    for key in filter(useless.get, useless):
        raise UsageError(
            f"the set {facts.name} takes no `{key}`: remove it from domain {name!r} of the suite"
        )
    return facts


def has_pictures(facts: DataSet) -> bool:
    """Whether a set consists of encoded pictures of any size, rather than of arrays."""
    return bool(facts.domains) or facts is sets.FOLDER


def list_pictures(name: str, spec: DomainSpec, root: Path) -> tuple[Both[Listing], str]:
    """The pictures to train and to test on in a suite's domain, one object when these are the same;
    and where they came from, in words.

    Raises UsageError when the suite does not say which pictures it means, BenchError when they are
    not there or not the published ones.
    """
    facts = find_domain_set(name, spec)
    parts, origin = _list_parts(name, spec, facts, root)
    if facts.domains and spec.split is None:  # published without a split
        return Both(parts[0], parts[0]), origin
    return divide(name, parts, spec), origin


def _list_parts(
    name: str, spec: DomainSpec, facts: DataSet, root: Path
) -> tuple[list[Listing], str]:
    """The pictures of a domain, in the one or two parts in which they lie."""
    if facts.domains:
        if spec.domain is None:
            raise UsageError(
                f"{facts.name} has several domains: say with `domain` which one {name!r} is"
            )
        if spec.list is not None:
            found = require(facts, root)
            listed = list_from_file(root / spec.list, found.folder)
            return [listed], f"list {spec.public.list}, {describe_origin(found, root)}"
        whole, found = list_domain(facts, root, spec.domain)
        return [whole], describe_origin(found, root)
    if spec.list is not None:
        listed = list_from_file(root / spec.list, root / (spec.path or "."))
        return [listed], f"list {spec.public.list}"
    if spec.path is None:
        raise UsageError(
            f"domain {name!r} is a folder of images: say which with `path`, "
            "relative to the data root"
        )
    return list_folder(root / spec.path), f"folder {spec.public.path}"
