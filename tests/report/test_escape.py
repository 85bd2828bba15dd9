"""Whatever a suite, a bibliography or a record says is printed as text, in all three formats."""

import re
from html.parser import HTMLParser
from itertools import cycle

import pytest
from fakes import cell, record, toy
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bench.report.page import cites
from bench.report.write.html import escape_html
from bench.report.write.latex import to_latex
from bench.report.write.markdown import escape_markdown
from bench.report.write.prose import flatten, split_code
from bench.report.write.render import render_accuracies, render_costs

TOY = toy()
HOSTILE = [
    "[x](javascript:alert(1))", "![x](http://evil.example/x.png)", "[x]: javascript:alert(1)",
    "[x][y]", "[^1]: note", "[x] done", "<script>alert(1)</script>", "<http://evil.example>",
    "a | b", "`a|b`", r"`a\|b`", "``x``", "`", "a\nb\n\n# c\n- d", "1. one", "- one", "+ one",
    "> q", "---", "# c #", "&lt;b&gt; &#106;", "***a*** __b__ _c_ d_e", "~~x~~", "    code",
    r"$x$ \input{/etc/passwd} \\[1em] ^^5c", "% comment", "a\\", "{{ 7*7 }}", "\x1b[31m\x00",
    "\u202egnp.exe", "\u2028", "a -- b --- c ,,d", "\"'`", "Ħ ſ Ł é 漢", "",
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(alphabet=st.sampled_from("[]()!<>|`*_~#-+1.:\\&;$%{}^ \nax"), max_size=20),
    st.text(max_size=20),
)
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
BLOCKS = {"heading", "paragraph", "bullet_list", "list_item", "inline"} | {
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "section", "div", "table",
    "thead", "tbody", "tr", "th", "td", "ul", "li", "a", "code",
}  # fmt: skip


def unmarked(text):
    """What a reader sees: the text on one line, without the backticks of its code."""
    return "".join(piece for piece, _ in split_code(text))


def read_markdown(text):
    """The inline texts and the addresses of a page; fails over any markup that no page has."""
    lines, links = [], []
    for token in MARKDOWN.parse(text):
        assert re.sub("_(open|close)$", "", token.type) in BLOCKS, token
        for inline in token.children or ():
            assert inline.type in ("text", "text_special", "code_inline", "strong_open",
                                   "strong_close", "link_open", "link_close"), inline  # fmt: skip
            if inline.type == "link_open":
                assert inline.markup == "autolink"
                links.append(inline.attrs["href"])
        if token.children:
            lines.append("".join(inline.content for inline in token.children))
    return lines, links


class Page(HTMLParser):
    """The texts and addresses of a page; fails over any tag that no page has."""

    def __init__(self, text):
        super().__init__()
        self.text, self.links = "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS, tag
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.links += [value for name, value in attrs if name == "href"]
        self.text += "" if tag == "code" else "\n"

    def handle_data(self, data):
        self.text += data


TOKEN = (
    r"[^\\{}$&#%_~^<>`\[\x00-\x1f]|\\[{}$&#%_]|\{\[\}|[-,]\{\}|\$(?:-|\\\w+|\\\|)\$"
    r"|\\text(?:backslash|asciitilde|asciicircum|less|greater|asciigrave)\{\}"
)
SCRIPT = rf"\\text(?:superscript|subscript)\{{(?:{TOKEN})*\}}"
LATEX = re.compile(rf"(?:{TOKEN}|{SCRIPT}|\\texttt\{{(?:{TOKEN}|{SCRIPT})*\}})*")


