"""How long a browser takes to open a report of 5,000 records.

pytest tests/perf/test_report_page.py --benchmark-only -s
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.report.page.report import compose_report
from bench.report.write.report import write_report
from bench.suite import suites

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on this machine")
def test_five_thousand_records_load_in_two_seconds(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "report"))
    from test_report import many

    sync_api = pytest.importorskip("playwright.sync_api")
    report = compose_report({"officehome": suites.find("officehome")}, list(many()), references={})
    file = tmp_path / "many.html"
    file.write_text(write_report(report), encoding="utf-8")
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM)

        def load() -> None:
            page = browser.new_page()
            page.goto(file.as_uri())
            page.locator("td button").first.wait_for()
            page.close()

        benchmark.pedantic(load, rounds=3, warmup_rounds=1)
        browser.close()
    least = benchmark.stats.stats.min
    print(f"\n{file.stat().st_size / 1e6:.2f} MB, {least:.2f} s at least")
    assert least < 2
