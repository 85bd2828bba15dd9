"""Record files: written whole or not counted, read without raising whatever happened to them."""

import json
import os
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fakes
import pytest
from helpers import write_suite
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.runs import files, plan
from bench.runs.cell import Cell
from bench.runs.files import Writer, create, parse, read
from bench.runs.lines import Code, Env, Probe, Run, Train, now, plain, text
from bench.suite import suites


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    rows = {"only": {"method": "dann", "hyper": {"lam": 0.5}}}
    suite = suites.load(write_suite(tmp_path_factory.mktemp("suite"), rows=rows))
    return plan.cells(suite)[0]


@pytest.fixture(scope="module")
def whole(cell: Cell) -> bytes:
    return fakes.content(cell, (70.0, 80.0))


def write(out: Writer, cell: Cell, **about: Any) -> None:
    for line in fakes.lines(cell, (70.0, 80.0), **about):
        out.line(line)


def test_what_was_written_is_read(tmp_path: Path, cell: Cell, whole: bytes) -> None:
    with create(tmp_path / cell.folder, cell.stem) as out:
        write(out, cell)
    assert (
        out.path == tmp_path / cell.folder / f"{cell.stem}-1.jsonl"
        and out.path.read_bytes() == whole
    )
    found = read(out.path)
    assert found.problem == "" and found.run and found.run.key == cell.key
    assert [found.run, *found.train, *found.evals] == fakes.lines(cell, (70.0, 80.0))[:-1]
    assert (
        found.end
        and found.end.model_copy(update={"seal": ""}) == fakes.lines(cell, (70.0, 80.0))[-1]
    )


def test_a_record_cut_at_any_byte_is_read_and_counts_only_when_whole(whole: bytes) -> None:
    first = whole.index(b"\n") + 1
    held = 0
    for n in range(len(whole) + 1):
        found = parse(whole[:n])
        assert (found.run is not None) == (n >= first)
        assert (found.end is not None) == (n == len(whole))
        assert found.problem == "" or n < first, (
            "a file that is being written is unfinished, not damaged"
        )
        lines = len(found.train) + len(found.evals) + (found.end is not None)
        assert lines >= held, "more bytes never hold less"
        held = lines
    assert held == 4


def test_every_flip_of_every_bit_makes_it_no_result(whole: bytes) -> None:
    for n in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[n] ^= 1 << bit
            assert parse(bytes(flipped)).end is None, (n, bit)


