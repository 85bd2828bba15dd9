"""The pages: golden files, escaping, one source for three formats, and LaTeX that compiles."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from fakes import CPU, GOLDEN, cell, everything, made, made_records, record, toy

from bench.report.numbers.scores import Score
from bench.report.numbers.stats import judge
from bench.report.page import cites
from bench.report.page.text import format_count, format_difference, format_score
from bench.report.write.latex import make_document, to_latex
from bench.report.write.render import Rendered, render_accuracies, render_costs
from bench.suite import suites
from bench.suite.references import read_references
from bench.suite.suite import Suite

TOY = toy()
ALL = everything(TOY)
REFERENCES = read_references(GOLDEN)
FORMATS = {"md": "md", "latex": "tex", "html": "html"}


def page(fmt="md", records=ALL, select="last"):
    return render_accuracies(TOY, records, fmt, select, REFERENCES)


@pytest.mark.parametrize(
    ("name", "make"),
    [(f"toy.{end}", lambda fmt=fmt: page(fmt)) for fmt, end in FORMATS.items()]
    + [("cost.md", lambda: render_costs(TOY, ALL, "md", REFERENCES))],
)
def test_golden(name, make):
    text = make()
    if os.environ.get("REGENERATE"):
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8"), (
        "changed on purpose? tests/golden/tables/README.md"
    )


@pytest.mark.parametrize("fmt", FORMATS)
def test_golden_page_of_generators(fmt, tmp_path):
    text = render_accuracies(made(), made_records(tmp_path), fmt, references=REFERENCES)
    file = GOLDEN / f"made.{FORMATS[fmt]}"
    if os.environ.get("REGENERATE"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), "on purpose? tests/golden/tables/README.md"


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_order_of_the_records_changes_no_byte(fmt):
    assert page(fmt, ALL[::-1]) == page(fmt)
    assert render_costs(TOY, ALL[::-1], fmt) == render_costs(TOY, ALL, fmt)
    assert page(fmt).endswith("\n") and not page(fmt).endswith("\n\n")


@pytest.mark.parametrize("name", ["gsda", "dann"])
def test_a_row_whose_method_has_no_public_code_says_so(name):
    rows = [{"id": "x", "label": "X", "method": name}]
    suite = Suite.model_validate(suites.find("demo").model_dump() | {"rows": rows})
    text = render_accuracies(suite, [], "md")
    said = "X: no public code was found; written from the paper's equations"
    assert (said in text) == (name == "gsda")


def test_smoke_runs_are_never_shown():
    smoke = [record(cell(TOY, "plain", "A-B", 5, "smoke"), (12.34,))]
    assert page(records=ALL + smoke) == page()


def test_a_budget_that_was_never_run_has_no_table():
    kept = [r for r in ALL if r.run.budget != "short"]
    assert "(budget short" in page() and "(budget short" not in page(records=kept)


def test_runs_for_time_and_memory_alone_have_no_table_of_accuracies():
    kept = [r for r in ALL if r.run.budget != "timing"]
    assert len(kept) < len(ALL) and page(records=kept) == page()
    assert "| **DANN**" in render_costs(TOY, ALL) and "Budget timing, Toy GPU" in render_costs(
        TOY, ALL
    )


def test_a_page_of_costs_names_times_of_a_busy_machine():
    env = CPU.env.model_copy(update={"load": 9.0})
    kept = [record(cell(TOY, "plain", "A-B", s), (70.0,)) for s in (0, 1)]
    made = [*kept, record(cell(TOY, "dann", "A-B", 0), (70.0,), machine=CPU._replace(env=env))]
    text = render_costs(TOY, made)
    assert re.search(r"\*\*DANN\*\* +\| +10\.00 § \| +— \|", text)
    assert "§ 1 of 3 records begun while others computed on the machine" in text
    assert "2 of 3 records counted without knowing" in text
    asked = render_costs(TOY, made, busy_too=True)
    assert re.search(r"\*\*DANN\*\* +\| +10\.00 § \| +1\.00 \|", asked)
    assert "counted because that was asked" in asked


def test_claims_of_cost_stand_beside_what_is_not_measured():
    text = render_costs(TOY, [], "md", REFERENCES)
    line = next(x for x in text.splitlines() if "Paper's DANN" in x)
    assert [c.strip() for c in line.split("|")[2:6]] == ["1,100", "1.10", "2,048 MB", "2.00"]
    assert text.count("not measured") >= 2


@pytest.mark.parametrize("name", suites.names())
@pytest.mark.parametrize(
    "fmt", [pytest.param(f, marks=() if f == "md" else pytest.mark.slow) for f in FORMATS]
)
def test_every_suite_has_a_page_before_anything_is_measured(name, fmt):
    suite = suites.find(name)
    text = render_accuracies(suite, [], fmt)
    assert "not measured" in text.lower()
    assert "no run has finished" in render_costs(suite, [], fmt).lower()


def test_scores_and_gaps_as_text():
    def score(*values, lost=(), collapsed=()):
        return format_score(Score(dict(enumerate(values)), dict(enumerate(lost, 9)), collapsed))

    assert score() == "not measured"
    assert score(93.123) == "93.12 (1)"
    assert score(93.0, 94.0) == "93.50 ± 0.71 (2)"
    assert score(93.0, 94.0, lost=["diverged"]) == "93.50 ± 0.71 (2) + 1 diverged"
    assert score(lost=["failed", "diverged", "failed"]) == "1 diverged + 2 failed"
    assert score(10.0, collapsed=(0,)) == "10.00 (1) †"
    assert format_difference(judge([70.0], 71.04, 1)) == "−1.0"
    assert format_difference(judge([70.0] * 2, 70.01, 1)) == "+0.0 [0.0, 0.0]"
    assert format_difference(None) == "—"
    assert [format_count(n, "seed") for n in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]


def test_a_golden_page_of_another_suite_has_its_tolerance_and_confidence_in_words():
    suite = TOY.model_copy(update={"confidence": 0.9, "tolerance": 2.5})
    text = render_accuracies(suite, ALL, "md", "last", REFERENCES)
    assert "with its 90 % Student interval" in text and "lies within ±2.5 points" in text


def test_a_table_shows_itself_at_its_own_selection():
    made = [record(cell(TOY, "plain", "A-B", 0), (80.0, 70.0))]
    best = Rendered(TOY, tuple(made), "best-on-target")
    assert "full budget, best on target ‡" in best.markdown and "80.00 (1)" in best.markdown
    assert "80.00 (1)" not in Rendered(TOY, tuple(made)).markdown.split("## How")[0]


def test_what_does_not_stand_on_a_page_is_not_explained_there():
    marks = "ours − published: difference", "compared with our last step", "‡ marks an oracle"
    bare = TOY.model_copy(update={"published": ()})
    once = [record(cell(bare, "dann", "A-B", 0), (80.0,))]  # without a choice for an oracle
    text = render_accuracies(bare, once, "md", "last", REFERENCES)
    assert all(mark in page() for mark in marks) and not any(mark in text for mark in marks)
    assert "Its verdicts are about" in page() and "Its verdicts" not in page(records=[])


def test_gains_are_told_in_plain_words():
    def page_of_gains(*ours):
        made = [record(cell(TOY, "plain", "A-B", s), (50.0,)) for s in range(len(ours))]
        made += [record(cell(TOY, "dann", "A-B", s), (x,)) for s, x in enumerate(ours)]
        return page(records=made)

    assert "- DANN gains +5.0 [2.5, 7.5] on A→B (3 seeds)." in page_of_gains(54, 55, 56)
    lost = page_of_gains(44, 45, 46)
    assert "- DANN loses: −5.0 [−7.5, −2.5] on A→B (3 seeds)." in lost
    assert "| −5.0 [−7.5, −2.5] (3) |" in lost, "the sentence says the numbers of the table"
    nothing = "- DANN: neither gain nor loss shown,"
    assert f"{nothing} +1.0 [−8.9, 10.9] on A→B (3 seeds)." in page_of_gains(47, 51, 55)
    assert f"{nothing} −1.0 [−10.0, 8.0] on A→B (3 seeds)." in page_of_gains(46, 48, 53)
    assert "- DANN: +9.0 on A→B at one seed, which shows nothing." in page_of_gains(59)


def page_of_two_tasks(on_a: tuple[float, ...], on_b: tuple[float, ...], base: int = 4) -> str:
    """DANN over a row that has 50 % at `base` seeds of both tasks."""
    made = [record(cell(TOY, "plain", t, s), (50.0,)) for t in TOY.tasks for s in range(base)]
    for task, values in zip(TOY.tasks, (on_a, on_b), strict=True):
        made += [record(cell(TOY, "dann", task, s), (x,)) for s, x in enumerate(values)]
    return page(records=made)


def test_an_average_gain_needs_the_same_seeds_at_every_task():
    text = page_of_two_tasks((54, 55, 56), (44, 46))
    assert "DANN gains +5.0 [2.5, 7.5] on A→B (3 seeds)." in text
    assert "DANN: neither gain nor loss shown, −5.0 [−17.7, 7.7] on B→A (2 seeds)." in text
    assert "on average" not in text
    assert re.search(r"\*\*DANN\*\* +\| +\+5.0 .*\(3\) \| +−5.0 .*\(2\) \| +— \|", text)


def test_an_average_does_not_hide_a_task_that_shows_the_opposite():
    text = page_of_two_tasks((69, 70, 71), (44, 45, 46))
    assert "DANN gains +7.5 [5.0, 10.0] on average (3 seeds); it loses on B→A." in text
    text = page_of_two_tasks((44, 45, 46), (54, 55, 56.5))
    assert re.search(
        r"shown, \+0\.\d .* on average \(3 seeds\); it loses on A→B; it gains on B→A\.", text
    )


def test_a_gain_over_fewer_seeds_than_the_row_has_says_so():
    text = page_of_two_tasks((54, 55, 56), (64, 65, 66), base=2)
    assert "on average (2 seeds that both have)." in text


def test_markdown_cells_keep_to_their_columns():
    for table in re.findall(r"(?:^\|.*\n)+", page(), flags=re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_latex_escapes_everything_that_it_could_trip_over():
    assert to_latex(r"50 % of a_b & {c} $1 #2 ~^\ [x]") == (
        r"50 \% of a\_b \& \{c\} \$1 \#2 \textasciitilde{}\textasciicircum{}\textbackslash{} {[}x]"
    )
    assert (
        to_latex("λ → 2·γ² ± −1")
        == r"$\lambda$ $\to$ 2$\cdot$$\gamma$\textsuperscript{2} $\pm$ $-$1"
    )
    assert to_latex("`--smoke` x₁ Ł 漢") == r"\texttt{-{}-smoke} x\textsubscript{1} Ł (U+6F22)"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")
def test_latex_compiles(tmp_path):
    bodies = [
        page("latex"),
        render_costs(TOY, ALL, "latex"),
        render_accuracies(made(), made_records(tmp_path), "latex"),
        *(render_accuracies(suites.find(name), [], "latex") for name in suites.names()),
    ]
    (tmp_path / "page.tex").write_text(
        make_document("\n\\clearpage\n".join(bodies)), encoding="utf-8"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert not re.findall(r"Overfull \\[hv]box .*", done.stdout)


class Tags(HTMLParser):
    """Opened tags with their attributes; fails where a closed tag was not the last opened."""

    VOID = ("meta",)

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_one_well_formed_file_that_fetches_nothing():
    text = page("html")
    tags = Tags(text)
    assert tags.open == []
    assert {t for t, _ in tags.seen}.isdisjoint(
        {"script", "link", "img", "iframe"}
    ) and "url(" not in text
    assert [a["href"] for t, a in tags.seen if t == "a"] == [
        "https://example.org/align?a=1&b=2_3",
        "https://example.org/oracle",
    ]
    assert (
        "meta",
        {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    ) in tags.seen


def test_html_escapes_what_a_suite_says():
    assert "&lt;nothing&gt;" in page("html") and "<nothing>" not in page("html")


def test_citations_are_short_and_told_apart():
    names = cites.name_papers(["ada2019align", "ada2019oracle", "board2021", "missing"], REFERENCES)
    assert list(names.values()) == [
        "Lovelace and Grün 2019a",
        "Lovelace and Grün 2019b",
        "The Leaderboard Team 2021",
        "missing",
    ]
    three = {"x": {"author": "A, B and C, D and E, F", "year": "2016"}}
    assert cites.name_papers(["x"], three) == {"x": "A et al. 2016"}
    institute = {"x": {"author": "{Institute of Arts and Letters}", "year": "1999"}}
    assert cites.name_papers(["x"], institute) == {"x": "Institute of Arts and Letters 1999"}
    assert cites.describe_paper(institute["x"]) == "Institute of Arts and Letters. 1999."
    assert cites.describe_paper(REFERENCES["ada2019align"]) == (
        "Ada Lovelace, Émile Grün. Alignment of Domains and 100 % of toys. "
        "Journal of Toy Results 7. 2019."
    )


def test_what_the_reader_must_be_warned_of_comes_first():
    assert page().index("WARNING: not all records are of the same A") < page().index("## Accuracy")
