"""The report: its numbers, what its cells open, what it names, and that it needs nothing else."""

import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from itertools import cycle, pairwise
from urllib.parse import unquote

import pytest
from fakes import CPU, GOLDEN, GPU, cell, everything, record, toy, write
from test_escape import HOSTILE, hostile_records, hostile_suite, unmarked
from typer.testing import CliRunner

from bench.cli.app import app
from bench.errors import BenchError
from bench.report.page.page import compose_accuracies
from bench.report.page.report import Drawing, compose_report, mark, thin
from bench.report.write.render import _write, render_costs
from bench.report.write.report import FOLDER, MARKS, write_report
from bench.runs import plan
from bench.runs.records import Evaluation
from bench.suite import suites
from bench.suite.references import read_references

TOY = toy()
ALL = everything(TOY)
REFERENCES = read_references(GOLDEN)
SUITE = str(GOLDEN / "toy.toml")
VOID = {"meta", "link", "img"}


class Read(HTMLParser):
    """The tables of a page as lists of texts, its scripts, its texts and its tags."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.scripts, self.tags, self.text, self.links = [], [], [], "", []
        self._in_script = self._in_cell = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.links += [v for name, v in attrs if name in ("href", "src")]
        self._in_script = tag == "script"
        if tag == "script":
            self.scripts.append("")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True
        self.text += "" if tag in ("code", "span") else "\n"

    def handle_endtag(self, tag):
        self._in_script = False
        self._in_cell &= tag not in ("td", "th")

    def handle_data(self, text):
        if self._in_script:
            self.scripts[-1] += text
            return
        self.text += text
        if self._in_cell:
            self.tables[-1][-1][-1] += text


def make(records=ALL, suite=TOY, **about):
    about = {"references": REFERENCES, **about}
    html = write_report(compose_report({SUITE: suite}, records, **about))
    page = Read(html)
    assert page.tags.count("script") == len(page.scripts) == 2
    return html, page, json.loads(page.scripts[0])


HTML, PAGE, DATA = make()


def tables_of(*pages):
    """Every table of rendered pages as texts."""
    return [
        [[" ".join(x.split()) for x in line] for line in t]
        for page in pages
        for t in Read(page).tables
    ]


def tables_of_report(page):
    """Those with numbers: without the contents and the lists of records."""
    clean = [
        [[re.sub("^[▲▼≈?] ", "", " ".join(x.split())) for x in line] for line in table]
        for table in page.tables
    ]
    return [[["", *t[0][1:]], *t[1:]] for t in clean if t[0][0] == "Row"]


def write_whole(select):
    """The page of accuracies with the tasks of which there is nothing, as the report has them."""
    return _write(compose_accuracies(TOY, ALL, select, REFERENCES, whole=True), "html")


def test_the_numbers_are_those_of_the_tables():
    expected = tables_of(
        write_whole("last"),
        render_costs(TOY, ALL, "html", REFERENCES),
    )
    assert len(expected) > 5 and tables_of_report(PAGE) == expected


def test_the_numbers_are_those_of_a_selection():
    _, page, data = make(select="best-on-target")
    expected = tables_of(write_whole("best-on-target"))
    assert tables_of_report(page)[: len(expected)] == expected
    cells = data["cells"][0][1]["plain"][0]
    assert cells["values"]["best on target ‡"] == ["75.00", "75.30", "75.40"]


def test_the_contents_count_cells_and_verdicts():
    contents = PAGE.tables[0]
    assert [line[0].strip() for line in contents] == [
        "Suite", "toy", "budget short", "full budget, on the source", "budget short, on the source",
    ]  # fmt: skip
    _, measured, verdicts = contents[1]
    assert measured == "6 of 10", "plain, dann and dann-strong at both tasks"
    shown = [
        x for t in tables_of_report(PAGE)[:1] for line in t if line[0] == "verdict" for x in line
    ]
    for word, total in (("differs", 2), ("unresolved", None), ("match", None)):
        n = sum(map(int, re.findall(rf"(\d+) {word}", verdicts)))
        assert n == shown.count(word) and total in (None, n)


def test_a_difference_is_marked_by_its_side():
    assert mark("differs", "−1.1 [−2.1, −0.1]") == "below" and mark("differs", "+1.1") == "above"
    assert mark("match", "−0.1") == "match" and mark("—", "—") is None
    assert mark("not measured", "—") is None
    assert mark("holds", "holds") == "holds" and mark("does not hold", "—") == "fails"
    symbols = [symbol for symbol, *_ in MARKS.values()]
    assert len(set(symbols)) == len(MARKS), "told apart without colour"


def opened(row, column, table=0, data=DATA):
    columns, cells = data["cells"][table]
    return cells[row][columns.index(column)]


def test_a_cell_opens_its_seeds():
    one = opened("plain", "A-B")
    assert one["seeds"] == [0, 1, 2]
    assert one["values"] == {"last step": ["75.00", "75.30", "75.40"]}
    runs = [DATA["runs"][i] for i in one["runs"]]
    assert [r["file"] for r in runs] == [
        "/".join(r.path.parts[1:]) for r in ALL[:3]
    ]  # fmt: skip
    assert runs[1]["target"] == [70.0, 75.3] and runs[1]["source"] == [99.0, 99.0]
    assert DATA["steps"][runs[1]["steps"]] == [999, 1000]
    both = opened("dann", "A-B")["values"]
    assert both["best on target ‡"] == ["86.00", "87.00", "88.00"] != both["last step"]


def test_a_cell_opens_what_was_lost():
    lost = opened("dann", "B-A")
    assert lost["values"]["last step"] == ["70.40", "10.00 †", "diverged"]
    run = DATA["runs"][lost["runs"][2]]
    assert run["reason"] == "the loss was no longer finite at iteration 17" and run["cost"] == []
    strong = opened("dann-strong", "B-A")
    assert strong["aside"] == [[strong_name(), "replaced: failed"]]
    unfinished, other = opened("nogrl", "A-B")["aside"]
    assert (
        "unfinished" in unfinished[1] + other[1]
        and "lr 0.003 instead of 0.01" in unfinished[1] + other[1]
    )


def strong_name():
    return "/".join(next(r for r in ALL if r.end and r.end.reason == "KeyError").path.parts[1:])


def test_an_average_opens_its_seeds():
    average = opened("plain", "average")
    # (75 + 62) / 2, (75.3 + 64.1) / 2, (75.4 + 63.2) / 2
    assert average["values"]["last step"] == ["68.50", "69.70", "69.30"] and average["runs"] == []


def facts(place):
    return dict(DATA["facts"][place])


def test_a_cell_opens_recipe_environment_and_cost():
    one = opened("dann-strong", "A-B")
    knobs = facts(one["knobs"])
    assert knobs["method"] == "dann" and knobs["hyper.lam"] == "10.0"
    assert knobs["iterations"] == "2000" and knobs["lr"] == "0.01"
    assert "momentum" not in knobs, "a default"
    run = DATA["runs"][one["runs"][0]]
    made = facts(run["made"])
    assert made["machine"] == "Abacus 9, 1 thread" and made["torch"] == "2.11.0"
    assert made["weights sha256"] == "ab" * 32
    gpu = DATA["runs"][opened("dann", "A-B")["runs"][0]]
    assert facts(gpu["made"])["machine"] == "Toy GPU"
    assert "uncommitted changes" in facts(gpu["made"])["uda-bench"]
    # 700 MiB less the 86.4 MiB of the data; 32 images of both domains in 4 ms
    assert gpu["cost"] == ["4.00", "614 allocated", "16,000", "1.0"]


def test_the_commands_repeat_the_very_cells():
    for table, (columns, rows) in enumerate(DATA["cells"]):
        for row, cells in rows.items():
            for column, one in zip(columns, cells, strict=True):
                words = shlex.split(one["commands"][0])
                assert words[:3] == ["bench", "run", "--suite"] and words[3] == SUITE
                given = dict(zip(words[2:-1:2], words[3::2], strict=False))
                assert ("--redo" in words) == bool(one["seeds"])
                asked = plan.cells(
                    TOY,
                    methods=[given["--methods"]],
                    tasks=[given["--tasks"]] if "--tasks" in given else None,
                    seeds=plan.seeds(given["--seeds"]),
                    budget=given.get("--budget", "full"),
                )
                keys = {c.key for c in asked}
                files = [DATA["runs"][i]["file"] for i in one["runs"]]
                assert {re.findall(r"s\d+-(\w+)-", f)[0] for f in files} <= keys
                assert len(keys) == (len(files) or len(keys))
                assert row == given["--methods"] and (table, column) != (None, None)
    for column in ("A-B", "average"):
        assert "--weights w.pth" in opened("dann-strong", column)["commands"][0]


def test_other_results_are_named_in_the_commands():
    _, _, data = make(results="my runs")
    for command in opened("plain", "A-B", data=data)["commands"]:
        assert shlex.split(command).count("my runs") == 1


@pytest.mark.parametrize("n", [0, 1, 2, 59, 60, 61, 119, 1000])
def test_curves_have_at_most_sixty_points_from_the_first_to_the_last(n):
    evals = [Evaluation(step) for step in range(n)]
    steps = [e.step for e in thin(evals)]
    assert len(steps) == min(n, 60) and steps == sorted(set(steps))
    assert not n or (steps[0], steps[-1]) == (0, n - 1)
    gaps = [b - a for a, b in pairwise(steps)]
    assert not gaps or max(gaps) - min(gaps) <= 1, "evenly spaced"


def test_every_record_that_does_not_count_is_named_with_its_reason():
    stranger = record(cell(TOY, "plain", "A-B", 9), (50.0,))
    stranger = replace(stranger, run=stranger.run.model_copy(update={"suite": "gone"}))
    torn = replace(
        record(cell(TOY, "plain", "A-B", 8)), run=None, evals=(), end=None, problem="damaged: torn"
    )
    _, page, _ = make([*ALL, stranger, torn])
    lines = [
        [" ".join(x.split()) for x in line]
        for t in page.tables
        if t[0][0] == "Record"
        for line in t[1:]
    ]
    named = {(file.rpartition("/")[2], state): why for file, state, why in lines}
    counted = {(r.path.name, state) for r in ALL for state in ("counted",)}
    assert not counted & named.keys()

    def why(r, state):
        return named[r.path.name, state]

    nogrl = [r for r in ALL if r.run.row == "nogrl"]
    assert why(nogrl[0], "unfinished") == "it has no end"
    assert why(nogrl[1], "stale") == "lr 0.003 instead of 0.01"
    failed = [r for r in ALL if r.status == "failed"]
    assert why(failed[0], "failed") == "OutOfMemoryError: CUDA out of memory"
    assert why(failed[1], "replaced") == "a later attempt counts"
    assert why(torn, "damaged") == "damaged: torn"
    assert "no suite is called gone" in why(stranger, "no suite")
    assert len(lines) == 6
    _, page, _ = make([*ALL, stranger], strangers=False)
    assert "no suite is called" not in page.text


def test_the_order_of_the_records_changes_no_number():
    _, page, data = make(ALL[::-1])
    assert page.tables == PAGE.tables
    assert opened("dann", "A-B", data=data)["values"] == opened("dann", "A-B")["values"]


def test_the_page_fetches_nothing():
    css, js = ((FOLDER / f"report.{end}").read_text("utf-8") for end in ("css", "js"))
    assert not re.search(r"url\(|@import|@font-face", css)
    assert not re.search(r"fetch\(|XMLHttp|import\(|WebSocket|innerHTML|eval\(", js)
    assert "</script" not in js.lower() and "</style" not in css.lower()
    assert "default-src 'none'" in HTML
    papers = {r.get("url") for r in REFERENCES.values()}
    assert all(x.startswith(("#", "data:,")) or x in papers for x in PAGE.links)
    assert set(PAGE.tags) & {"iframe", "object", "embed", "form", "base"} == set()


def test_figures_lie_in_the_page():
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'>\n <script>alert(1)</script> &lt; 100 % \"#a\"</svg>"
    html, page, _ = make(figures=lambda suite, records: [Drawing(f"{suite.name} <b>", svg)])
    assert page.tags.count("img") == 1 and "toy <b>" in page.text
    (address,) = (x for x in page.links if x.startswith("data:image"))
    kind, _, content = address.partition(",")
    assert kind == "data:image/svg+xml" and "<script>alert" not in html
    assert unquote(content) == " ".join(svg.decode().split()), "white space aside"


def test_no_text_is_obeyed_and_each_is_read():
    supply = cycle(HOSTILE)
    suite, references = hostile_suite(lambda: next(supply))
    lost = [
        record(cell(TOY, "dann", "B-A", seed), status="failed", reason=text)
        for seed, text in enumerate(HOSTILE)
    ]
    records = hostile_records("<script>window.obeyed = 1</script>")
    html, page, data = make([*records, *lost], suite, references=references)
    assert set(page.tags) <= {
        "html", "head", "meta", "link", "title", "style", "body", "header", "h1", "h2", "h3",
        "p", "span", "noscript", "code", "nav", "div", "table", "thead", "tbody", "tr", "th",
        "td", "a", "main", "section", "details", "summary", "ul", "li", "dialog", "script",
    }  # fmt: skip
    assert [r["reason"] for r in data["runs"] if r["status"] == "failed"] == HOSTILE
    assert "<" not in page.scripts[0] and "\u2028" not in html.split("<dialog")[1]
    for text in (suite.title, suite.about, *suite.differences):
        assert unmarked(text).strip() in page.text


def luminance(colour):
    """Of sRGB, as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a, b):
    low, high = sorted(map(luminance, (a, b)))
    return (high + 0.05) / (low + 0.05)


