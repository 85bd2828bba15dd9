"""A cell: one training run of the grid suite × row × task × seed, and the key of what it trains."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.runs.lines import plain
from bench.suite import catalog, released
from bench.suite.recipe import Recipe
from bench.suite.suite import DomainSpec


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training run of a suite, at one budget."""

    suite: str  # name of the suite
    row: str  # id of the row
    task: str  # such as MNIST-USPS
    budget: str  # "full", "smoke" or one that the suite names
    seed: int
    method: str  # name of the method's file
    hyper: Mapping[str, Any]  # hyper-parameters as the row states them
    source: tuple[str, DomainSpec]  # the suite's name of the source domain, and what it is
    target: tuple[str, DomainSpec]  # likewise the target domain
    classes: int
    recipe: Recipe
    metric: str | None = None  # the value that is measured; None: accuracies
    generated_counts: bool = False  # whether a run on made-up images counts: for costs and smoke

    @cached_property
    def key(self) -> str:
        """12 hex digits that stand for what is trained, whatever suite and row call it."""
        return digest(self.content, self.seed)

    @cached_property
    def content(self) -> str:
        """All that decides the outcome but the seed; see `describe_content`."""
        return describe_content(
            self.method, self.stated, *self.ends, self.classes, brief(self.recipe), self.metric
        )

    @property
    def ends(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Source and target as keys and records name them, without a path of this machine."""
        return brief(self.source[1].public), brief(self.target[1].public)

    @cached_property
    def stated(self) -> dict[str, Any]:
        """The hyper-parameters that differ from the method's defaults as they were released."""
        defaults = find_released(self.method)
        return {k: v for k, v in self._every.items() if plain(v) != plain(defaults[k])}

    @cached_property
    def hyper_all(self) -> dict[str, Any]:
        """Every hyper-parameter of the method, as a record holds it: stated ones and defaults."""
        every: dict[str, Any] = plain(self._every)
        return every

    @property
    def _every(self) -> dict[str, Any]:
        defaults = catalog.check(self.method, self.hyper).hyper
        # a whole number for a fraction is that fraction: 1 and 1.0 are one training
        stated = {
            k: float(v) if type(defaults[k]) is float and type(v) is int else v
            for k, v in self.hyper.items()
        }
        return {**defaults, **stated}

    def with_seed(self, seed: int) -> "Cell":
        """The same cell with another seed; what no seed changes is not worked out again."""
        cell = replace(self, seed=seed)
        shared = {"content": self.content, "stated": self.stated, "hyper_all": self.hyper_all}
        cell.__dict__.update(shared)
        return cell

    @property
    def folder(self) -> Path:
        """Where its records lie below the results folder."""
        return Path(self.suite, self.row, self.task)

    @property
    def stem(self) -> str:
        """How the names of its records begin."""
        return f"s{self.seed}-{self.key}"

    def __str__(self) -> str:
        return f"{self.row} {self.task} seed {self.seed}"


def find_released(method: str) -> dict[str, Any]:
    """The defaults of a method's hyper-parameters as they were released."""
    return {**catalog.find_method(method).hyper, **released.HYPER.get(method, {})}


def describe_content(
    method: str,
    hyper: Mapping[str, Any],
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    classes: int,
    recipe: Mapping[str, Any],
    metric: str | None = None,
) -> str:
    """All that decides the outcome but the seed, as JSON: equal contents train alike.

    Values that equal a released default are to be left out of `hyper`, `source`, `target` and
    `recipe`, so that a knob added later leaves old keys as they are.
    """
    parts: dict[str, Any] = {
        "method": method, "hyper": hyper, "source": source, "target": target,
        "classes": classes, "recipe": recipe,
    }  # fmt: skip
    parts |= {"metric": metric} if metric else {}
    return json.dumps(plain(parts), sort_keys=True, separators=(",", ":"))


def digest(content: str, seed: int) -> str:
    """The key of a content trained with a seed."""
    return sha256(f"{content} seed {seed}".encode()).hexdigest()[:12]


def brief(model: DomainSpec | Recipe) -> dict[str, Any]:
    """What a domain or a recipe says otherwise than the defaults as they were released."""
    defaults = released.RECIPE if isinstance(model, Recipe) else released.DOMAIN
    return released.departures(model.model_dump(mode="json"), defaults)
