"""What a paper says: figures as printed, whose they are and where they stand."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from bench.suite.schema import Strict


class Figure(Strict):
    """A number as printed, with the error bar where one was printed (its meaning is rarely stated)."""

    printed: str
    value: float
    error: float | None


def figure(printed: str) -> Figure:
    """Parse '75.2±1.6', '≈80' or '82'; raises ValueError on anything else."""
    m = re.fullmatch(r"[≈~]?\s*(\d+(?:\.\d+)?)\s*(?:(?:±|\+-)\s*(\d*\.?\d+))?", printed.strip())
    if not m:
        raise ValueError(f"{printed!r} is not a number as papers print them, such as '75.2' or '75.2±1.6'")
    return Figure(printed=printed.strip(), value=float(m[1]), error=float(m[2]) if m[2] else None)


class Claim(Strict):
    """Whose figures they are and where they stand.

    row: the id of our row that measures the same thing, if one does. verified: read in the source itself, not copied from
    somewhere else.
    """

    label: str
    row: str | None = None
    cite: str
    where: str
    kind: Literal["paper", "literature-copied", "library-rerun", "leaderboard", "student", "digest"] = "paper"
    verified: bool = True
    note: str = ""


class PublishedCost(Claim):
    """What a row costs, as printed: ms per iteration and MB of memory. budgets: those of ours that repeat it."""

    row: str
    budgets: tuple[str, ...] = ("full",)
    ms: float = Field(gt=0)
    mb: float = Field(gt=0)


class Published(Claim):
    """Accuracies as printed. select: how the authors chose the checkpoint. on: which test set the accuracy is about."""

    select: Literal["last", "best-on-target", "unstated"] = "unstated"
    on: Literal["target", "source"] = "target"
    values: dict[str, Figure]
    average: Figure | None = None

    @field_validator("values", mode="before")
    @classmethod
    def _figures(cls, v: Mapping[str, Any]) -> dict[str, Any]:
        return {task: figure(str(x)) if not isinstance(x, Mapping | Figure) else x for task, x in v.items()}

    @field_validator("average", mode="before")
    @classmethod
    def _average(cls, v: Any) -> Any:
        return figure(str(v)) if isinstance(v, str | int | float) else v

    def discrepancy(self, tasks: tuple[str, ...]) -> str | None:
        """What to say when the row's mean does not round to the printed average; the figures stay as printed."""
        if self.average is None or any(t not in self.values for t in tasks):
            return None
        mean = sum(self.values[t].value for t in tasks) / len(tasks)
        if abs(mean - self.average.value) <= 0.06:
            return None
        return f"the {len(tasks)} printed tasks average {mean:.2f}, the printed average is {self.average.printed}"
