"""The executor of this process, and the screen that draws what it gives."""

from io import StringIO
from pathlib import Path

import pytest
import torch
from helpers import write_pictures, write_suite
from rich.console import Console

from bench.cli import screen
from bench.engine.clock import Lap
from bench.engine.events import Ended, Event, Progressed, Started, Substituted, Working
from bench.engine.executor import Executor
from bench.engine.lab import Lab
from bench.engine.loop import Window
from bench.errors import BenchError, UsageError
from bench.execute.here import Here
from bench.runs import plan, records
from bench.runs.plan import Cell
from bench.suite import suites

ROWS = {
    "bad": {"method": "source_only", "recipe": {"lr": 1e30}},
    "good": {"method": "source_only"},
}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_pictures(tmp_path / "data", "A", "B", each=5)
    return Lab(tmp_path / "data", tmp_path / "results", torch.device("cpu"))


def cells(folder: Path, budget: str = "full", **recipe: object) -> list[Cell]:
    return plan.cells(suites.load(write_suite(folder, rows=ROWS, **recipe)), budget=budget)


def ends(executor: Executor, cells: list[Cell], *, keep_going: bool = False) -> list[str]:
    events = executor.run(cells, keep_going=keep_going)
    return [f"{e.cell.row} {e.status}" for e in events if isinstance(e, Ended)]


@pytest.mark.slow
def test_a_cell_that_diverges_ends_the_grid_unless_it_is_to_go_on(lab: Lab, tmp_path: Path) -> None:
    asked = cells(tmp_path)
    assert ends(Here(lab), asked) == ["bad diverged"]
    assert ends(Here(lab), asked, keep_going=True) == ["bad busy", "good ok"], "bad is finished"


def test_what_is_missing_is_found_before_anything_runs(lab: Lab, tmp_path: Path) -> None:
    asked = cells(tmp_path)
    Here(lab).check(asked)
    nowhere = Lab(tmp_path / "none", lab.results, lab.device)
    with pytest.raises(BenchError, match="no folder"):
        Here(nowhere).check(asked)
    wrong = plan.cells(
        suites.load(tmp_path / "tiny.toml"), methods=["good"], override={"backbone": "vgg61"}
    )
    for ask in (Here(lab).check, lambda cells: list(Here(lab).run(cells))):
        with pytest.raises(UsageError, match="unknown backbone 'vgg61'; did you mean 'vgg16'"):
            ask([asked[1], *wrong])
    assert not lab.results.exists()


def test_what_the_system_refuses_is_the_end_of_the_cell(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence, also of a worker, whose traceback its parent would print."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error", "results/x")

    monkeypatch.setattr("bench.execute.here.run_cell", refuse)
    told = [e for e in Here(lab).run(cells(tmp_path)) if isinstance(e, Ended)]
    assert [(e.status, e.reason) for e in told] == [
        ("error", "the system refuses: Input/output error (results/x)")
    ]


def test_a_smoke_run_tells_which_domains_were_made_up(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "none", tmp_path / "results", torch.device("cpu"))
    *_, last = Here(lab).run(cells(tmp_path, "smoke")[1:])
    assert last == Substituted(("A", "B"), tmp_path / "none")


def test_domains_are_read_once_for_equal_requests(lab: Lab, tmp_path: Path) -> None:
    bad, good = cells(tmp_path)
    (smaller,) = cells(tmp_path, size=24, backbone="vgg16")[1:]
    assert lab.domains(bad)[0] is lab.domains(good)[0]
    assert lab.domains(smaller)[0] is not lab.domains(good)[0]


def test_a_terminal_shows_a_bar_for_each_running_cell(tmp_path: Path) -> None:
    one, two = cells(tmp_path)
    window = Window(6, Lap([10.0] * 6, [1.0] * 6), [[0.5]] * 6, 0.1)
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with screen.Screen(console) as drawn:
        events: list[Event] = [
            Started(one), Started(two), Progressed(two, window), Progressed(one, window),
        ]  # fmt: skip
        for event in events:
            drawn.draw(event)
    running = out.getvalue()
    drawn.draw(Ended(two, "failed", "no [memory]", out_of_memory=True))
    drawn.draw(Ended(one, "busy", "another process is running it"))
    assert "bad A-B seed 0" in running and "good A-B seed 0" in running
    assert "6/12" in running and "loss 0.500, 800 images/s" in running
    assert drawn.tally == {"out of memory": 1, "busy": 1}
    assert "good A-B seed 0: failed: no [memory]" in out.getvalue()
    assert "bad A-B seed 0: busy: another process is running it" in out.getvalue()


