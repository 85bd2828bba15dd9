"""What a schema cannot say about a suite: that every name in it names something.

Each function checks one thing and raises UsageError.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from typing import TypeVar

from bench import paths
from bench.datasets import sets
from bench.errors import UsageError, shorten, unknown
from bench.suite import catalog, search
from bench.suite.recipe import Recipe
from bench.suite.references import read_references
from bench.suite.settings import nest, split_override
from bench.suite.suite import Suite

T = TypeVar("T")

EXAMPLES = {
    "strong_view": 'a second view of each image, such as strong_view = "randaugment"',
    "first_stage": "a first stage, such as first_stage = 0.5",
}
"""For each knob that a method can need what is missing without it."""

RESERVED = {search.TRIALS: "the trials of `bench tune`", paths.PAGES: "the pages of these records"}
"""Names of folders below the results that are not a suite's."""


def check_suite(suite: Suite) -> None:
    """Check a suite that fits its schema. Raises UsageError for the first mistake."""
    check_name(suite)
    check_domains(suite)
    check_tasks(suite)
    check_budgets(suite)
    for row in suite.rows:
        catalog.check(row.method, row.hyper)
    search.check_space(suite.search, suite.recipe, [(row.method, row.hyper) for row in suite.rows])
    check_changes(suite)
    check_recipes(suite)
    check_unstated(suite)
    check_ids(suite)
    check_measures(suite)
    check_claims(suite)


FOLDER_NAME = re.compile(r"\w[\w .+-]*")
LONGEST = 100  # bytes of a name: a task has two of them, and file systems allow 255


def check_name(suite: Suite) -> None:
    """It and its rows can name folders of records that are no other folder's."""
    if suite.name in RESERVED:
        raise UsageError(
            f"results/{suite.name} is for {RESERVED[suite.name]}: give the suite another name"
        )
    _check_folder("the suite's file name", suite.name)
    for row in suite.rows:
        _check_folder("the row", row.id)


def _check_folder(kind: str, name: str) -> None:
    if not FOLDER_NAME.fullmatch(name):
        raise UsageError(
            f"{kind} {shorten(repr(name))} cannot name a folder of records; "
            "begin with a letter or digit and use letters, digits, spaces and . + - _"
        )
    if len(name.encode()) > LONGEST:
        raise UsageError(
            f"{kind} {shorten(repr(name))} is too long to name a folder of records; "
            f"use at most {LONGEST} letters"
        )


def check_domains(suite: Suite) -> None:
    """Its data sets exist, and its domains can name folders."""
    for name, spec in suite.domains.items():
        sets.find_set(spec.set)
        _check_folder("domain", name)


def check_tasks(suite: Suite) -> None:
    """Its tasks are pairs of its domains, each listed once; `task_recipe` names tasks."""
    for task in suite.tasks:
        suite.endpoints(task)
    (task, times), *_ = Counter(suite.tasks).most_common()
    if times > 1:
        raise UsageError(f"the task {task!r} is listed twice; list each once")
    for task in (*suite.task_recipe, *suite.optional_tasks):
        if task not in suite.tasks:
            raise unknown("task", task, suite.tasks)


def check_budgets(suite: Suite) -> None:
    """Its budgets have names of their own."""
    if taken := suite.budgets.keys() & {"full", "smoke"}:
        raise UsageError(f"the budget {min(taken)!r} exists in every suite; choose another name")


def check_changes(suite: Suite) -> None:
    """What rows, tasks and budgets change in the recipe are knobs of a recipe."""
    changes = {f"row {row.id!r}": row.recipe for row in suite.rows}
    changes |= {f"task_recipe {task!r}": change for task, change in suite.task_recipe.items()}
    changes |= {f"budget {name!r}": budget.recipe for name, budget in suite.budgets.items()}
    for place, change in changes.items():
        for knob in change:
            if knob not in Recipe.model_fields:
                raise unknown(f"recipe key in {place}", knob, Recipe.model_fields)


