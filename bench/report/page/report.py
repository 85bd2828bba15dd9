"""What stands on the report: every suite that has records, its tables, and what each cell opens.

The texts of the tables are those of `compose_accuracies` and `compose_costs`, so that the report
cannot say otherwise than they do. What a cell opens is data, which the page holds once as JSON.
"""

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bench.report.numbers.aggregate import Group, Table
from bench.report.numbers.costs import name_processor, read_peak
from bench.report.numbers.measures import Board
from bench.report.numbers.scores import AVERAGE, Score, read_value
from bench.report.numbers.selection import Select, Side
from bench.report.numbers.view import was_run
from bench.report.page.layout import MEMORY, Grid, Line, Reference, Section
from bench.report.page.page import References, compose_accuracies, compose_costs
from bench.report.page.text import SELECTED, format_column
from bench.runs.lines import End, Run
from bench.runs.plan import write_seeds
from bench.runs.records import Evaluation, Record
from bench.runs.standing import Standing, judge_records, suite_of
from bench.suite import released
from bench.suite.references import read_references
from bench.suite.schema import compact, flat
from bench.suite.suite import Suite

POINTS = 60  # of a learning curve, at most
COSTS = ("ms/iteration", "memory MiB", "images/s", "minutes")  # headings of `Trained.cost`

Outcome = Literal["match", "above", "below", "unresolved", "holds", "fails"]
"""A verdict. above: it differs, ours is higher. holds, fails: of a statement."""
Fact = tuple[str, str]  # name, value


@dataclass(frozen=True)
class Trained:
    """What a cell shows of one run."""

    file: str  # below the results folder
    status: str  # ok, diverged or failed
    reason: str  # why it diverged or failed
    cost: tuple[str, ...]  # texts under COSTS; empty where it did not end well
    made: int  # place in Report.facts: machine, program, weights, data
    steps: int  # place in Report.steps: at which iterations the curves have points
    target: tuple[float | None, ...]  # what the suite is about on the target, 3 digits
    source: tuple[float | None, ...]  # the same on the source; empty where it is not measured


@dataclass(frozen=True)
class Opening:
    """What one cell of a table opens, beside the texts of its column."""

    seeds: tuple[int, ...]
    values: Mapping[str, tuple[str, ...]]  # name of a selection -> a text for each seed
    runs: tuple[int, ...]  # for each seed a place in Report.runs; empty for an average
    knobs: int | None  # place in Report.facts: recipe and hyper-parameters that are not defaults
    aside: tuple[tuple[str, str], ...]  # records of its place that do not count: file, reason
    commands: tuple[str, ...]  # they repeat it


@dataclass(frozen=True)
class Block:
    """A row of a table with the lines about its claims; they stay together."""

    row: str  # its id; "" for none
    lines: tuple[tuple[Line, tuple[Outcome | None, ...]], ...]  # with what each cell's verdict is


@dataclass(frozen=True)
class Coverage:
    """How far a table is measured, and what came of it."""

    measured: int  # cells with a score
    cells: int  # rows × tasks
    verdicts: Mapping[Outcome, int]  # over all columns


@dataclass(frozen=True)
class Part:
    """A section of a suite."""

    title: str
    head: tuple[str, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]
    budget: str = ""  # of a table of accuracies or statements
    side: Side = "target"  # of a table of accuracies
    task: str = ""  # of a table of statements
    tally: Coverage | None = None  # of a table of accuracies or statements
    opens: int | None = None  # place in Report.cells of what its cells open
    sparse: bool = False  # whether most of its cells are not measured


@dataclass(frozen=True)
class Drawing:
    """A drawing that belongs to a suite."""

    title: str
    svg: bytes


@dataclass(frozen=True)
class SuiteReport:
    """All that the page says about a suite."""

    name: str
    title: str
    about: str
    warnings: tuple[str, ...]
    tables: tuple[Part, ...]  # of accuracies, on the target and on the source; or of statements
    parts: tuple[Part, ...]  # gains, choices, claims, differences, explanations, provenance
    costs: tuple[Part, ...]
    references: tuple[Reference, ...]
    aside: tuple[tuple[str, str, str], ...]  # records that give no result: file, state, reason
    figures: tuple[Drawing, ...]


Opened = tuple[tuple[str, ...], Mapping[str, tuple[Opening, ...]]]
"""Of a table: its columns, and by the id of a row what each of its cells opens."""


