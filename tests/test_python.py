"""From Python: `bench.run`, `bench.records`, `bench.table`."""

import subprocess
import sys
from pathlib import Path

import fakes
import pytest
from helpers import write_pictures, write_suite

import bench
from bench.errors import BenchError, UsageError
from bench.runs import plan
from bench.suite import suites

LISTED = """
from torch.nn.functional import cross_entropy

from methods import Method


class Weighted(Method):
    \"\"\"L = (w_0 + w_1)·CE(y_s)\"\"\"

    def __init__(self, net, *, w: tuple[float, ...] = (1.0, 2.0)):
        super().__init__()
        if len(w) != 2:
            raise ValueError("w has two numbers")
        self.w = w

    def step(self, net, s, t, p):
        yield sum(self.w) * cross_entropy(net.C(net.F(s.x)), s.y)
"""
ROWS = {"one": {"method": "source_only"}, "two": {"method": "dann"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_pictures(tmp_path / "data", "A", "B")
    write_suite(tmp_path, rows=ROWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_a_grid_is_run_recorded_and_shown(folder: Path) -> None:
    frame = bench.run("tiny.toml", methods=["two"], seeds=range(2), data="data", device="cpu")
    assert list(frame["row"]) == ["two", "two"] and list(frame["seed"]) == [0, 1]
    assert set(frame["status"]) == {"ok"} and frame["last"].all() and (frame["step"] == 12).all()
    expected = 100 * frame["target_correct"] / frame["target_total"]
    assert (frame["target_accuracy"] == expected).all()
    again = bench.run("tiny.toml", methods=["two"], seeds=range(2), data="data", device="cpu")
    assert list(again["path"]) == list(frame["path"]), "what is done is not run again"
    changed = bench.run(
        "tiny.toml", methods=["two"], seeds=[0], data="data", device="cpu",
        override={"lr": 0.5, "hyper": {"lam": 0.25}},
    )  # fmt: skip
    assert changed.loc[0, "recipe.lr"] == 0.5 and changed.loc[0, "hyper.lam"] == 0.25
    assert len(bench.records()) == 3


def test_a_smoke_run_has_one_seed_and_a_task_without_data_is_left_out_as_from_the_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of the user's own is found, too: no name of a published set says where it is."""
    suite = folder / "tiny.toml"
    text = suite.read_text("utf-8").replace(
        "[domains.A]", '[domains.C]\nset = "folder"\npath = "C"\n\n[domains.A]'
    )
    text = text.replace(
        'tasks = ["A-B"]', 'tasks = ["A-B", "B-A", "A-C"]\noptional_tasks = ["B-A", "A-C"]'
    )
    suite.write_text(text, "utf-8")
    ask = {"methods": ["one"], "data": "data", "device": "cpu"}
    frame = bench.run("tiny.toml", seeds=[0], **ask)
    assert sorted(frame["task"]) == ["A-B", "B-A"]
    assert "A-C is left out, because the images of C are not there" in capsys.readouterr().out
    smoke = bench.run("tiny.toml", budget="smoke", tasks=["A-B"], **ask)
    assert list(smoke["seed"]) == [0]


def test_a_method_may_take_a_list_and_refuse_one(folder: Path) -> None:
    (folder / "methods").mkdir()
    (folder / "methods/weighted.py").write_text(LISTED)
    suite = folder / "tiny.toml"
    text = suite.read_text("utf-8")
    suite.write_text(f'{text}\n[[rows]]\nid = "w"\nlabel = "w"\nmethod = "weighted"\n', "utf-8")
    ask = {"methods": ["w"], "seeds": [0], "data": "data", "device": "cpu"}
    (other,) = bench.run("tiny.toml", **ask, override={"hyper": {"w": [2.0, 3.0]}})["key"]
    (plain,) = bench.run("tiny.toml", **ask)["key"]
    (stated,) = bench.run("tiny.toml", **ask, override={"hyper": {"w": [1.0, 2.0]}})["key"]
    assert plain == stated != other, "stating the default is no other training"
    with pytest.raises(
        UsageError, match="weighted refuses its hyper-parameters: w has two numbers"
    ):
        bench.run("tiny.toml", **ask, override={"hyper": {"w": [1.0]}})


def test_a_cell_that_diverges_ends_the_grid_unless_it_is_to_go_on(folder: Path) -> None:
    asked = {"seeds": [0], "data": "data", "device": "cpu", "override": {"lr": 1e30}}
    with pytest.raises(BenchError, match="a cell ended with diverged: see what is printed"):
        bench.run("tiny.toml", **asked)
    assert list(bench.records()["status"]) == ["diverged"], "the second cell was not begun"
    frame = bench.run("tiny.toml", **asked, keep_going=True)
    assert list(frame["status"]) == ["diverged"] * 2


def test_records_are_a_row_per_evaluation_with_every_knob_and_count(folder: Path) -> None:
    (cell,) = plan.cells(suites.find("tiny.toml"), methods=["two"])
    fakes.write(folder / "results", cell, (60.0, 70.0), generated=True)
    frame = bench.records("tiny")
    assert frame.equals(bench.records("tiny.toml")), "a suite by its name or by its file"
    assert list(frame["target_accuracy"]) == [60.0, 70.0] and list(frame["last"]) == [False, True]
    row = frame.iloc[-1]
    assert row["key"] == cell.key and row["recipe.lr"] == 0.001 and row["hyper.gamma"] == 10.0
    assert row["recipe.discriminator.hidden"] == [16] and row["generated"]
    assert row["data.source.test.images"] == 3000 and row["env.torch"] == "2.11.0"
    assert row["ms"] == 10.0 and row["wall_s"] == 60.0 and row["code.commit"] == "0123456789ab"
    assert bench.records("another").empty


@pytest.mark.slow
def test_seeds_are_added_until_they_tell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No verdict of a few steps is settled, so that all seeds are run that are allowed."""
    text = (folder / "tiny.toml").read_text().replace("seeds = 1", 'seeds = 2\nbaseline = "one"')
    (folder / "tiny.toml").write_text(text)
    frame = bench.run("tiny.toml", seeds="auto", max_seeds=3, data="data", device="cpu")
    assert sorted(zip(frame["row"], frame["seed"], strict=True)) == [
        (row, seed) for row in ("one", "two") for seed in range(3)
    ]
    with pytest.raises(UsageError, match="--max-seeds is about --seeds auto"):
        bench.run("tiny.toml", seeds=[0], max_seeds=3, data="data", device="cpu")
    again = bench.run("tiny.toml", seeds="0,2", methods=["one"], data="data", device="cpu")
    assert list(again["seed"]) == [0, 2]


def test_a_figure_is_one_of_matplotlib(folder: Path) -> None:
    for cell in plan.cells(suites.find("tiny.toml"), seeds=range(2)):
        fakes.write(folder / "results", cell, (60.0 + cell.seed,))
    figure = bench.figure("bars", "tiny.toml")
    assert type(figure).__module__ == "matplotlib.figure" and figure.axes
    with pytest.raises(UsageError, match="unknown figure 'bar'; did you mean 'bars'"):
        bench.figure("bar", "tiny.toml")


def test_a_record_that_does_not_count_has_its_reason(folder: Path) -> None:
    (cell,) = plan.cells(suites.find("tiny.toml"), methods=["two"])
    path = fakes.write(folder / "results", cell)
    path.write_bytes(path.read_bytes()[:-2])
    (row,) = bench.records("tiny").to_dict("records")
    assert row["status"] == "unfinished"
    path.write_bytes(b"{}\n")
    (row,) = bench.records().to_dict("records")
    assert row["status"] == "damaged" and "first line" in row["problem"]


def test_a_table_shows_itself(folder: Path) -> None:
    for cell in plan.cells(suites.find("tiny.toml"), seeds=range(3)):
        fakes.write(folder / "results", cell, (70.0 + cell.seed,))
    page = bench.table("tiny.toml")
    assert "71.00 ± 1.00 (3)" in page._repr_markdown_() == str(page) == repr(page) == page.markdown
    assert "71.00 ± 1.00 (3)" in page.html and page.html.startswith("<!")
    assert "\\begin{tabular}" in page.latex
    assert "Cost of Tiny" in bench.table("tiny.toml", cost=True).markdown


def test_what_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="unknown row 'tow'; did you mean 'two'"):
        bench.run("tiny.toml", methods=["tow"])
    with pytest.raises(UsageError, match="unknown suite"):
        bench.table("nonesuch")


def test_importing_bench_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import bench; print(*sorted(set(sys.modules) - before))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"torch", "pandas", "numpy", "pydantic", "rich", "typer"}
    assert not heavy & {name.split(".")[0] for name in said}
