"""A suite and its records to a page: which sections there are and what each says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.errors import BenchError
from bench.report.numbers.ablation import find_ablations
from bench.report.numbers.aggregate import Table, build_table
from bench.report.numbers.choice import judge_choices
from bench.report.numbers.costs import Cost, summarize_costs
from bench.report.numbers.selection import Select, Side
from bench.report.numbers.view import View, drop_empty, was_run
from bench.report.page import cites, layout, notes
from bench.report.page.foresight import foretell_verdicts
from bench.report.page.layout import Page, Reference, Section
from bench.report.page.measures import collect_boards, explain_board, lay_out_board
from bench.report.page.paper import lay_out_paper
from bench.report.page.provenance import describe_provenance, warn_of_other_images
from bench.report.page.text import SELECTED, format_budget
from bench.runs.plan import settle_suite
from bench.runs.records import Record
from bench.suite.claims import Claim, PublishedCost
from bench.suite.suite import Suite

References = Mapping[str, cites.Fields]  # BibTeX key -> fields
EVERYTHING = View()


def compose_accuracies(
    suite: Suite,
    records: Iterable[Record],
    select: Select,
    references: References,
    view: View = EVERYTHING,
    *,
    whole: bool = False,
) -> Page:
    """The page of accuracies.

    It shows the full budget, whatever is recorded, then each other budget that has records; never
    smoke runs, nor budgets that measure costs alone. view: the part of each table that is shown.
    whole: with the tasks and tables of which there is nothing, for readers who can hide them.
    """
    records = list(records)
    if suite.measures:
        return _compose_measures(suite, records, select, references, view)
    first, *others = suite.accuracy_budgets
    ledgers = {b: settle_suite(suite, records, b) for b in others}
    budgets = [first, *(b for b, found in ledgers.items() if found.counted or found.aside)]

    def build_tables(on: Side) -> list[Table]:
        every = (build_table(suite, records, select=select, budget=b, on=on) for b in budgets)
        asked = map(view.narrow, every)
        return list(asked if whole else map(drop_empty, asked))

    target = build_tables("target")
    source = build_tables("source") if any(c.on == "source" for c in suite.published) else []
    shown = [c.claim for t in (*target, *source) for g in t.groups for c in g.claims]
    cited = _cite(suite, suite.published, references, shown)
    counted = [pair for t in target for pair in t.ledger.counted]
    rows = [r for r in suite.rows if any(g.row is r for t in target for g in t.groups)]
    explained = (
        *notes.explain_accuracies(suite, (*target, *source)),
        *notes.name_supervised_rows(rows),
        *notes.name_rows_without_code(rows),
    )
    origin = (*describe_provenance(counted), *notes.count_unknown_budgets(suite, records))
    sections = [
        *(
            _accuracy_section(t, cited, (*notes.describe_view(t, view), *_notes(t)), whole)
            for t in target
        ),
        *(
            _accuracy_section(
                t, cited, (*notes.describe_view(t, view), *notes.name_lost_seeds(t)), whole
            )
            for t in source
        ),
        *(_gains_section(t) for t in target if any(g.gains for g in t.groups)),
        *(_ablations_section(t, records) for t in target),
        *(_choices_section(t) for t in target),
        cited.remarks,
        Section("What is known to differ from the papers", None, suite.differences),
        Section("How to read this", None, explained),
        Section("What made these numbers", None, origin),
    ]
    warnings = tuple(warn_of_other_images(counted))
    said = tuple(s for s in sections if s.grid or s.notes)
    return Page(suite.title, suite.about, warnings, said, cited.references)


def _compose_measures(
    suite: Suite, records: list[Record], select: Select, references: References, view: View
) -> Page:
    """The page of a suite with measures: for each budget and task their values, then what these
    say about the statements."""
    ledgers = {b: settle_suite(suite, records, b) for b in suite.accuracy_budgets}
    boards = collect_boards(suite, ledgers, select, view)
    names = cites.name_papers(dict.fromkeys(s.cite for s in suite.statements), references)
    places: dict[str, dict[str, None]] = {}
    for statement in suite.statements:
        places.setdefault(statement.cite, {})[statement.where] = None
    counted = [pair for ledger in ledgers.values() for pair in ledger.counted]
    aside = (text for ledger in ledgers.values() for text in notes.count_set_aside(ledger))
    unknown = notes.count_unknown_budgets(suite, records)
    origin = (*describe_provenance(counted), *aside, *unknown)
    sections = [
        *(section for board in boards for section in lay_out_board(board, names)),
        Section("What is known to differ from the papers", None, suite.differences),
        Section("How to read this", None, tuple(explain_board(suite))),
        Section("What made these numbers", None, origin),
    ]
    return Page(
        suite.title,
        suite.about,
        tuple(warn_of_other_images(counted)),
        tuple(s for s in sections if s.grid or s.notes),
        cites.list_references(places, names, references, "Statements"),
    )


def compose_paper(
    suite: Suite,
    records: Iterable[Record],
    select: Select,
    references: References,
    view: View = EVERYTHING,
) -> Page:
    """One table a budget, as papers print it, of what was measured.

    Raises BenchError when nothing was.
    """
    records = list(records)
    names = cites.name_papers(dict.fromkeys(c.cite for c in suite.published), references)
    labels = [f"{c.label} ({names[c.cite]})" for c in suite.published]
    sections, nothing = [], None
    for budget in suite.accuracy_budgets:
        t = view.narrow(build_table(suite, records, select=select, budget=budget))
        title = f"{_name_measure(suite, 'target')} ({_describe_choice(t)})"
        try:
            sections.append(Section(title, lay_out_paper(t, labels, title), ()))
        except BenchError as e:
            nothing = nothing or e
    if not sections and nothing:
        raise nothing
    return Page(suite.title, "", (), tuple(sections), ())


def _accuracy_section(t: Table, cited: "Cited", remarks: tuple[str, ...], whole: bool) -> Section:
    title = f"{_name_measure(t.suite, t.on)} ({_describe_choice(t)})"
    grid = layout.lay_out_table(t, cited.labels)
    published = any(c.on == t.on for c in t.suite.published)
    measured = any(was_run(g, c) for g in t.groups for c in t.suite.tasks)
    if not (published or measured or whole):
        return Section(title, None, ("Not measured, and nothing is published.", *remarks), t)
    return Section(title, grid if grid.lines else None, remarks, t)


def _name_measure(suite: Suite, on: Side) -> str:
    """What the figures of a table are, with their unit."""
    if suite.metric:
        return suite.metric.title
    per_class = (
        "Mean of the accuracies of the classes" if suite.accuracy == "classes" else "Accuracy"
    )
    return f"{per_class} on the {on} domain, %"


def _notes(t: Table) -> tuple[str, ...]:
    """The sentences below a table of accuracies on the target domain."""
    return (
        *notes.describe_runs(t),
        *notes.describe_rows(t),
        *notes.name_lost_seeds(t),
        *foretell_verdicts(t),
        *notes.count_set_aside(t.ledger),
    )


def _gains_section(t: Table) -> Section:
    base = t.suite.by_id[t.suite.baseline].label if t.suite.baseline else ""
    title = f"Gains over {base} ({_describe_choice(t)})"
    return Section(title, layout.lay_out_gains(t), tuple(notes.describe_gains(t)))


def _ablations_section(t: Table, records: Iterable[Record]) -> Section:
    """Empty, and so not shown, where no knob was varied alone outside of the suite's rows."""
    found = [
        (g.row, a)
        for g in t.groups
        if g.row
        for a in find_ablations(t.suite, records, g.row.id, t.budget, t.select, in_tables=False)
    ]
    # runs may be one knob from several rows: where one of them was run, the others say nothing
    told = {(a.knob, a.reached) for _, a in found if a.moved}
    found = [(row, a) for row, a in found if a.moved or (a.knob, a.reached) not in told]
    title = f"What single knobs move ({_describe_choice(t)})"
    if not found:
        return Section(title, None, ())
    return Section(
        title,
        layout.lay_out_ablations(t.suite, found),
        tuple(notes.explain_ablations(t.suite, found)),
    )