@dataclass
class Report:
    """The page."""

    records: int  # how many were read
    newest: str  # when the newest of them began, UTC; "" without any
    suites: list[SuiteReport] = field(default_factory=list)
    strangers: list[tuple[str, str, str]] = field(default_factory=list)
    """Records of suites that nobody knows: file, state, reason."""
    cells: list[Opened] = field(default_factory=list)
    runs: list[Trained] = field(default_factory=list)
    facts: list[Any] = field(default_factory=list)  # each a list of facts, once
    steps: list[Any] = field(default_factory=list)  # each a list of iterations, once

    def write_data(self) -> str:
        """What cells open, as JSON without a character that could end a script."""
        held = {k: getattr(self, k) for k in ("cells", "runs", "facts", "steps")}
        held |= {"costs": COSTS}
        text = json.dumps(held, default=vars, ensure_ascii=False, separators=(",", ":"))
        return (
            text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        )


def compose_report(
    suites: Mapping[str, Suite],
    records: Iterable[Record],
    select: Select = "last",
    *,
    results: str = "",
    strangers: bool = True,
    figures: Callable[[Suite, Sequence[Record]], Sequence[Drawing]] = lambda suite, records: (),
    references: References | None = None,
) -> Report:
    """The page of these suites.

    suites: by what --suite has to be to name them. results: what --results has to be to find the
    records; "" for the default. strangers: whether to name the records of other suites. figures:
    draws those of a suite. references: as for `render_accuracies`.
    """
    records = list(records)
    report = Report(len(records), max((r.run.started for r in records if r.run), default=""))
    judged = judge_records({s.name: s for s in suites.values()}, records)
    maker = Maker(report, results)
    for asked, suite in suites.items():
        known = read_references(suite.folder) if references is None else references
        page = compose_accuracies(suite, records, select, known, whole=True)
        costs = compose_costs(suite, records, known)
        parts = [maker.lay_out(asked, s) for s in page.sections]
        paid = [maker.lay_out(asked, s) for s in costs.sections]
        cited = dict.fromkeys((*page.references, *costs.references))
        own = SuiteReport(
            name=suite.name,
            title=page.title,
            about=page.about,
            warnings=page.warnings,
            tables=tuple(p for p in parts if p.tally),
            parts=tuple(p for p in parts if not p.tally),
            costs=() if costs.about else tuple(paid),
            references=tuple(cited),
            aside=tuple(map(tell, (s for s in judged if s.suite == suite.name and gives_none(s)))),
            figures=tuple(figures(suite, [r for r in records if suite_of(r) == suite.name])),
        )
        report.suites.append(own)
    if strangers:
        names = {s.name for s in suites.values()}
        report.strangers = [tell(s) for s in judged if s.suite not in names]
    return report


def gives_none(s: Standing) -> bool:
    """Whether a record adds no figure to any table."""
    return s.state != "counted"


def tell(s: Standing) -> tuple[str, str, str]:
    """The file of a record, its state, and the reason."""
    return name_file(s.record), s.state, s.why


def name_file(r: Record) -> str:
    """The path of a record below its results folder."""
    return "/".join(r.path.parts[-4:])


