"""The README's promises: its examples run as they stand, and its figures are those of the rendered table."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import stands_in
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
METHOD, ROW, SUITE, CLAIM = re.findall(r"```(?:python|toml)\n(.*?)```", README, flags=re.S)


def test_the_examples_are_as_short_as_promised() -> None:
    assert len(METHOD.splitlines()) < 20
    assert len(SUITE.splitlines()) < 30
    assert len(README.splitlines()) <= 150
    assert len(CLAIM.splitlines()) < 10


@pytest.mark.slow
def test_a_newcomer_adds_a_method_a_suite_and_a_claim(tmp_path: Path) -> None:
    for name in ("bench", "methods", "tables"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "methods" / "mean_match.py").write_text(METHOD, encoding="utf-8")
    short = SUITE.replace("iterations = 2000", "iterations = 20").replace("batch = 32", "batch = 8")
    (tmp_path / "tables" / "own.toml").write_text(f"{short}\n{ROW}\n{CLAIM}", encoding="utf-8")
    bib = tmp_path / "tables" / "references.bib"
    bib.write_text(
        bib.read_text(encoding="utf-8")
        + "\n@misc{key2026,\n  author = {Own, Our},\n  year = {2026},\n}\n",
        encoding="utf-8",
    )
    rng = np.random.default_rng(0)
    for domain in ("photo", "drawing"):
        for label in range(5):
            folder = tmp_path / "data" / "own" / domain / f"class{label}"
            folder.mkdir(parents=True)
            for i in range(10):
                pixels = rng.integers(0, 256, (30, 34, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")

    def bench(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "bench", *args],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "6 ok; 0 of 6 cells pending" in bench(
        "run", "--suite", "own", "--data", "data", "--device", "cpu"
    )
    table = bench("tables", "--suite", "own", "--format", "md")
    assert "Mean matching" in table and "71.3±0.4" in table and "(3)" in table


def test_the_demo_shown_is_the_demo_measured() -> None:
    rendered = (ROOT / "tables" / "rendered" / "demo.md").read_text(encoding="utf-8")
    shown = [line for line in README.splitlines() if line.startswith("| **")]
    assert len(shown) == 5
    assert all(line in rendered for line in shown)


def test_the_report_is_small_enough_to_be_saved_and_kept() -> None:
    """Every commit of new records brings another copy of it into the history."""
    assert (ROOT / "tables" / "rendered" / "report.html").stat().st_size < 3_000_000


def test_every_figure_quoted_stands_in_a_rendered_table() -> None:
    pages = "".join(
        p.read_text(encoding="utf-8") for p in (ROOT / "tables" / "rendered").glob("*.md")
    )
    figures = re.findall(r"\d+\.\d+(?: ± \d+\.\d+)? \(\d+\)", README)
    assert len(figures) > 10
    assert [f for f in figures if not stands_in(pages, f)] == []
