"""A task that measures no accuracy, from its batches to its record and the line on the screen."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch
from helpers import write_suite
from rich.console import Console
from torch import Tensor, nn

from bench.cli import screen
from bench.engine.events import Ended, Event, Measured, Progressed, Started
from bench.engine.lab import Lab
from bench.engine.run import run_cell
from bench.engine.task import Materials, Placement, Task
from bench.errors import BenchError
from bench.execute.here import Here
from bench.report.write.render import render_accuracies
from bench.runs import files, lines, plan, records
from bench.runs.cell import Cell
from bench.runs.lease import Busy
from bench.suite import suites
from methods import Batch, Method, Network

CPU = torch.device("cpu")


class Meet(Method):
    """L = ‖mean F(x_s) − mean x_t‖²"""

    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        yield (net.F(s.x).mean(0) - t.x.mean(0)).square().sum()


class Clouds(Task):
    """Moves a cloud of points in the plane onto another; measures how far apart their means are."""

    def __init__(self, cell: Cell, lab: Lab) -> None:
        self.cell, self.lab = cell, lab
        self.calls: list[str] = []
        generator = torch.Generator().manual_seed(cell.seed)
        self.points = torch.randn(64, 2, generator=generator)

    def describe(self) -> Materials:
        points = lines.LoadedImages(images=len(self.points), fingerprint="ab" * 8)
        plane = lines.LoadedDomain(origin="drawn", generated=False, train=points, test=points)
        return Materials({"plane": plane}, lines.Weights(asked="none"))

    def build(self) -> tuple[Network, Method]:
        self.calls.append("build")
        net = Network(
            nn.Linear(2, 2), nn.Identity(), dim=2, classes=2, discriminator=lambda n: nn.Identity()
        )
        return net, Meet()

    def open(self) -> None:
        self.calls.append("open")

    def batches(self, step: int) -> tuple[Batch, Batch]:
        keep = torch.arange(step, step + self.cell.recipe.batch) % len(self.points)
        nobody = torch.zeros(len(keep), dtype=torch.long)
        return Batch(self.points[keep], nobody), Batch(self.points[keep] + 3, nobody)

    @torch.no_grad()
    def measure(self, net: Network, method: Method, step: int) -> lines.Eval:
        assert not net.training and not method.training
        apart = net.F(self.points).mean(0) - (self.points + 3).mean(0)
        values = {"distance": round(apart.norm().item(), 4), "across": abs(apart[0].item())}
        return lines.Eval(step=step, values=values)

    def placement(self) -> Placement:
        return Placement(0.5, {"plane": "cpu"})

    def close(self) -> None:
        self.calls.append("close")


METRIC = 'metric = { name = "distance", title = "Distance between the means", better = "lower" }'


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    path = write_suite(tmp_path, iterations=40, eval_every=20, lr=0.05)
    text = path.read_text(encoding="utf-8").replace("seeds = 1", f"seeds = 1\n{METRIC}")
    path.write_text(text, encoding="utf-8")
    (cell,) = plan.cells(suites.load(path))
    return cell


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "no data", tmp_path / "results", CPU)


def made(tasks: list[Clouds], kind: type[Clouds] = Clouds) -> Any:
    """A maker of tasks that keeps them in the list."""

    def make(cell: Cell, lab: Lab) -> Task:
        tasks.append(kind(cell, lab))
        return tasks[-1]

    return make


def test_a_distance_is_measured_and_recorded(cell: Cell, lab: Lab) -> None:
    tasks: list[Clouds] = []
    events: list[Event] = list(run_cell(cell, lab, make_task=made(tasks)))
    assert tasks[0].calls == ["build", "open", "close"]
    kinds = [type(e) for e in events]
    assert kinds == [Started, Progressed, Progressed, Measured, Progressed, Measured, Ended]
    assert all(e.cell is cell for e in events)  # type: ignore[union-attr]
    measured = [e for e in events if isinstance(e, Measured)]
    steps = [e.window.step for e in events if isinstance(e, Progressed)]
    assert [e.found.step for e in measured] == [20, 40] and steps == [10, 20, 40]

    end = events[-1]
    assert isinstance(end, Ended) and end.status == "ok" and end.path
    content = files.read(end.path)
    assert content.problem == "" and content.run and content.end and content.end.status == "ok"
    assert list(content.evals) == [e.found for e in measured]
    first, last = (e.values["distance"] for e in content.evals)
    assert last < 0.5 < first, "it was trained"
    assert content.run.data["plane"].origin == "drawn"
    assert content.end.data_mib == 0.5 and content.end.placement == {"plane": "cpu"}
    assert plan.states([cell], [records.read_record(end.path)])[0].label == "done"


@pytest.mark.slow
def test_a_table_shows_what_it_measured_and_no_accuracy(tmp_path: Path, lab: Lab) -> None:
    """From the events of three seeds to a page: nothing outside the task assumes an accuracy."""
    path = write_suite(tmp_path, rows={"moved": {"method": "source_only"}}, lr=0.05, iterations=40)
    text = path.read_text(encoding="utf-8").replace("seeds = 1", f"seeds = 3\n{METRIC}")
    claim = '[[published]]\nlabel = "we"\nrow = "moved"\ncite = "ganin2016dann"\nwhere = "t. 1"\n'
    path.write_text(text + claim + "values = { A-B = 9.5 }\n", encoding="utf-8")
    suite = suites.load(path)
    cells = plan.cells(suite)
    assert all(e.status == "ok" for e in Here(lab, Clouds).run(cells) if isinstance(e, Ended))
    found = records.read_all(lab.results)
    values = [r.evals[-1].values["distance"] for r in found]
    page = render_accuracies(suite, found)
    assert "## Distance between the means (full budget, last step)" in page
    assert f"| **moved** | {mean(values):.2f} ± {stdev(values):.2f} (3) |" in " ".join(page.split())
    assert "differs" in page and "Accuracy on" not in page
    plain = suites.load(
        write_suite(
            tmp_path / "plain", rows={"moved": {"method": "source_only"}}, lr=0.05, iterations=40
        )
    )
    assert plan.cells(plain)[0].key != cells[0].key, "another measurement is another run"


def test_an_executor_runs_it_and_the_screen_says_what_it_measured(cell: Cell, lab: Lab) -> None:
    out = StringIO()
    tally = screen.Screen(Console(file=out, width=300)).follow(Here(lab, Clouds).run([cell]))
    (record,) = records.read_all(lab.results)
    assert tally == {"ok": 1}
    distance = record.evals[-1].values["distance"]
    assert f"only A-B seed 0: distance {distance}, across " in out.getvalue()


class Drawn(Clouds):
    fingerprint = "ab" * 8

    def describe(self) -> Materials:
        points = lines.LoadedImages(images=len(self.points), fingerprint=self.fingerprint)
        plane = lines.LoadedDomain(origin="drawn", generated=True, train=points, test=points)
        return Materials({"plane": plane}, lines.Weights(asked="none"))


class DrawnOtherwise(Drawn):
    fingerprint = "cd" * 8


@pytest.mark.slow
def test_a_cell_is_run_once_on_made_up_images_and_again_on_others(cell: Cell, lab: Lab) -> None:
    """They never count for it, and are no reason to begin it whenever the grid is."""
    *_, end = run_cell(cell, lab, redo=False, make_task=Drawn)
    assert isinstance(end, Ended) and end.status == "ok"
    with pytest.raises(Busy, match="already run on these made-up images; --redo runs it again"):
        list(run_cell(cell, lab, redo=False, make_task=Drawn))
    for task, redo in ((DrawnOtherwise, False), (Drawn, True)):
        *_, end = run_cell(cell, lab, redo=redo, make_task=task)
        assert isinstance(end, Ended) and end.status == "ok"
    assert len(records.read_all(lab.results)) == 3


@pytest.mark.slow
def test_a_network_is_drawn_by_the_seed_of_its_cell(cell: Cell, lab: Lab) -> None:
    drawn: list[Tensor] = []

    class Kept(Clouds):
        def build(self) -> tuple[Network, Method]:
            net, method = super().build()
            drawn.append(net.F.weight.detach().clone())
            return net, method

    for seed in (0, 1, 0):
        torch.manual_seed(7)
        list(run_cell(cell.with_seed(seed), lab, make_task=Kept))
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])


class Missing(Clouds):
    def __init__(self, cell: Cell, lab: Lab) -> None:
        raise BenchError("there are no points; draw some")


class Broken(Clouds):
    def build(self) -> tuple[Network, Method]:
        raise BenchError("these points are of another plane; draw others")


class Late(Clouds):
    def measure(self, net: Network, method: Method, step: int) -> lines.Eval:
        raise ZeroDivisionError("no points")


class Explodes(Meet):
    def step(self, net: Network, s: Batch, t: Batch, p: float) -> Iterator[Tensor]:
        (loss,) = super().step(net, s, t, p)
        yield loss * (float("nan") if round(40 * p) == 12 else 1.0)


class Diverges(Clouds):
    def build(self) -> tuple[Network, Method]:
        return super().build()[0], Explodes()


def test_a_training_that_diverges_ends_there_and_says_at_which_iteration(
    cell: Cell, lab: Lab
) -> None:
    *_, end = run_cell(cell, lab, make_task=Diverges)
    assert isinstance(end, Ended) and end.status == "diverged" and end.path
    assert end.reason == "the loss was no longer finite at iteration 13"
    content = files.read(end.path)
    assert [w.step for w in content.train] == [10, 20] and content.evals == ()
    assert content.train[0].loss is not None and content.train[1].loss is None
    assert content.end and content.end.ms is None and content.end.status == "diverged"


def test_what_a_task_misses_before_its_run_leaves_no_record(cell: Cell, lab: Lab) -> None:
    with pytest.raises(BenchError, match="there are no points"):
        list(run_cell(cell, lab, make_task=Missing))
    (end,) = Here(lab, Missing).run([cell])
    assert end == Ended(cell, "error", "there are no points; draw some")
    assert records.list_files(lab.results) == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Broken, "these points are of another plane; draw others"),
        (Late, "ZeroDivisionError: no points"),
    ],
)
def test_a_task_that_fails_is_closed_and_its_run_recorded_as_failed(
    kind: type[Clouds], reason: str, cell: Cell, lab: Lab
) -> None:
    tasks: list[Clouds] = []
    *_, end = run_cell(cell, lab, make_task=made(tasks, kind))
    assert isinstance(end, Ended) and (end.status, end.reason) == ("failed", reason)
    assert tasks[0].calls[-1] == "close"
    (record,) = records.read_all(lab.results)
    assert record.complete and record.end and record.end.reason == reason


def test_a_run_that_nobody_follows_to_its_end_is_no_result(cell: Cell, lab: Lab) -> None:
    tasks: list[Clouds] = []
    events = run_cell(cell, lab, make_task=made(tasks))
    assert isinstance(next(events), Started) and isinstance(next(events), Progressed)
    events.close()
    assert tasks[0].calls[-1] == "close"
    (record,) = records.read_all(lab.results)
    assert not record.complete
    *_, end = run_cell(cell, lab, redo=False, make_task=Clouds)  # the lock is free again
    assert isinstance(end, Ended) and end.status == "ok"
