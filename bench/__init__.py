"""Published numbers of unsupervised domain adaptation beside measured ones.

    import bench

    bench.run("demo", methods=["dann"], seeds=range(3))   # trains what is not yet recorded
    bench.records("demo")                                 # a DataFrame, a row per evaluation
    bench.table("demo")                                   # shows itself in a notebook
    bench.figure("bars", "demo")                          # a figure of matplotlib
    bench.load_model("s0-0123456789ab-1")                 # a module, of a run that kept its weights

The same as the commands `bench run` and `bench tables`; whatever is slow to import is imported when
a function is called.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.paths import VERSION

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from bench.engine.model import Model
    from bench.report.numbers.selection import Select
    from bench.report.write.render import Rendered

__version__ = VERSION
__all__ = ["figure", "load_model", "records", "run", "table"]


def run(
    suite: str = "demo",
    *,
    methods: Iterable[str] | None = None,
    tasks: Iterable[str] | None = None,
    seeds: Iterable[int] | str | None = None,
    max_seeds: int | None = None,
    budget: str = "full",
    override: Mapping[str, Any] | None = None,
    data: str | Path | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    results: str | Path | None = None,
    redo: bool = False,
    keep_going: bool = False,
    keep: Iterable[str] = (),
    checkpoint_every: float = 300.0,
    fresh: bool = False,
    workers: int | None = None,
    per_gpu: int | None = None,
) -> "DataFrame":
    """Train what is not yet recorded; returns `records` of the cells asked for.

    suite: a name or a .toml file. methods: ids of rows. seeds: numbers, or a text as --seeds takes
    it; "auto": those of the suite, then one more at a time until every verdict is settled, up to
    max_seeds. override: knobs otherwise than the suite says, {"lr": 0.003, "hyper": {"lam": 0.5}}.
    data, weights, results: as --data, --weights and --results of `bench run`. redo: also cells that
    are done. keep_going: also after a failure. keep: what each cell leaves beside its record, of
    "logits", "features", "maps", "samples" and "weights". checkpoint_every, fresh, workers,
    per_gpu: as the options of `bench run`.
    Raises UsageError for what does not exist and, unless keep_going, BenchError when a cell fails
    or diverges, which leaves those after it unrun. Ctrl-C loses no finished cell.
    """
    from functools import partial

    from bench import paths
    from bench.cli.run import choose_seeds, choose_tasks, run_here, train_cells
    from bench.cli.settle import AUTO, prepare_settling
    from bench.cli.where import Where
    from bench.errors import BenchError
    from bench.report.numbers.frame import tidy
    from bench.runs import artefacts, plan
    from bench.runs.records import read_all
    from bench.suite import suites

    wanted, where = artefacts.check_names(keep), Where(device, "here", workers, per_gpu)
    chosen = suites.find(suite)
    if tasks is None:
        tasks = choose_tasks(chosen, _path(data), budget)
    make_cells = partial(
        plan.cells, chosen, methods=methods, tasks=tasks, budget=budget, override=override
    )
    root = paths.results_root(_path(results), smoke=budget == "smoke")
    auto = AUTO if isinstance(seeds, str) and seeds == AUTO else None
    settling = prepare_settling(auto, max_seeds, chosen, make_cells, root, budget)
    if seeds is None or isinstance(seeds, str):
        seeds = None if settling else choose_seeds(seeds, budget)
    cells = make_cells(seeds=seeds)
    todo = [s.cell for s in plan.states(cells, read_all(root)) if redo or not s.done]
    if todo or settling:
        here = partial(
            run_here, _path(data), root, _path(weights),
            keep=wanted, checkpoint_every=checkpoint_every, fresh=fresh,
        )  # fmt: skip
        tally, added = train_cells(todo, settling, where, here, keep_going=keep_going, redo=redo)
        cells += added
        if (failed := set(tally) - {"ok", "busy"}) and not keep_going:
            raise BenchError(f"a cell ended with {', '.join(sorted(failed))}: see what is printed")
    states = plan.states(cells, read_all(root))
    return tidy(r for s in states if (r := s.done or s.failed))


def records(suite: str | None = None, *, results: str | Path | None = None) -> "DataFrame":
    """Every record below the results folder, whether it counts or not: a row per evaluation.

    suite: only the records that this suite asked for. The columns are those of
    `bench.report.numbers.frame.tidy`.
    """
    from bench import paths
    from bench.report.numbers.frame import tidy
    from bench.runs.records import read_all
    from bench.suite.suites import name_of

    found, name = read_all(paths.results_root(_path(results))), suite and name_of(suite)
    return tidy(r for r in found if name is None or (r.run and r.run.suite == name))


def table(
    suite: str = "demo",
    *,
    select: "Select" = "last",
    cost: bool = False,
    results: str | Path | None = None,
) -> "Rendered":
    """The page of a suite, measured beside published; in a notebook it shows itself.

    select: which evaluation of a run counts. cost: time and memory instead of accuracy.
    Its texts are `.markdown`, `.html` and `.latex`.
    """
    from bench import paths
    from bench.report.write.render import Rendered
    from bench.runs.records import read_all
    from bench.suite import suites

    found = read_all(paths.results_root(_path(results)))
    return Rendered(suites.find(suite), tuple(found), select, cost)


def figure(
    name: str,
    suite: str = "demo",
    *,
    select: "Select" = "last",
    budget: str = "full",
    methods: Iterable[str] | None = None,
    tasks: Iterable[str] | None = None,
    results: str | Path | None = None,
) -> "Figure":
    """A figure of a suite, as matplotlib's Figure; in a notebook it shows itself.

    name: "forest", "bars", "curves", …, as `bench figures --help` lists them. methods: ids of rows.
    Raises UsageError, in a sentence, where there is nothing to show.
    """
    from bench import paths
    from bench.report.figures import draw
    from bench.runs.records import read_all
    from bench.suite import suites

    found = read_all(paths.results_root(_path(results)))
    return draw(
        name, suites.find(suite), found,
        select=select, budget=budget, methods=methods, tasks=tasks,
    )  # fmt: skip


def load_model(
    record: str | Path, *, results: str | Path | None = None, device: str = "auto"
) -> "Model":
    """The trained network of a run that kept its weights (--keep weights), in evaluation mode.

    record: a file, or a name as `bench ls runs` prints it. `model(x)` takes normalized images,
    float (B, 3, H, W), and gives logits (B, classes); `model.preprocess(picture)` makes such an x
    of a PIL image, and `model.classes` names the classes. Raises BenchError, in a sentence, when
    the record kept no weights or they are absent or damaged.
    """
    from bench import paths
    from bench.engine.lab import find_device
    from bench.engine.model import load_model
    from bench.runs.records import find_record

    path = find_record(str(record), paths.results_root(_path(results)))
    return load_model(path, find_device(device))


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
