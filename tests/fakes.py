"""Records that no training made, in the form that `bench.run` writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.runs import plan
from bench.runs.plan import Cell
from bench.runs.records import SCHEMA, Record
from bench.suite import suites
from bench.suite.suites import Suite

GOLDEN = Path(__file__).parent / "golden" / "tables"
PER_CLASS = 1000  # images: accuracies are exact to 0.01 %

CPU = {
    "bench": "0.1.0", "git": {"commit": "0123456789ab", "dirty": False}, "torch": "2.11.0", "device": "cpu",
    "cpu": "Abacus 9", "threads": 1,
}  # fmt: skip
GPU = CPU | {"device": "cuda", "gpu": "Toy GPU", "git": {"commit": "0123456789ab", "dirty": True}}


def toy() -> Suite:
    return suites.load(GOLDEN / "toy.toml")


def cell(suite: Suite, row: str, task: str, seed: int, budget: str = "full", **override: Any) -> Cell:
    (found,) = plan.cells(suite, methods=[row], tasks=[task], seeds=[seed], budget=budget, override=override)
    return found


def counts(accuracy: float, classes: int = 10, constant: int | None = None) -> dict[str, list[int]]:
    """An evaluation with that accuracy in %, every class alike; `constant`: the class that receives all predictions."""
    if constant is not None:
        hit = [PER_CLASS if k == constant else 0 for k in range(classes)]
        return {"total": [PER_CLASS] * classes, "correct": hit, "predicted": [n * classes for n in hit]}
    right = round(accuracy * PER_CLASS * classes / 100)
    correct = [right // classes + (k < right % classes) for k in range(classes)]
    return {"total": [PER_CLASS] * classes, "correct": correct, "predicted": [PER_CLASS] * classes}


def record(
    cell: Cell,
    target: Sequence[float] = (80.0,),
    source: Sequence[float] | None = None,
    *,
    status: str | None = "ok",
    reason: str = "",
    constant: int | None = None,
    attempt: int = 1,
    env: dict[str, Any] = CPU,
    ms: float = 10.0,
    fingerprint: str = "f00d",
    weights: dict[str, Any] | None = None,
) -> Record:
    """A record of a cell with one evaluation for each accuracy given; status None: the run never came to its end."""
    part = {"images": PER_CLASS * cell.classes, "fingerprint": fingerprint}
    run = {
        "kind": "run", "schema": SCHEMA, "cell": cell.key,
        **cell.identity() | {"recipe": cell.recipe.model_dump(mode="json")}, "hyper_all": cell.hyper_all,
        "data": {name: {"origin": "fake", "train": part, "test": part} for name in (cell.source[0], cell.target[0])},
        "weights": weights or {"asked": "none"}, "env": env,
    }  # fmt: skip
    evals = [
        {"kind": "eval", "step": k, "target": counts(t, cell.classes, constant), "source": counts(s, cell.classes)}
        for k, (t, s) in enumerate(zip(target, source or [99.0] * len(target), strict=True), 1)
    ]
    memory = {"rss_mib": 900.0} if env["device"] == "cpu" else {"allocated_mib": 700.0, "reserved_mib": 1024.0}
    spread = {"p50": ms, "p5": 0.9 * ms, "p95": 1.5 * ms}
    end: dict[str, Any] = {"kind": "end", "status": status}
    if status == "ok":
        end |= {
            "ms": spread, "wait_ms": {k: v / 20 for k, v in spread.items()}, "images_per_s": 2e3 * cell.recipe.batch / ms,
            "memory": memory, "data_mib": 86.4, "wall_s": 60.0,
        }  # fmt: skip
    else:
        end |= {"reason": reason}
    path = Path("results", cell.folder, f"{cell.stem}-{attempt}.jsonl")
    return Record(path, run, [], evals if status == "ok" else [], end if status else None)


def everything(suite: Suite) -> list[Record]:
    """Records of the toy suite that bring out every mark: the golden tables are made of them."""

    def r(row: str, task: str, seed: int, *target: float, budget: str = "full", **how: Any) -> Record:
        return record(cell(suite, row, task, seed, budget), target, **how)

    file = {"asked": "VGG16_Weights.IMAGENET1K_V1", "file": "w.pth", "sha256": "ab" * 32, "dtypes": ["float16"], "head": "random"}
    found = [r("plain", "A-B", s, 70.0, x) for s, x in enumerate((75.0, 75.3, 75.4))]
    found += [r("plain", "B-A", s, 60.0, x) for s, x in enumerate((62.0, 64.1, 63.2))]
    found += [r("dann", "A-B", s, 86.0 + s, x, env=GPU, ms=4.0) for s, x in enumerate((82.9, 84.2, 83.1))]
    found += [
        r("dann", "B-A", 0, 69.0, 70.4, env=GPU, ms=5.0),
        r("dann", "B-A", 1, 0.0, 0.0, constant=3, env=GPU, ms=5.0),
        r("dann", "B-A", 2, status="diverged", reason="the loss was no longer finite at iteration 17"),
        r("dann-strong", "A-B", 0, 90.0, 41.0, weights=file),
        r("dann-strong", "A-B", 1, status="failed", reason="OutOfMemoryError: CUDA out of memory"),
        r("dann-strong", "B-A", 0, status="failed", reason="KeyError"),
        r("dann-strong", "B-A", 0, 55.0, 54.0, attempt=2),
        r("nogrl", "A-B", 0, status=None),
        record(cell(suite, "nogrl", "A-B", 1, lr=0.003), (94.0,)),
        r("plain", "A-B", 0, 50.0, budget="smoke"),
        r("plain", "A-B", 0, 12.0, budget="timing", env=GPU, ms=3.0),
        r("dann", "A-B", 0, 12.0, budget="timing", env=GPU, ms=3.3),
        r("plain", "A-B", 0, 61.0, budget="short"),
        r("plain", "A-B", 1, 61.8, budget="short", fingerprint="beef"),
    ]  # fmt: skip
    return found
