"""Sentences about what made the numbers: data, machines, program and weights of the records."""

from collections import Counter
from collections.abc import Iterable

from bench.report.numbers.costs import name_processor
from bench.report.page.text import format_count
from bench.runs.records import Record


def describe_origin(records: Iterable[Record]) -> list[str]:
    """Where images, machines, program and weights came from."""
    records = list(records)
    return [*_describe_data(records), *_describe_machines(records), *_describe_weights(records)]


def warn_of_other_images(records: Iterable[Record]) -> list[str]:
    """A warning for each domain whose images differ between records that prepared them alike."""
    seen: dict[tuple[str, ...], Counter[str]] = {}
    for r in records:
        prepared = [
            str(r.run["recipe"][k]) for k in ("size", "resize", "train_limit", "test_limit")
        ]
        for domain, facts in r.run["data"].items():
            images = ", ".join(
                f"{facts[part]['images']} {part} images {facts[part]['fingerprint'][:8]}"
                for part in ("train", "test")
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


def _describe_data(records: list[Record]) -> list[str]:
    found = {(name, facts["origin"]) for r in records for name, facts in r.run["data"].items()}
    places = "; ".join(f"{name} from {origin}" for name, origin in sorted(found))
    return [f"Images: {places}."] if found else []


def _describe_machines(records: list[Record]) -> list[str]:
    envs = [r.run["env"] for r in records]
    if not envs:
        return []
    count = Counter(f"{name_processor(e)} with torch {e['torch']}" for e in envs)
    places = (f"{place} ({format_count(n, 'record')})" for place, n in sorted(count.items()))
    programs = {f"{e['bench']}{' at ' + e['git']['commit'] if e['git'] else ''}" for e in envs}
    dirty = sum(bool(e["git"] and e["git"]["dirty"]) for e in envs)
    changed = f"; {dirty} of {len(envs)} records from a checkout with uncommitted changes"
    return [
        f"Measured on {'; '.join(places)}.",
        f"Program: uda-bench {', '.join(sorted(programs))}{changed if dirty else ''}.",
    ]


def _describe_weights(records: list[Record]) -> list[str]:
    """A sentence for each local file of pretrained weights that replaced the download."""
    used = [r.run["weights"] for r in records]
    files = Counter(
        (w["asked"], w["sha256"][:12], " and ".join(w["dtypes"]), "head" in w)
        for w in used
        if "sha256" in w
    )
    headless = "; it lacks the fully connected layers, so both heads started equal and random"
    return [
        f"Weights {asked}: a file given by the user, sha256 {digest}…, stored as {dtypes}"
        f"{headless if random else ''} ({format_count(n, 'record')})."
        for (asked, digest, dtypes, random), n in sorted(files.items())
    ]