def test_a_terminal_shows_how_far_decoding_and_evaluating_are(tmp_path: Path) -> None:
    (one, _), out = cells(tmp_path), StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with screen.Screen(console) as drawn:
        for event in (
            Working("decoding A", 320, 2000),
            Started(one),
            Working("evaluating it", 5, 9),
        ):
            drawn.draw(event)
        drawn._progress.refresh()
        shown = out.getvalue()
        drawn.draw(Working("decoding A", 2000, 2000))
        drawn.draw(Ended(one, "failed", "in the middle of an evaluation"))
        assert drawn._progress.tasks == [], "no bar outlives what it is about"
    assert "decoding A" in shown and "320/2,000" in shown
    assert "evaluating it" in shown and "5/9" in shown


def test_without_a_terminal_a_line_a_minute_says_how_far_a_run_is(tmp_path: Path) -> None:
    one, two = cells(tmp_path)
    window = Window(6, Lap([10.0] * 6, [1.0] * 6), [[0.5]] * 6, 0.1)
    out, now = StringIO(), [0.0]
    drawn = screen.Screen(Console(file=out, width=120), clock=lambda: now[0])
    said = []
    for at, event in (
        (0, Started(one)), (59, Progressed(one, window)), (60, Progressed(one, window)),
        (61, Working("evaluating it", 400, 900)), (121, Working("evaluating it", 800, 900)),
        (170, Ended(one, "busy", "why")), (190, Working("decoding A", 1, 2000)),
        (229, Started(two)), (230, Working("decoding A", 1500, 2000)),
    ):  # fmt: skip
        now[0] = at
        drawn.draw(event)
        said.append(out.getvalue().splitlines()[sum(map(len, said)) :])
    lines = [
        "bad A-B seed 0: 6 of 12 iterations, loss 0.500, 800 images/s",
        "evaluating it: 800 of 900 images",
        "bad A-B seed 0: busy: why",
        "decoding A: 1,500 of 2,000 images",
    ]
    assert said == [[], [], [lines[0]], [], [lines[1]], [lines[2]], [], [], [lines[3]]]


def test_decoding_and_evaluating_tell_how_far_they_are(lab: Lab, tmp_path: Path) -> None:
    told: list[Working] = []
    lab.listener = told.append
    cell = cells(tmp_path)[1]
    assert list(Here(lab).run([cell]))[-1].status == "ok"  # type: ignore[union-attr]
    by_subject: dict[str, list[tuple[int, int]]] = {}
    for w in told:
        by_subject.setdefault(w.subject, []).append((w.done, w.total))
    assert list(by_subject) == ["decoding A", "decoding B", f"evaluating {cell}"]
    assert by_subject["decoding A"][-2:] == [(12, 12), (3, 3)], "train, then test"
    (half, whole) = by_subject[f"evaluating {cell}"]
    assert (half, whole) == ((3, 6), (6, 6)), "the test images of both domains"


def test_a_screen_that_is_gone_is_no_fault_of_the_training(lab: Lab, tmp_path: Path) -> None:
    """`bench run | head -1` closes the pipe while the cell decodes its images or is evaluated."""
    told: list[Working] = []

    def gone(event: Working) -> None:
        told.append(event)
        raise BrokenPipeError

    lab.listener = gone
    assert list(Here(lab).run([cells(tmp_path)[1]]))[-1].status == "ok"  # type: ignore[union-attr]
    assert told


def test_an_end_tells_whether_the_rest_is_worth_starting(tmp_path: Path) -> None:
    cell = cells(tmp_path)[0]
    stops = {
        s: Ended(cell, s).stops_the_rest for s in ("ok", "busy", "diverged", "failed", "error")
    }  # type: ignore[arg-type]
    assert stops == {"ok": False, "busy": False, "diverged": True, "failed": True, "error": True}
    assert not Ended(cell, "failed", out_of_memory=True).stops_the_rest
    assert records.read_all(tmp_path) == []
