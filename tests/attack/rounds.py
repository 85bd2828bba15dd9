"""How long an attack lasts: `nox -s attack` sets ATTACK=whole, the other sessions make a few rounds of each.

ATTACK_SEED=1000 nox -s attack: others than the usual ones.
"""

import os
from collections.abc import Callable

Count = Callable[[str, int], None]
FIRST = int(os.environ.get("ATTACK_SEED", "0"))


def seeds(few: int, whole: int) -> range:
    """One test for each: `few` of them, or `whole`."""
    return range(FIRST, FIRST + (whole if os.environ.get("ATTACK") == "whole" else few))
