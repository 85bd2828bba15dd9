"""The tables of a suite with measures: what was measured, and which statements hold."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import product, takewhile

from bench.report.numbers.measures import (
    MODES,
    TIME,
    Board,
    build_board,
    count_steps,
    find_collapsed,
)
from bench.report.numbers.selection import Select
from bench.report.numbers.statements import Judged, Ruling, judge_statements
from bench.report.numbers.view import View
from bench.report.page import notes
from bench.report.page.layout import Grid, Line, Mark, Section
from bench.report.page.text import (
    DASH,
    SELECTED,
    count_decimals,
    format_budget,
    format_column,
    format_count,
    format_measured_gain,
    format_number,
    format_reading,
)
from bench.runs.ledger import Ledger
from bench.suite.claims import Statement
from bench.suite.suite import Row, Suite

EXPLAINED: Mapping[str, str] = {
    "frechet": "how far apart mean and covariance of the classifier's features lie for generated "
    "and for test images; 0 when they are the same",
    "kernel": "squared maximum mean discrepancy of the same features under a cubic kernel; about "
    "0, or just below, when both are distributed alike",
    "consistency": "share of the images that the classifier takes for the class that was asked "
    "for, from 0 to 1; a generator that is asked for none has no such value",
    "clear": "share of the images whose class the classifier is at least 95 % sure of, from 0 to 1",
    "precision": "share of the generated images that lie within the reach of a real one, which is "
    "the distance to its third neighbour; from 0 to 1",
    "recall": "share of the real images that lie within the reach of a generated one, which is the "
    "distance to its third neighbour; from 0 to 1",
    "coverage": "share of the real images with a generated one nearer than their fifth neighbour "
    "among the real ones; from 0 to 1",
    "diversity": "mean distance between the features of two generated images of a class, divided "
    "by that of real ones; 1 when they differ as much as real ones. The class is the one that the "
    "classifier sees, whatever was asked for, and images that are no digits may differ more",
    "modes": "how many classes at least 1 % of the images are taken for",
    "fluctuation_D": "standard deviation of the loss from iteration to iteration within a window "
    "of the log, averaged over the second half of the training; in nats",
    "fluctuation_G": "the same of the generator's loss; in nats",
    "epochs_to": "epochs up to the first measurement that reaches this value. A run that never "
    "does counts with its whole length, which is a lower bound and marked ≥",
    "epoch_s": "median time of an iteration, times the iterations of an epoch; in seconds, without "
    "warm-up and measurements. Runs on a busy or shared machine have none",
    "z_class": "share of the variance of the classes that the classifier sees which the noise z "
    "alone explains, over images of the same noise vectors for every class; ω² of an analysis of "
    "variance, 0 where nothing is explained. What z and y decide only together is in neither "
    "share, which may then lie a little below 0",
    "y_class": "the share that the class y alone explains, which is asked for",
    "z_pixels": "the share of z in the variance of the pixels",
    "y_pixels": "the share of y in it",
    "z_thickness": "the share of z in the variance of the width of the strokes",
    "y_thickness": "the share of y in it",
    "z_slant": "the share of z in the variance of the digits' slant",
    "y_slant": "the share of y in it",
}
"""What each measure is, after its title."""

RULINGS: Mapping[Ruling, tuple[str, str]] = {  # what is said of one statement and of several
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "unresolved": ("is unresolved", "are unresolved"),
    "not measured": ("is not measured", "are not measured"),
}
WIDE = 200  # characters: so many hold the values of five rows
SIGNS = {"higher": ">", "lower": "<"}


def collect_boards(
    suite: Suite, ledgers: Mapping[str, Ledger], select: Select, view: View
) -> list[Board]:
    """A board for each budget and task of which anything was run, in their order.

    Where nothing was: of the first budget and task. ledgers: by budget. A row that was not run has
    no column.
    """
    rows = [row for row in suite.rows if view.rows is None or row.id in view.rows]
    tasks = [task for task in suite.tasks if view.tasks is None or task in view.tasks]
    boards = []
    for (budget, ledger), task in product(ledgers.items(), tasks):
        ran = [row for row in rows if ledger.results(row.id, task)]
        boards.append(build_board(suite, ledger, budget, task, ran or rows, select))
    return [b for b in boards if any(b.runs(row.id) for row in b.rows)] or boards[:1]


def lay_out_board(board: Board, names: Mapping[str, str]) -> Iterator[Section]:
    """The sections of one task at one budget. names: of the papers, by their key."""
    chosen = f"{format_budget(board.budget)}, {SELECTED[board.select]}"
    place = f"{format_column(board.suite, board.task)} ({chosen})"
    grid = lay_out_measures(board) if board.measured else None
    yield Section(f"Measures on {place}", grid, tuple(describe_board(board)))
    if judged := judge_statements(board):
        statements = lay_out_statements(board, judged, names)
        said = tuple(describe_statements(judged))
        yield Section(f"Statements on {place}", statements, said, board=board)


def lay_out_measures(board: Board) -> Grid:
    """Measures × rows; a measure that no row has is left out."""
    lines = []
    for measure in board.suite.measures:
        readings = [board.read(measure.name, row.id) for row in board.rows]
        means = [s.mean for s in (x.summary for x in readings) if s.mean is not None]
        if not means:
            continue
        decimals, best = count_decimals(means), board.find_best(measure)
        marks: list[Mark] = [
            "best" if row.id in best.best else "second" if row.id in best.second else ""
            for row in board.rows
        ]
        fallen = (measure.name == MODES and find_collapsed(board, row.id) for row in board.rows)
        cells = (
            format_reading(x, decimals) + " †" * bool(down)
            for x, down in zip(readings, fallen, strict=True)
        )
        lines.append(Line("ours", measure.title, tuple(cells), marks=tuple(marks)))
    return Grid(("", *(row.label for row in board.rows)), tuple(lines), width=WIDE)


def lay_out_statements(board: Board, judged: Iterable[Judged], names: Mapping[str, str]) -> Grid:
    """Each statement with its two values, their difference and the verdict; below it, the
    inequality that stands for it and where it is said."""
    lines: list[Line] = []
    blank = ("",) * 4
    for j in judged:
        s = j.statement
        lines.append(Line("ours", s.says, _statement_cells(j), first=True, row=s.row))
        lines.append(Line("published", write_inequality(board, s), blank))
        lines.append(Line("published", f"{names[s.cite]}, {s.where}", blank))
    return Grid(("", "value", "compared with", "difference", "verdict"), tuple(lines))


def _statement_cells(j: Judged) -> tuple[str, ...]:
    if j.gain is None:
        return (*(DASH,) * 3, j.ruling)
    means = [x.summary.mean or 0.0 for x in (j.first, j.second)]
    decimals = count_decimals(means)
    values = (
        "≥ " * bool(side.least) + format_number(x, decimals)
        for side, x in zip((j.first, j.second), means, strict=True)
    )
    return (*values, format_measured_gain(j.gain, decimals), j.ruling)


def write_inequality(board: Board, s: Statement) -> str:
    """'Clear digits: Conditional DCGAN > DCGAN'; 'DCGAN: Variance of slant explained by z > y'."""
    titles = {m.name: m.title for m in board.suite.measures}
    rows, sign = board.suite.by_id, SIGNS[s.is_]
    if s.than in rows:
        return f"{titles[s.measure]}: {rows[s.row].label} {sign} {rows[s.than].label}"
    first, second = titles[s.measure].split(), titles[s.than].split()
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    rest = " ".join(second[len(list(shared)) :])  # what both titles begin with is written once
    return f"{rows[s.row].label}: {titles[s.measure]} {sign} {rest}"


def describe_board(board: Board) -> Iterator[str]:
    """What was run, and what has to be known about single runs and values."""
    if note := board.suite.budget(board.budget).note:
        yield (
            f"Budget `{board.budget}`: {note}. Its verdicts are about runs of this budget, not "
            "about the papers' statements."
        )
    idle = [row.label for row in board.suite.rows if not board.runs(row.id)]
    if len(idle) == len(board.suite.rows):
        yield "Not measured: nothing was run."
        return
    yield _describe_length(board)
    if idle:
        yield f"Not run here: {'; '.join(idle)}."
    for row in board.rows:
        if row.note:
            yield f"{row.label}: {row.note}."
        yield from _describe_row(board, row)
    yield from _describe_times(board)


def _describe_times(board: Board) -> Iterator[str]:
    """Which runs have no time, in a suite that measures it."""
    if TIME not in {m.name for m in board.suite.measures}:
        return
    if board.busy:
        yield (
            f"Times leave out {format_count(board.busy, 'run')} that shared the machine with "
            "others."
        )
    if board.elsewhere:
        yield (
            f"Times are of {board.machine}: {format_count(board.elsewhere, 'run')} of other "
            "machines left out, because only times of one machine compare."
        )


def _describe_length(board: Board) -> str:
    """How long the runs were, in iterations and epochs."""
    lengths: dict[str, list[str]] = {}
    for row in board.rows:
        for cell, r in board.runs(row.id)[:1]:
            n, batch = cell.recipe.iterations, cell.recipe.batch
            epochs = f"{n / count_steps(r):.3g}"
            text = f"{n:,} iterations × {batch} images, {epochs} epoch{'s' * (epochs != '1')}"
            lengths.setdefault(text, []).append(row.label)
    if len(lengths) == 1:
        return f"Every run: {next(iter(lengths))}."
    return "; ".join(f"{', '.join(rows)}: {text}" for text, rows in lengths.items()) + "."


def _describe_row(board: Board, row: Row) -> Iterator[str]:
    """The seeds that were lost, that collapsed, and whose values are lower bounds."""
    for cell, r in board.runs(row.id):
        if r.status != "ok" and r.end:
            reason = r.end.reason or "no reason recorded"
            yield f"{row.label}: seed {cell.seed} {r.status}: {reason}."
    if fallen := find_collapsed(board, row.id):
        classes = board.suite.classes
        made = (f"seed {seed} makes {n} of {classes} classes" for seed, n in fallen.items())
        yield f"† {row.label}: mode collapse: {'; '.join(made)}."
    for measure in board.suite.measures:
        if least := board.read(measure.name, row.id).least:
            seeds = ", ".join(map(str, sorted(least)))
            yield (
                f"≥ {row.label}, {measure.title}: never reached at seed{'s' * (len(least) > 1)} "
                f"{seeds}; the whole training is counted."
            )


def describe_statements(judged: Iterable[Judged]) -> Iterator[str]:
    """How many statements hold, and what the suite's file says about them."""
    judged = list(judged)
    count = Counter(j.ruling for j in judged)
    words = (f"{n} {said[n > 1]}" for ruling, said in RULINGS.items() if (n := count[ruling]))
    yield f"Of {format_count(len(judged), 'statement')} {', '.join(words)}."
    for j in judged:
        if j.statement.note:
            yield f"“{j.statement.says}”: {j.statement.note}."


