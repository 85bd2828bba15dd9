"""A Ray cluster on this machine, whose nodes come and go. `nox -s ray` runs all of it."""

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from children import Children, environment, until
from execute.test_workers import digests, folder, prepare, run_of

from bench.engine.events import Ended, Event, Progressed, Started
from bench.engine.lab import Lab
from bench.errors import BenchError, UsageError
from bench.execute import parcel
from bench.execute.cluster import Ask, Cluster, Dispatch
from bench.execute.here import Here
from bench.execute.job import Job
from bench.execute.node import Desk, Sent, Trainee
from bench.execute.parcel import Parcel
from bench.runs import files, records
from bench.runs.cell import Cell
from bench.runs.progress import look

__all__ = ["folder"]  # a fixture
CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

slow_ray = pytest.mark.slow


@pytest.fixture
def nodes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster with a head that computes nothing, and the means to add nodes to it."""
    pytest.importorskip("ray")
    import ray
    from ray.cluster_utils import Cluster as Nodes

    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    head = {"num_cpus": 0, "include_dashboard": False}
    try:
        nodes = Nodes(initialize_head=True, head_node_args=head)
    except Exception:  # Ray gives it half a minute, which a busy machine may exceed
        nodes = Nodes(initialize_head=True, head_node_args=head)
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def make_executor(folder: Path, ask: Ask | None = None, **settings: Any) -> Cluster:
    lab = Lab(folder / "data", folder / "results", CPU, **settings)
    return Cluster(Here(lab), ask or Ask("cpu"))


def statuses(events: list[Event]) -> Counter[str]:
    return Counter(e.status for e in events if isinstance(e, Ended))


@slow_ray
def test_nodes_that_share_no_folder_run_each_cell_once(folder: Path, nodes: Any) -> None:
    for _ in range(2):
        nodes.add_node(num_cpus=1)
    cells = prepare(folder)
    events = list(make_executor(folder, keep=("logits", "weights")).run(cells))
    assert statuses(events) == {"ok": 4}
    assert {e.cell.key for e in events if isinstance(e, Progressed)} == {c.key for c in cells}
    assert all(
        e.path and e.path.is_relative_to(folder / "results") for e in events if isinstance(e, Ended)
    )
    assert list(Here(Lab(folder / "data", folder / "alone", CPU)).run(cells))
    assert digests(folder / "results") == digests(folder / "alone")
    assert len(list(folder.glob("results/tiny/**/*.weights.safetensors"))) == 4
    assert not list(folder.glob("results/**/*.checkpoint"))
    assert not list(folder.glob("results/.locks/*")), "leases are given back"
    assert statuses(list(make_executor(folder).run(cells))) == {"busy": 4}, "all is done"
    assert statuses(list(make_executor(folder).run(cells[:1], redo=True))) == {"ok": 1}


@slow_ray
def test_a_cell_whose_node_is_lost_goes_on_at_its_checkpoint_on_a_new_one(
    folder: Path, nodes: Any
) -> None:
    """A node is taken away while it trains, and another comes a while later."""
    first = nodes.add_node(num_cpus=1)
    (cell, *_) = prepare(folder, 800)
    executor = make_executor(folder, checkpoint_every=0.1)
    kept = files.locate_checkpoint(folder / "results" / cell.folder, cell.stem)
    events: list[Event] = []
    driver = Thread(target=lambda: events.extend(executor.run([cell])))
    driver.start()  # nodes can be started by the main thread alone
    until(kept.exists)
    nodes.remove_node(first, allow_graceful=False)
    time.sleep(1)
    nodes.add_node(num_cpus=1)
    driver.join()
    assert statuses(events) == {"ok": 1}
    begun = [e.step for e in events if isinstance(e, Started)]
    assert len(begun) == 2 and begun[0] == 0 < begun[1], "it went on, and not from the start"
    assert list(Here(Lab(folder / "data", folder / "alone", CPU)).run([cell]))
    assert digests(folder / "results") == digests(folder / "alone")
    assert len(records.list_files(folder / "results")) == 1 and not kept.exists()


@slow_ray
def test_what_a_command_had_at_a_cluster_goes_on_without_one(folder: Path, bench: Children) -> None:
    pytest.importorskip("ray")
    prepare(folder, 3000)
    child = bench.start(*run_of("--on", "ray", "--checkpoint-every", "0.2"))
    until(lambda: list(folder.glob("results/**/*.checkpoint")), seconds=150)
    child.send(signal.SIGINT)
    ended = child.wait()
    assert ended.code == 130 and "bench: interrupted; " in ended.err, ended.text
    left = next(folder.glob("results/**/*.checkpoint"))
    row, seed = left.parts[-3], left.name[1]  # of …/row/A-B/s0-….checkpoint
    again = bench.run(*run_of("--methods", row, "--seeds", seed))
    assert again.code == 0 and "goes on at iteration" in again.out, again.text


def test_without_ray_or_a_cluster_one_is_told_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = prepare(folder)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ray", None)
        with pytest.raises(UsageError, match=r'needs Ray: pip install "uda-bench\[ray\]"'):
            list(make_executor(folder).run(cells))


@slow_ray
def test_a_cluster_that_does_not_answer_is_one_sentence(folder: Path) -> None:
    pytest.importorskip("ray")
    cells = prepare(folder)
    with pytest.raises(
        BenchError, match=r"no Ray cluster answers at 127.0.0.1:1 .*`ray start --head`"
    ):
        list(make_executor(folder, Ask("cpu", address="127.0.0.1:1")).run(cells))


@slow_ray
def test_a_cluster_without_a_gpu_is_one_sentence(folder: Path, nodes: Any) -> None:
    with pytest.raises(BenchError, match="no node of the Ray cluster has a GPU: use --device cpu"):
        list(make_executor(folder, Ask("cuda")).run(prepare(folder)))


@slow_ray
def test_as_many_cells_are_sent_as_fit(folder: Path, nodes: Any) -> None:
    """Of logical GPUs, which Ray takes our word for."""
    import ray

    nodes.add_node(num_cpus=8, num_gpus=3)

    def dispatch(ask: Ask) -> Dispatch:
        executor = make_executor(folder, ask)
        return Dispatch(executor, ray, Job.of(executor.lab), todo=None)  # type: ignore[arg-type]

    two_each = dispatch(Ask("cuda", per_gpu=2))
    assert two_each._slots() == 6 and two_each._needs()["num_gpus"] == 0.5
    assert dispatch(Ask("auto", cpus=4))._slots() == 2, "cores are the limit"
    on_cpus = dispatch(Ask("cpu", cpus=2))
    assert on_cpus._slots() == 4 and on_cpus._needs()["num_gpus"] == 0


# what travels


def finished(folder: Path) -> tuple[Cell, Path]:
    (cell, *_) = prepare(folder, 10)
    lab = Lab(folder / "data", folder / "away", CPU, keep=("weights",))
    (*_, ended) = Here(lab).run([cell])
    assert isinstance(ended, Ended) and ended.path
    return cell, ended.path


def test_a_finished_record_travels_with_what_was_kept_of_it(folder: Path, tmp_path: Path) -> None:
    cell, path = finished(folder)
    sent, home = parcel.pack_finished(path), folder / "results"
    unfinished = Parcel(path.name, path.read_bytes()[:500], b"a checkpoint")
    parcel.unpack(unfinished, home, cell)
    assert parcel.pack(home, cell) == unfinished
    placed = parcel.unpack_finished(sent, home, cell, tmp_path / "scratch")
    assert placed == home / cell.folder / path.name and placed.read_bytes() == path.read_bytes()
    assert {p.name for p in placed.parent.iterdir()} == {p.name for p in path.parent.iterdir()}
    assert parcel.pack(home, cell) is None, "nothing is to go on"
    # an ended record is never replaced: the next attempt has the next number
    again = parcel.unpack_finished(
        Parcel(path.name, path.read_bytes(), None, sent.artefacts), home, cell, tmp_path / "b"
    )
    assert again.name == path.name.replace("-1.jsonl", "-2.jsonl")


def test_a_node_goes_on_where_an_interrupted_cell_had_got_to(folder: Path, tmp_path: Path) -> None:
    (cell, *_) = prepare(folder, 400)
    lab = Lab(folder / "data", folder / "results", CPU, checkpoint_every=1e-9)
    for _ in (running := Here(lab).run([cell])):
        if parcel.pack(lab.results, cell):
            running.close()
    begun = parcel.pack(lab.results, cell)
    assert begun
    earlier = begun.name.replace("-1.jsonl", "-7.jsonl")  # an attempt that ended at home
    sent = Sent(Job.of(lab), cell, False, 1, 1, taken=(begun.name, earlier), begun=begun)
    node = tmp_path / "node"
    Trainee(sent, None, node).lay_out(begun)
    assert (node / cell.folder / begun.name).read_bytes() == begun.record
    assert (node / cell.folder / earlier).exists()
    (progress,) = look([cell], node)
    assert progress.condition == "interrupted" and progress.step > 0


def test_a_record_that_was_damaged_on_its_way_is_refused(folder: Path, tmp_path: Path) -> None:
    cell, path = finished(folder)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    with pytest.raises(BenchError, match="the record of one A-B seed 0 was damaged on its way"):
        parcel.unpack_finished(Parcel(path.name, bytes(raw)), folder / "home", cell, tmp_path / "c")
    assert records.list_files(folder / "home") == []
    with pytest.raises(BenchError, match="has no end"):
        path.write_bytes(path.read_bytes()[:900])
        parcel.pack_finished(path)


def test_the_desk_keeps_the_newest_checkpoint_until_its_cell_ends() -> None:
    desk, old, new = Desk(), Parcel("a", b"1", b"old"), Parcel("a", b"2", b"new")
    desk.tell("event")
    desk.put("s0", old)
    desk.put("s0", new)
    assert desk.get("s0") == new and desk.get("s1") is None
    assert desk.take() == ["event", ("s0", old), ("s0", new)] and desk.take() == []
    desk.drop("s0")
    assert desk.get("s0") is None
