"""A suite: the claims of one experiment and the recipe that tests them, as one frozen model."""

import posixpath
from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PureWindowsPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from bench.datasets import sets
from bench.errors import UsageError, unknown
from bench.suite import catalog, schema
from bench.suite.claims import Published, PublishedCost, Statement
from bench.suite.recipe import PLACEHOLDERS, Changes, Pixels, Recipe, modernized
from bench.suite.schema import Number, Strict, Switch, Whole
from bench.suite.search import HYPER, Space


class DomainSpec(Strict):
    """A published data set as the suite uses it."""

    set: str
    """Its name in `bench data`; or `folder`, which is one sub-folder of images per class."""
    domain: str | None = None  # which one, of a set that has several
    path: str | None = None
    """Of a `folder`: where it is, relative to the data folder; or an absolute path."""
    list: str | None = None  # a file of `relative/path label` lines, in place of sub-folders
    crop: Pixels | None = None  # side of a center crop before the recipe's resize
    transductive: Switch = False  # train and test on the whole domain, in place of two parts of it
    split: Annotated[Number, Field(gt=0, lt=1)] | Literal["own"] | None = None
    """The fraction of the images of each class to test on, 0.2 for every fifth; the others are
    trained on.

    own: the parts in which a `folder` lies, train/ and test/; where it has none, all of it is both
    trained and tested on, as the papers do it. A suite means this where it states nothing.
    None: the split with which a set is published. Records of a `folder` have None only where they
    were made when every fifth image was tested on unasked.
    """

    @model_validator(mode="after")
    def _check_split(self) -> Self:
        if self.transductive and self.split is not None:
            raise ValueError(
                "transductive = true trains and tests on all images, split on parts of them: "
                "state one of the two"
            )
        return self

    def complete(self) -> "DomainSpec":
        """The same with what a suite means where it does not state the split of a `folder`."""
        stated = self.transductive or self.split is not None
        if stated or self.set != sets.FOLDER.name:
            return self
        return self.model_copy(update={"split": "own"})

    @property
    def public(self) -> "DomainSpec":
        """The same domain as keys and records name it, without a path of this machine."""
        places = {"path": self.path, "list": self.list}
        return self.model_copy(update={k: public_path(v) for k, v in places.items() if v})


def public_path(path: str) -> str:
    """A path below the data folder as it is; of any other one the last name and a digest.

    'own/photo' stays; '/home/me/photo' and '../photo' become 'outside/photo-0123456789'. Records
    are shared, so they say which place it was without naming it: two places never look alike.
    """
    where = posixpath.normpath(path)
    if not (where.startswith(("/", "../")) or where == ".." or PureWindowsPath(path).drive):
        return path
    name = PureWindowsPath(where).name.strip(".") or "folder"
    return f"outside/{name}-{sha256(where.encode()).hexdigest()[:10]}"


class Row(Strict):
    """One line of the table that is ours to measure."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")  # what --methods names, and a folder
    label: str  # what the table prints
    method: str  # a file of `methods`
    hyper: dict[str, Any] = Field(default_factory=dict)  # hyper-parameters that are not defaults
    preset: str | None = None
    """A protocol that this row follows in place of the suite's recipe, of which it then takes only
    what every recipe has to state and the preset leaves open."""
    recipe: Changes = Field(default_factory=dict)  # what this row changes in that recipe
    note: str = ""  # a footnote of the table


class Budget(Strict):
    """A named, reduced way to run a suite."""

    note: str  # why it exists
    recipe: Changes  # what it changes in the recipe
    measures: Literal["accuracy", "cost"] = "accuracy"
    """cost: its runs are for time and memory alone, so that no table shows their accuracies."""


SMOKE = Budget(
    note="a few steps on a few images, to see that everything runs; never a result",
    recipe={"iterations": 3, "batch": 4, "train_limit": 64, "test_limit": 64, "eval_every": None},
)
SMALL = {"size": 72, "crop": 64, "test_limit": 16}
"""What SMOKE changes further for natural images: 64 pixels are the fewest that AlexNet takes."""


class Unstated(Strict):
    """A knob that the papers leave open, or are read in two ways, and what it may have been."""

    knob: str  # as --set spells it: lr, weight_decay.F, hyper.gamma
    values: tuple[str | bool | int | float | list[int], ...] = Field(min_length=1)
    why: str  # what is not known
    rows: tuple[str, ...] = ()  # ids of the rows that it concerns; (): all whose method has it


class Metric(Strict):
    """What the runs of a suite measure where that is no accuracy: a value that its task names, or
    one that follows from its record."""

    name: str  # as the task calls it
    title: str  # as the table says it, with its unit
    better: Literal["higher", "lower", "neither"] = "higher"  # which values are good
    reach: Number | None = None
    """Of a measure of how long it takes: the value of the suite's metric that is to be reached."""


