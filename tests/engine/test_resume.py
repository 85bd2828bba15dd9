"""Interrupted anywhere and gone on from its checkpoint, a run ends as one that never was: to the bit."""

import errno
import json
import os
import pickle
import resource
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from engine.test_training import RECIPE, differences
from helpers import needed, write_suite

from bench.engine import checkpoint
from bench.engine.checkpoint import Stale
from bench.engine.clock import Lap
from bench.engine.events import Ended, Started, Unsaved
from bench.engine.interrupts import Interrupted, Interrupts
from bench.engine.lab import Lab
from bench.engine.lines import WARMUP, Costs, Spell
from bench.engine.loop import Window
from bench.engine.run import run_cell
from bench.engine.uda import UDA
from bench.errors import BenchError
from bench.runs import files, plan, records
from bench.runs.cell import Cell
from bench.runs.files import Place
from bench.runs.lease import Lost
from bench.suite import catalog, suites
from methods import Batch

CPU = torch.device("cpu")
LENGTH, EVERY = 14, 6  # iterations, and those between two evaluations
TIMES = {"ms", "wait_ms", "memory", "images_per_s", "wall_s", "started", "finished", "seal", "env"}


def make_cell(folder: Path, method: str = "dann", **recipe: Any) -> Cell:
    rows = {"only": {"method": method}}
    settings = RECIPE | {"iterations": LENGTH, "eval_every": EVERY} | needed(method) | recipe
    (cell,) = plan.cells(suites.load(write_suite(folder, rows=rows, **settings)))
    return cell


class Cut(UDA):
    """Is sent a signal at one moment: while it makes a batch, or while it measures."""

    at: tuple[str, int] | None = None  # which, and the iterations done then

    def batches(self, step: int) -> tuple[Batch, Batch]:
        self._strike("batch", step)
        return super().batches(step)

    def measure(self, net: Any, method: Any, step: int) -> Any:
        self._strike("measure", step)
        return super().measure(net, method, step)

    def _strike(self, what: str, step: int) -> None:
        if self.at == (what, step):
            if what == "measure":
                torch.rand(5)  # whoever measures may draw random numbers
            signal.raise_signal(signal.SIGTERM)


def cut_at(what: str, step: int) -> type[UDA]:
    return type("Cut", (Cut,), {"at": (what, step)})