def test_every_text_stands_out_in_light_and_dark():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    css = (FOLDER / "report.css").read_text("utf-8")
    found = re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\);", css)
    colours = {name: pair for name, *pair in found}
    inks = {"ink", "soft", "link", "match", "above", "below", "unresolved"}
    assert colours.keys() == inks | {"paper", "band", "rule"}
    for i in (0, 1):
        for ink in inks:
            for ground in ("paper", "band"):
                assert contrast(colours[ink][i], colours[ground][i]) >= 4.5, (ink, ground, i)
    used = set(re.findall(r"(?<![-\w])color: ([^;]+);", css))
    assert used <= {f"var(--{ink})" for ink in inks} | {"inherit"}


# ---- the command


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(*args):
        done = CliRunner().invoke(app, ["report", *map(str, args)])
        if isinstance(done.exception, BenchError):
            return done.exception.exit_code, str(done.exception)
        return done.exit_code, done.output

    return run


ON_TOY = ("--suite", SUITE, "--results", "r")


@pytest.mark.slow
def test_the_page_lies_beside_the_tables_and_its_size_is_told(bench, tmp_path):
    write(tmp_path / "r", cell(TOY, "plain", "A-B", 0), (71.0,))
    code, out = bench(*ON_TOY)
    page = tmp_path / "r/tables/report.html"
    size = f"{page.stat().st_size / 1e6:.2f} MB"
    assert code == 0 and out == f"written to r/tables/report.html ({size}: 1 suite, 1 record)\n"
    assert "71.00 (1)" in page.read_text("utf-8")
    write(tmp_path / "r", cell(TOY, "plain", "A-B", 1), (72.0,))
    bench(*ON_TOY)
    assert "71.50 ± 0.71 (2)" in page.read_text("utf-8")
    assert [p.name for p in page.parent.iterdir()] == ["report.html"], "no draft is left"
    assert bench(*ON_TOY, "--out", "a/b.html")[0] == 0 and (tmp_path / "a/b.html").is_file()


