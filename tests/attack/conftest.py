"""Each attack counts what it did; the sums stand at the end of the output, also with `-n 2`."""

from collections import Counter

import pytest
from attack.rounds import Count


@pytest.fixture
def count(record_property: Count) -> Count:
    """count("kills", 20): this test made so many."""
    return record_property


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    done: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for what, n in report.user_properties:
            done[what] += n
    for what, n in done.items():
        terminalreporter.write_line(f"attack: {n:,} {what}")
