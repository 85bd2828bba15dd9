"""What two protocols do differently, knob by knob."""

from typing import Any

from bench.errors import unknown
from bench.suite import catalog, presets, suites
from bench.suite.recipe import default_knobs
from bench.suite.schema import flat

UNSTATED = "unstated"
"""Stands for a knob that a preset leaves to the suite, or that only one of two methods has."""


def diff(a: str, b: str) -> list[tuple[str, Any, Any]]:
    """(knob, value in a, value in b) for each knob that differs, in the schema's order.

    a, b: a preset, a suite (its recipe before tasks and rows change it) or suite:row (with the
    row's preset, recipe and method). Raises UsageError.
    """
    left, right = list_knobs(a), list_knobs(b)
    every = dict.fromkeys([*left, *right])
    pairs = ((k, left.get(k, UNSTATED), right.get(k, UNSTATED)) for k in every)
    return [(k, x, y) for k, x, y in pairs if x != y]


def list_knobs(name: str) -> dict[str, Any]:
    """Every knob of a preset, suite or suite:row by its dotted name. Raises UsageError."""
    if name in presets.preset_names():
        return dict.fromkeys(flat(default_knobs()), UNSTATED) | flat(
            presets.find_preset(name).recipe
        )
    suite, _, row = name.partition(":")
    if not suite.endswith(".toml") and suite not in suites.names():
        raise unknown("preset or suite", suite, presets.preset_names() + suites.names())
    found = suites.find(suite)
    if not row:
        return flat(found.recipe.model_dump(mode="json"))
    if row not in found.by_id:
        raise unknown(f"row of {suite}", row, found.by_id)
    line = found.by_id[row]
    hyper = {**catalog.check(line.method, line.hyper).hyper, **line.hyper}
    recipe = found.change_protocol(line, line.recipe).model_dump(mode="json")
    return flat({"method": line.method, "hyper": hyper, **recipe})