REFUSED = {
    "no records": ((), 1, ["no record lies under results", "`bench run --suite demo`"]),
    "a suite without records": (("--suite", "demo"), 1, ["no record of the suite demo lies under"]),
    "a suite that is none": (("--suite", "demi"), 2, ["unknown suite 'demi'", "'demo'"]),
    "a folder": (("--suite", SUITE, "--results", "r", "--out", "r"), 2, ["r is a folder", "r/report.html"]),
    "no place": (("--suite", SUITE, "--results", "r", "--out", "x/y.html"), 1, ["cannot write"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_shown_is_one_sentence(case, bench, tmp_path):
    args, code, words = REFUSED[case]
    write(tmp_path / "r", cell(TOY, "plain", "A-B", 0), (71.0,))
    (tmp_path / "x").write_text("no folder")
    ended, out = bench(*args)
    assert ended == code and all(word in out for word in words) and out.count("\n") <= 1, out


def test_failed_interrupted_and_damaged_runs_give_a_page(bench, tmp_path):
    write(tmp_path / "r", cell(TOY, "plain", "A-B", 0), status="failed", reason="no memory")
    write(tmp_path / "r", cell(TOY, "plain", "B-A", 0), status=None)
    bad = write(tmp_path / "r", cell(TOY, "dann", "B-A", 1), (76.0,))
    bad.write_bytes(b"{}\n")
    assert bench(*ON_TOY)[0] == 0
    page = Read((tmp_path / "r/tables/report.html").read_text("utf-8"))
    for text in ("1 failed", "no memory", "it has no end", bad.name, "0 of 10"):
        assert text in page.text


def test_all_suites_with_records_are_shown(bench, tmp_path):
    demo = suites.find("demo")
    write(tmp_path / "results", cell(demo, "dann", "MNIST-UCI", 0), (71.0,))
    write(tmp_path / "results", cell(TOY, "plain", "A-B", 0), (72.0,))
    code, out = bench()
    assert (code, out.partition(" (")[0]) == (0, "written to tables/rendered/report.html")
    page = Read((tmp_path / "tables/rendered/report.html").read_text("utf-8"))
    assert demo.title in page.text and "no suite is called toy" in page.text
    command = json.loads(page.scripts[0])["cells"][0][1]["dann"][0]["commands"][0]
    assert command == "bench run --suite demo --methods dann --tasks MNIST-UCI --seeds 0 --redo"


def many(n=5000, evals=60):
    """Records of a suite of twelve tasks, each evaluated often."""
    suite = suites.find("officehome")
    seeds = -(-n // (len(suite.rows) * len(suite.tasks)))
    cells = plan.cells(suite, seeds=range(seeds))[:n]
    values = [60.0 + k / 3 for k in range(evals)]
    one = {}
    for c in cells:
        key = (c.row, c.task)
        one[key] = one.get(key) or record(c, values, machine=GPU if c.seed % 2 else CPU)
        made = one[key]
        run = made.run.model_copy(update={"seed": c.seed, "key": c.key})
        yield replace(made, path=made.path.with_name(f"{c.stem}-1.jsonl"), run=run)


@pytest.mark.slow
def test_five_thousand_records_stay_under_five_megabytes():
    records = list(many())
    report = compose_report({"officehome": suites.find("officehome")}, records, references={})
    size = len(write_report(report).encode())
    assert len(records) == len(report.runs) == 5000 and size < 5e6, f"{size / 1e6:.2f} MB"