def _validated(knobs: Mapping[str, Any]) -> Recipe:
    """The recipe of these knobs. Raises UsageError."""
    try:
        return Recipe.model_validate(knobs)
    except ValidationError as e:
        raise UsageError("; ".join(schema.explain(e, Recipe, ("recipe",)))) from e


class Suite(Strict):
    """The claims of one experiment and the recipe that tests them."""

    name: str  # its file's name without .toml
    folder: Path  # the folder of its file
    title: str
    about: str = ""  # a paragraph below the title
    classes: Whole = Field(gt=1, le=100_000)
    tolerance: Number = Field(1.0, gt=0, le=100)
    """Percentage points by which a measured accuracy may differ from the printed one and match."""
    confidence: Number = Field(0.95, gt=0, lt=1)  # of the intervals
    metric: Metric | None = None  # what is measured; None: accuracy in % on both test sets
    measures: tuple[Metric, ...] = ()  # of a suite with a metric, all that its page shows
    accuracy: Literal["images", "classes"] = "images"
    """images: the share of the test images that are predicted right.

    classes: the mean of this share over the classes, as VisDA-2017 has it. Tables, verdicts and the
    choice of evaluations use it; trainings and records are the same for both.
    """
    baseline: str | None = None  # id of the row over which gains are counted
    seeds: Whole = Field(3, gt=0, le=10_000)  # how many trainings of a row at a task: seeds 0, 1, …
    domains: dict[str, DomainSpec]
    tasks: tuple[str, ...] = Field(min_length=1)  # "source-target", names of domains
    optional_tasks: tuple[str, ...] = ()
    """Tasks that a run leaves out where their data are absent, unless it is asked for them."""
    preset: str | None = None
    """The protocol that the recipe departs from; `recipe` and `differences` hold what it says."""
    recipe: Recipe
    protocols: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """For each preset that a row names, the knobs that it states."""
    task_recipe: dict[str, Changes] = Field(default_factory=dict)  # what a task changes in it
    rows: tuple[Row, ...] = Field(min_length=1)
    published: tuple[Published, ...] = ()
    costs: tuple[PublishedCost, ...] = ()
    statements: tuple[Statement, ...] = ()  # what the papers say about the measures in words
    cost_baseline: str | None = None  # id of the row that costs are compared with; None: baseline
    budgets: dict[str, Budget] = Field(default_factory=dict)
    search: Space = Field(default_factory=dict)  # what `bench tune` varies
    differences: tuple[str, ...] = ()  # what we know to do differently from the papers
    unstated: tuple[Unstated, ...] = ()  # what we do not know of the papers' protocol

    @property
    def cost_row(self) -> str | None:
        """The id of the row that times and memory are compared with; None: there is none."""
        return self.cost_baseline or self.baseline

    @model_validator(mode="after")
    def _check_accuracy(self) -> Self:
        if self.metric and self.accuracy != "images":
            raise ValueError("a suite with a `metric` measures no accuracy: remove `accuracy`")
        return self

    @field_validator("domains")
    @classmethod
    def _complete_domains(cls, domains: dict[str, DomainSpec]) -> dict[str, DomainSpec]:
        return {name: spec.complete() for name, spec in domains.items()}

    def endpoints(self, task: str) -> tuple[str, str]:
        """'MNIST-USPS' -> ('MNIST', 'USPS'); domains may have dashes. Raises UsageError.

        Where images are generated, a task is one domain: 'MNIST' -> ('MNIST', 'MNIST').
        """
        if self.generates and task in self.domains:
            return task, task
        for source in self.domains:
            target = task.removeprefix(f"{source}-")
            if target != task and target in self.domains:
                return source, target
        pairs = [f"{a}-{b}" for a in self.domains for b in self.domains if a != b]
        raise unknown("task", task, pairs)

    @cached_property
    def generates(self) -> bool:
        """Whether its methods generate images, in place of adapting a classifier."""
        return any(catalog.find_method(row.method).generates != "nothing" for row in self.rows)

    @property
    def lower_is_better(self) -> bool:
        """Whether small values of what the suite is about are good."""
        return self.metric is not None and self.metric.better == "lower"

    @property
    def points(self) -> str:
        """' points', the unit of differences, with the space before it; '' where no accuracy is
        measured."""
        return "" if self.metric else " points"

    @cached_property
    def by_id(self) -> dict[str, Row]:
        """The rows by their id."""
        return {row.id: row for row in self.rows}

    def rows_open_to(self, knob: Unstated) -> list[Row]:
        """The rows that an unstated knob concerns: of a hyper-parameter those that have it."""
        named = [row for row in self.rows if not knob.rows or row.id in knob.rows]
        if not knob.knob.startswith(HYPER):
            return named
        name = knob.knob.removeprefix(HYPER)
        return [row for row in named if name in catalog.find_method(row.method).hyper]

    @property
    def accuracy_budgets(self) -> list[str]:
        """The full budget first; never smoke runs, nor budgets that measure costs alone."""
        hidden = {"smoke", *(name for name, b in self.budgets.items() if b.measures == "cost")}
        return ["full", *(b for b in self.budgets if b not in hidden)]

    def budget(self, name: str) -> Budget:
        """The budget of that name; 'full' (the suite as written) and 'smoke' always exist.

        Raises UsageError.
        """
        smoke = Budget(note=SMOKE.note, recipe=SMOKE.recipe | (SMALL if self.recipe.crop else {}))
        known = {"full": Budget(note="", recipe={}), "smoke": smoke} | self.budgets
        if name not in known:
            raise unknown("budget", name, known)
        return known[name]

    def protocol(self, row: Row) -> Recipe:
        """What a row starts from: the suite's recipe, or the preset that the row names.

        Raises UsageError when the suite's values do not go with the preset.
        """
        if row.preset is None:
            return self.recipe
        stated = self.protocols[row.preset]
        left = self.recipe.model_dump(include=PLACEHOLDERS.keys() - stated.keys())
        return _validated({**left, **stated})

    def recipe_for(
        self,
        row: Row,
        task: str,
        budget: str = "full",
        override: Mapping[str, Any] | None = None,
    ) -> Recipe:
        """The row's protocol, changed by task, row, budget and `override`, in this order: see
        `change_protocol`."""
        in_task, in_budget = self.task_recipe.get(task, {}), self.budget(budget).recipe
        return self.change_protocol(row, in_task, row.recipe, in_budget, modernized(override or {}))

    def change_protocol(self, row: Row, *changes: Mapping[str, Any]) -> Recipe:
        """The row's protocol with these changes, the later ones over the earlier.

        A change of some parts of a table, such as lr_mult, leaves its other parts as they are.
        Raises UsageError when the result is no recipe.
        """
        start = self.protocol(row)
        knobs = start.model_dump()
        if "normalize" not in start.model_fields_set:
            del knobs["normalize"]  # its default depends on the backbone
        for change in changes:
            knobs = schema.merged(knobs, change)
        return _validated(knobs)

    def warnings(self) -> list[str]:
        """A sentence for each published row whose printed average contradicts its figures, and for
        each whose figures are all those of another paper's row."""
        rows = [(p, text) for p in self.published for text in self._doubts(p)]
        return [f"{p.label} [{p.cite}, {p.where}]: {text}" for p, text in rows]

    def _doubts(self, claim: Published) -> Iterator[str]:
        if text := claim.discrepancy(self.tasks):
            yield text
        if other := self.repeated(claim):
            place = f"[{other.cite}, {other.where}]"
            yield f"its {len(claim.values)} figures equal those of {other.label} {place}"

    def repeated(self, claim: Published) -> Published | None:
        """The first row above a published one that has all of its figures, in another paper."""
        above = self.published[: self.published.index(claim)]
        return next((other for other in above if claim.repeats(other)), None)
