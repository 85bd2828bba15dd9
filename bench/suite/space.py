"""`[search]` of a suite: the knobs that `bench tune` varies, and within what."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from bench.errors import UsageError, unknown
from bench.suite import catalog, schema
from bench.suite.recipe import Recipe
from bench.suite.schema import Strict

TRIALS = "tuning"  # the folder of results that holds their records: no suite's name
HYPER = "hyper."  # before the name of a method's hyper-parameter; every other key is a knob of the recipe


class Range(Strict):
    """Numbers from low to high, whole ones when both of these are. log: as many between 1 and 10 as between 10 and 100."""

    low: int | float
    high: int | float
    log: bool = False

    @field_validator("low", "high", mode="before")
    @classmethod
    def _is_number(cls, v: Any) -> Any:
        if isinstance(v, bool) or not isinstance(v, int | float) or not math.isfinite(v):
            raise ValueError(f"{v!r} is not a number")
        return v

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, and {self.low} is not below {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log = true needs a low above 0, not {self.low}")
        return self

    def __str__(self) -> str:
        return f"{self.low} to {self.high}" + ", log" * self.log

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def some(self) -> tuple[float, ...]:
        """Both ends, and a fraction between them: what takes whole numbers alone is to be found before the search does."""
        return (self.low, self.high) if self.whole else (self.low, self.low + (self.high - self.low) / math.e, self.high)


def _are_choices(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if odd := [v for v in values if not isinstance(v, bool | int | float | str)]:
        raise ValueError(f"{odd[0]!r} is no choice: give numbers or words")
    if len(set(values)) < len(values):
        raise ValueError("a choice is listed twice: list each once")
    return values


def _kind(v: Any) -> str | None:
    return "choices" if isinstance(v, list | tuple) else "range" if isinstance(v, dict | Range) else None


def _by_dotted_name(raw: Any, prefix: str = "") -> Any:
    """{"lr_mult": {"F": [0.1, 1]}} -> {"lr_mult.F": [0.1, 1]}: a table that holds nothing but tables and lists is no range."""
    if not isinstance(raw, dict):
        return raw
    out: dict[str, Any] = {}
    for key, v in raw.items():
        parts = isinstance(v, dict) and v and all(isinstance(x, dict | list) for x in v.values())
        out |= _by_dotted_name(v, f"{prefix}{key}.") if parts else {f"{prefix}{key}": v}
    return out


Choices = Annotated[tuple[Any, ...], Field(min_length=1), AfterValidator(_are_choices)]
Knob = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")],
    Discriminator(_kind, custom_error_type="search", custom_error_message="give a list of choices, or { low = ..., high = ... }"),
]
Space = Annotated[dict[str, Knob], BeforeValidator(_by_dotted_name)]
Values = dict[str, Any]  # one of each knob of a space, by its key


def check(space: Space, recipe: Recipe, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """That the keys of a suite's [search] exist and its values are possible; rows: (method, hyper) of each. Raises UsageError."""
    knobs = schema.flat(recipe.model_dump())
    taken = {HYPER + k for method, _ in rows for k in catalog.methods()[method].hyper}
    for key, knob in space.items():
        if key not in knobs and key not in taken:
            raise unknown("key of [search]", key, [*knobs, *taken])
        name = key.removeprefix(HYPER)
        stating = [(method, hyper) for method, hyper in rows if name in hyper]
        if key in taken and not stating:
            raise UsageError(f"[search] {key}: only rows that state {name!r} in their hyper search it, and none does")
        for v in knob if isinstance(knob, tuple) else knob.some:
            if key in taken:
                for method, hyper in stating:
                    catalog.check(method, {**hyper, name: v})
                continue
            try:
                Recipe.model_validate(schema.merged(recipe.model_dump(), changes({key: v})[0]))
            except ValidationError as e:
                raise UsageError("[search] " + "; ".join(schema.explain(e, Recipe))) from e


def of_row(space: Space, hyper: Mapping[str, Any]) -> Space:
    """What is searched for a row: the recipe's knobs, and those hyper-parameters which the row states itself."""
    return {k: v for k, v in space.items() if not k.startswith(HYPER) or k.removeprefix(HYPER) in hyper}


def changes(values: Values) -> tuple[dict[str, Any], dict[str, Any]]:
    """{"lr_mult.F": 0.1, "hyper.lam": 1.0} -> the recipe's part {"lr_mult": {"F": 0.1}}, the hyper-parameters {"lam": 1.0}"""
    recipe: dict[str, Any] = {}
    for key, v in values.items():
        if not key.startswith(HYPER):
            for part in reversed(key.split(".")):
                v = {part: v}
            recipe = schema.merged(recipe, v)
    return recipe, {k.removeprefix(HYPER): v for k, v in values.items() if k.startswith(HYPER)}


def within(knob: Knob, v: Any) -> Any:
    """A value, as a record holds it, as the knob would have proposed it; None when it never would have."""
    if isinstance(knob, tuple):
        return next((c for c in knob if c == v or str(c) == v), None)  # JSON knows an infinity by its name alone
    if isinstance(v, bool) or not isinstance(v, int | float) or not knob.low <= v <= knob.high:
        return None
    return float(v) if not knob.whole else int(v) if v == int(v) else None