EDITS: dict[str, tuple[str, Any]] = {
    # what a forger might write who knows how to seal: the path of a value and what to put there
    "more right than there are": ("target.correct.0", 10**6),
    "a class too few": ("target.total", [1000, 1000]),
    "more predictions than images": ("source.predicted.0", 1001),
    "a step beyond the recipe": ("step", 99),
    "a number as a text": ("step", "12"),
    "a truth value as a number": ("step", True),
    "a negative count": ("target.correct.0", -1),
    "an unknown field": ("surprise", 1),
    "no images at all": ("target.total", [0, 0, 0]),
    "no counts of the target": ("target", None),
    "a class too few among the hits": ("target.correct", [800, 800]),
    "more images than the test set has": ("target.total.0", 1001),
    "a matrix of other hits": (
        "target.confusion",
        [[700, 300, 0], [300, 700, 0], [0, 0, 1000]],
    ),
    "a confusion matrix of something else": ("target.confusion", [[1, 0, 0]] * 3),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_contradicts_itself_is_damaged_even_when_it_is_sealed(edit: str, whole: bytes) -> None:
    path, value = EDITS[edit]
    assert "damaged" in parse(resealed(whole, 3, path, value)).problem


FORGED: dict[str, tuple[str, Any]] = {
    "another seed": ("seed", 7),
    "another recipe": ("recipe.lr", 0.5),
    "another hyper-parameter": ("hyper.lam", 0.25),
    "another method": ("method", "nogrl"),
    "other data": ("source.path", "Z"),
    "a knob that nobody knows": ("recipe.sorcery", True),
    "another key": ("key", "0123456789ab"),
    "no length": ("recipe.iterations", None),
    "a length in words": ("recipe.iterations", "12"),
    "two spellings of one knob": ("recipe.optimiser", "sgd"),
    "no classes": ("classes", 0),
    "one domain": ("data", {}),
    "a metric that nobody measured": ("metric", "distance"),
    "two values of one hyper-parameter": ("hyper_all.lam", 0.25),
}


@pytest.mark.parametrize("edit", FORGED)
def test_a_key_that_is_not_of_what_it_says_it_ran_is_damaged(edit: str, whole: bytes) -> None:
    assert "damaged" in parse(resealed(whole, 0, *FORGED[edit])).problem


@pytest.mark.parametrize(
    "edit", [("suite", "other"), ("row", "other"), ("task", "A-C"), ("budget", "short")]
)
def test_names_are_not_what_a_key_is_of(edit: tuple[str, str], whole: bytes) -> None:
    assert parse(resealed(whole, 0, *edit)).end is not None


def resealed(raw: bytes, line: int, path: str, value: Any) -> bytes:
    """A record with one value replaced and a seal that fits again."""
    lines = [json.loads(x) for x in raw.splitlines()]
    *parts, last = path.split(".")
    place: Any = lines[line]
    for part in parts:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[int(last) if isinstance(place, list) else last] = value
    return sealed(lines)


def sealed(lines: list[Any]) -> bytes:
    """A record of these lines, the last one sealed."""
    from hashlib import sha256

    lines[-1].pop("seal")
    dumped = [json.dumps(x, separators=(",", ":")) for x in lines]
    body = ("\n".join(dumped)[:-1] + ',"seal":"').encode()
    return body + sha256(body).hexdigest().encode() + b'"}\n'


ENDS: dict[str, tuple[str, Any]] = {
    "no time": ("ms", {"p50": None, "p5": None, "p95": None}),
    "no throughput": ("images_per_s", None),
    "no memory": ("memory", {}),
    "memory of no known kind": ("memory", {"teraquads": 3.0}),
    "a step too few": ("step", 11),
}


@pytest.mark.parametrize("edit", ENDS)
def test_a_run_that_says_ok_says_what_it_took(edit: str, whole: bytes) -> None:
    assert "damaged" in parse(resealed(whole, -1, *ENDS[edit])).problem


TWICE: dict[str, tuple[tuple[int, str, Any], ...]] = {
    # what only two edits can forge: the line, the path of a value and what to put there
    "no last evaluation": ((2, "step", 10), (3, "step", 11)),
    "no last window": ((1, "step", 11), (1, "n", 11)),
    "iterations that are missing": ((1, "n", 11),),
    "two evaluations after one step": ((2, "step", 12),),
    "evaluations out of order": ((2, "step", 12), (3, "step", 11)),
    "more right than there are images": (
        (3, "target.predicted", [1400, 800, 800]), (3, "target.correct.0", 1200),
    ),
    "more right than were predicted": (
        (3, "target.predicted.0", 700), (3, "target.predicted.1", 1300),
    ),
    "a percentile that nobody asked for": ((4, "ms.p99", 1.0),),
}  # fmt: skip


@pytest.mark.parametrize("edit", TWICE)
def test_what_contradicts_other_lines_is_damaged(edit: str, whole: bytes) -> None:
    for line, path, value in TWICE[edit]:
        whole = resealed(whole, line, path, value)
    found = parse(whole)
    assert "damaged" in found.problem and "seal" not in found.problem


def test_a_record_with_two_ends_is_damaged(whole: bytes) -> None:
    lines = [json.loads(x) for x in whole.splitlines()]
    lines.insert(3, {"kind": "end", "status": "failed", "wall_s": 1.0, "finished": now()})
    assert parse(sealed(lines)).problem == "damaged: it does not end with its one `end` line"


def test_a_first_line_of_todays_schema_that_is_not_whole_is_damaged(whole: bytes) -> None:
    """It is neither of an older program nor of a newer one."""
    found = parse(whole.replace(b'"task":"A-B",', b"", 1))
    assert found.problem == "damaged: its first line is not one that this program writes"


def test_a_first_line_without_its_schema_is_damaged(whole: bytes) -> None:
    found = parse(whole.replace(b'"schema":2,', b"", 1))
    assert found.run is None and "damaged" in found.problem


def test_counts_of_different_numbers_of_classes_are_damage_even_without_an_end(
    whole: bytes,
) -> None:
    """An unfinished record is summarized, too, and must not end the program."""
    lines = [json.loads(x) for x in whole.splitlines()][:3]
    lines[2]["target"]["correct"].pop()
    found = parse("\n".join(map(json.dumps, lines)).encode() + b"\n")
    assert "damaged" in found.problem and found.evals == ()


def test_a_damaged_record_shows_no_accuracy(whole: bytes) -> None:
    assert parse(whole.replace(b"700", b"710", 1)).evals == ()


@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_read_without_raising(raw: bytes) -> None:
    found = parse(raw)
    assert found.run is None and found.end is None and found.problem


HOSTILE = {
    "deep nesting": b'{"kind":"run","x":' + b"[" * 100_000 + b"\n",
    "a number of 5,000 digits": b'{"kind":"run","schema":' + b"9" * 5000 + b"}\n",
    "no object": b"3\n",
    "not UTF-8": b'{"kind":"run","schema":2,"row":"\xff"}\n',
    "a lone surrogate": b'{"kind":"run","schema":2,"row":"\\ud800"}\n',
    "nothing": b"",
    "zeros": b"\0" * 4096,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_a_problem_and_no_exception(name: str) -> None:
    found = parse(HOSTILE[name])
    assert found.run is None and found.problem


@pytest.mark.parametrize("schema", [1, 3, 10**9])
def test_another_schema_says_what_to_do(schema: int, whole: bytes) -> None:
    problem = parse(whole.replace(b'"schema":2', b'"schema":%d' % schema, 1)).problem
    assert ("bench convert" if schema < 2 else "newer program") in problem and str(
        schema
    ) in problem


@pytest.mark.parametrize(
    "tail", [b"\n", b"\0" * 4096, b"x", b'{"kind":"train","step":30}\n', b'{"kind":"end"}\n']
)
def test_whatever_follows_the_end_makes_it_no_result(tail: bytes, whole: bytes) -> None:
    assert parse(whole + tail).end is None and "damaged" in parse(whole + tail).problem


@pytest.mark.parametrize("bad", [b"{}\n", b"3\n", b'{"kind":"train"\n', b"\xff\xfe\n", b"\n"])
def test_reading_stops_at_the_first_bad_line(bad: bytes, whole: bytes) -> None:
    lines = whole.splitlines(keepends=True)
    found = parse(b"".join([*lines[:2], bad, *lines[2:]]))
    assert (
        len(found.train) == 1
        and found.evals == ()
        and found.end is None
        and "damaged" in found.problem
    )


def test_what_cannot_be_opened_is_a_problem(tmp_path: Path) -> None:
    assert "cannot be read" in read(tmp_path / "absent.jsonl").problem
    assert "cannot be read" in read(tmp_path).problem


def test_infinities_are_named_and_every_line_is_strict_json(cell: Cell) -> None:
    run = fakes.run_line(cell).model_copy(update={"hyper": {"gamma": float("inf")}})
    refuse = lambda x: pytest.fail(f"{x} is no JSON")  # noqa: E731
    assert json.loads(text(run), parse_constant=refuse)["hyper"] == {"gamma": "inf"}


def test_attempts_are_numbered_and_never_touch_each_other(tmp_path: Path, cell: Cell) -> None:
    kept: dict[Path, bytes] = {}
    for n in range(1, 13):
        with create(tmp_path / cell.folder, cell.stem) as out:
            assert out.path.name == f"{cell.stem}-{n}.jsonl"
            write(out, cell)
        assert all(path.read_bytes() == raw for path, raw in kept.items())
        kept[out.path] = out.path.read_bytes()


def test_another_seeds_attempts_are_not_counted(tmp_path: Path, cell: Cell) -> None:
    for stem in (cell.stem, "s0-0123456789ac", f"s10-{cell.key}"):
        with create(tmp_path / cell.folder, stem) as out:
            assert out.path.name == f"{stem}-1.jsonl"


def test_a_line_is_on_the_disk_when_it_was_written(tmp_path: Path, cell: Cell) -> None:
    with create(tmp_path / cell.folder, cell.stem) as out:
        out.line(run := fakes.run_line(cell))
        assert out.path.read_text() == text(run) + "\n"


def test_the_first_and_the_last_line_are_flushed_to_the_disk_once_they_are_written(
    tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[bytes] = []
    with create(tmp_path / cell.folder, cell.stem) as out:
        monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(out.path.read_bytes()))
        write(out, cell)
        lines = out.path.read_bytes().splitlines(keepends=True)
    assert flushed == [lines[0], b"".join(lines)] and len(lines) > 2


def test_a_name_that_another_took_in_the_meantime_is_left_alone(
    tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the folder and the opening of the file; the lock is of one machine."""
    with create(tmp_path / cell.folder, cell.stem) as first:
        write(first, cell)
    before = first.path.read_bytes()
    looks = iter([1, 2])
    monkeypatch.setattr(files, "_next_attempt", lambda *_: next(looks))
    with create(tmp_path / cell.folder, cell.stem) as second:
        assert second.path.name == f"{cell.stem}-2.jsonl"
    assert first.path.read_bytes() == before


def test_a_line_that_the_disk_takes_piece_by_piece_is_written_whole(
    tmp_path: Path, cell: Cell, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = os.write
    with create(tmp_path / cell.folder, cell.stem) as out:
        monkeypatch.setattr(os, "write", lambda fd, data: genuine(fd, data[:700]))
        write(out, cell)
    assert out.path.read_bytes() == whole


def test_a_writer_appends_and_overwrites_nothing_that_stands_there(
    tmp_path: Path, cell: Cell
) -> None:
    with create(tmp_path / cell.folder, cell.stem) as out:
        out.line(first := fakes.run_line(cell))
        with out.path.open("ab") as file:
            file.write(b"a note\n")
        out.line(second := fakes.lines(cell)[1])
        assert out.path.read_text() == f"{text(first)}\na note\n{text(second)}\n"


def test_a_copy_beside_a_record_is_no_attempt(tmp_path: Path, cell: Cell) -> None:
    (tmp_path / cell.folder).mkdir(parents=True)
    (tmp_path / cell.folder / f"{cell.stem}-7 (copy).jsonl").touch()
    with create(tmp_path / cell.folder, cell.stem) as out:
        assert out.path.name == f"{cell.stem}-1.jsonl"


def test_a_file_deleted_while_it_is_written_is_no_result(tmp_path: Path, cell: Cell) -> None:
    with create(tmp_path / cell.folder, cell.stem) as out:
        out.line(fakes.run_line(cell))
        out.path.unlink()
        with pytest.raises(BenchError, match="was deleted or replaced while it was written"):
            out.line(fakes.lines(cell)[-1])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_sentence(cell: Cell) -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(
        BenchError,
        match=r"^cannot write .*No space left on device.*choose another --results folder$",
    ):
        Writer(Path("results/x.jsonl"), fd).line(fakes.lines(cell)[1])
    os.close(fd)


def test_a_file_in_place_of_a_folder_is_one_sentence(tmp_path: Path, cell: Cell) -> None:
    (tmp_path / "results").write_text("")
    with (
        pytest.raises(BenchError, match=r"cannot write under .* choose another --results folder"),
        create(tmp_path / "results" / cell.folder, cell.stem),
    ):
        pytest.fail("there is nowhere to write")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_that_may_not_be_written_is_one_sentence(tmp_path: Path, cell: Cell) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with (
        pytest.raises(BenchError, match=r"Permission denied.*choose another --results folder"),
        create(tmp_path / cell.folder, cell.stem),
    ):
        pytest.fail("the folder is read-only")


def test_a_record_that_goes_on_is_a_new_file_under_its_name(tmp_path: Path, cell: Cell) -> None:
    """A process that was frozen has the old file open still: what it writes harms nobody."""
    with create(tmp_path / cell.folder, cell.stem) as frozen:
        frozen.line(fakes.run_line(cell))
        place = frozen.place
        frozen.line(fakes.lines(cell)[1])
        with create(tmp_path / cell.folder, cell.stem, place) as out:
            assert out.path == frozen.path and out.place == place
            for line in fakes.lines(cell)[1:]:
                out.line(line)
        with pytest.raises(BenchError, match="was deleted or replaced while it was written"):
            frozen.line(fakes.lines(cell)[-1])
    assert out.path.read_bytes() == fakes.content(cell)
    assert [p.name for p in out.path.parent.iterdir()] == [out.path.name]


def test_plain_values_are_what_strict_json_can_hold() -> None:
    inf, nan = float("inf"), float("nan")
    assert plain({"a": (inf, -inf, 1.5), "b": {"c": nan}, "d": "x"}) == {
        "a": ["inf", "-inf", 1.5], "b": {"c": None}, "d": "x",
    }  # fmt: skip


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system has one time zone a process")
def test_a_zero_has_no_sign() -> None:
    assert str(plain({"a": [-0.0, 0.0]})) == "{'a': [0.0, 0.0]}"


def test_now_is_utc_to_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ+5")
        time.tzset()
        then = datetime.strptime(now(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert abs(then - datetime.now(UTC)) < timedelta(seconds=5)
    time.tzset()


def test_lines_are_refused_that_no_reader_would_take(cell: Cell) -> None:
    window = dict(fakes.lines(cell)[1])
    assert Train(**window)
    for wrong in ({"loss": float("nan")}, {"lr": float("inf")}, {"n": -1}, {"ms": {}}):
        with pytest.raises(ValueError):
            Train(**window | wrong)
    with pytest.raises(ValueError):
        Run(**{**dict(fakes.run_line(cell)), "seed": -1})
    assert Env(torch="2.11", device="cpu") and Code(
        bench="0", probe=Probe(subject="x", losses=(1.0,))
    )
