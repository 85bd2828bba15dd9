"""Records of schema 1 -> records of today's schema, with nothing measured lost.

What an old record lacks stays empty: class names, confusion matrices, the digest of its parameters.
"""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import BenchError
from bench.paths import replacing
from bench.runs.cell import brief, describe_content, digest
from bench.runs.files import NAME, attempt, encode, parse
from bench.runs.lines import LINE, RUN, Probe, plain
from bench.runs.records import check_folder
from bench.suite import catalog, released
from bench.suite.recipe import Recipe, modernized
from bench.suite.suite import DomainSpec

Old = Mapping[str, Any]


def convert(path: Path, root: Path, probe: Callable[[Old], Probe | None]) -> Path:
    """Replace a record of schema 1 by one of today's; returns the new file.

    root: the results folder, below which the new file gets its place. probe: gives what the code
    that made the record does, from its `run` line; None where nobody can tell.
    Raises BenchError, and leaves the old file alone, when it is damaged or of something unknown.
    """
    raw = path.read_bytes()
    try:
        lines = [json.loads(line) for line in raw.splitlines()]
        if lines[0].get("kind") != "run" or lines[0].get("schema") != 1:
            raise BenchError(f"{path} is no record of schema 1")
        new = _converted(lines, raw, probe)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, BenchError) as e:
        why = str(e) if isinstance(e, BenchError) else f"{type(e).__name__}: {e}"
        raise BenchError(
            f"{path} cannot be converted ({' '.join(why.split())}): it stays as it is"
        ) from e
    if problem := parse(new).problem:
        raise BenchError(f"{path} cannot be converted ({problem}): it stays as it is")
    run = json.loads(new.split(b"\n", 1)[0])
    return _replace(path, root / run["suite"] / run["row"] / run["task"], run, new)


def outdated(folder: Path) -> list[Path]:
    """The files below a folder that are records of schema 1. Raises UsageError: `check_folder`."""
    check_folder(folder)
    files = sorted(p for p in folder.rglob("*.jsonl") if NAME.fullmatch(p.name) and p.is_file())
    return [p for p in files if _begins(p, b'{"kind":"run","schema":1,')]


def _begins(path: Path, with_bytes: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(with_bytes)) == with_bytes


def _replace(old: Path, folder: Path, run: Old, new: bytes) -> Path:
    stem, n = f"s{run['seed']}-{run['key']}", attempt(old.name)
    while (path := folder / f"{stem}-{n}.jsonl").exists():
        n += 1
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(new)
    old.unlink()  # now that the new one is safe
    return path


def _converted(
    lines: list[dict[str, Any]], raw: bytes, probe: Callable[[Old], Probe | None]
) -> bytes:
    first, *rest = lines
    if not rest or rest[-1]["kind"] != "end":
        raise BenchError("it has no end, and so no result")
    found = probe(first)
    run = _run(first, sha256(raw).hexdigest(), found.model_dump(mode="json") if found else None)
    before = sha256()
    out = encode(RUN.validate_json(json.dumps(run)), before)
    for line in rest:
        new = _end(line) if line["kind"] == "end" else line
        out += encode(LINE.validate_json(json.dumps(new)), before)
    return out


def _run(old: Old, digits: str, probe: Old | None) -> dict[str, Any]:
    env = dict(old["env"])
    git = env.pop("git", None) or {}
    every = {k: "inf" if v is None else v for k, v in old["hyper_all"].items()}
    stated = {k: "inf" if v is None else v for k, v in old["hyper"].items()}
    defaults = plain(dict(catalog.check(old["method"], {}).hyper))
    stated = {
        k: float(v) if type(defaults[k]) is float and type(v) is int else v
        for k, v in stated.items()
    }
    hyper = {k: v for k, v in stated.items() if v != defaults[k]}
    try:
        recipe = Recipe.model_validate(released.completed(modernized(old["recipe"])))
        source, target = (
            brief(DomainSpec.model_validate(released.DOMAIN | old[k]).public)
            for k in ("source", "target")
        )
    except ValidationError as e:
        raise BenchError("its recipe or its domains are not ones that this program knows") from e
    made = describe_content(old["method"], hyper, source, target, old["classes"], brief(recipe))
    names = (
        "suite",
        "row",
        "task",
        "budget",
        "seed",
        "method",
        "classes",
        "started",
    )
    code = {
        "bench": env.pop("bench"),
        "commit": git.get("commit"),
        "dirty": git.get("dirty", False),
    }
    return {
        "kind": "run", "schema": 2, "key": digest(made, old["seed"]), **{k: old[k] for k in names},
        "source": source, "target": target,
        "hyper": hyper, "hyper_all": every, "recipe": recipe.model_dump(mode="json"),
        "data": {name: _domain(d) for name, d in old["data"].items()},
        "weights": {k: v for k, v in old["weights"].items() if v is not None},
        "code": code | {"probe": probe}, "env": env,
        "converted": {
            "schema": 1, "key": old["cell"], "sha256": digits,
            "renamed_from": {k: str(v) for k, v in old.get("renamed_from", {}).items()},
        },
    }  # fmt: skip


def _domain(old: Old) -> dict[str, Any]:
    """In schema 1 the beginning of a text told whether images were made up."""
    return {**old, "generated": old["origin"].startswith(("synthetic", "made-up"))}


def _end(old: Old) -> dict[str, Any]:
    """In schema 1 sentences told where images lay."""
    notes = old.get("placed", [])
    where = {note.rpartition(" ")[2] if " resident on " in note else "cpu" for note in notes}
    placement = dict.fromkeys(("source", "target"), where.pop()) if len(where) == 1 else {}
    return {k: v for k, v in old.items() if k != "placed"} | {"placement": placement}
