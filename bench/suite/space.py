"""Older names of `bench.suite.search`, until the modules that use them are moved over."""

from bench.suite.search import HYPER as HYPER
from bench.suite.search import TRIALS as TRIALS
from bench.suite.search import Knob as Knob
from bench.suite.search import Range as Range
from bench.suite.search import Space as Space
from bench.suite.search import Values as Values
from bench.suite.search import recall as within
from bench.suite.search import restrict as of_row
from bench.suite.search import split as changes

__all__ = ["changes", "of_row", "within"]
