"""`[search]` of a suite: the knobs that `bench tune` varies, and the values it may try for each."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from bench.errors import UsageError, shorten, unknown
from bench.suite import catalog, schema
from bench.suite.recipe import Recipe, modernized
from bench.suite.schema import Strict, Switch

TRIALS = "tuning"  # the folder of results that holds the trials' records; no suite has this name
HYPER = "hyper."  # begins the key of a hyper-parameter; every other key is a knob of the recipe


class Range(Strict):
    """The numbers from low to high, both included; whole numbers if both ends are whole."""

    low: int | float
    high: int | float
    log: Switch = False  # draw uniformly in the logarithm: 1 to 10 as often as 10 to 100

    @field_validator("low", "high", mode="before")
    @classmethod
    def _check_number(cls, v: Any) -> Any:
        if isinstance(v, bool) or not isinstance(v, int | float) or not abs(v) < 2**63:
            raise ValueError(f"{shorten(repr(v))} is not a number that can be searched")
        return v

    @model_validator(mode="after")
    def _check_ends(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, and {self.low} is not below {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log = true needs a low above 0, not {self.low}")
        return self

    def __str__(self) -> str:
        return f"{self.low} to {self.high}" + ", log" * self.log

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def examples(self) -> tuple[float, ...]:
        """Both ends, and a fraction between them if fractions are tried.

        A knob that takes whole numbers alone refuses the fraction, so that the mistake is found
        before the search begins.
        """
        if self.whole:
            return (self.low, self.high)
        return (self.low, self.low + (self.high - self.low) / math.e, self.high)


def _check_choices(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if odd := [v for v in values if not isinstance(v, bool | int | float | str)]:
        raise ValueError(f"{shorten(repr(odd[0]))} is no choice: give numbers or words")
    if any(v != v for v in values):
        raise ValueError("nan is no choice: give numbers or words")
    if len(set(values)) < len(values):
        raise ValueError("a choice is listed twice: list each once")
    return values


def _kind(v: Any) -> str | None:
    if isinstance(v, list | tuple):
        return "choices"
    return "range" if isinstance(v, dict | Range) else None


def _read_keys(raw: Any) -> Any:
    return modernized(_dotted(raw)) if isinstance(raw, dict) else raw


def _dotted(raw: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"lr_mult": {"F": [0.1, 1]}} -> {"lr_mult.F": [0.1, 1]}

    A table whose values are all tables or lists holds knobs; any other table is a range.
    """
    out: dict[str, Any] = {}
    for key, v in raw.items():
        if isinstance(v, dict) and v and all(isinstance(x, dict | list) for x in v.values()):
            out |= _dotted(v, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = v
    return out


Choices = Annotated[tuple[Any, ...], Field(min_length=1), AfterValidator(_check_choices)]
"""Numbers or words, of which one is tried."""

Knob = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")],
    Discriminator(
        _kind,
        custom_error_type="search",
        custom_error_message="give a list of choices, or { low = ..., high = ... }",
    ),
]
"""The values that may be tried for one knob."""

Space = Annotated[dict[str, Knob], BeforeValidator(_read_keys)]
"""What is searched, by dotted keys such as `lr_mult.F` and `hyper.lam`."""

Values = dict[str, Any]
"""One value for each key of a space."""


def check_space(
    space: Space, recipe: Recipe, rows: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """Check that the keys of a suite's [search] exist and that its values are possible.

    rows: method and hyper-parameters of each. Raises UsageError.
    """
    knobs = schema.flat(recipe.model_dump())
    hyper = {HYPER + k for method, _ in rows for k in catalog.find_method(method).hyper}
    for key, knob in space.items():
        examples = knob if isinstance(knob, tuple) else knob.examples
        if key in hyper:
            _check_hyper(key, examples, rows)
        elif key in knobs:
            _check_recipe(key, examples, recipe)
        else:
            raise unknown("key of [search]", key, [*knobs, *hyper])


def _check_hyper(
    key: str, examples: Sequence[Any], rows: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    name = key.removeprefix(HYPER)
    stating = [(method, hyper) for method, hyper in rows if name in hyper]
    if not stating:
        raise UsageError(
            f"[search] {key}: only rows that state {name!r} in their hyper search it, and none does"
        )
    for v in examples:
        for method, hyper in stating:
            catalog.check(method, {**hyper, name: v})


def _check_recipe(key: str, examples: Sequence[Any], recipe: Recipe) -> None:
    for v in examples:
        try:
            Recipe.model_validate(schema.merged(recipe.model_dump(), split_values({key: v})[0]))
        except ValidationError as e:
            raise UsageError("[search] " + "; ".join(schema.explain(e, Recipe))) from e


def restrict(space: Space, hyper: Mapping[str, Any]) -> Space:
    """What is searched for a row: knobs of the recipe, and hyper-parameters that the row states."""
    return {
        k: v for k, v in space.items() if not k.startswith(HYPER) or k.removeprefix(HYPER) in hyper
    }


def split_values(values: Values) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the values change in the recipe, and in the hyper-parameters.

    {"lr_mult.F": 0.1, "hyper.lam": 1.0} -> {"lr_mult": {"F": 0.1}}, {"lam": 1.0}
    """
    recipe: dict[str, Any] = {}
    for key, v in values.items():
        if not key.startswith(HYPER):
            for part in reversed(key.split(".")):
                v = {part: v}
            recipe = schema.merged(recipe, v)
    hyper = {k.removeprefix(HYPER): v for k, v in values.items() if k.startswith(HYPER)}
    return recipe, hyper


def recall(knob: Knob, v: Any) -> Any:
    """A value from a record, of the type in which the knob proposes it; None if it never would."""
    if isinstance(knob, tuple):
        # in JSON an infinity is written by its name
        return next((c for c in knob if c == v or str(c) == v), None)
    if isinstance(v, bool) or not isinstance(v, int | float) or not knob.low <= v <= knob.high:
        return None
    if not knob.whole:
        return float(v)
    return int(v) if v == int(v) else None