def explain_board(suite: Suite) -> Iterator[str]:
    """How to read the tables of a suite with measures, then what each measure is."""
    level = f"{100 * suite.confidence:.3g} %"
    yield (
        "Measures: mean ± sample standard deviation over seeds (number of seeds); one seed has no "
        f"±. The suite asks for {format_count(suite.seeds, 'seed')}. Bold: the best mean and all "
        f"that are not shown to be worse (the {level} Student interval of the difference, seed by "
        "seed, holds 0); underlined: the second best, in the same way. Only means of three seeds "
        "or more are marked, none with a lower bound (≥), and nothing is where every mean would "
        "be bold, or where one with a lower bound may be the best."
    )
    yield (
        "Statements: the two values are means over the seeds that have both, and the difference is "
        f"taken seed by seed, with its {level} Student interval (number of seeds). It holds when "
        "the interval lies wholly on the claimed side of 0, does not hold when wholly on the other "
        "side, and is unresolved otherwise. It is unresolved, too, for one seed, where all seeds "
        "differ by the same, where a run of either row diverged or has no such value (times "
        "excepted), and where either side has a value that is only a lower bound (≥). "
        "Each statement is judged on its own: one in "
        f"{2 / (1 - suite.confidence):.3g} would hold by chance where there is nothing to find."
    )
    for measure in suite.measures:
        if about := EXPLAINED.get(measure.name):
            good = "" if measure.better == "neither" else f"; the {measure.better} the better"
            yield f"{measure.title}: {about}{good}."
    yield from notes.name_rows_without_code(suite.rows)