@pytest.mark.slow
@given(texts)
def test_each_format_prints_a_text_as_it_is(text):
    seen = unmarked(text)
    lines, links = read_markdown(f"- x\n- {escape_markdown(text)}.")
    assert (lines, links) == (["x", f"{seen}."], [])
    table = f"| a | b |\n|---|---|\n| {escape_markdown(text, cell=True)}. | y |"
    lines, links = read_markdown(table)
    # code with a backslash keeps its backticks in a cell
    assert [x.replace("`", "") for x in lines] == ["a", "b", f"{seen}.".replace("`", ""), "y"]
    assert Page(f"<p>{escape_html(text)}</p>").text == "\n" + seen
    assert LATEX.fullmatch(to_latex(text)), to_latex(text)
    assert "--" not in to_latex(text) and ",," not in to_latex(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_flattened_text_is_one_printable_line(text):
    flat = flatten(text)
    assert flat.splitlines() in ([flat], []) and flatten(flat) == flat
    assert not set(flat) & {"\x1b", "\x00", "\u202e"}


ADDRESSES = {
    "https://example.org/a?b=1&c=2_3#d": "https://example.org/a?b=1&c=2_3#d",
    ' https://example.org/<b>"{x}^|\\ ': "https://example.org/%3Cb%3E%22%7Bx%7D%5E%7C%5C",
    "https://example.org/é": "https://example.org/%C3%A9",
    "javascript:alert(1)": "", "JaVaScRiPt://x/%0aalert(1)": "", "data:text/html,x": "",
    "java\nscript:alert(1)": "", "https://a b": "", "https:": "", "//example.org": "",
    "example.org": "", "file:///etc/passwd": "", "https://[": "", "": "",
}  # fmt: skip


@pytest.mark.parametrize("text", ADDRESSES)
def test_only_addresses_of_the_web_are_followed(text):
    assert cites.web_address(text) == ADDRESSES[text]
    assert cites.find_address({"url": text}) == ADDRESSES[text]
    other = text.strip() if text and not ADDRESSES[text] else ""
    assert cites.describe_paper({"title": "T", "url": text}).strip().endswith(other or "T.")


def test_a_doi_is_an_address_where_there_is_no_other():
    for doi in ("10.1/a<b", "https://doi.org/10.1/a<b", "doi: 10.1/a<b"):
        assert cites.find_address({"doi": doi}) == "https://doi.org/10.1/a%3Cb"
        assert cites.find_address({"doi": doi, "url": "https://x.org"}) == "https://x.org"
    assert cites.find_address({"doi": "javascript:alert(1)"}) == ""


def hostile_suite(draw):
    """TOY with another text wherever its schema takes any, and references like it."""
    rows = [r.model_copy(update={"label": draw(), "note": draw()}) for r in TOY.rows]
    published = [
        c.model_copy(update={"label": draw(), "note": draw(), "where": draw()})
        for c in TOY.published
    ]
    costs = [c.model_copy(update={"label": draw(), "note": draw()}) for c in TOY.costs]
    budgets = {k: b.model_copy(update={"note": draw()}) for k, b in TOY.budgets.items()}
    said = {"title": draw(), "about": draw(), "differences": (draw(), draw())}
    fields = ("author", "title", "journal", "volume", "year", "url", "doi")
    references = {c.cite: {name: draw() for name in fields} for c in (*published, *costs)}
    changed = {"rows": rows, "published": published, "costs": costs, "budgets": budgets} | said
    return TOY.model_copy(update=changed), references


RECORDS = [
    record(cell(TOY, "plain", "A-B", 0), (50.0, 60.0)),
    record(cell(TOY, "dann", "A-B", 0), (55.0, 70.0)),
    record(cell(TOY, "plain", "A-B", 0, "timing"), (50.0,)),
]


def hostile_records(text):
    def change(r):
        data = {k: d.model_copy(update={"origin": text}) for k, d in r.run.data.items()}
        env = r.run.env.model_copy(update={"cpu": text, "torch": text})
        run = r.run.model_copy(update={"data": data, "env": env})
        return type(r)(**{**vars(r), "run": run})

    return [change(r) for r in RECORDS]


@settings(max_examples=3, deadline=None)
@given(st.permutations(HOSTILE), st.lists(texts, min_size=5, max_size=5))
def test_no_text_of_a_suite_is_obeyed_and_each_is_read_on_its_page(order, more):
    supply = cycle([*more, *order])
    suite, references = hostile_suite(lambda: next(supply))
    records = hostile_records(next(supply))
    followed = set(map(cites.find_address, references.values()))
    for render in (
        lambda fmt: render_accuracies(suite, records, fmt, references=references),
        lambda fmt: render_costs(suite, records, fmt, references),
    ):
        lines, links = read_markdown(render("md"))
        html = Page(render("html"))
        assert set(links) | set(html.links) <= followed
        assert unmarked(suite.title).strip() in "".join(lines)
        for address in re.findall(r"\\url\{(.*?)\}", render("latex")):
            assert re.fullmatch(r"https?://[^\\{}\s^|<>\"]+", address)
    lines, _ = read_markdown(render_accuracies(suite, [], "md", references=references))
    html = Page(render_accuracies(suite, [], "html", references=references))
    for text in (suite.title, suite.about, *suite.differences):
        seen = unmarked(text).strip()
        assert not seen or (seen in lines and seen in html.text)