def _choices_section(t: Table) -> Section:
    """Of all runs of a budget; empty, and so not shown, where none has several evaluations."""
    choices = judge_choices(t.suite, (r for _, r in t.ledger.counted))
    title = f"Choosing an evaluation without the target's labels ({format_budget(t.budget)})"
    if not choices:
        return Section(title, None, ())
    return Section(title, layout.lay_out_choices(choices), tuple(notes.explain_choices(t.suite)))


def _describe_choice(t: Table) -> str:
    """'full budget, last step'"""
    return f"{format_budget(t.budget)}, {SELECTED[t.select]}"


@dataclass(frozen=True)
class Cited:
    """The claims of a page and the papers that they are from."""

    labels: list[str]  # what to call each claim, in their order
    remarks: Section  # what has to be known about some of them
    references: tuple[Reference, ...]


def _cite(
    suite: Suite,
    claims: Sequence[Claim],
    references: References,
    shown: Sequence[Claim] | None = None,
) -> Cited:
    """shown: those of the claims that the page shows, by default all."""
    names = cites.name_papers(dict.fromkeys(c.cite for c in claims), references)
    used = [shown is None or any(c is x for x in shown) for c in claims]
    said = notes.remark_on_claims(suite, claims, names)
    remarks = [text if use else "" for text, use in zip(said, used, strict=True)]
    numbers = {text: i for i, text in enumerate(dict.fromkeys(filter(None, remarks)), 1)}
    labels = [
        f"{c.label} ({names[c.cite]})" + (f" [{numbers[text]}]" if text else "")
        for c, text in zip(claims, remarks, strict=True)
    ]
    section = Section("Claims", None, tuple(f"[{i}] {text}" for text, i in numbers.items()))
    places: dict[str, dict[str, None]] = {}  # key of a paper -> where its figures stand
    for claim, use in zip(claims, used, strict=True):
        if use:
            places.setdefault(claim.cite, {})[claim.where] = None
    return Cited(labels, section, cites.list_references(places, names, references))


