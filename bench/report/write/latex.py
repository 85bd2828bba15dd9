"""A page as LaTeX: booktabs tables and lists, to be \\input into a pdflatex document that loads the packages below."""

import re
import unicodedata
from collections.abc import Iterable

from pandas import DataFrame

from bench.report.page.layout import Grid, Line, Page

PACKAGES = r"""\usepackage[T1]{fontenc}
\usepackage{textcomp,amssymb,booktabs,adjustbox}
\usepackage[hyphens]{url}
\usepackage[hidelinks]{hyperref}"""

SIGNS = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma",
    "τ": "tau", "υ": "upsilon", "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta",
    "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
    "→": "to", "←": "leftarrow", "↔": "leftrightarrow", "−": "-", "±": "pm", "×": "times", "·": "cdot", "∘": "circ",
    "≈": "approx", "≤": "le", "≥": "ge", "≠": "ne", "≪": "ll", "≫": "gg", "∞": "infty", "∈": "in", "∑": "sum",
    "∂": "partial", "∇": "nabla", "√": "surd", "ℓ": "ell", "‖": "|", "⊗": "otimes", "⊙": "odot",
}  # fmt: skip
MATH = {c: "$-$" if name == "-" else rf"$\{name}$" for c, name in SIGNS.items()}
ASCII = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "[": "{[}",  # after \\ or \item a bare bracket would open an optional argument
}  # fmt: skip


def write(page: Page) -> str:
    """The page without a preamble; `document` makes a whole file of it."""
    parts = [
        *(f"% {line}" for line in PACKAGES.splitlines()),
        rf"\section*{{{tex(page.title)}}}",
        tex(page.about),
    ]
    parts += [rf"\par\textbf{{{tex(warning)}}}\par" for warning in page.warnings]
    for section in page.sections:
        parts += [
            rf"\subsection*{{{tex(section.title)}}}",
            *map(_grid, section.grid.panels() if section.grid else []),
        ]
        parts += [_list(tex(note) for note in section.notes) if section.notes else ""]
    if page.references:
        entries = [
            f"{tex(r.short)}: {tex(r.text)}" + (rf" \url{{{r.url}}}" if r.url else "")
            for r in page.references
        ]
        parts += [r"\subsection*{References}", _list(entries)]
    return "\n".join(p for p in parts if p)


def document(body: str) -> str:
    """A file that pdflatex compiles."""
    head = "\\documentclass[a4paper]{article}\n\\usepackage[margin=2cm]{geometry}\n" + PACKAGES
    return f"{head}\n\\begin{{document}}\n{body}\\end{{document}}\n"


def tex(text: str) -> str:
    """Plain text -> LaTeX: everything special escaped, signs as mathematics, `code` in typewriter."""
    escaped = "".join(_character(c) for c in text).replace("--", "-{}-")
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", escaped)


def _character(c: str) -> str:
    """pdflatex knows Latin letters, punctuation and what is listed above; anything else is named rather than lost."""
    if known := ASCII.get(c) or MATH.get(c):
        return known
    style, _, code = unicodedata.decomposition(c).partition(" ")
    if style in ("<super>", "<sub>"):
        return rf"\text{style[1:-1]}script{{{''.join(_character(chr(int(x, 16))) for x in code.split())}}}"
    return c if c < "ƀ" or c in "–—‘’“”†‡•…€" else f"(U+{ord(c):04X})"


def _grid(grid: Grid) -> str:
    rows = [[_label(line, i), *map(tex, line.cells)] for i, line in enumerate(grid.lines)]
    style = DataFrame(rows, columns=[tex(h) for h in grid.head]).style.hide(axis="index")
    table = style.to_latex(hrules=True, column_format="l" + "r" * (len(grid.head) - 1))
    # only what is too wide or too tall for the page is made smaller
    fit = r"max width=\linewidth, max totalheight=0.8\textheight, center"
    return f"\\begin{{adjustbox}}{{{fit}}}\n{table}\\end{{adjustbox}}\n\\par\\medskip"


def _label(line: Line, place: int) -> str:
    text = (
        rf"\textbf{{{tex(line.label)}}}"
        if line.kind in ("ours", "heading")
        else rf"\quad {tex(line.label)}"
    )
    return rf"\addlinespace {text}" if line.first and place else text


def _list(items: Iterable[str]) -> str:
    begin, end = r"\begin{itemize}\setlength{\itemsep}{0pt}\small", r"\end{itemize}"
    return "\n".join([begin, *(rf"\item {x}" for x in items), end])
