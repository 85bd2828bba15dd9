"""Sentences about what made the numbers: data, machines, program and weights of the records."""

from collections import Counter
from collections.abc import Iterable, Iterator

from bench.report.numbers.costs import name_processor
from bench.report.page.text import format_count
from bench.runs.cell import Cell
from bench.runs.lines import LoadedDomain
from bench.runs.records import Record

Counted = Iterable[tuple[Cell, Record]]
"""Cells of a suite, each with the record that counts for it."""


def describe_provenance(counted: Counted) -> list[str]:
    """Where images, machines, program and weights came from."""
    pairs = list(counted)
    records = [r for _, r in pairs]
    return [*_describe_data(pairs), *_describe_machines(records), *_describe_weights(records)]


def warn_of_other_images(counted: Counted) -> list[str]:
    """A warning for each domain whose images differ between records that prepared them alike."""
    seen: dict[tuple[str, ...], Counter[str]] = {}
    for cell, r in counted:
        recipe = r.run.recipe if r.run else {}
        prepared = [str(recipe.get(k)) for k in ("size", "resize", "train_limit", "test_limit")]
        for domain, facts in _name_domains(cell, r):
            images = ", ".join(
                f"{split.images} {name} images {split.fingerprint[:8]}"
                for name, split in (("train", facts.train), ("test", facts.test))
            )
            seen.setdefault((domain, *prepared), Counter())[images] += 1
    return [
        f"WARNING: not all records are of the same {domain}, so their figures may not be compared: "
        + "; ".join(
            f"{images} ({format_count(n, 'record')})" for images, n in sorted(found.items())
        )
        for (domain, *_), found in sorted(seen.items())
        if len(found) > 1
    ]


def _name_domains(cell: Cell, r: Record) -> Iterator[tuple[str, LoadedDomain]]:
    """The domains of a record by the names of the cell's suite: that which ran it may have used
    the same names for others."""
    return zip((cell.source[0], cell.target[0]), r.run.data.values() if r.run else (), strict=False)


def _describe_data(counted: Counted) -> list[str]:
    found = {
        (name, d.origin, _count_images(d))
        for cell, r in counted
        for name, d in _name_domains(cell, r)
    }
    places = "; ".join(f"{name}, {count}, from {origin}" for name, origin, count in sorted(found))
    return [f"Images: {places}."] if found else []


def _count_images(domain: LoadedDomain) -> str:
    """'2,427 to train and to test on' where these are the same, or '48,000 to train on and ...'."""
    train, test = domain.train, domain.test
    if train == test:
        return f"{train.images:,} both to train and to test on"
    return f"{train.images:,} to train on and {test.images:,} to test on"


def _describe_machines(records: list[Record]) -> list[str]:
    runs = [r.run for r in records if r.run]
    if not runs:
        return []
    count = Counter(f"{name_processor(x.env)} with torch {x.env.torch}" for x in runs)
    places = (f"{place} ({format_count(n, 'record')})" for place, n in sorted(count.items()))
    programs = {f"{x.code.bench}{f' at {x.code.commit}' if x.code.commit else ''}" for x in runs}
    dirty = sum(x.code.dirty for x in runs)
    changed = f"; {dirty} of {len(runs)} records from a checkout with uncommitted changes"
    unknown = sum(x.code.probe is None for x in runs)
    blind = f"; {unknown} of {len(runs)} records without a probe of what their code does"
    return [
        f"Measured on {'; '.join(places)}.",
        f"Program: uda-bench {', '.join(sorted(programs))}"
        f"{changed if dirty else ''}{blind if unknown else ''}.",
    ]


def _describe_weights(records: list[Record]) -> list[str]:
    """A sentence for each local file of pretrained weights that replaced the download, and for each
    content that was downloaded."""
    used = [r.run.weights for r in records if r.run]
    files = Counter(
        (w.asked, w.sha256[:12], " and ".join(w.dtypes), w.head == "random")
        for w in used
        if w.sha256
    )
    fetched = Counter((w.asked, w.tensors[:12]) for w in used if w.tensors)
    headless = "; it lacks the fully connected layers, so both heads started equal and random"
    given = (
        f"Weights {asked}: a file given by the user, sha256 {digest}…, stored as {dtypes}"
        f"{headless if random else ''} ({format_count(n, 'record')})."
        for (asked, digest, dtypes, random), n in sorted(files.items())
    )
    downloaded = (
        f"Weights {asked}: downloaded, their tensors' sha256 {digest}… "
        f"({format_count(n, 'record')})."
        for (asked, digest), n in sorted(fetched.items())
    )
    return [*given, *downloaded]