class Maker:
    """Lays out sections, and keeps what their cells open in the report."""

    def __init__(self, report: Report, results: str) -> None:
        self._report, self._results = report, results
        self._known: dict[tuple[str, str], int] = {}  # a list of a pool, as JSON -> its place
        self._runs: dict[tuple[str, str], int] = {}  # suite and path -> place in Report.runs

    def lay_out(self, asked: str, section: Section) -> Part:
        """A section as it stands on the page. asked: what --suite has to be for its suite."""
        head = section.grid.head if section.grid else ()
        judged = section.board is not None
        blocks = tuple(split_grid(section.grid, judged=judged)) if section.grid else ()
        part = Part(section.title, head, blocks, section.notes)
        if section.board:
            board = section.board
            task, tally = format_column(board.suite, board.task), count_statements(board, blocks)
            return replace(part, budget=board.budget, task=task, tally=tally)
        if section.table is None:
            return part
        tally = count(section.table, blocks)
        self._report.cells.append(self._open(asked, section.table))
        return replace(
            part,
            budget=section.table.budget,
            side=section.table.on,
            tally=tally,
            opens=len(self._report.cells) - 1,
            sparse=2 * count_run(section.table) < tally.cells,
        )

    def _open(self, asked: str, t: Table) -> Opened:
        """What the cells of a table open, by row."""
        aside: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for a in t.ledger.aside:
            run = a.record.run
            if run and run.suite == t.suite.name:
                why = f"{a.why}: {a.detail}" if a.detail else a.why
                aside.setdefault((run.row, run.task), []).append((name_file(a.record), why))
        cells = {
            g.row.id: tuple(self._cell(asked, t, g, c, aside) for c in t.columns)
            for g in t.groups
            if g.row
        }
        return t.columns, cells

    def _cell(
        self,
        asked: str,
        t: Table,
        group: Group,
        column: str,
        aside: Mapping[tuple[str, str], list[tuple[str, str]]],
    ) -> Opening:
        assert group.row
        row = group.row.id
        found = [] if column == AVERAGE else t.ledger.results(row, column)
        score = group.ours[t.select][column]
        seeds = sorted({*score.by_seed, *score.lost})
        by_seed = {cell.seed: r for cell, r in found}
        places = t.suite.tasks if column == AVERAGE else (column,)
        files = {
            r.run.weights.file
            for task in places
            for _, r in t.ledger.results(row, task)
            if r.run and r.run.weights.sha256 and r.run.weights.file
        }
        first = next((r.run for _, r in found if r.run), None)
        return Opening(
            seeds=tuple(seeds),
            values={
                SELECTED[select]: tuple(tell_seed(scores[column], s) for s in seeds)
                for select, scores in group.ours.items()
            },
            runs=tuple(self._run(t.suite, by_seed[s]) for s in seeds) if found else (),
            knobs=self._keep("facts", list_knobs(first)) if first else None,
            aside=tuple(aside.get((row, column), ())),
            commands=tuple(
                self._commands(asked, t, row, column, list(by_seed.values()), seeds, files)
            ),
        )

    def _run(self, suite: Suite, r: Record) -> int:
        place = (suite.name, str(r.path))
        if place not in self._runs:
            assert r.run
            kept = thin(r.evals)
            source = read_curve(suite, kept, "source") if not suite.metric else ()
            trained = Trained(
                file=name_file(r),
                status=r.status,
                reason=r.end.reason if r.end else "",
                cost=list_costs(r.end) if r.end and r.status == "ok" else (),
                made=self._keep("facts", list_making(r.run)),
                steps=self._keep("steps", [e.step for e in kept]),
                target=read_curve(suite, kept, "target"),
                source=source,
            )
            self._report.runs.append(trained)
            self._runs[place] = len(self._report.runs) - 1
        return self._runs[place]

    def _keep(self, pool: Literal["facts", "steps"], values: list[Any]) -> int:
        """The place of a list in one of the report's pools, where each list stands once."""
        key, kept = (pool, json.dumps(values)), getattr(self._report, pool)
        if key not in self._known:
            kept.append(values)
            self._known[key] = len(kept) - 1
        return self._known[key]

    def _commands(
        self, asked: str, t: Table, row: str, column: str, found: list[Record], seeds: list[int],
        files: set[str],
    ) -> Iterator[str]:  # fmt: skip
        """The commands that train a cell again, or for the first time; and that print a record.

        files: of the pretrained weights that it was trained with.
        """
        words = ["bench", "run", "--suite", asked, "--methods", row]
        words += [] if column == AVERAGE else ["--tasks", column]
        words += ["--seeds", write_seeds(sorted(seeds) or range(t.suite.seeds))]
        words += [] if t.budget == "full" else ["--budget", t.budget]
        words += ["--results", self._results] if self._results else []
        words += [x for name in sorted(files) for x in ("--weights", name)]
        yield shlex.join([*words, "--redo"] if seeds else words)
        where = ["--results", self._results] if self._results else []
        if found:
            yield shlex.join(["bench", "show", found[0].path.stem, *where])


def split_grid(grid: Grid, *, judged: bool = False) -> Iterator[Block]:
    """The lines of a grid in blocks that stay together; each line alone where none is a first.

    judged: whether verdicts stand in a column, as those of statements do, and not in lines.
    """
    alone = not any(line.first for line in grid.lines)
    block: list[tuple[Line, tuple[Outcome | None, ...]]] = []
    gaps: tuple[str, ...] = ()
    for line in grid.lines:
        if block and (line.first or alone):
            yield Block(block[0][0].row, tuple(block))
            block = []
        gaps = line.cells if line.kind == "gap" else gaps
        marks: Iterable[Outcome | None] = (None for _ in line.cells)
        if judged or line.kind == "verdict":
            marks = map(mark, line.cells, gaps or line.cells)
        block.append((line, tuple(marks)))
    if block:
        yield Block(block[0][0].row, tuple(block))


