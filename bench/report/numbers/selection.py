"""Which evaluation of a run a table shows. Light, so that the command line can import it."""

from typing import Literal

# the last evaluation; the best on the source's test images, which needs no target label; the best
# on the target's test images, which is an oracle
Select = Literal["last", "best-on-source", "best-on-target"]
Side = Literal["target", "source"]  # the domain whose test images are counted
