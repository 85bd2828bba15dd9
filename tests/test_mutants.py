"""The list of wrong programs is one: each changes what stands there, and is a program."""

import ast
from collections import Counter

import pytest
from mutants import run as mutants

EVERY = list(mutants.read_mutants())


def test_every_mutant_changes_what_stands_in_its_file_once() -> None:
    stale = [f"{m.file}: {m.old!r}" for m in EVERY if m.is_stale()]
    assert not stale, "a line has moved: refresh its mutants in tests/mutants"


@pytest.mark.slow
def test_every_mutant_is_another_program_that_python_can_read() -> None:
    for m in EVERY:
        text = (mutants.ROOT / m.file).read_text(encoding="utf-8")
        wrong = text.replace(m.old, m.new)
        assert m.why and wrong != text, m
        if m.file.endswith(".py"):
            assert ast.dump(ast.parse(wrong)) != ast.dump(ast.parse(text)), m


def test_there_are_mutants_of_every_room_and_none_twice() -> None:
    rooms = Counter(m.room for m in EVERY)
    assert len(EVERY) >= 200 and all(
        rooms[room] >= 30 for room in ("methods", "engine", "runs", "report")
    )
    assert max(Counter((m.file, m.old, m.new) for m in EVERY).values()) == 1


def test_a_stale_mutant_is_told_and_nothing_is_run(monkeypatch, capsys) -> None:
    gone = mutants.Mutant("noxfile.py", "no such text", "x", "never", "tests")
    monkeypatch.setattr(mutants, "read_mutants", lambda: iter([gone]))
    monkeypatch.setattr("sys.argv", ["run.py"])
    assert mutants.main() == 2
    assert (
        capsys.readouterr().out == "stale: noxfile.py: 'no such text' does not stand there once\n"
    )


def test_a_sample_is_drawn_by_its_seed_from_all_and_keeps_their_order() -> None:
    drawn = mutants.draw(EVERY, 50, 1)
    assert len(drawn) == 50 and drawn == [m for m in EVERY if m in drawn]
    assert drawn == mutants.draw(EVERY, 50, 1) != mutants.draw(EVERY, 50, 2)
    assert mutants.draw(EVERY, 0, 1) == mutants.draw(EVERY, len(EVERY), 1) == EVERY


@pytest.mark.parametrize(("survivors", "status"), [(0, 0), (1, 0), (2, 1)])
def test_below_95_of_100_the_session_fails(survivors: int, status: int, capsys) -> None:
    tried = EVERY[:20]
    ends = ["passed"] * survivors + ["failed"] * (19 - survivors) + ["timeout"]
    assert mutants.report(tried, ends) == status
    out = capsys.readouterr().out
    assert f"{20 - survivors} of 20 killed" in out and "1 by time" in out
    assert out.count("passed: ") == survivors
