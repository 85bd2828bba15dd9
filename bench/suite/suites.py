"""One TOML file -> one frozen, validated Suite. Nothing here touches a disk beyond that file, a device or torch."""

import re
from collections.abc import Mapping
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from bench import paths
from bench.datasets import sets
from bench.errors import UsageError, unknown
from bench.suite import catalog, presets, schema, space
from bench.suite.claims import Claim, Published, PublishedCost
from bench.suite.recipe import Recipe
from bench.suite.schema import Strict


class DomainSpec(Strict):
    """A published data set as the suite uses it.

    set: its name in `bench data` (or `folder`: one sub-folder of images per class under `path`).
    crop: centre crop in pixels, before the recipe's resize. transductive: train and test on the whole domain.
    domain: which one, of a set that has several. list: a file of `relative/path label` lines, in place of sub-folders.
    """

    set: str
    domain: str | None = None
    path: str | None = None
    list: str | None = None
    crop: int | None = None
    transductive: bool = False


class Row(Strict):
    """One line of the table that is ours to measure: a method with its hyper-parameters, and what its recipe changes."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    label: str
    method: str
    hyper: dict[str, Any] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)
    note: str = ""


class Budget(Strict):
    """A named, reduced way to run a suite: what it changes in the recipe and why it exists.

    measures: "cost" when its runs are for time and memory alone, so that no table shows their accuracies.
    """

    note: str
    recipe: dict[str, Any]
    measures: Literal["accuracy", "cost"] = "accuracy"


SMOKE = Budget(
    note="a few steps on a few images, to see that everything runs; never a result",
    recipe={"iterations": 3, "batch": 4, "train_limit": 64, "test_limit": 64, "eval_every": None},
)
SMALL = {"size": 72, "crop": 64, "test_limit": 16}  # what AlexNet can just see: natural images, made quick


class Suite(Strict):
    """The claims of one experiment and the recipe that tests them. name, folder: of its file, which also says the rest.

    preset: the protocol that the recipe departs from; `recipe` and `differences` already hold what it says. baseline: the row
    over which gains are counted, and costs too unless cost_baseline names another. search: what `bench tune` varies.
    """

    name: str
    folder: Path
    title: str
    about: str = ""
    classes: int = Field(gt=1)
    tolerance: float = Field(1.0, gt=0)
    confidence: float = Field(0.95, gt=0, lt=1)
    baseline: str | None = None
    seeds: int = Field(3, gt=0)
    domains: dict[str, DomainSpec]
    tasks: tuple[str, ...] = Field(min_length=1)
    preset: str | None = None
    recipe: Recipe
    task_recipe: dict[str, dict[str, Any]] = Field(default_factory=dict)
    rows: tuple[Row, ...] = Field(min_length=1)
    published: tuple[Published, ...] = ()
    costs: tuple[PublishedCost, ...] = ()
    cost_baseline: str | None = None
    budgets: dict[str, Budget] = Field(default_factory=dict)
    search: space.Space = Field(default_factory=dict)
    differences: tuple[str, ...] = ()

    def endpoints(self, task: str) -> tuple[str, str]:
        """'MNIST-USPS' -> ('MNIST', 'USPS'); domain names may hold dashes themselves."""
        for source in self.domains:
            if task.startswith(source + "-") and (target := task[len(source) + 1 :]) in self.domains:
                return source, target
        raise unknown("task", task, [f"{a}-{b}" for a in self.domains for b in self.domains if a != b])

    @cached_property
    def by_id(self) -> dict[str, Row]:
        return {row.id: row for row in self.rows}

    def budget(self, name: str) -> Budget:
        """'full' is the suite as written; 'smoke' always exists."""
        smoke = Budget(note=SMOKE.note, recipe=SMOKE.recipe | (SMALL if self.recipe.crop else {}))
        known = {"full": Budget(note="", recipe={}), "smoke": smoke} | self.budgets
        if name not in known:
            raise unknown("budget", name, known)
        return known[name]

    def recipe_for(self, row: Row, task: str, budget: str = "full", override: Mapping[str, Any] | None = None) -> Recipe:
        """The suite's recipe, changed by the task, then the row, then the budget, then the command line.

        A change of a table, such as `lr_mult`, leaves what it does not name. Raises UsageError when no recipe results.
        """
        knobs = self.recipe.model_dump()
        for change in (self.task_recipe.get(task, {}), row.recipe, self.budget(budget).recipe, override or {}):
            knobs = schema.merged(knobs, change)
        try:
            return Recipe.model_validate(knobs)
        except ValidationError as e:
            raise UsageError("; ".join(schema.explain(e, Suite, ("recipe",)))) from e

    def warnings(self) -> list[str]:
        """Published rows that contradict themselves."""
        found = [(p, p.discrepancy(self.tasks)) for p in self.published]
        return [f"{p.label} [{p.cite}, {p.where}]: {text}" for p, text in found if text]


def names() -> list[str]:
    """The suites that can be named, own ones in ./tables among them."""
    return sorted({p.stem for folder in paths.tables() for p in folder.glob("*.toml")})


def find(name: str) -> Suite:
    """The suite of that name, or of that file when `name` ends in .toml. Raises UsageError."""
    if name.endswith(".toml"):
        if not Path(name).is_file():
            raise UsageError(f"no suite file {name}; `bench ls suites` names those that come with the program")
        return load(Path(name))
    for folder in paths.tables():
        if (path := folder / f"{name}.toml").is_file():
            return load(path)
    raise unknown("suite", name, names())


def load(path: Path) -> Suite:
    """Read and check one suite file. Raises UsageError naming the file, the place in it and the nearest right name."""
    with schema.reading(path, Suite):
        raw = schema.read(path)
        if taken := raw.keys() & {"name", "folder"}:
            raise UsageError(f"remove the key {min(taken)!r}: a suite has the name and the folder of its file")
        suite = Suite.model_validate(_expanded(raw) | {"name": path.stem, "folder": path.parent})
        _check(suite, path.parent)
    return suite


def _expanded(raw: dict[str, Any]) -> dict[str, Any]:
    """What a file says, with what its preset says wherever it is silent itself."""
    if not isinstance(raw.get("preset"), str):
        return raw
    preset = presets.find(raw["preset"])
    recipe, differences = raw.get("recipe", {}), raw.get("differences", [])
    # what is of another kind is left for the schema to refuse
    return raw | {
        "recipe": schema.merged(preset.stated, recipe) if isinstance(recipe, dict) else recipe,
        "differences": [*preset.differences, *differences] if isinstance(differences, list) else differences,
    }


def _check(suite: Suite, folder: Path) -> None:
    """What a schema cannot say: that the names in the file name something."""
    if suite.name == space.TRIALS:
        raise UsageError(f"results/{suite.name} is for the trials of `bench tune`: give the suite another name")
    for name, spec in suite.domains.items():
        sets.find_set(spec.set)
        if not re.fullmatch(r"\w[\w.+-]*", name):
            raise UsageError(f"domain {name!r} cannot name a folder of records; use letters, digits and . + - _")
    for task in suite.tasks:
        suite.endpoints(task)
    if len(set(suite.tasks)) != len(suite.tasks):
        raise UsageError(f"the task {max(suite.tasks, key=suite.tasks.count)!r} is listed twice; list each once")
    if taken := suite.budgets.keys() & {"full", "smoke"}:
        raise UsageError(f"the budget {min(taken)!r} exists in every suite; choose another name")
    for row in suite.rows:
        catalog.check(row.method, row.hyper)
    space.check(suite.search, suite.recipe, [(row.method, row.hyper) for row in suite.rows])
    for task in suite.task_recipe:
        if task not in suite.tasks:
            raise unknown("task", task, suite.tasks)
    changes = [(f"row {r.id!r}", r.recipe) for r in suite.rows]
    changes += [(f"task_recipe {k!r}", v) for k, v in suite.task_recipe.items()]
    changes += [(f"budget {k!r}", v.recipe) for k, v in suite.budgets.items()]
    for place, change in changes:
        for key in change:
            if key not in Recipe.model_fields:
                raise unknown(f"recipe key in {place}", key, Recipe.model_fields)
    for row, task, name in product(suite.rows, suite.tasks, ("full", *suite.budgets)):
        try:
            suite.recipe_for(row, task, name)
        except UsageError as e:
            raise UsageError(f"row {row.id!r}, task {task!r}, budget {name!r}: {e}") from e
    if len(suite.by_id) != len(suite.rows):
        twice = next(r.id for r in suite.rows if sum(r.id == q.id for q in suite.rows) > 1)
        raise UsageError(f"two rows have the id {twice!r}; give each its own")
    for base in (suite.baseline, suite.cost_baseline):
        if base is not None and base not in suite.by_id:
            raise unknown("baseline row", base, suite.by_id)
    known = paths.references(folder)
    claims: tuple[Claim, ...] = (*suite.published, *suite.costs)
    for claim in claims:
        if claim.cite not in known:
            raise unknown("citation", claim.cite, known)
        if claim.row is not None and claim.row not in suite.by_id:
            raise unknown("row", claim.row, suite.by_id)
    for name in (name for cost in suite.costs for name in cost.budgets):
        suite.budget(name)
    for task in (task for claim in suite.published for task in claim.values):
        if task not in suite.tasks:
            raise unknown("task", task, suite.tasks)
