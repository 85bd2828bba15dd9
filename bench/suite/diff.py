"""What two protocols do differently, knob by knob."""

from typing import Any

from bench.errors import unknown
from bench.suite import catalog, presets, suites
from bench.suite.schema import flat, merged

UNSTATED = "unstated"


def diff(a: str, b: str) -> list[tuple[str, Any, Any]]:
    """(knob, value in a, value in b) where they differ, in the schema's order.

    a, b: a preset, a suite (its recipe before tasks and rows change it) or suite:row (with the row's recipe and method).
    'unstated': a preset leaves it to the suite, or only one of two methods has it. Raises UsageError.
    """
    left, right = knobs(a), knobs(b)
    every = dict.fromkeys([*left, *right])
    sides = ((k, left.get(k, UNSTATED), right.get(k, UNSTATED)) for k in every)
    return [(k, x, y) for k, x, y in sides if x != y]


def knobs(name: str) -> dict[str, Any]:
    """Every knob of a preset, suite or suite:row by its dotted name."""
    if name in presets.names():
        preset = presets.find(name)
        stated, defaults = flat(preset.stated), flat(preset.recipe.model_dump(mode="json"))
        return {k: v if k in stated else UNSTATED for k, v in defaults.items()}
    suite, _, row = name.partition(":")
    if not suite.endswith(".toml") and suite not in suites.names():
        raise unknown("preset or suite", suite, presets.names() + suites.names())
    found = suites.find(suite)
    if not row:
        return flat(found.recipe.model_dump(mode="json"))
    if row not in found.by_id:
        raise unknown(f"row of {suite}", row, found.by_id)
    line = found.by_id[row]
    hyper = {**catalog.check(line.method, line.hyper).hyper, **line.hyper}
    recipe = merged(found.recipe.model_dump(mode="json"), line.recipe)
    return flat({"method": line.method, "hyper": hyper, **recipe})
