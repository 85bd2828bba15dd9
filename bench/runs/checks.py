"""Whether a record agrees with itself: its counts, its steps, its key."""

from collections.abc import Sequence
from itertools import accumulate
from operator import gt

from pydantic import ValidationError

from bench.errors import BenchError
from bench.runs.artefacts import FILES
from bench.runs.cell import brief, describe_content, digest
from bench.runs.lines import Counts, End, Eval, Resume, Run, Train
from bench.suite import released
from bench.suite.recipe import Recipe, modernized
from bench.suite.suite import DomainSpec


def contradiction(run: Run, lines: Sequence[Train | Eval | Resume | End]) -> str:
    """In what a whole record contradicts itself, as the end of a sentence; '' when it does not."""
    end, body = lines[-1], lines[:-1]
    if not isinstance(end, End) or any(isinstance(x, End) for x in body):
        return "it does not end with its one `end` line"
    evals = [x for x in body if isinstance(x, Eval)]
    train = [x for x in body if isinstance(x, Train)]
    try:
        stated = modernized(run.recipe)
        recipe = Recipe.model_validate(released.completed(stated))
        ends = [DomainSpec.model_validate(released.DOMAIN | x) for x in (run.source, run.target)]
        knobs = recipe.model_dump(mode="json")
    except (ValidationError, BenchError):
        return "its recipe or its domains are not ones that this program knows"
    if any(knobs[k] != v for k, v in stated.items()):
        return "its recipe is not written as this program writes it"
    checks = (
        _check_key(run, recipe, ends),
        _check_steps(recipe.iterations, end, train, evals),
        _check_resumed(body, end),
        _check_costs(end),
        _check_artefacts(end),
        *(_check_counts(run, e) for e in evals),
    )
    return next(filter(None, checks), "")


def _check_key(run: Run, recipe: Recipe, ends: Sequence[DomainSpec]) -> str:
    source, target = map(brief, ends)
    stated = describe_content(
        run.method, run.hyper, source, target, run.classes, brief(recipe), run.metric
    )
    if digest(stated, run.seed) != run.key:
        return "its key is not that of what it says it ran"
    if any(run.hyper_all.get(k) != v for k, v in run.hyper.items()):
        return "its hyper-parameters contradict each other"
    return ""


def _check_steps(length: int, end: End, train: Sequence[Train], evals: Sequence[Eval]) -> str:
    trained = [t.step for t in train]
    if trained != list(accumulate(t.n for t in train)):
        return "its training windows do not add up"
    steps = [e.step for e in evals]
    if steps != sorted(set(steps)) or any(step > length for step in (*trained[-1:], *steps)):
        return "its steps are out of order or more than its recipe has"
    finished = (end.step, trained[-1:], steps[-1:]) == (length, [length], [length])
    if end.status == "ok" and not finished:
        return "it says that all went well without the steps and last evaluation of its recipe"
    return ""


def _check_resumed(body: Sequence[Train | Eval | Resume | End], end: End) -> str:
    """That each part begins where the one before was, and no time was lost or made up."""
    trained, walls = 0, [0.0]
    for i, line in enumerate(body):
        if isinstance(line, Train):
            trained = line.step
        elif isinstance(line, Resume):
            after = next((x.step for x in body[i:] if isinstance(x, Train)), None)
            if line.step < trained or (after is not None and line.step > after):
                return "it was resumed where it had never been"
            walls.append(line.wall_s)
    if [*walls, end.wall_s] != sorted([*walls, end.wall_s]):
        return "its parts took less time together than alone"
    return ""


def _check_costs(end: End) -> str:
    """That a run that went well says what it took, so that tables can rely on it."""
    if end.status != "ok":
        return ""
    if not (end.ms and end.ms["p50"] and end.wait_ms and end.images_per_s):
        return "it says that all went well without a time"
    if end.memory.keys() not in ({"rss_mib"}, {"allocated_mib", "reserved_mib"}):
        return "it says that all went well without its memory"
    return ""


def _check_artefacts(end: End) -> str:
    if end.artefacts and end.status != "ok":
        return "it keeps artefacts of a training that did not go well"
    if any(FILES[name] != made.file for name, made in end.artefacts.items()):
        return "it calls an artefact by the name of another"
    return ""


def _check_counts(run: Run, e: Eval) -> str:
    if run.metric:
        return "" if run.metric in e.values else f"at step {e.step} it lacks {run.metric}"
    if e.source is None or e.target is None or len(run.data) != 2:
        return f"at step {e.step} it lacks the counts of a domain"
    sides = (("source", e.source), ("target", e.target))
    for (name, counts), domain in zip(sides, run.data.values(), strict=True):
        if problem := _wrong(counts, run.classes, domain.test.images):
            return f"at step {e.step} its counts on the {name} {problem}"
    return ""


def _wrong(c: Counts, classes: int, images: int) -> str:
    if {len(c.total), len(c.correct), len(c.predicted)} != {classes}:
        return f"are not of {classes} classes"
    if not images or sum(c.total) != images or sum(c.predicted) != images:
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