def mark(word: str, gap: str) -> Outcome | None:
    """What to mark a verdict as. gap: its ours − published, as the table has it."""
    match word:
        case "differs":
            return "below" if gap.startswith("−") else "above"
        case "does not hold":
            return "fails"
        case "match" | "unresolved" | "holds":
            return word
        case _:
            return None


def count(t: Table, blocks: Iterable[Block]) -> Coverage:
    """How far a table is measured, and how many verdicts of each kind it shows."""
    rows = [g for g in t.groups if g.row]
    measured = sum(bool(g.ours[t.select][task].by_seed) for g in rows for task in t.suite.tasks)
    return Coverage(measured, len(rows) * len(t.suite.tasks), count_marks(blocks))


def count_statements(board: Board, blocks: Iterable[Block]) -> Coverage:
    """How many rows were measured at a task, and how many verdicts of each kind there are."""
    measured = sum(any(r.status == "ok" for _, r in board.runs(x.id)) for x in board.suite.rows)
    return Coverage(measured, len(board.suite.rows), count_marks(blocks))


def count_marks(blocks: Iterable[Block]) -> Counter[Outcome]:
    """How many verdicts of each kind stand in the lines of a table."""
    return Counter(m for block in blocks for _, marks in block.lines for m in marks if m)


def count_run(t: Table) -> int:
    """How many cells of a table were trained, well or not."""
    return sum(was_run(g, task) for g in t.groups if g.row for task in t.suite.tasks)


def tell_seed(score: Score, seed: int) -> str:
    """'93.12', '10.00 †' of a collapse, or why a seed has no score."""
    if seed in score.by_seed:
        return f"{score.by_seed[seed]:.2f}" + " †" * (seed in score.collapsed)
    return score.lost.get(seed, "")


def thin(evals: Sequence[Evaluation], most: int = POINTS) -> list[Evaluation]:
    """At most so many of them, evenly spaced, the first and the last among them."""
    if len(evals) <= most:
        return list(evals)
    return [evals[round(i * (len(evals) - 1) / (most - 1))] for i in range(most)]


def read_curve(suite: Suite, evals: Iterable[Evaluation], on: Side) -> tuple[float | None, ...]:
    """What a suite is about at each evaluation, to three digits; None where it is no number."""
    values = (read_value(suite, e, on) for e in evals)
    return tuple(float(f"{x:.3g}") if x == x else None for x in values)


def list_costs(end: End) -> tuple[str, ...]:
    """The texts under COSTS of a run that ended well."""
    kind = next((k for k in MEMORY if k in end.memory), "")
    return (
        f"{(end.ms and end.ms['p50']) or 0.0:,.2f}",
        f"{read_peak(end, kind):,.0f} {MEMORY[kind].split()[0]}" if kind else "",
        f"{end.images_per_s or 0.0:,.0f}",
        f"{end.wall_s / 60:,.1f}",
    )


def list_knobs(run: Run) -> list[Fact]:
    """The method, and all knobs of recipe and method that differ from their defaults."""
    changed = released.departures(released.completed(run.recipe), released.RECIPE)
    stated = {"method": run.method, "hyper": run.hyper, **changed}
    return [(k, compact(v)) for k, v in flat(stated).items()]


def list_making(run: Run) -> list[Fact]:
    """What made a run: machine, libraries, program, weights, images."""
    env, code = run.env, run.code
    libraries = ("torch", "torchvision", "numpy", "python", "cuda", "cudnn", "driver", "system")
    commit = f" at {code.commit}" if code.commit else ""
    facts = [
        ("machine", name_processor(env)),
        *((k, str(getattr(env, k))) for k in libraries if getattr(env, k)),
        ("uda-bench", f"{code.bench}{commit}{', with uncommitted changes' if code.dirty else ''}"),
        ("weights", run.weights.asked),
        ("weights sha256", run.weights.sha256 or run.weights.tensors or ""),
    ]
    for name, d in run.data.items():
        facts.append(
            (f"images of {name}", describe_images(d.train.images, d.test.images, d.origin))
        )
        facts.append((f"fingerprints of {name}", f"{d.train.fingerprint}, {d.test.fingerprint}"))
    return [(k, v) for k, v in facts if v]


def describe_images(train: int, test: int, origin: str) -> str:
    """A domain in words: how many images, and where they are from."""
    return f"{train:,} to train on, {test:,} to test on, from {origin}"
