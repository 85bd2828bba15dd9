"""What made the numbers: data, machines, program and weights of the records that count, as sentences."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from bench.report.page.text import many
from bench.runs.records import Record


def made_by(records: Iterable[Record]) -> list[str]:
    """Data, machines, program and weights."""
    records = list(records)
    return [*_data(records), *_machines(records), *_weights(records)]


def hardware(env: dict[str, Any]) -> str:
    """The device of a run: the GPU, or the processor with the threads it used."""
    return (
        str(env["gpu"])
        if env["device"] == "cuda"
        else f"{env['cpu']}, {many(env['threads'], 'thread')}"
    )


def disagreements(records: Iterable[Record]) -> list[str]:
    """Domains that were not the same images in every record although they were prepared in the same way."""
    seen: dict[tuple[str, ...], Counter[str]] = {}
    for r in records:
        prepared = [
            str(r.run["recipe"][k]) for k in ("size", "resize", "train_limit", "test_limit")
        ]
        for domain, facts in r.run["data"].items():
            parts = (
                f"{facts[p]['images']} {p} images {facts[p]['fingerprint'][:8]}"
                for p in ("train", "test")
            )
            seen.setdefault((domain, *prepared), Counter())[", ".join(parts)] += 1
    return [
        f"WARNING: not all records are of the same {domain}, so their figures may not be compared: "
        + "; ".join(f"{images} ({many(n, 'record')})" for images, n in sorted(found.items()))
        for (domain, *_), found in sorted(seen.items())
        if len(found) > 1
    ]


def _data(records: list[Record]) -> list[str]:
    """Where the images of each domain were found."""
    found = sorted({(name, of["origin"]) for r in records for name, of in r.run["data"].items()})
    return (
        [f"Images: {'; '.join(f'{name} from {origin}' for name, origin in found)}."]
        if found
        else []
    )


def _machines(records: list[Record]) -> list[str]:
    envs = [r.run["env"] for r in records]
    if not envs:
        return []
    where = Counter(f"{hardware(e)} with torch {e['torch']}" for e in envs)
    programs = sorted(
        {f"{e['bench']}{' at ' + e['git']['commit'] if e['git'] else ''}" for e in envs}
    )
    dirty = sum(bool(e["git"] and e["git"]["dirty"]) for e in envs)
    changed = (
        f"; {dirty} of {len(envs)} records from a checkout with uncommitted changes"
        if dirty
        else ""
    )
    return [
        "Measured on "
        + "; ".join(f"{place} ({many(n, 'record')})" for place, n in sorted(where.items()))
        + ".",
        f"Program: uda-bench {', '.join(programs)}{changed}.",
    ]


def _weights(records: list[Record]) -> list[str]:
    """Where pretrained weights were asked for and a local file took the place of the download."""
    used = [r.run["weights"] for r in records]
    files = Counter(
        (w["asked"], w["sha256"][:12], " and ".join(w["dtypes"]), "head" in w)
        for w in used
        if "sha256" in w
    )
    started = ("", "; it lacks the fully connected layers, so both heads started equal and random")
    return [
        f"Weights {asked}: a file given by the user, sha256 {digest}…, stored as {kinds}{started[random]} ({many(n, 'record')})."
        for (asked, digest, kinds, random), n in sorted(files.items())
    ]
