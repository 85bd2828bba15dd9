"""Which evaluation of a run a table shows. Light, so that the command line can import it."""

from typing import Literal

# the last evaluation; the best on the source's test images, which needs no target label; the best
# by a score of the target's predictions, which needs none either; the best on the target's test
# images, which is an oracle
Select = Literal[
    "last", "best-on-source", "entropy", "im", "snd", "bnm", "dev", "best-on-target"
]  # fmt: skip
Side = Literal["target", "source"]  # the domain whose test images are counted

SIGNS: dict[Select, int] = {"entropy": -1, "im": 1, "snd": 1, "bnm": 1, "dev": -1}
"""Of each score in a record whether the largest (1) or the smallest (−1) is the best."""
