"""What the shell completes after an option or in place of an argument.

A completion never fails and prints nothing: where a suite cannot be read there is nothing to offer.
`bench --install-completion` sets it up.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.suite.suite import Suite


def suite_names(incomplete: str) -> list[str]:
    """The suites that have a name; files the shell completes by itself."""
    from bench.suite import suites

    return _beginning(suites.names(), incomplete)


def row_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Row ids of the suite that stands in the command; the last of a list is completed."""
    return _last_of_list((row.id for s in _suites(ctx) for row in s.rows), incomplete)


def task_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Tasks of the suite that stands in the command."""
    return _last_of_list((task for s in _suites(ctx) for task in s.tasks), incomplete)


def budget_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Budgets of the suite that stands in the command."""
    named = (name for s in _suites(ctx) for name in s.budgets)
    return _beginning(("full", "smoke", *named), incomplete)


def artefact_names(incomplete: str) -> list[str]:
    """What a run can leave beside its record."""
    from bench.runs.artefacts import FILES

    return _last_of_list(FILES, incomplete)


def state_names(incomplete: str) -> list[str]:
    """The states of runs."""
    from typing import get_args

    from bench.runs.standing import State

    return _last_of_list(get_args(State), incomplete)


def record_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of records, as `bench ls runs` prints them."""
    from bench import paths
    from bench.runs import records

    root = paths.results_root(ctx.params.get("results"))
    with suppress(BenchError):
        return _beginning((path.stem for path in records.list_files(root)), incomplete)
    return []


def figure_names(incomplete: str) -> list[str]:
    """The kinds of figures."""
    from bench.report.figures import FIGURES

    return _beginning(FIGURES, incomplete)


def diff_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Presets, suites, SUITE:ROW and records."""
    from bench.suite import presets, suites

    suite, colon, _ = incomplete.partition(":")
    if colon:
        return _beginning((f"{suite}:{row.id}" for s in _find(suite) for row in s.rows), incomplete)
    protocols = _beginning((*presets.preset_names(), *suites.names()), incomplete)
    return protocols + record_names(ctx, incomplete)


def compared_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Row ids of the suite that stands in the command; folders the shell completes by itself."""
    return _beginning((row.id for s in _suites(ctx) for row in s.rows), incomplete)


def _suites(ctx: typer.Context) -> Iterator["Suite"]:
    """The suite of --suite; every suite where the command takes any and none is given."""
    from bench.suite import suites

    given = ctx.params.get("suite")
    default = next((p.default for p in ctx.command.params if p.name == "suite"), None)
    name = given or (default if isinstance(default, str) else None)
    for one in [name] if name else suites.names():
        yield from _find(one)


def _find(name: str) -> Iterator["Suite"]:
    from bench.suite import suites

    with suppress(BenchError):
        yield suites.find(name)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _last_of_list(names: Iterable[str], incomplete: str) -> list[str]:
    """'dann,no' -> ['dann,nogrl']: what is in the list already is not offered again."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{n}" for n in _beginning(names, last) if n not in taken]
