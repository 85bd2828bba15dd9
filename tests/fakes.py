"""Records that no training made, in the form that `bench run` writes."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from bench.runs import plan
from bench.runs.artefacts import store
from bench.runs.cell import Cell, brief
from bench.runs.classes import mean_over_classes
from bench.runs.files import encode
from bench.runs.lines import (
    Artefact,
    ArtefactName,
    Code,
    Counts,
    End,
    Env,
    Eval,
    LoadedDomain,
    LoadedImages,
    Probe,
    Run,
    Spread,
    Train,
    Weights,
    YieldedLoss,
    plain,
)
from bench.runs.records import Evaluation, Record, Tally, read_record
from bench.runs.samples import Samples
from bench.suite import suites
from bench.suite.suite import Suite

GOLDEN = Path(__file__).parent / "golden" / "tables"
PER_CLASS = 1000  # images: accuracies are exact to 0.01 %


PROBE = Probe(subject="f" * 12, losses=(1.5, 1.25))


class Machine(NamedTuple):
    env: Env
    code: Code


CPU = Machine(
    Env(torch="2.11.0", device="cpu", cpu="Abacus 9", threads=1),
    Code(bench="0.1.0", commit="0123456789ab"),
)
GPU = Machine(
    Env(torch="2.11.0", device="cuda", cpu="Abacus 9", threads=1, gpu="Toy GPU"),
    Code(bench="0.1.0", commit="0123456789ab", dirty=True),
)


def toy() -> Suite:
    return suites.load(GOLDEN / "toy.toml")


def cell(
    suite: Suite, row: str, task: str, seed: int, budget: str = "full", **override: Any
) -> Cell:
    (found,) = plan.cells(
        suite, methods=[row], tasks=[task], seeds=[seed], budget=budget, override=override
    )
    return found


def counts(accuracy: float, classes: int = 10, constant: int | None = None) -> Counts:
    """An evaluation with that accuracy in %, every class alike; `constant`: the class that receives all predictions."""
    total = (PER_CLASS,) * classes
    if constant is not None:
        hit = tuple(PER_CLASS if k == constant else 0 for k in range(classes))
        return Counts(total=total, correct=hit, predicted=tuple(n * classes for n in hit))
    right = round(accuracy * PER_CLASS * classes / 100)
    correct = tuple(right // classes + (k < right % classes) for k in range(classes))
    return Counts(total=total, correct=correct, predicted=total)


def run_line(
    cell: Cell,
    machine: Machine = CPU,
    *,
    fingerprint: str = "f00d",
    weights: Weights | None = None,
    generated: bool = False,
    probe: Probe | None = PROBE,
    started: str = "2026-11-26T10:00:00Z",
) -> Run:
    """The first line of a record of a cell."""
    part = LoadedImages(images=PER_CLASS * cell.classes, fingerprint=fingerprint)
    domain = LoadedDomain(origin="fake", generated=generated, train=part, test=part)
    defaults = cell.hyper_all | {k: v for k, v in plain(dict(cell.hyper)).items()}
    return Run(
        key=cell.key, suite=cell.suite, row=cell.row, task=cell.task, budget=cell.budget, seed=cell.seed,
        method=cell.method, hyper=plain(cell.stated), hyper_all=defaults, classes=cell.classes,
        source=brief(cell.source[1]), target=brief(cell.target[1]),
        recipe=cell.recipe.model_dump(mode="json"), metric=cell.metric,
        data={cell.source[0]: domain, cell.target[0]: domain}, weights=weights or Weights(asked="none"),
        code=machine.code.model_copy(update={"probe": probe}), env=machine.env, started=started,
    )  # fmt: skip


def lines(
    cell: Cell,
    target: Sequence[float] = (80.0,),
    source: Sequence[float] | None = None,
    *,
    status: str | None = "ok",
    reason: str = "",
    constant: int | None = None,
    machine: Machine = CPU,
    ms: float = 10.0,
    **about: Any,
) -> list[Run | Train | Eval | End]:
    """The lines of a record with one evaluation for each accuracy given; status None: it never came to its end."""
    spread = Spread(p50=ms, p5=0.9 * ms, p95=1.5 * ms)
    wait = Spread(p50=ms / 20, p5=0.9 * ms / 20, p95=1.5 * ms / 20)
    memory = (
        {"rss_mib": 900.0}
        if machine.env.device == "cpu"
        else {"allocated_mib": 700.0, "reserved_mib": 1024.0}
    )
    length = cell.recipe.iterations
    out: list[Run | Train | Eval | End] = [run_line(cell, machine, **about)]
    if status == "ok":
        out.append(
            Train(
                step=length,
                n=length,
                warmup=False,
                loss=1.5,
                lr=0.01,
                ms=spread,
                wait_ms=wait,
                memory=memory,
            )
        )
        pairs = list(zip(target, source or [99.0] * len(target), strict=True))
        out += [
            Eval(
                step=length - len(pairs) + k,
                target=counts(t, cell.classes, constant), source=counts(s, cell.classes),
            )
            for k, (t, s) in enumerate(pairs, 1)
        ]  # fmt: skip
        out.append(
            End(
                status="ok", step=length, ms=spread, wait_ms=wait, images_per_s=2e3 * cell.recipe.batch / ms,
                memory=memory, data_mib=86.4, wall_s=60.0, finished="2026-11-26T10:01:00Z",
            )
        )  # fmt: skip
    elif status:
        out.append(End(status=status, reason=reason, wall_s=60.0, finished="2026-11-26T10:01:00Z"))  # type: ignore[arg-type]
    return out


def content(cell: Cell, *args: Any, **about: Any) -> bytes:
    """The bytes of such a record."""
    before = sha256()
    return b"".join(encode(line, before) for line in lines(cell, *args, **about))


def record(cell: Cell, *args: Any, attempt: int = 1, **about: Any) -> Record:
    """Such a record as plans and tables see it, without a file."""
    run, *rest = lines(cell, *args, **about)
    assert isinstance(run, Run)
    evals = tuple(
        Evaluation(e.step, _tally(e.source), _tally(e.target)) for e in rest if isinstance(e, Eval)
    )
    end = rest[-1] if rest and isinstance(rest[-1], End) else None
    return Record(Path("results", cell.folder, f"{cell.stem}-{attempt}.jsonl"), run, evals, end)


def write(root: Path, cell: Cell, *args: Any, attempt: int = 1, **about: Any) -> Path:
    """Such a record as a file below a results folder."""
    path = root / cell.folder / f"{cell.stem}-{attempt}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(cell, *args, **about))
    return path


def _tally(c: Counts | None) -> Tally | None:
    return c and Tally(
        sum(c.correct), sum(c.total), max(c.predicted), mean_over_classes(c.correct, c.total)
    )


def everything(suite: Suite) -> list[Record]:
    """Records of the toy suite that bring out every mark: the golden tables are made of them."""

    def r(
        row: str, task: str, seed: int, *target: float, budget: str = "full", **about: Any
    ) -> Record:
        return record(cell(suite, row, task, seed, budget), target, **about)

    file = Weights(
        asked="VGG16_Weights.IMAGENET1K_V1",
        file="w.pth",
        sha256="ab" * 32,
        dtypes=("float16",),
        head="random",
    )
    found = [r("plain", "A-B", s, 70.0, x) for s, x in enumerate((75.0, 75.3, 75.4))]
    found += [r("plain", "B-A", s, 60.0, x) for s, x in enumerate((62.0, 64.1, 63.2))]
    found += [
        r("dann", "A-B", s, 86.0 + s, x, machine=GPU, ms=4.0)
        for s, x in enumerate((82.9, 84.2, 83.1))
    ]
    found += [
        r("dann", "B-A", 0, 69.0, 70.4, machine=GPU, ms=5.0),
        r("dann", "B-A", 1, 0.0, 0.0, constant=3, machine=GPU, ms=5.0),
        r("dann", "B-A", 2, status="diverged", reason="the loss was no longer finite at iteration 17"),
        r("dann-strong", "A-B", 0, 90.0, 41.0, weights=file),
        r("dann-strong", "A-B", 1, status="failed", reason="OutOfMemoryError: CUDA out of memory"),
        r("dann-strong", "B-A", 0, status="failed", reason="KeyError"),
        r("dann-strong", "B-A", 0, 55.0, 54.0, attempt=2),
        r("nogrl", "A-B", 0, status=None),
        record(cell(suite, "nogrl", "A-B", 1, lr=0.003), (94.0,)),
        r("plain", "A-B", 0, 50.0, budget="smoke"),
        r("plain", "A-B", 0, 12.0, budget="timing", machine=GPU, ms=3.0),
        r("dann", "A-B", 0, 12.0, budget="timing", machine=GPU, ms=3.3),
        r("plain", "A-B", 0, 61.0, budget="short"),
        r("plain", "A-B", 1, 61.8, budget="short", fingerprint="beef"),
    ]  # fmt: skip
    return found


def generated(
    cell: Cell,
    values: Sequence[dict[str, float]],
    *,
    spread: Sequence[float] = (0.2, 0.3),
    ms: float = 50.0,
    machine: Machine = CPU,
    artefacts: dict[ArtefactName, Artefact] | None = None,
    status: str | None = "ok",
    reason: str = "",
    **about: Any,
) -> list[Run | Train | Eval | End]:
    """The lines of a record of a generator that was measured after equal parts of its training.

    values: those of each measurement. spread: deviation of D's and G's loss within each part.
    status None: it never came to its end.
    """
    length, parts = cell.recipe.iterations, len(values)
    time, wait = (Spread(p50=x, p5=0.9 * x, p95=1.5 * x) for x in (ms, ms / 20))
    out: list[Run | Train | Eval | End] = [run_line(cell, machine, **about)]
    for k, found in enumerate(values, 1):
        step, before = k * length // parts, (k - 1) * length // parts
        losses = tuple(YieldedLoss(mean=1.2 * i + 0.8 + 0.4 / k, sd=sd) for i, sd in enumerate(spread))  # fmt: skip
        out.append(
            Train(
                step=step, n=step - before, warmup=False, loss=3.6, losses=losses, lr=2e-4,
                ms=time, wait_ms=wait, memory={"rss_mib": 900.0},
            )
        )  # fmt: skip
        out.append(Eval(step=step, values=found))
    if status != "ok":
        ends = (
            [End(status=status, reason=reason, wall_s=60.0, finished="2026-11-26T10:01:00Z")]
            if status
            else []
        )  # type: ignore[arg-type]
        return [*out[:3], *ends]
    end = End(
        status="ok", step=length, ms=time, wait_ms=wait, images_per_s=2e3 * cell.recipe.batch / ms,
        memory={"rss_mib": 900.0}, data_mib=3.8, artefacts=artefacts or {}, wall_s=60.0,
        finished="2026-11-26T10:01:00Z",
    )  # fmt: skip
    return [*out, end]


def write_generated(
    root: Path, cell: Cell, values: Sequence[dict[str, float]], attempt: int = 1, **about: Any
) -> Record:
    """Such a record as a file below a results folder."""
    path, before = root / cell.folder / f"{cell.stem}-{attempt}.jsonl", sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    made = generated(cell, values, **about)
    path.write_bytes(b"".join(encode(line, before) for line in made))
    return read_record(path)


def keep_samples(root: Path, cell: Cell, steps: Sequence[int], pixels: Any) -> Artefact:
    """Images beside the first attempt at a cell. pixels: uint8, see `Samples`."""
    import numpy as np

    path = root / cell.folder / f"{cell.stem}-1.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    return store(path, "samples", Samples(np.array(steps), pixels).write)


def made() -> Suite:
    """The toy suite of generators."""
    return suites.load(GOLDEN / "made.toml")


LEVELS: dict[str, dict[str, float]] = {
    # row -> about what the seeds of a generator come to at the end
    "dcgan": {"frechet": 19.0, "clear": 0.88, "modes": 10.0},
    "cdcgan": {"frechet": 14.0, "clear": 0.96, "modes": 10.0, "consistency": 0.97},
    "cdcgan-blind": {"frechet": 17.0, "clear": 0.9, "modes": 10.0, "consistency": 0.11},
}
STYLES = {"z_slant": 0.8, "y_slant": 0.1}


def measurements(row: str, seed: int, parts: int = 4) -> list[dict[str, float]]:
    """Values of a generator's measurements: a Fréchet distance that falls, and differs by seed."""
    factor = 1 + (seed % 4 - 1) / 15
    steps = [dict(LEVELS[row]) for _ in range(parts)]
    for k, found in enumerate(steps, 1):
        found["frechet"] = round(found["frechet"] * factor * parts / k, 6)
    if row != "dcgan":
        steps[-1] |= {k: round(x * factor, 6) for k, x in STYLES.items()}
    return steps


