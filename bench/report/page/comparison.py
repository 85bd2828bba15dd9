"""What a comparison of two rows comes to, in one sentence and in a small table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.report.numbers.compare import Comparison, Estimate, Paired
from bench.report.numbers.scores import AVERAGE
from bench.report.numbers.stats import negligible
from bench.report.page.text import (
    DASH,
    format_column,
    format_count,
    format_interval,
    format_points,
)
from bench.suite.suite import Suite

LISTED = 3  # up to as many tasks are named; more are counted
FEW = 6  # tasks: with fewer, Wilcoxon's test cannot reach 5 %
SAMPLE = 10  # seeds: with fewer, intervals by bootstrap are too narrow


@dataclass(frozen=True)
class Sides:
    """Who is compared in which suite."""

    suite: Suite
    a: str  # what to call it
    b: str

    @property
    def quantity(self) -> str:
        """'Fréchet distance, lower is better, ', before a number that is no accuracy."""
        metric = self.suite.metric
        return f"{metric.title}, {metric.better} is better, " if metric else ""

    def name(self, x: Paired) -> str:
        """The place of a difference."""
        return format_column(self.suite, x.column)

    def judge(self, x: Paired) -> str:
        """Whether b is better or worse than a, if the gap is real."""
        return "better" if (x.gap < 0) == self.suite.lower_is_better else "worse"


def describe_comparison(c: Comparison, sides: Sides) -> str:
    """One sentence: whether b is better than a, by how much, and how sure that is.

    Of several tasks the average leads, and what single tasks show after Holm's correction follows.
    """
    level = 1 - c.confidence
    main = c.main
    if main is None:
        head = (
            f"{sides.b} and {sides.a} share no seed that has all {len(c.tasks)} tasks, "
            "so there is no average"
        )
    else:
        many = main.column == AVERAGE
        place = f"on average over {len(c.tasks)} tasks" if many else f"on {sides.name(main)}"
        head = _describe_main(main, sides, place, level)
    tail = _describe_tasks(c, sides, level) if len(c.tasks) > 1 else ""
    return f"{head}{tail}."


def _describe_main(x: Paired, sides: Sides, place: str, level: float) -> str:
    gap = f"{sides.quantity}{format_points(x.gap)}{sides.suite.points}"
    if x.p is None or x.interval is None:
        asked = f"Whether {sides.b} is better than {sides.a} {place}"
        if x.n > 1 and negligible(x.gap):
            return f"{sides.b} and {sides.a} have equal values at all {x.n} seeds {place}"
        why = "from one seed" if x.n == 1 else f"from {x.n} seeds that all give one difference"
        return f"{asked} cannot be told {why}: {gap}"
    numbers = f"{gap}{format_interval(x.interval)} over {x.n} seeds, {format_p(x.p)} (paired t)"
    within = f"within ±{sides.suite.tolerance:g}{sides.suite.points}"
    equal = x.equal is not None and x.equal <= level / 2
    if x.p < level:
        text = f"{sides.b} is {sides.judge(x)} than {sides.a} {place}: {numbers}"
        return text + (f", which lies {within}" if equal else "")
    text = f"No difference between {sides.b} and {sides.a} is shown {place}: {numbers}"
    return text + (f", and they match {within} (two one-sided tests)" if equal else "")


def _describe_tasks(c: Comparison, sides: Sides, level: float) -> str:
    """'; task by task, after Holm's correction, ...', by what is shown at how many tasks."""
    found: dict[str, list[Paired]] = {"better": [], "worse": [], "": []}
    for x in c.tasks:
        if x.holm is not None:
            found[sides.judge(x) if x.holm < level else ""].append(x)
    if not any(found.values()):
        return ""
    if not found["better"] and not found["worse"]:
        either = ", either" if c.main and c.main.p is not None and c.main.p >= level else ""
        return f"; after Holm's correction no single task shows a difference{either}"
    parts = [
        f"{sides.b} is {word} on {_list(found[word], sides, len(c.tasks))}"
        for word in ("better", "worse")
        if found[word]
    ]
    if found[""]:
        parts.append(f"no difference is shown on {_list(found[''], sides, len(c.tasks))}")
    if untested := [sides.name(x) for x in c.tasks if x.holm is None]:
        some = _join(untested) if len(untested) <= LISTED else f"{len(untested)} tasks"
        one = all(x.n == 1 for x in c.tasks if x.holm is None)
        few = "one seed tells" if one else "seeds that are too few, or all agree, tell"
        parts.append(f"{few} nothing on {some}")
    return f"; task by task, after Holm's correction, {_join(parts)}"


def _list(some: Sequence[Paired], sides: Sides, total: int) -> str:
    """'A→B (+12.4 [8.0, 16.8], p = 0.010) and B→A (...)', '7 of 12 tasks' or 'all 12 tasks'."""
    if len(some) > LISTED:
        return f"all {total} tasks" if len(some) == total else f"{len(some)} of {total} tasks"
    return _join(
        [
            f"{sides.name(x)} ({format_points(x.gap)}{format_interval(x.interval)}, "
            f"{format_p(x.holm)})"
            for x in some
            if x.interval and x.holm is not None
        ]
    )


def _join(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def format_p(p: float) -> str:
    """'p = 0.012', two digits; 'p < 0.001'."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


HEAD = ("", "A", "B", "B − A", "p", "p (Holm)", "seeds", "shown from")
"""Of the table: what is compared where; both means over the shared seeds; ...; the gap that so many
seeds would show 8 times in 10."""


def tabulate_comparison(c: Comparison, sides: Sides) -> Iterator[tuple[str, ...]]:
    """A line for each task and for the average."""
    for x in (*c.tasks, *([c.average] if c.average else [])):
        p, holm = (DASH if v is None else format_p(v)[2:].removeprefix("= ") for v in (x.p, x.holm))
        yield (
            sides.name(x),
            f"{x.a:.2f}",
            f"{x.b:.2f}",
            format_points(x.gap) + (format_interval(x.interval) if x.interval else ""),
            p,
            holm,
            str(x.n),
            DASH if x.detectable is None else f"{x.detectable:.1f}",
        )


def describe_distribution(c: Comparison, sides: Sides) -> Iterator[str]:
    """What does not rest on the normal distribution: the bootstrap, and Wilcoxon's test.

    Nothing of the first where a task has one seed.
    """
    if c.improvement.interval:
        few = min(x.n for x in c.tasks) < SAMPLE
        remark = f"; with fewer than {SAMPLE} seeds these intervals are too narrow" if few else ""
        yield (
            f"The chance that a run of {sides.b} exceeds one of {sides.a}: "
            f"{_format_estimate(c.improvement)}. Interquartile mean: {c.quartile_b.value:.1f} "
            f"against {c.quartile_a.value:.1f}, "
            f"{format_points(c.quartile_gap.value)}{_format_interval(c.quartile_gap)} "
            f"(bootstrap of the seeds of each task{remark})."
        )
    if c.wilcoxon is not None and len(c.tasks) >= FEW:
        tasks = format_count(len(c.tasks), "task")
        yield f"Wilcoxon's signed-rank test over the {tasks}: {format_p(c.wilcoxon)}."


def _format_estimate(x: Estimate) -> str:
    """'0.55 [0.30, 0.80]'; '0.00' where no resampling gives another value, as in few runs."""
    lo, hi = x.interval or (x.value, x.value)
    return f"{x.value:.2f}" + (f" [{lo:.2f}, {hi:.2f}]" if lo < hi else "")


def _format_interval(x: Estimate) -> str:
    return format_interval(x.interval) if x.interval else ""
