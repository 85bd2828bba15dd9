"""(suite, records) -> Page: which sections there are and what each says."""

from collections.abc import Iterable, Mapping

from bench.records import Record
from bench.report import cites, layout, notes
from bench.report.aggregate import Table, build
from bench.report.costs import Cost, cost
from bench.report.layout import Grid, Line, Page, Reference, Section
from bench.report.provenance import disagreements, made_by
from bench.report.scores import On, Select
from bench.report.text import DASH, SELECTED
from bench.suites import Suite


def accuracies(suite: Suite, records: Iterable[Record], select: Select, references: Mapping[str, cites.Fields]) -> Page:
    """Full budget first, whatever is recorded; then the other budgets that have records; smoke never."""
    mine = [r for r in records if r.run["suite"] == suite.name and r.run["budget"] != "smoke"]
    budgets = [b for b in ("full", *suite.budgets) if b == "full" or any(r.run["budget"] == b for r in mine)]
    names = cites.short(dict.fromkeys(c.cite for c in suite.published), references)
    remarks = notes.remarks(suite, names)
    numbered = {text: i for i, text in enumerate(dict.fromkeys(filter(None, remarks)), 1)}
    labels = [
        f"{c.label} ({names[c.cite]})" + (f" [{numbered[text]}]" if text else "")
        for c, text in zip(suite.published, remarks, strict=True)
    ]

    def tables(on: On) -> list[Table]:
        return [build(suite, mine, select=select, budget=b, on=on) for b in budgets]

    target = tables("target")
    source = tables("source") if any(c.on == "source" for c in suite.published) else []
    sections = [
        Section(_title(t), layout.grid(t, labels), (*notes.training(t), *notes.marked(t), *notes.set_aside(t)))
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
        Section("Claims", None, tuple(f"[{i}] {text}" for text, i in numbered.items())),
        Section("What is known to differ from the papers", None, suite.differences),
        Section("How to read this", None, (*notes.reading(suite), *notes.supervised(suite))),
        Section("What made these numbers", None, (*made_by(counted), *notes.unknown_budgets(suite, mine))),
    ]
    used = tuple(_reference(suite, key, name, references.get(key, {})) for key, name in names.items())
    shown = tuple(s for s in sections if s.grid or s.notes)
    return Page(suite.title, suite.about, tuple(disagreements(counted)), shown, used)


def _reference(suite: Suite, key: str, name: str, fields: cites.Fields) -> Reference:
    """The paper, and where in it the figures stand."""
    places = dict.fromkeys(c.where for c in suite.published if c.cite == key)
    return Reference(name, f"{cites.full(fields)} Figures from {'; '.join(places)}.", fields.get("url", ""))


def _title(t: Table) -> str:
    return f"Accuracy on the {t.on} domain, % ({_how(t)})"


def _how(t: Table) -> str:
    return f"{'full budget' if t.budget == 'full' else f'budget {t.budget}'}, {SELECTED[t.select]}"


def costs(suite: Suite, records: Iterable[Record]) -> Page:
    """A section for each budget and machine that has finished runs."""
    mine = [r for r in records if r.run["suite"] == suite.name]
    sections = [
        Section(f"{'Full budget' if budget == 'full' else f'Budget {budget}'}, {machine}", _cost_grid(rows), ())
        for budget in ("full", *suite.budgets)
        for machine, rows in cost(suite, mine, budget).items()
    ]
    about = "" if sections else "No run has finished yet."
    sections.append(Section("How to read this", None, notes.costing(suite)))
    return Page(f"Cost of {suite.title}", about, (), tuple(sections), ())


def _cost_grid(rows: tuple[Cost, ...]) -> Grid:
    names = {"allocated_mib": "allocated MiB", "reserved_mib": "reserved MiB", "rss_mib": "resident MiB"}
    memory = [k for k in names if k in rows[0].memory]

    def cells(c: Cost) -> tuple[str, ...]:
        peak = (f"{c.memory[k]:,.0f}" for k in memory)
        ratio = DASH if c.ratio is None else f"{c.ratio:.2f}"
        time = (f"{c.ms:.2f}", f"{c.p5:.2f} to {c.p95:.2f}", ratio, f"{c.wait_ms:.2f}", f"{c.images_per_s:,.0f}")
        return (*time, *peak, f"{c.data_mib:,.0f}", f"{c.n}")

    head = ("", "ms/iteration", "5 to 95 %", "ratio", "data wait ms", "images/s")
    tail = (*(names[k] for k in memory), "data MiB", "n")
    return Grid((*head, *tail), tuple(Line("ours", c.label, cells(c)) for c in rows))
