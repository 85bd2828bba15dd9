"""Every record with its standing: whether it counts for its suite, and if not, why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from bench.errors import UsageError
from bench.runs.ledger import Aside, Why
from bench.runs.plan import settle_suite
from bench.runs.records import Record
from bench.suite.suite import Suite

State = Literal[
    "counted", "failed", "replaced", "stale", "made up", "unfinished", "damaged", "no suite"
]
STATES: Mapping[Why, State] = {  # why a ledger sets a record aside -> its state
    "damaged": "damaged", "generated": "made up", "other code": "stale", "other recipe": "stale",
    "replaced": "replaced", "unfinished": "unfinished",
}  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """A record, and what it is worth."""

    record: Record
    suite: str  # the suite that asked for it
    state: State  # counted: tables show it; failed: it counts for want of a result
    why: str = ""  # where its recipe departs from the suite's, or what is wrong with it

    @property
    def budget(self) -> str:
        """'' where the record cannot be read."""
        return self.record.run.budget if self.record.run else ""


def judge_records(suites: Mapping[str, Suite], records: Iterable[Record]) -> list[Standing]:
    """The standing of each record of these suites and of suites that nobody knows, sorted by suite,
    budget, row, task, seed and age.

    suites: by name. A record whose first line cannot be read is of the suite of its folder.
    """
    every = list(records)
    by_suite: dict[str, list[Record]] = {}
    for r in every:
        by_suite.setdefault(suite_of(r), []).append(r)
    found = []
    for name, own in by_suite.items():
        suite = suites.get(name)
        found += _judge(suite, own, every) if suite else [_orphan(name, r) for r in own]
    return sorted(found, key=_place)


def suite_of(r: Record) -> str:
    """The suite that asked for a record; from its folder where its first line cannot be read."""
    return r.run.suite if r.run else "".join(r.path.parts[-4:-3])


def _orphan(suite: str, r: Record) -> Standing:
    why = r.problem or f"no suite is called {suite}: name its file with --suite"
    return Standing(r, suite, "damaged" if r.problem else "no suite", why)


def _judge(suite: Suite, own: list[Record], every: list[Record]) -> list[Standing]:
    """own: the records of this suite. every: these and all others, which may have its keys."""
    known: dict[tuple[str, str], Standing] = {}  # by budget and path
    for budget in {r.run.budget for r in own if r.run} or {"full"}:
        try:
            ledger = settle_suite(suite, every, budget)
        except UsageError:  # a budget that the suite no longer has
            continue
        for a in ledger.aside:
            standing = Standing(a.record, suite.name, STATES[a.why], _explain(a))
            known[budget, str(a.record.path)] = standing
        for _, r in ledger.counted:
            known[budget, str(r.path)] = _counted(suite.name, r)
    found = []
    for r in own:
        ways = [(r.run.budget, str(r.path))] if r.run else [k for k in known if k[1] == str(r.path)]
        gone = f"the suite no longer has the budget {r.run.budget}" if r.run else r.problem
        state: State = "stale" if r.run else "damaged"
        found.append(
            next((known[w] for w in ways if w in known), Standing(r, suite.name, state, gone))
        )
    return found


def _counted(suite: str, r: Record) -> Standing:
    reason = r.end.reason if r.end else ""
    return Standing(r, suite, "failed" if r.status == "failed" else "counted", reason)


def _explain(a: Aside) -> str:
    match a.why:
        case "generated":
            return "its images are made up"
        case "unfinished":
            return "it has no end"
        case "replaced":
            return "a later attempt counts"
        case _:
            return a.detail


def _place(s: Standing) -> tuple[str, str, str, str, int, tuple[str, int, str]]:
    run = s.record.run
    names = (run.row, run.task, run.seed) if run else ("", "", 0)
    return (s.suite, s.budget, *names, s.record.age)
