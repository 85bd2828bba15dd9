"""The table as papers print it: what is set in bold, and LaTeX that stands in a paper."""

import re
import shutil
import subprocess

import pytest
from fakes import GOLDEN, cell, everything, record, toy
from typer.testing import CliRunner

from bench.cli.app import app
from bench.errors import BenchError
from bench.report.numbers.standout import find_standouts
from bench.report.write.latex import make_document
from bench.report.write.render import render_paper
from bench.suite.references import read_references
from bench.suite.suite import Suite

TOY = toy()
ALL = everything(TOY)
FORMATS = ("md", "latex", "html")


def paper(fmt="md", records=ALL):
    return render_paper(TOY, records, fmt, references=read_references(GOLDEN))


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


# what stands out


def test_the_best_is_bold_with_what_is_not_shown_to_be_worse():
    found = find_standouts(
        {
            "best": seeds(90, 91, 92),
            "tied": seeds(88, 92, 91),  # differs by −2, +1, −1
            "worse": seeds(80, 81.5, 82),  # by −10, −9.5, −10
            "as bad": seeds(80, 81, 81.5),
            "last": seeds(10, 11, 12.5),
        }
    )
    assert found.best == {"best", "tied"} and found.second == {"worse", "as bad"}


def test_where_less_is_better_the_least_is_bold():
    rows = {"a": seeds(1, 1.1, 1.2), "b": seeds(9, 9.1, 9.3), "c": seeds(90, 90, 91)}
    found = find_standouts(rows, lower=True)
    assert (found.best, found.second) == ({"a"}, {"b"})


def test_two_runs_and_one_row_tell_nothing():
    assert not find_standouts({"a": seeds(1, 2), "b": seeds(9, 9.5)}).best
    assert not find_standouts({"a": seeds(1, 2, 3), "b": seeds(2)}).best
    assert not find_standouts({}).best


def test_what_every_row_would_get_is_no_mark():
    tied = {"a": seeds(90, 91, 92), "b": seeds(88, 92, 91)}
    assert not find_standouts(tied).best, "none is shown to be worse than the best"
    worse = {"c": seeds(80, 81.5, 82), "d": seeds(80, 81, 81.5)}
    found = find_standouts(tied | worse)
    assert (found.best, found.second) == ({"a", "b"}, frozenset()), "an underlined last row"


def test_rows_without_seeds_in_common_are_not_shown_to_differ():
    rows = {"a": {0: 90.0, 1: 91.0, 2: 92.0}, "b": {3: 10.0, 4: 11.0, 5: 9.0}}
    found = find_standouts(rows | {"c": {0: 10.0, 1: 11.0, 2: 10.5}})
    assert found.best == {"a", "b"}


def test_marks_do_not_depend_on_the_order_of_rows():
    rows = {"a": seeds(90, 91, 92), "b": seeds(80, 81, 82), "c": seeds(70, 71, 72.5)}
    assert find_standouts(rows) == find_standouts(dict(reversed(rows.items())))


# the page


def demo(**rows: tuple[float, ...]) -> tuple[Suite, list]:
    from bench.suite import suites

    suite = suites.find("demo")
    made = [
        record(cell(suite, row, task, seed), [value])
        for row, values in rows.items()
        for task in suite.tasks
        for seed, value in enumerate(values)
    ]
    return suite, made


def test_a_row_a_method_with_mean_deviation_and_marks():
    suite, made = demo(
        source_only=(50, 51, 52), dann=(70, 71, 72.3), mcc=(60, 61, 61.7), target_only=(98, 98, 99)
    )
    text = render_paper(suite, made)
    assert re.search(r"\| Source only +\| +51\.0 ± 1\.0 \|", text)
    assert re.search(r"\| DANN +\| +\*\*71\.1 ± 1\.2\*\* \|", text)
    assert re.search(r"\| MCC +\| +<u>60\.9 ± 0\.9</u> \|", text)
    # a bound takes no part in the contest
    assert re.search(r"\| Target fully supervised +\| +98\.3 ± 0\.6 \|", text)
    assert "over 3 seeds" in text and "CDAN" not in text and "not measured" not in text


def test_seeds_are_counted_where_rows_differ_in_them():
    suite, made = demo(source_only=(50, 51, 52), dann=(70, 71))
    text = render_paper(suite, made)
    assert "51.0 ± 1.0 (3)" in text and "70.5 ± 0.7 (2)" in text
    assert "over the seeds counted in brackets" in text


def test_published_figures_and_gaps_stand_in_the_last_columns():
    head = next(line for line in paper().splitlines() if line.startswith("| "))
    assert "Published, " in head and "Ours − published" in head


def test_without_a_measurement_one_sentence_says_so():
    with pytest.raises(BenchError, match="nothing was measured at budget full"):
        paper(records=[])


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_order_of_records_changes_no_byte(fmt):
    assert paper(fmt, ALL[::-1]) == paper(fmt)


def test_in_latex_it_is_floats_alone_that_name_their_packages():
    text = paper("latex")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert body.count(r"\begin{table}") == body.count(r"\caption{") == body.count(r"\label{tab:")
    assert r"\section" not in body and r"\toprule" in body and r"% \usepackage" in text


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")
def test_latex_compiles(tmp_path):
    (tmp_path / "page.tex").write_text(make_document(paper("latex")), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert not re.findall(r"Overfull \\[hv]box .*", done.stdout)


# the command


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--layout", "paper", "--cost"], "the paper layout is of accuracies"),
        (["--standalone", "--format", "md"], "--standalone is about LaTeX"),
    ],
)
def test_options_that_do_not_go_together(args, says):
    result = CliRunner().invoke(app, ["tables", "--suite", "demo", *args])
    assert result.exit_code == 2 or says in str(result.exception)
    assert says in (result.output + str(result.exception))
