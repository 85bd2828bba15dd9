"""What `bench ls`, `bench show` and `bench doctor` print."""

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import DownloadColumn, Progress, TaskID
from rich.table import Table

import bench
from bench import paths
from bench.runs import records
from bench.runs.records import Record
from bench.suite import catalog, suites
from bench.suite.presets import Preset
from bench.suite.suites import Suite


def show(console: Console, title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print one table; columns without names print without a header."""
    columns = list(columns)
    table = Table(title=title, title_justify="left", show_header=any(columns))
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if x is None else escape(str(x)) for x in row))
    console.print(table)


def list_suites(console: Console, chosen: list[Suite]) -> None:
    rows = ((s.name, s.title, len(s.rows), len(s.tasks), len(s.published)) for s in chosen)
    show(console, "suites", ("name", "title", "rows", "tasks", "claims"), rows)


def list_presets(console: Console, found: list[Preset]) -> None:
    show(console, "presets", ("name", "what it follows", "read in"), ((p.name, p.title, p.source) for p in found))


def list_knobs(console: Console, a: str, b: str, found: list[tuple[str, Any, Any]]) -> None:
    rows = ((knob, *("none" if v is None else compact(v) for v in sides)) for knob, *sides in found)
    show(console, f"{a} and {b}", ("knob", a, b), rows)


def list_methods(console: Console) -> None:
    known = catalog.methods().values()
    rows = ((e.name, e.summary, " ".join(f"{k}={v}" for k, v in e.hyper.items())) for e in known)
    show(console, "methods", ("name", "what it does", "hyper-parameters and defaults"), rows)


def list_tasks(console: Console, chosen: list[Suite]) -> None:
    rows = ((s.name, task, " ".join(r.id for r in s.rows)) for s in chosen for task in s.tasks)
    show(console, "tasks", ("suite", "task", "rows"), rows)


def list_runs(console: Console, chosen: list[Suite], root: Path) -> None:
    """One line per record, torn ones too. A plain path list when not on a terminal would lose the state, so it is a table."""
    found = [r for s in chosen for r in records.read_all(root / s.name)]
    rows = ((*(r.run[k] for k in ("budget", "seed")), r.status, score(r, "target"), r.path.relative_to(root)) for r in found)
    show(console, f"runs under {root}", ("budget", "seed", "status", "target %", "record"), rows)


def score(r: Record, on: str, at: int = -1) -> str:
    """Accuracy on a test set at one of the evaluations, %; '-' when there was none."""
    if not r.evals:
        return "-"
    e = r.evals[at][on]
    return f"{100 * sum(e['correct']) / sum(e['total']):.2f}"


def show_record(console: Console, r: Record) -> None:
    """All that one record holds but its training windows."""
    facts = {k: v for k, v in r.run.items() if k not in ("kind", "schema")}
    show(console, r.path.name, ("", ""), ((k, compact(v)) for k, v in facts.items()))
    evals = ((e["step"], score(r, "source", i), score(r, "target", i)) for i, e in enumerate(r.evals))
    show(console, "evaluations", ("step", "source %", "target %"), evals)
    show(console, f"end: {r.status}", ("", ""), ((k, compact(v)) for k, v in (r.end or {}).items() if k != "kind"))


@contextmanager
def downloads(console: Console) -> Iterator[Callable[[str, int, int | None], None]]:
    """A progress bar per file, told (name, bytes so far, bytes in all if known)."""
    with Progress(*Progress.get_default_columns(), DownloadColumn(), console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done, total=total)

        yield tell


def compact(v: Any) -> str:
    """A nested value on one line: 'lr 0.01, weight_decay (F 0, C 0.02)'"""
    if isinstance(v, dict):
        return ", ".join(f"{k} ({compact(x)})" if isinstance(x, dict) else f"{k} {compact(x)}" for k, x in v.items())
    return "[" + ", ".join(map(compact, v)) + "]" if isinstance(v, list) else str(v)


def show_installation(console: Console, root: Path) -> None:
    """Python, torch, GPU, memory, the data found under `root`, and which `bench` this is."""
    import torch

    from bench.data import doctor
    from bench.datasets import sets
    from bench.engine import env

    rows: list[tuple[str, object]] = [
        ("bench", f"{bench.__version__} from {paths.PACKAGE}"),
        ("code", compact(env.git() or "not a checkout")),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        ("cpu", f"{env.cpu()}, {os.cpu_count()} cores, {env.memory_gib():.1f} GiB"),
    ]
    for i in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(i)
        rows.append((f"cuda:{i}", f"{gpu.name}, {gpu.total_memory / 2**30:.1f} GiB, driver {env.driver()}"))
    if not torch.cuda.is_available():
        rows.append(("gpu", "none that torch can use: runs go to the CPU"))
    rows.append(("data", root))
    rows += [(f"  {name}", doctor.where(name, root) or f"not found: bench data get {name}") for name in sets.names()]
    rows.append(("suites", ", ".join(suites.names())))
    show(console, "bench doctor", ("", ""), rows)