def go(cell: Cell, lab: Lab, task: type[UDA] = UDA) -> list[Any]:
    """The events of a run, up to its interruption or its end."""
    events = []
    try:
        events += iter(run_cell(cell, lab, make_task=task))
    except Interrupted:
        events.append("interrupted")
    return events


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of the one record, without what a clock or a machine says, and resumptions."""
    (record,) = records.read_all(folder)
    assert record.status == "ok", record.problem or record.end
    lines = [json.loads(line) for line in record.path.read_text("utf-8").splitlines()]
    return [
        {k: v for k, v in line.items() if k not in TIMES}
        for line in lines
        if line["kind"] != "resume"
    ]


def resumptions(folder: Path) -> list[int]:
    (record,) = records.read_all(folder)
    lines = map(json.loads, record.path.read_text("utf-8").splitlines())
    return [line["step"] for line in lines if line["kind"] == "resume"]


def fresh(lab: Lab, folder: Path, **changes: Any) -> Lab:
    return replace(lab, results=folder, **changes)


QUICK = ("dann",)
MOMENTS = [("batch", 3), ("measure", EVERY), ("batch", EVERY), ("batch", 13), ("measure", LENGTH)]


@pytest.mark.parametrize(
    "method",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in catalog.adapting()],
)
def test_interrupted_again_and_again_it_ends_with_the_same_record(
    method: str, lab: Lab, tmp_path: Path
) -> None:
    cell = make_cell(tmp_path, method)
    go(cell, fresh(lab, tmp_path / "whole"))
    cut = fresh(lab, tmp_path / "cut")
    for moment in MOMENTS:
        assert go(cell, cut, cut_at(*moment))[-1] == "interrupted", moment
    (started, *_, ended) = go(cell, cut)
    assert isinstance(started, Started) and started.step == LENGTH and ended.status == "ok"
    assert lines_of(cut.results) == lines_of(tmp_path / "whole")
    assert resumptions(cut.results) == [4, EVERY, EVERY + 1, LENGTH, LENGTH]
    assert [p.suffix for p in (tmp_path / "cut/tiny/only/A-B").iterdir()] == [".jsonl"]


@pytest.mark.slow
def test_a_second_signal_does_not_wait_and_the_older_checkpoint_stays(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, cut = make_cell(tmp_path), fresh(lab, tmp_path / "cut")

    class Twice(UDA):
        def batches(self, step: int) -> tuple[Batch, Batch]:
            if step == 9:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            return super().batches(step)

    go(cell, cut, cut_at("batch", 3))
    monkeypatch.setattr("bench.engine.interrupts.TOGETHER", 0.0)
    assert go(cell, cut, Twice)[-1] == "interrupted"
    go(cell, cut)
    go(cell, fresh(lab, tmp_path / "whole"))
    assert resumptions(cut.results) == [4]
    assert lines_of(cut.results) == lines_of(tmp_path / "whole")


def test_it_is_written_at_intervals_and_what_came_later_is_made_again(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every iteration is one second by a clock of the test; the run is left without a signal."""
    cell = make_cell(tmp_path)
    cut, now = fresh(lab, tmp_path / "cut", checkpoint_every=5.0), [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    kept: list[bytes] = []

    class Dies(UDA):
        def batches(self, step: int) -> tuple[Batch, Batch]:
            now[0] += 1
            path = next((tmp_path / "cut").rglob("*.checkpoint"), None)
            if path and (not kept or kept[-1] != path.read_bytes()):
                kept.append(path.read_bytes())
            if step == 13:  # as after SIGKILL: nothing is written any more
                raise SystemExit
            return super().batches(step)

    with pytest.raises(SystemExit):
        go(cell, cut, Dies)
    assert len(kept) == 2
    (started, *_) = go(cell, cut)
    assert started.step == 10
    go(cell, fresh(lab, tmp_path / "whole"))
    assert lines_of(cut.results) == lines_of(tmp_path / "whole")


def test_without_checkpoints_nothing_is_left(lab: Lab, tmp_path: Path) -> None:
    cell, cut = make_cell(tmp_path), fresh(lab, tmp_path / "cut", checkpoint_every=0.0)
    go(cell, cut, cut_at("batch", 9))
    assert not list((tmp_path / "cut").rglob("*.checkpoint"))
    (started, *_) = go(cell, cut)
    assert started.step == 0 and started.anew == ""


def test_fresh_begins_anew(lab: Lab, tmp_path: Path) -> None:
    cell, cut = make_cell(tmp_path), fresh(lab, tmp_path / "cut")
    go(cell, cut, cut_at("batch", 9))
    (started, *_) = go(cell, replace(cut, fresh=True), cut_at("batch", 0))
    assert started.step == 0, "and the old checkpoint is gone, although this one was cut, too"
    (started, *_) = go(cell, cut)
    assert started.step == 1
    assert not list((tmp_path / "cut").rglob("*.checkpoint"))
    assert sum(r.complete for r in records.read_all(tmp_path / "cut")) == 1


# a checkpoint that is not to be gone on from


@pytest.fixture
def left(lab: Lab, tmp_path: Path) -> tuple[Cell, Lab, Path]:
    """A cell that was interrupted at iteration 9, and its checkpoint."""
    cell, cut = make_cell(tmp_path), fresh(lab, tmp_path / "cut")
    go(cell, cut, cut_at("batch", 8))
    return cell, cut, next((tmp_path / "cut").rglob("*.checkpoint"))


def refuse(cell: Cell, lab: Lab, word: str) -> None:
    """The run begins anew, says why, and ends well; the old record stays as it is."""
    before = {p: p.read_bytes() for p in lab.results.rglob("*.jsonl")}
    started, *_, ended = go(cell, lab)
    assert isinstance(started, Started) and started.step == 0
    assert word in started.anew, started.anew
    assert isinstance(ended, Ended) and ended.status == "ok"
    assert all(p.read_bytes() == data for p, data in before.items())
    assert not list(lab.results.rglob("*.checkpoint"))


def test_a_checkpoint_that_was_cut_or_changed_at_any_byte_is_refused(left: Any) -> None:
    cell, cut, path = left
    whole, run = path.read_bytes(), records.read_all(cut.results)[0].run
    for at in range(0, len(whole), max(1, len(whole) // 300)):
        path.write_bytes(whole[:at])
        with pytest.raises(Stale, match="not whole"):
            checkpoint.read(path, run)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Stale, match="not whole"):
            checkpoint.read(path, run)
    path.write_bytes(whole[:-100])
    refuse(cell, cut, "it is not whole")


def test_what_it_says_survives_the_file(left: Any) -> None:
    _, cut, path = left
    found = checkpoint.read(path, records.read_all(cut.results)[0].run)
    assert found and found.state.step == 9 and found.measured == EVERY
    assert [len(w.loss) for w in found.state.parts] == [9 - LENGTH // 2], (
        "the warm-up ends after half of so few"
    )
    again = path.with_name("again")
    checkpoint.write(again, found)
    assert differences(checkpoint.read(again, found.run), found) == []


class Evil:
    def __reduce__(self) -> Any:
        return (os.mkdir, ("owned",))


@pytest.mark.parametrize("what", ["code", "another file of torch", "another version"])
def test_no_code_of_a_file_is_run(what: str, left: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, cut, path = left
    monkeypatch.chdir(cut.results)
    if what == "code":
        torch.save({"format": 1, "net": Evil()}, path)
    elif what == "another version":
        torch.save({"format": checkpoint.FORMAT + 1}, path)
    else:
        path.write_bytes(pickle.dumps({"format": 1}))
    raw = path.read_bytes()
    path.write_bytes(raw + checkpoint.sha256(raw).hexdigest().encode())
    refuse(cell, cut, "another version" if what == "another version" else "did not write it")
    assert not Path("owned").exists()


def test_what_is_not_as_it_was_is_named(left: Any) -> None:
    _, cut, path = left
    run = records.read_all(cut.results)[0].run
    data = {k: d.model_copy(update={"test": d.train}) for k, d in run.data.items()}
    probe = run.code.probe.model_copy(update={"losses": (1.0,)})
    env = run.env
    changes = {
        "of another cell": {"key": "0123456789ab"},
        "of other images": {"data": data},
        "of other pretrained": {"weights": run.weights.model_copy(update={"sha256": "1" * 64})},
        "of other pretrained weights": {
            "weights": run.weights.model_copy(update={"tensors": "1" * 64})
        },
        "trains otherwise": {"code": run.code.model_copy(update={"probe": probe})},
        "with torch": {"env": env.model_copy(update={"torch": "1.0"})},
        "on a CPU, and this is H200": {"env": env.model_copy(update={"gpu": "H200"})},
        "threads": {"env": env.model_copy(update={"threads": env.threads + 1})},
    }
    for word, change in changes.items():
        with pytest.raises(Stale, match=word):
            checkpoint.read(path, run.model_copy(update=change))
    assert checkpoint.read(path, run)


@pytest.mark.parametrize("harm", ["gone", "changed", "shorter", "ended"])
def test_a_record_that_is_not_what_it_was_begins_anew(harm: str, left: Any) -> None:
    cell, cut, path = left
    (record,) = [r.path for r in records.read_all(cut.results)]
    raw = record.read_bytes()
    if harm == "gone":
        record.unlink()
    elif harm == "ended":  # killed after the record's end and before the checkpoint was removed
        kept = path.read_bytes()
        go(cell, cut)
        path.write_bytes(kept)
    else:
        record.write_bytes(raw[:-5] if harm == "shorter" else raw.replace(b"only", b"lone", 1))
    word = {"gone": "cannot be read", "ended": "has ended"}.get(harm, "is not what it was")
    refuse(cell, cut, word)


def test_what_was_written_after_the_checkpoint_is_made_again(left: Any, tmp_path: Path) -> None:
    cell, cut, _ = left
    (record,) = [r.path for r in records.read_all(cut.results)]
    with record.open("ab") as file:
        file.write(b'{"kind":"train","step":10,"n":1,"wa')  # torn by a kill
    go(cell, cut)
    (read,) = records.read_all(cut.results)
    assert read.status == "ok" and resumptions(cut.results) == [9]


def test_a_full_disk_is_said_and_the_training_goes_on(lab: Lab, tmp_path: Path) -> None:
    """A limit on the size of files, as of a full disk: the record fits, a checkpoint does not."""
    cell, cut = make_cell(tmp_path), fresh(lab, tmp_path / "cut", checkpoint_every=1e-9)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        events = go(cell, cut)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    unsaved = [e for e in events if isinstance(e, Unsaved)]
    assert unsaved and "no checkpoint of it could be written" in unsaved[0].reason
    assert events[-1].status == "ok"
    assert [p.suffix for p in (tmp_path / "cut/tiny/only/A-B").iterdir()] == [".jsonl"]


def test_a_checkpoint_that_cannot_be_replaced_stays(left: Any) -> None:
    _, cut, path = left
    found, whole = checkpoint.read(path, records.read_all(cut.results)[0].run), path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        with pytest.raises(OSError):
            checkpoint.write(path, found)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == whole and not list(path.parent.glob("*.part"))


def refuse_once(monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    """The next line that begins so is written in part, and then the disk is full for a moment."""
    write, rest = os.write, [beginning]  # what is waited for: the line, then what is left of it

    def written(fd: int, data: bytes) -> int:
        if not rest or not bytes(data).startswith(rest[0]):
            return write(fd, data)
        if rest.pop() != beginning:
            raise OSError(errno.ENOSPC, "No space left on device")
        rest.append(data[7:])
        return write(fd, data[:7])

    monkeypatch.setattr(os, "write", written)


@pytest.mark.parametrize("kind", ["train", "eval", "end"])
def test_a_disk_that_is_full_for_a_moment_is_no_outcome_of_a_training(
    kind: str, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is recorded as failed, although the disk would take that sentence again."""
    cell, cut = make_cell(tmp_path), fresh(lab, tmp_path / "cut", checkpoint_every=1e-9)
    go(cell, fresh(lab, tmp_path / "whole"))
    refuse_once(monkeypatch, f'{{"kind":"{kind}"'.encode())
    with pytest.raises(Lost, match=r"No space left on device.*free space"):
        go(cell, cut)
    (record,) = records.read_all(cut.results)
    assert record.status == "unfinished"
    (started, *_) = go(cell, cut)
    assert started.step > 0 and lines_of(cut.results) == lines_of(tmp_path / "whole")


def test_what_was_killed_in_the_middle_of_a_checkpoint_leaves_nothing_in_the_end(left: Any) -> None:
    cell, cut, path = left
    path.with_name(f"{path.name}.part").write_bytes(path.read_bytes()[:99])
    go(cell, replace(cut, checkpoint_every=0.0))
    assert [p.suffix for p in path.parent.iterdir()] == [".jsonl"]


def test_a_checkpoint_that_cannot_be_removed_takes_nothing_from_the_run(
    left: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, cut, path = left

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.files, "drop_leftovers", refuse)
        assert go(cell, cut)[-1].status == "ok" and path.exists()


def test_a_result_that_cannot_be_read_is_not_made_again(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the cell would count twice once it can be."""
    cell, cut = make_cell(tmp_path), fresh(lab, tmp_path / "cut")
    go(cell, cut)
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.suffix == ".jsonl":
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no index"))
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(BenchError, match="may hold the result of this cell, and it cannot be read"):
        list(run_cell(cell, cut, redo=False))
    assert len(list(cut.results.rglob("*.jsonl"))) == 1


# the record


def lines(folder: Path) -> list[dict[str, Any]]:
    (record,) = records.read_all(folder)
    return [json.loads(line) for line in record.path.read_text("utf-8").splitlines()]


def test_the_parts_take_their_time_together(left: Any) -> None:
    cell, cut, _ = left
    go(cell, cut)
    *body, end = lines(cut.results)
    (resume,) = [x for x in body if x["kind"] == "resume"]
    assert 0 < resume["wall_s"] < end["wall_s"]
    assert resume["env"].get("threads", 1) == torch.get_num_threads()


@pytest.mark.parametrize("change", [{"step": 3}, {"step": 14}, {"wall_s": 1e6}])
def test_a_resumption_that_cannot_have_been_is_damage(change: dict[str, Any], left: Any) -> None:
    cell, cut, _ = left
    go(cell, cut)
    (record,) = records.read_all(cut.results)
    content = files.read(record.path)
    out = files.Writer(record.path.with_name("s0-000000000000-9.jsonl"), -1)
    raw, sha = b"", checkpoint.sha256()
    for text in record.path.read_text("utf-8").splitlines()[1:]:
        line = files.LINE.validate_json(text)
        line = line.model_copy(update=change) if line.kind == "resume" else line
        line = line.model_copy(update={"seal": ""}) if line.kind == "end" else line
        raw += files.encode(line, sha) if raw else b""
        if not raw:
            raw = files.encode(content.run, sha) + files.encode(line, sha)
    assert "damaged" in files.parse(raw).problem and out.path


def window(step: int, n: int, ms: float = 1.0) -> Window:
    return Window(step, Lap([ms] * n, [ms / 2] * n), [[0.0]] * n, 0.1)


def test_times_count_on_the_first_machine_and_after_each_warm_up() -> None:
    costs = Costs()
    costs.add(window(10, 10, 9.0), {"rss_mib": 5.0}, warmup=True)
    costs.add(window(50, 40, 1.0), {"rss_mib": 7.0})
    here = [Spell(60, away=False)]
    costs.add(window(100, 50, 2.0), {"rss_mib": 8.0}, here)
    assert costs.ms == [1.0] * 40 + [2.0] * (50 - WARMUP)
    away = [*here, Spell(100, away=True)]
    costs.add(window(150, 50, 3.0), {"rss_mib": 99.0}, away)
    back = [*away, Spell(150, away=False)]
    costs.add(window(200, 50, 4.0), {"rss_mib": 6.0}, back)
    assert costs.ms[80:] == [4.0] * (50 - WARMUP) and costs.memory == {"rss_mib": 8.0}
    assert costs.settle()[0] == costs.ms and len(costs.wait_ms) == len(costs.ms)


def test_a_run_that_was_never_warm_has_the_times_of_its_warm_up() -> None:
    costs = Costs()
    costs.add(window(5, 5, 9.0), {"rss_mib": 5.0}, [Spell(2, away=True)])
    assert costs.settle() == ([9.0] * 2, [4.5] * 2)


def test_a_window_in_parts_is_the_window() -> None:
    parts = [replace(window(3, 3, 1.0), whole=False), window(5, 2, 2.0)]
    joined = Window.join(parts)
    assert (joined.step, joined.lap.ms, len(joined.loss)) == (5, [1.0] * 3 + [2.0] * 2, 5)


def test_a_place_is_of_a_record_of_this_folder(tmp_path: Path) -> None:
    assert "of no record" in files.check_place(tmp_path, Place("../s0-0123456789ab-1.jsonl", 0, ""))


# signals


def test_signals_wait_for_the_end_of_what_is_held() -> None:
    done = []
    with Interrupts() as interrupts:
        with interrupts.held():
            signal.raise_signal(signal.SIGHUP)
            done.append("all of it")
        assert done and interrupts.settled
        with pytest.raises(Interrupted) as caught:
            interrupts.check()
    assert caught.value.number == signal.SIGHUP
    assert isinstance(caught.value, KeyboardInterrupt)


def test_outside_of_it_a_signal_does_not_wait_and_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts(), pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_was_half_done_is_not_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.engine.interrupts.TOGETHER", 0.0)
    with Interrupts() as interrupts:
        with pytest.raises(Interrupted), interrupts.held():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        assert not interrupts.settled


def test_signals_that_come_together_are_one() -> None:
    """A scheduler sends several, to every process: none may cut short what the first asked for."""
    with Interrupts() as interrupts:
        with pytest.raises(Interrupted) as e:
            with interrupts.held():
                signal.raise_signal(signal.SIGUSR2)
                signal.raise_signal(signal.SIGTERM)
            assert interrupts.settled
            interrupts.check()
        assert e.value.number == signal.SIGUSR2
        signal.raise_signal(signal.SIGTERM)  # while the checkpoint is written


def test_a_signal_that_nobody_asked_for_is_raised_in_the_end() -> None:
    with pytest.raises(Interrupted), Interrupts() as interrupts, interrupts.held():
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_is_ignored_stays_ignored_and_threads_have_none() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    found = []
    thread = threading.Thread(target=lambda: found.append(Interrupts().__enter__()._before))
    thread.start(), thread.join()
    assert found == [{}]


@pytest.mark.slow
def test_a_copied_folder_goes_on_as_the_first(left: Any, tmp_path: Path) -> None:
    """As on another disk: nothing in a checkpoint is about where it lies."""
    cell, cut, _ = left
    shutil.copytree(cut.results, tmp_path / "copy")
    go(cell, cut), go(cell, replace(cut, results=tmp_path / "copy"))
    assert lines_of(cut.results) == lines_of(tmp_path / "copy")