def compose_costs(
    suite: Suite, records: Iterable[Record], references: References, *, busy_too: bool = False
) -> Page:
    """The page of costs: a section for each budget and machine that has finished runs.

    Claims about budgets of which nothing was measured stand in a section of their own. busy_too:
    times taken on a busy machine enter ratios, too.
    """
    records = list(records)
    cited = _cite(suite, suite.costs, references)
    measured = {
        b: summarize_costs(suite, records, b, busy_too=busy_too) for b in ("full", *suite.budgets)
    }
    sections = [
        s for b in measured for s in _cost_sections(suite, b, measured, cited.labels, busy_too)
    ]
    sections += [cited.remarks] if cited.remarks.notes else []
    sections.append(Section("How to read this", None, tuple(notes.explain_costs(suite))))
    ledgers = (settle_suite(suite, records, b) for b in measured)
    counted = [pair for ledger in ledgers for pair in ledger.counted if pair[1].status == "ok"]
    if counted:
        sections.append(
            Section("What made these numbers", None, tuple(describe_provenance(counted)))
        )
    about = "" if any(measured.values()) else "No run has finished yet."
    return Page(f"Cost of {suite.title}", about, (), tuple(sections), cited.references)


def _cost_sections(
    suite: Suite,
    budget: str,
    measured: Mapping[str, Mapping[str, tuple[Cost, ...]]],
    labels: Sequence[str],
    busy_too: bool,
) -> Iterator[Section]:
    """The sections of one budget.

    measured: budget -> machine -> costs. labels: what to call each claim of the suite. busy_too:
    see `compose_costs`.
    """
    claims = [
        (c, label) for c, label in zip(suite.costs, labels, strict=True) if budget in c.budgets
    ]
    title = "Full budget" if budget == "full" else f"Budget {budget}"
    note = suite.budget(budget).note
    remarks = (f"Budget `{budget}`: {note}.",) if note else ()
    for machine, costs in measured[budget].items():
        grid = layout.lay_out_costs(suite, costs, claims)
        busy = notes.name_busy_times(costs, counted=busy_too)
        yield Section(f"{title}, {machine}", grid, (*remarks, *busy))
    if claims and not any(_is_measured(c, measured) for c, _ in claims):
        yield Section(f"{title}, not measured", layout.lay_out_costs(suite, (), claims), remarks)


def _is_measured(
    claim: PublishedCost, measured: Mapping[str, Mapping[str, tuple[Cost, ...]]]
) -> bool:
    """Whether any budget that the claim is about has been run."""
    return any(measured[budget] for budget in claim.budgets)
