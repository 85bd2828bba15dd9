"""What papers say: figures as printed, whose they are and where they are printed."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from bench.errors import shorten
from bench.suite.schema import Number, Strict, Switch, Whole


class Figure(Strict):
    """A number as printed."""

    printed: str  # the text itself
    value: Number
    error: Number | None  # the printed error bar, if there is one; see Published.error

    @property
    def rounding(self) -> float:
        """How far the number may lie from the printed one: half a unit of its last digit."""
        digits = re.search(r"\d+\.?(\d*)", self.printed)
        return 0.5 / 10 ** len(digits[1]) if digits else 0.0


def parse_figure(printed: str) -> Figure:
    """Parse '75.2±1.6', '≈80' or '82'. Raises ValueError for anything else."""
    number, error = r"\d{1,9}(?:\.\d{1,9})?", r"\d{0,9}\.?\d{1,9}"
    m = re.fullmatch(rf"[≈~]?\s*({number})\s*(?:(?:±|\+-)\s*({error}))?", printed.strip())
    if not m:
        raise ValueError(
            f"{shorten(repr(printed))} is not a number as papers print them, "
            "such as '75.2' or '75.2±1.6'"
        )
    return Figure(printed=printed.strip(), value=float(m[1]), error=float(m[2]) if m[2] else None)


def _read_figure(v: Any) -> Any:
    return parse_figure(str(v)) if isinstance(v, str | int | float) else v


PrintedFigure = Annotated[Figure, BeforeValidator(_read_figure)]
"""A figure that is stated as it is printed: '75.2±1.6' or 75.2."""


class Claim(Strict):
    """Whose figures they are and where they are printed."""

    label: str  # what the table prints
    row: str | None = None  # id of our row that measures the same thing, if there is one
    cite: str  # a key of references.bib
    where: str  # the table, figure or section
    kind: Literal[
        "paper", "literature-copied", "secondhand", "library-rerun", "leaderboard", "student",
        "digest",
    ] = "paper"  # fmt: skip
    verified: Switch = True  # read in the source itself, not copied from somewhere else
    note: str = ""  # a footnote of the table


class PublishedCost(Claim):
    """What a row costs, as printed."""

    row: str
    budgets: tuple[str, ...] = ("full",)  # those of our budgets that repeat the measurement
    ms: Number = Field(gt=0)  # milliseconds per iteration
    mb: Number = Field(gt=0)  # memory in MB


class Statement(Strict):
    """What a paper says in words, as an inequality: a measure is higher, or lower, in one of our
    rows than in another, or than another measure of the same row."""

    says: str  # the sentence, in short and in our words
    cite: str  # a key of references.bib
    where: str  # the section, question or figure
    row: str  # id of the row that it is about
    measure: str  # name of one of the suite's measures
    is_: Literal["higher", "lower"] = Field(alias="is")
    than: str  # id of another row, or the name of another measure
    note: str = ""  # what the measure leaves out of the sentence


COPIED = 6
"""From so many figures on that all equal those of another paper, a row is a copy."""


class Published(Claim):
    """Accuracies as printed, in %."""

    select: Literal["last", "best-on-target", "unstated"] = "unstated"
    """How the authors chose the checkpoint that they report."""
    on: Literal["target", "source"] = "target"  # the test set
    values: dict[str, PrintedFigure]  # by task
    average: PrintedFigure | None = None
    error: Literal["sd", "se", "ci95"] | None = None
    """What the source says of its ±: the sample standard deviation of the runs, the standard error
    of their mean, or half the width of its 95 % Student interval. None: papers rarely say."""
    n: Whole | None = Field(None, ge=2, le=10_000)  # of how many runs each figure is the mean

    @model_validator(mode="after")
    def _check_error(self) -> Self:
        if (self.error is None) != (self.n is None):
            raise ValueError(
                "`error` (what the printed ± means) and `n` (of how many runs) say something only "
                "together: state both or neither"
            )
        figures = [*self.values.values(), *([self.average] if self.average else [])]
        if self.error and all(f.error is None for f in figures):
            raise ValueError("`error` says what a ± means, and no figure has one: remove it")
        return self

    def repeats(self, other: "Published") -> bool:
        """Whether another paper prints the same figure at every task, of which there are several.

        A few equal figures can be chance; so many mean that one of the two was copied.
        """
        ours, theirs = ({k: f.value for k, f in c.values.items()} for c in (self, other))
        elsewhere = self.cite != other.cite and self.on == other.on
        return elsewhere and len(ours) >= COPIED and ours == theirs

    def discrepancy(self, tasks: tuple[str, ...]) -> str | None:
        """A sentence if the mean over these tasks is not the printed average, even though all of
        these numbers were rounded; else None.

        None too where a task or the average is not printed.
        """
        if self.average is None or any(t not in self.values for t in tasks):
            return None
        figures = [self.values[t] for t in tasks]
        mean = sum(f.value for f in figures) / len(figures)
        rounding = self.average.rounding + sum(f.rounding for f in figures) / len(figures)
        if abs(mean - self.average.value) <= rounding + 1e-9:
            return None
        printed = self.average.printed
        return (
            f"the {len(tasks)} printed tasks average {mean:.2f}, the printed average is {printed}"
        )
