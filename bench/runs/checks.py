"""Whether a record agrees with itself: its counts, its steps, its key."""

from collections.abc import Sequence
from itertools import accumulate
from operator import gt

from pydantic import ValidationError

from bench.runs.cell import brief, describe_content, digest
from bench.runs.lines import Counts, End, Eval, Run, Train
from bench.suite.recipe import Recipe
from bench.suite.suite import DomainSpec


def contradiction(run: Run, lines: Sequence[Train | Eval | End]) -> str:
    """In what a whole record contradicts itself, as the end of a sentence; '' when it does not."""
    end, body = lines[-1], lines[:-1]
    if not isinstance(end, End) or any(isinstance(x, End) for x in body):
        return "it does not end with its one `end` line"
    evals = [x for x in body if isinstance(x, Eval)]
    train = [x for x in body if isinstance(x, Train)]
    checks = (
        _key(run),
        _steps(run, end, train, evals),
        *(_counts(run, e, last=e is evals[-1]) for e in evals),
    )
    return next(filter(None, checks), "")


def _key(run: Run) -> str:
    try:
        source, target = (brief(DomainSpec.model_validate(x)) for x in (run.source, run.target))
        recipe = brief(Recipe.model_validate(run.recipe))
    except ValidationError:
        return "its recipe or its domains are not ones that this program knows"
    stated = describe_content(
        run.method, run.hyper, source, target, run.classes, recipe, run.metric
    )
    if digest(stated, run.seed) != run.key:
        return "its key is not that of what it says it ran"
    if any(run.hyper_all.get(k) != v for k, v in run.hyper.items()):
        return "its hyper-parameters contradict each other"
    return ""


def _steps(run: Run, end: End, train: Sequence[Train], evals: Sequence[Eval]) -> str:
    length = run.recipe["iterations"]
    trained = [t.step for t in train]
    if trained != list(accumulate(t.n for t in train)):
        return "its training windows do not add up"
    steps = [e.step for e in evals]
    if steps != sorted(set(steps)) or any(step > length for step in (*trained[-1:], *steps)):
        return "its steps are out of order or more than its recipe has"
    if end.status == "ok" and (
        end.step != length or trained[-1:] != [length] or steps[-1:] != [length]
    ):
        return "it says that all went well without the steps and the last evaluation of its recipe"
    if end.status == "ok" and end.ms is None:
        return "it says that all went well without a time"
    return ""


def _counts(run: Run, e: Eval, *, last: bool) -> str:
    pairs = (
        (name, counts) for name, counts in (("source", e.source), ("target", e.target)) if counts
    )
    tested = list(run.data.values())
    for (name, counts), domain in zip(pairs, tested, strict=False):
        if problem := _wrong(counts, run.classes, domain.test.images):
            return f"at step {e.step} its counts on the {name} {problem}"
    if (e.source is None) != (e.target is None) or (e.source is None and not e.values):
        return f"at step {e.step} it measures nothing"
    return ""


def _wrong(c: Counts, classes: int, images: int) -> str:
    if {len(c.total), len(c.correct), len(c.predicted)} != {classes}:
        return f"are not of {classes} classes"
    if sum(c.total) != images or sum(c.predicted) != images:
        return f"do not add up to the {images:,} images of the test set"
    if any(map(gt, c.correct, c.total)) or any(map(gt, c.correct, c.predicted)):
        return "have more right than there are"
    if c.confusion is not None:
        rows, columns = (
            [sum(r) for r in c.confusion],
            [sum(x) for x in zip(*c.confusion, strict=False)],
        )
        diagonal = [r[i] for i, r in enumerate(c.confusion) if i < len(r)]
        if (rows, columns, diagonal) != (list(c.total), list(c.predicted), list(c.correct)):
            return "contradict the confusion matrix"
    return ""
