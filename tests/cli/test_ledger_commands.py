"""What the commands say of records that do not count, and how old ones are brought up to date."""

import json
import re
import shutil
from pathlib import Path

import pytest
from children import Children
from helpers import write_pictures, write_suite

from bench.runs import records

ROWS = {"one": {"method": "source_only"}, "two": {"method": "dann"}}
TINY = ("--suite", "tiny.toml", "--data", "data", "--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "data", "A", "B")
    write_suite(tmp_path, rows=ROWS)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, children: Children) -> Path:
    """Such a folder with the records of its two cells."""
    folder = tmp_path_factory.mktemp("trained")
    write_pictures(folder / "data", "A", "B")
    write_suite(folder, rows=ROWS)
    children.cwd = folder
    assert children.run("run", *TINY).code == 0
    return folder


@pytest.fixture
def recorded(trained: Path, tmp_path: Path) -> Path:
    """A copy of it for each test."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("results/tiny/*/*/*.jsonl"))


@pytest.mark.slow
def test_made_up_images_enter_no_table_whatever_their_folder_is_called(
    folder: Path, bench: Children
) -> None:
    """Those of `bench data generate`, read through `set = "folder"`."""
    made = bench.run("data", "generate", "officehome", "data", "--scale", "0.001")
    assert made.code == 0, made.text
    suite = folder / "tiny.toml"
    text = suite.read_text(encoding="utf-8").replace("classes = 3", "classes = 65")
    for name, domain in (("A", "Art"), ("B", "Clipart")):
        text = text.replace(f'path = "{name}"', f'path = "OfficeHome/{domain}"')
    suite.write_text(text.replace("[recipe]", '[recipe]\nresize = "nearest"'), encoding="utf-8")
    text = suite.read_text(encoding="utf-8").replace("split = 0.2\n", "")
    suite.write_text(text, encoding="utf-8")
    ran = bench.run("run", *TINY)
    assert ran.code == 0 and "2 ok; 0 of 2 cells pending" in ran.out, ran.text
    assert "2 of the cells saw made-up images alone" in ran.out
    plan = bench.run("run", *TINY, "--dry-run")
    assert "2 cells: 0 done, 2 made up, 0 pending" in plan.out
    again = bench.run("run", *TINY)
    assert again.out.count("already run on these made-up images") == 2
    assert len(files(folder)) == 2, "nothing is trained again"
    table = bench.run("tables", "--suite", "tiny.toml", "--format", "md", "--out", "out").out
    assert "Not measured, and nothing is published." in table
    assert "2 records of made-up images not counted" in table


@pytest.mark.parametrize(
    "flip", [200, *(pytest.param(n, marks=pytest.mark.slow) for n in (2000, -30))]
)
def test_a_damaged_record_is_named_and_the_rest_goes_on(
    flip: int, recorded: Path, bench: Children
) -> None:
    _, bad = files(recorded)
    raw = bytearray(bad.read_bytes())
    raw[flip] ^= 1
    bad.write_bytes(raw)
    plan = bench.run("run", *TINY, "--dry-run")
    assert plan.code == 0 and "2 cells: 1 done, 1 pending" in plan.out and plan.err == ""
    table = bench.run("tables", "--suite", "tiny.toml", "--format", "md", "--out", "out")
    assert table.code == 0 and f"{bad.name} is damaged" in table.out
    listed = bench.run("ls", "runs", "--suite", "tiny.toml")
    assert listed.code == 0 and "damaged" in listed.out and "counted" in listed.out
    shown = bench.run("show", bad)
    assert shown.code == 1 or "damaged" in shown.out
    healed = bench.run("run", *TINY)
    assert healed.code == 0 and "1 ok; 0 of 2 cells pending" in healed.out
    assert bad.read_bytes() == raw, "what was recorded stays"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"kind":"run","schema":1}', "run `bench convert`"),
        ('{"kind":"run","schema":9}', "a newer program wrote"),
        ("[[[[", "its first line is not the `run` line of a record"),
        (
            '{"kind":"run","schema":2,"env":{"gpu":[]},"key":7}',
            "is not one that this program writes",
        ),
    ],
)
def test_a_strange_record_takes_no_command_down(
    line: str, reason: str, recorded: Path, bench: Children
) -> None:
    strange = files(recorded)[0].with_name("s7-0123456789ab-1.jsonl")
    strange.write_text(line + "\n", encoding="utf-8")
    for command in (
        ("tables", "--suite", "tiny.toml", "--format", "md", "--out", "out"),
        ("tables", "--suite", "tiny.toml", "--cost", "--format", "md", "--out", "out"),
        ("ls", "runs", "--suite", "tiny.toml"),
        ("run", *TINY, "--dry-run"),
    ):
        ended = bench.run(*command)
        assert ended.code == 0 and "Traceback" not in ended.text, command
    assert reason in " ".join(bench.run("show", strange).err.split())
    page = (recorded / "out" / "tiny.md").read_text(encoding="utf-8")
    assert strange.name in page and reason in page


def test_no_record_names_a_folder_of_this_machine(folder: Path, bench: Children) -> None:
    """A suite may: absolute paths and those that leave the data folder are read, and not told."""
    (folder / "else" / "secret").mkdir(parents=True)
    (folder / "data" / "B").rename(folder / "else" / "secret" / "B")
    (folder / "data" / "A").rename(folder / "else" / "A")
    text = (folder / "tiny.toml").read_text(encoding="utf-8")
    text = text.replace('path = "A"', 'path = "../else/A"')
    text = text.replace('path = "B"', f'path = "{folder}/else/secret/B"')
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    ran = bench.run("run", *TINY, "--methods", "one")
    assert ran.code == 0 and "1 ok" in ran.out, ran.text
    (record,) = files(folder)
    said = record.read_text(encoding="utf-8")
    assert not any(word in said for word in (str(folder), "..", "secret", "else/"))
    run = records.read_record(record).run
    assert run and run.target["path"] == run.data["B"].origin.removeprefix("folder ")
    again = bench.run("run", *TINY, "--methods", "one", "--dry-run")
    assert "1 done, 0 pending" in " ".join(again.out.split())
    page = bench.run("tables", "--suite", "tiny.toml", "--format", "md", "--out", "out").out
    assert re.search(r"B, .* from folder outside/B-", page) and "secret" not in page

    moved = text.replace("else/secret", "data")
    (folder / "tiny.toml").write_text(moved, encoding="utf-8")
    other = bench.run("run", *TINY, "--methods", "one", "--dry-run")
    assert "1 cell: 0 done, " in " ".join(other.out.split()), (
        "another folder of the same last name is other data"
    )


def to_schema_1(path: Path) -> None:
    """A record as an older program would have written it."""
    run, *rest = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    code = run.pop("code")
    run |= {"schema": 1, "cell": "0123456789ab", "hyper": run.get("hyper", {})}
    run["env"] |= {"bench": code["bench"], "git": None}
    for domain in run["data"].values():
        domain.pop("generated"), domain.pop("classes", None)
    for name in ("key", "converted"):
        run.pop(name, None)
    for line in rest:
        for side in ("source", "target"):
            if line["kind"] == "eval":
                line[side].pop("confusion", None)
        for name in ("seal", "placement", "parameters"):
            line.pop(name, None)
    lines = (json.dumps(x, separators=(",", ":")) + "\n" for x in (run, *rest))
    path.unlink()
    (path.parent / "s0-0123456789ab-1.jsonl").write_text("".join(lines), encoding="utf-8")


@pytest.mark.slow
def test_older_records_are_converted_once_and_count_again(folder: Path, bench: Children) -> None:
    bench.run("run", *TINY)
    before = bench.run("tables", "--suite", "tiny.toml", "--format", "md", "--out", "out").out
    for path in files(folder):
        to_schema_1(path)
    assert "0 done, 2 pending" in bench.run("run", *TINY, "--dry-run").out
    listed = bench.run("convert", "--dry-run")
    assert listed.code == 0 and "2 records of schema 1 under results" in listed.out
    done = bench.run("convert")
    assert (done.code, done.out) == (0, "2 of 2 records of schema 1 converted under results\n")
    assert "2 cells: 2 done, 0 pending" in bench.run("run", *TINY, "--dry-run").out
    after = bench.run("tables", "--suite", "tiny.toml", "--format", "md", "--out", "out").out
    program = r"Program: .*"
    assert re.sub(program, "", after) == re.sub(program, "", before)
    assert "2 of 2 records without a probe of what their code does" in after
    assert "0 of 0 records" in bench.run("convert").out

    broken = files(folder)[0]
    to_schema_1(broken)
    (old,) = folder.glob("results/tiny/*/*/s0-0123456789ab-1.jsonl")
    old.write_text(
        old.read_text(encoding="utf-8")
        .replace('"dann"', '"dan"')
        .replace('"source_only"', '"sorce"'),
        encoding="utf-8",
    )
    failed = bench.run("convert")
    assert failed.code == 1 and "cannot be converted" in failed.err and old.exists()
    assert len(records.read_all(folder / "results")) == 2