def made_records(root: Path) -> list[Record]:
    """Records of the toy suite of generators that bring out every mark, as files."""
    suite = made()
    busy = CPU._replace(env=CPU.env.model_copy(update={"load": 9.0}))
    machines = {("cdcgan", 2): GPU, ("cdcgan-blind", 0): busy}
    found = []
    for row, seed in product(("dcgan", "cdcgan", "cdcgan-blind"), range(3)):
        values = measurements(row, seed)
        if (row, seed) == ("cdcgan-blind", 1):
            values[-1]["modes"] = 7.0
        about: dict[str, Any] = {"machine": machines.get((row, seed), CPU)}
        if (row, seed) == ("cdcgan-blind", 2):
            about |= {"status": "diverged", "reason": "the loss was no longer finite"}
        about |= {"spread": (0.3 - 0.02 * len(row) + 0.001 * len(row) * seed, 0.3), "ms": 40.0 + len(row) + seed**2}  # fmt: skip
        found.append(write_generated(root, cell(suite, row, "digits", seed), values, **about))
    short = cell(suite, "cdcgan", "digits", 0, "short")
    found.append(write_generated(root, short, measurements("cdcgan", 0, 2)))
    torn = cell(suite, "cdcgan", "digits", 1, "short")
    found.append(write_generated(root, torn, measurements("cdcgan", 1, 2), status=None))
    return found
