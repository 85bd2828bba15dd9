"""Records as a table for pandas: one row for each evaluation, one column for each fact."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bench.runs.records import Evaluation, Record, Tally
from bench.suite.schema import flat

if TYPE_CHECKING:
    from pandas import DataFrame


def tidy(records: Iterable[Record]) -> "DataFrame":
    """One row per evaluation, and one per record that has none.

    Columns: names (suite, row, task, budget, seed, method, key), status and problem; step, last
    (whether it is the record's last evaluation); source_accuracy and target_accuracy in %, with
    their counts source_correct, source_total, ... and the mean of the accuracies of the classes,
    source_class_accuracy, ...; whatever else a task measured; the scores that know no label of the
    target as scores.NAME; every hyper-parameter as hyper.NAME and every knob as recipe.NAME; images
    and fingerprints of the data; ms (median per iteration), memory in MiB and wall_s; code.*,
    env.*, weights.*; path.
    """
    from pandas import DataFrame

    return DataFrame(list(_rows(records)))


def _rows(records: Iterable[Record]) -> Iterable[dict[str, Any]]:
    for r in records:
        names, facts = _names(r), _provenance(r)
        for e in r.evals or (None,):
            yield names | (_measured(e, e is r.evals[-1]) if e else {}) | facts


def _names(r: Record) -> dict[str, Any]:
    names = ("suite", "row", "task", "budget", "seed", "method", "key")
    out: dict[str, Any] = {k: getattr(r.run, k) if r.run else None for k in names}
    return out | {"status": r.status, "problem": r.problem}


def _measured(e: Evaluation, last: bool) -> dict[str, Any]:
    out: dict[str, Any] = {"step": e.step, "last": last}
    for name, counts in (("source", e.source), ("target", e.target)):
        out |= _counts(name, counts) if counts else {}
    return {**out, **e.values, **{f"scores.{name}": x for name, x in e.scores.items()}}


def _counts(name: str, counts: Tally) -> dict[str, Any]:
    return {
        f"{name}_accuracy": counts.accuracy,
        f"{name}_correct": counts.correct,
        f"{name}_total": counts.total,
        f"{name}_class_accuracy": counts.class_accuracy,
    }


def _provenance(r: Record) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if r.run:
        run = r.run.model_dump()
        parts = {"hyper": run["hyper_all"], "recipe": run["recipe"], "weights": run["weights"]}
        data = {
            role: d for role, d in zip(("source", "target"), run["data"].values(), strict=False)
        }
        out |= flat({**parts, "data": data, "code": run["code"], "env": run["env"]})
        out |= {"generated": r.generated, "started": run["started"]}
    if r.end:
        end = r.end.model_dump(exclude={"kind", "seal", "trace", "status", "step"})
        out |= flat(
            {
                **end,
                "ms": (end.pop("ms") or {}).get("p50"),
                "wait_ms": (end.pop("wait_ms") or {}).get("p50"),
            }
        )
    return out | {"path": str(r.path)}
