"""The error bars of published figures, where their meaning is stated."""

from math import sqrt

from bench.report.numbers.stats import Bar, student_quantile
from bench.suite.claims import Figure, Published


def read_bar(claim: Published, figure: Figure) -> Bar | None:
    """The standard error of a figure, in its unit; None where nothing says what its ± means."""
    if figure.error is None or claim.error is None or claim.n is None:
        return None
    divisor = {
        "sd": sqrt(claim.n),
        "se": 1.0,
        "ci95": student_quantile(claim.n - 1, 0.95),
    }
    return Bar(figure.error / divisor[claim.error], claim.n)