def check_recipes(suite: Suite) -> None:
    """Every row has a valid recipe at every task in every budget.

    Of rows and tasks that change the same, the first stands for all.
    """
    rows = _first_of_each(
        suite.rows, lambda row: (row.preset, row.recipe, catalog.find_method(row.method).needs)
    )
    tasks = _first_of_each(suite.tasks, suite.task_recipe.get)
    for row, task, budget in product(rows, tasks, ("full", *suite.budgets)):
        try:
            recipe = suite.recipe_for(row, task, budget)
        except UsageError as e:
            raise UsageError(f"row {row.id!r}, task {task!r}, budget {budget!r}: {e}") from e
        check_needs(row.method, recipe, f"row {row.id!r}")


def check_unstated(suite: Suite) -> None:
    """What the papers leave open are knobs of a recipe, or hyper-parameters of its rows."""
    for open_knob in suite.unstated:
        for name in open_knob.rows:
            if name not in suite.by_id:
                raise unknown("row", name, suite.by_id)
        rows = suite.rows_open_to(open_knob)
        if not rows:
            raise UsageError(f"unstated: no row has {open_knob.knob!r}; name a knob that one has")
        for row, value in product(rows, open_knob.values):
            knobs, hyper = split_override(nest(open_knob.knob, value))
            catalog.check(row.method, {**row.hyper, **hyper})
            suite.recipe_for(row, suite.tasks[0], override=knobs)


def check_needs(method: str, recipe: Recipe, where: str) -> None:
    """The recipe has what the method cannot do without. Raises UsageError."""
    for knob in catalog.find_method(method).needs:
        if getattr(recipe, knob) == Recipe.model_fields[knob].default:
            raise UsageError(f"{where}: {method} needs {EXAMPLES[knob]}; add it to the recipe")


def _first_of_each(items: Iterable[T], change: Callable[[T], object]) -> Iterable[T]:
    first: dict[str, T] = {}
    for item in items:
        first.setdefault(repr(change(item)), item)
    return first.values()


def check_ids(suite: Suite) -> None:
    """No two rows share an id, and the baselines are rows."""
    (name, times), *_ = Counter(row.id for row in suite.rows).most_common()
    if times > 1:
        raise UsageError(f"two rows have the id {name!r}; give each its own")
    for baseline in (suite.baseline, suite.cost_baseline):
        if baseline is not None and baseline not in suite.by_id:
            raise unknown("baseline row", baseline, suite.by_id)


def check_measures(suite: Suite) -> None:
    """All its methods learn the same kind of thing, and statements name measures and rows."""
    adapting = [r for r in suite.rows if catalog.find_method(r.method).generates == "nothing"]
    if suite.generates and adapting:
        raise UsageError(
            f"row {adapting[0].id!r} adapts a classifier and others generate images: "
            "give each kind a suite of its own"
        )
    if suite.generates and not suite.metric:
        raise UsageError("methods that generate images have no accuracy: name a `metric`")
    names = [m.name for m in suite.measures]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"the measure {twice!r} is listed twice; list each once")
    if names and suite.metric and suite.metric not in suite.measures:
        raise UsageError(f"the metric {suite.metric.name!r} is none of the measures; list it there")
    if suite.metric and suite.metric.better == "neither":
        raise UsageError(
            f"rows are sorted by the metric {suite.metric.name!r}: say whether higher or lower "
            "is better"
        )
    references = read_references(suite.folder)
    for said in suite.statements:
        if said.cite not in references:
            raise unknown("citation", said.cite, references)
        if said.row not in suite.by_id:
            raise unknown("row", said.row, suite.by_id)
        if said.measure not in names:
            raise unknown("measure", said.measure, names)
        if said.than not in {*suite.by_id, *names} - {said.row, said.measure}:
            raise unknown("other row or measure", said.than, {*suite.by_id, *names})


def check_claims(suite: Suite) -> None:
    """Published figures cite references, and are of rows, tasks and budgets of the suite."""
    references = read_references(suite.folder)
    for claim in (*suite.published, *suite.costs):
        if claim.cite not in references:
            raise unknown("citation", claim.cite, references)
        if claim.row is not None and claim.row not in suite.by_id:
            raise unknown("row", claim.row, suite.by_id)
    for cost in suite.costs:
        for name in cost.budgets:
            suite.budget(name)
    for claim in suite.published:
        for task in claim.values:
            if task not in suite.tasks:
                raise unknown("task", task, suite.tasks)
