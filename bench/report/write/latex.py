"""A page as LaTeX: tables and lists, for \\input into a pdflatex document that loads PACKAGES."""

import re
import unicodedata
from collections.abc import Iterable

from pandas import DataFrame

from bench.report.page.layout import Grid, Line, Page
from bench.report.write.prose import split_code

PACKAGES = r"""\usepackage[T1]{fontenc}
\usepackage{textcomp,amssymb,booktabs,adjustbox}
\usepackage[hyphens]{url}
\usepackage[hidelinks]{hyperref}"""

SIGNS = {  # sign -> its command in mathematics
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta",
    "η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu",
    "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "varphi",
    "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta",
    "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
    "→": "to", "←": "leftarrow", "↔": "leftrightarrow", "−": "-", "±": "pm", "×": "times",
    "·": "cdot", "∘": "circ", "≈": "approx", "≤": "le", "≥": "ge", "≠": "ne", "≪": "ll",
    "≫": "gg", "∞": "infty", "∈": "in", "∑": "sum", "∂": "partial", "∇": "nabla", "√": "surd",
    "ℓ": "ell", "‖": "|", "⊗": "otimes", "⊙": "odot",
}  # fmt: skip
MATH = {c: "$-$" if name == "-" else rf"$\{name}$" for c, name in SIGNS.items()}
ASCII = {  # character with a meaning of its own in LaTeX -> how to print it
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "`": r"\textasciigrave{}",
    "[": "{[}",  # after \\ or \item a bare bracket would open an optional argument
}  # fmt: skip


FOREIGN = "\N{SOFT HYPHEN}ĦħĸĿŀŉŦŧſ"  # letters that the fonts of the encoding T1 have not


def write_latex(page: Page) -> str:
    """The page without a preamble; `make_document` makes a whole file of it.

    A page of tables with captions is these tables alone, as floats to \\input into a paper.
    """
    needed = [*(f"% {line}" for line in PACKAGES.splitlines())]
    if all(s.grid and s.grid.caption for s in page.sections):
        return "\n".join([*needed, *(_write_float(s.grid) for s in page.sections if s.grid)])
    parts = needed
    parts += [rf"\section*{{{to_latex(page.title)}}}", to_latex(page.about)]
    parts += [rf"\par\textbf{{{to_latex(warning)}}}\par" for warning in page.warnings]
    for section in page.sections:
        panels = section.grid.panels() if section.grid else []
        parts += [rf"\subsection*{{{to_latex(section.title)}}}", *map(_write_grid, panels)]
        parts += [_write_list(map(to_latex, section.notes))] if section.notes else []
    if page.references:
        entries = (
            f"{to_latex(r.short)}: {to_latex(r.text)}" + (rf" \url{{{r.url}}}" if r.url else "")
            for r in page.references
        )
        parts += [r"\subsection*{References}", _write_list(entries)]
    return "\n".join(p for p in parts if p)


def make_document(body: str) -> str:
    """A file that pdflatex compiles, around one or several pages."""
    head = "\\documentclass[a4paper]{article}\n\\usepackage[margin=2cm]{geometry}\n" + PACKAGES
    return f"{head}\n\\begin{{document}}\n{body}\\end{{document}}\n"


def to_latex(text: str) -> str:
    """Plain text as LaTeX: specials escaped, signs as mathematics, `code` in typewriter."""
    return "".join(
        rf"\texttt{{{_write_text(piece)}}}" if code else _write_text(piece)
        for piece, code in split_code(text)
    )


def _write_text(text: str) -> str:
    escaped = "".join(map(_write_character, text))
    return re.sub(r"-(?=-)|,(?=,)", r"\g<0>{}", escaped)  # two of them would be a dash, a quote


def _write_character(c: str) -> str:
    """One character as LaTeX.

    What pdflatex does not know and is not in the tables above is printed as its code point, so that
    nothing is lost.
    """
    if known := ASCII.get(c) or MATH.get(c):
        return known
    style, _, code = unicodedata.decomposition(c).partition(" ")
    if style in ("<super>", "<sub>"):
        plain = "".join(_write_character(chr(int(x, 16))) for x in code.split())
        return rf"\text{style[1:-1]}script{{{plain}}}"
    printed = (c < "ƀ" and c not in FOREIGN) or c in "–—‘’“”†‡•…€"
    return c if printed else f"(U+{ord(c):04X})"


def _write_float(grid: Grid) -> str:
    begin = rf"\begin{{table}}[tbp]\centering\caption{{{to_latex(grid.caption)}}}"
    return "\n".join([begin, rf"\label{{{grid.name}}}\medskip", _write_grid(grid), r"\end{table}"])


def _write_grid(grid: Grid) -> str:
    rows = [[_label(line, i), *_cells(line)] for i, line in enumerate(grid.lines)]
    style = DataFrame(rows, columns=[to_latex(h) for h in grid.head]).style.hide(axis="index")
    table = style.to_latex(hrules=True, column_format="l" + "r" * (len(grid.head) - 1))
    # shrinks only a table that is too wide or too tall for the page
    fit = r"max width=\linewidth, max totalheight=0.8\textheight, center"
    return f"\\begin{{adjustbox}}{{{fit}}}\n{table}\\end{{adjustbox}}\n\\par\\medskip"


def _cells(line: Line) -> list[str]:
    commands = {"best": r"\textbf{%s}", "second": r"\underline{%s}", "": "%s"}
    marks = line.marks or ("",) * len(line.cells)
    return [commands[m] % to_latex(c) for m, c in zip(marks, line.cells, strict=True)]


def _label(line: Line, place: int) -> str:
    """place: the number of the line in its grid, because no space is wanted above the first.

    Bold is for the best of a line whose cells are marked.
    """
    label = to_latex(line.label)
    if line.marks:
        return label
    text = rf"\textbf{{{label}}}" if line.kind in ("ours", "heading") else rf"\quad {label}"
    return rf"\addlinespace {text}" if line.first and place else text


def _write_list(items: Iterable[str]) -> str:
    begin = r"\begin{itemize}\setlength{\itemsep}{0pt}\small"
    return "\n".join([begin, *(rf"\item {x}" for x in items), r"\end{itemize}"])
