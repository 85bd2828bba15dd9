"""(suite, records) -> Page: which sections there are and what each says."""

from collections.abc import Iterable, Mapping, Sequence

from bench.report.numbers.aggregate import Table, build
from bench.report.numbers.costs import Cost, cost
from bench.report.numbers.scores import On, Select
from bench.report.page import cites, layout, notes
from bench.report.page.layout import Page, Reference, Section
from bench.report.page.provenance import disagreements, made_by
from bench.report.page.text import SELECTED
from bench.runs.ledger import sort
from bench.runs.records import Record
from bench.suite.claims import Claim
from bench.suite.suites import Suite


def accuracies(
    suite: Suite, records: Iterable[Record], select: Select, references: Mapping[str, cites.Fields]
) -> Page:
    """Full budget first, whatever is recorded; then the other budgets that have records; smoke never."""
    skipped = {"smoke", *(name for name, b in suite.budgets.items() if b.measures == "cost")}
    mine = [r for r in records if r.run["suite"] == suite.name and r.run["budget"] not in skipped]
    budgets = [
        b
        for b in ("full", *suite.budgets)
        if b == "full" or any(r.run["budget"] == b for r in mine)
    ]
    labels, remarks, sources = _cited(suite, suite.published, references)

    def tables(on: On) -> list[Table]:
        return [build(suite, mine, select=select, budget=b, on=on) for b in budgets]

    target = tables("target")
    source = tables("source") if any(c.on == "source" for c in suite.published) else []
    sections = [
        Section(_title(t), layout.grid(t, labels), (*notes.training(t), *notes.rows(t), *notes.marked(t), *notes.set_aside(t)))
        for t in target
    ]  # fmt: skip
    sections += [Section(_title(t), layout.grid(t, labels), tuple(notes.marked(t))) for t in source]
    base = suite.by_id[suite.baseline].label if suite.baseline else ""
    sections += [
        Section(f"Gains over {base} ({_how(t)})", layout.gains(t), tuple(notes.gained(t)))
        for t in target
        if any(g.gains for g in t.groups)
    ]
    counted = [r for t in target for _, r in t.ledger.counted]
    sections += [
        remarks,
        Section("What is known to differ from the papers", None, suite.differences),
        Section("How to read this", None, (*notes.reading(suite), *notes.supervised(suite))),
        Section(
            "What made these numbers",
            None,
            (*made_by(counted), *notes.unknown_budgets(suite, mine)),
        ),
    ]
    shown = tuple(s for s in sections if s.grid or s.notes)
    return Page(suite.title, suite.about, tuple(disagreements(counted)), shown, sources)


def _cited(
    suite: Suite, claims: Sequence[Claim], references: Mapping[str, cites.Fields]
) -> tuple[list[str], Section, tuple[Reference, ...]]:
    """How to name each claim, in their order; what is to be known about them; the papers, and where in them they stand."""
    names = cites.short(dict.fromkeys(c.cite for c in claims), references)
    remarks = notes.remarks(suite, claims, names)
    numbered = {text: i for i, text in enumerate(dict.fromkeys(filter(None, remarks)), 1)}
    labels = [
        f"{c.label} ({names[c.cite]})" + (f" [{numbered[text]}]" if text else "")
        for c, text in zip(claims, remarks, strict=True)
    ]
    section = Section("Claims", None, tuple(f"[{i}] {text}" for text, i in numbered.items()))
    places = {
        key: "; ".join(dict.fromkeys(c.where for c in claims if c.cite == key)) for key in names
    }
    about = {
        key: f"{cites.full(references.get(key, {}))} Figures from {places[key]}." for key in names
    }
    return (
        labels,
        section,
        tuple(
            Reference(n, about[k], references.get(k, {}).get("url", "")) for k, n in names.items()
        ),
    )


def _title(t: Table) -> str:
    return f"Accuracy on the {t.on} domain, % ({_how(t)})"


def _how(t: Table) -> str:
    return f"{'full budget' if t.budget == 'full' else f'budget {t.budget}'}, {SELECTED[t.select]}"


def costs(suite: Suite, records: Iterable[Record], references: Mapping[str, cites.Fields]) -> Page:
    """A section for each budget and machine that has finished runs, and for each budget that claims are about."""
    mine = [r for r in records if r.run["suite"] == suite.name]
    labels, remarks, sources = _cited(suite, suite.costs, references)
    measured = {budget: cost(suite, mine, budget) for budget in ("full", *suite.budgets)}
    sections = []
    for budget, machines in measured.items():
        claims = [
            (c, label) for c, label in zip(suite.costs, labels, strict=True) if budget in c.budgets
        ]
        alone = bool(claims) and not any(measured[b] for c, _ in claims for b in c.budgets)
        found: dict[str, tuple[Cost, ...]] = machines or ({"not measured": ()} if alone else {})
        said = (
            f"Budget `{budget}`: {suite.budget(budget).note}." if suite.budget(budget).note else ""
        )
        for machine, rows in found.items():
            title = f"{'Full budget' if budget == 'full' else f'Budget {budget}'}, {machine}"
            sections.append(
                Section(title, layout.costs(suite, rows, claims), (said,) if said else ())
            )
    about = "" if any(measured.values()) else "No run has finished yet."
    sections += [remarks] if remarks.notes else []
    counted = [
        r
        for b in measured
        for _, r in sort(suite, mine, b, made_up=True).counted
        if r.status == "ok"
    ]
    sections.append(Section("How to read this", None, tuple(notes.costing(suite))))
    sections += (
        [Section("What made these numbers", None, tuple(made_by(counted)))] if counted else []
    )
    return Page(f"Cost of {suite.title}", about, (), tuple(sections), sources)
