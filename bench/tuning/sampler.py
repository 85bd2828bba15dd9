"""Which values `bench tune` tries next: Optuna's TPE sampler, told each time what was tried."""

import math
import random
from collections.abc import Iterable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.suite.search import Knob, Space, Values

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS = 3  # significant digits of a number that is tried: people read and type it
GRID = 10_000  # spaces of at most so many sets are listed, so that their end is known
DRAWS = 20  # how often the sampler is asked before a set is drawn from that list


def propose(
    space: Space,
    scored: Sequence[tuple[Values, float]],
    elsewhere: Iterable[Values] = (),
    *,
    first: Values | None = None,
) -> Values | None:
    """The values to try next; None when all have been tried.

    scored: what was tried, with its accuracy. elsewhere: what other processes are trying. first:
    what to begin with. A function of its arguments alone, so that a search that was cut short goes
    on as if it had not been. Raises BenchError without Optuna.
    """
    try:
        import optuna
    except ImportError as e:
        raise BenchError(f"bench tune needs Optuna ({e}): pip install optuna") from e

    tried = [*(values for values, _ in scored), *elsewhere]
    every = _grid(space)
    left = None if every is None else [values for values in every if values not in tried]
    if left == []:
        return None
    if first is not None and not tried:
        return first
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    within = {key: _distribution(knob) for key, knob in space.items()}
    create = optuna.trial.create_trial
    known = [create(params=values, distributions=within, value=score) for values, score in scored]
    for draw in range(DRAWS):
        # another seed for each number of tries: one for all would draw the same values every time
        tpe = optuna.samplers.TPESampler(seed=len(tried) + draw)
        study = optuna.create_study(direction="maximize", sampler=tpe)
        study.add_trials(known)
        values = {key: _short(v, space[key]) for key, v in study.ask(within).params.items()}
        if values not in tried:
            return values
    return random.Random(len(tried)).choice(left) if left else None


def _distribution(knob: Knob) -> "BaseDistribution":
    """The knob as Optuna calls it."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(knob, tuple):
        return CategoricalDistribution(knob)
    if knob.whole:
        return IntDistribution(int(knob.low), int(knob.high), log=knob.log)
    return FloatDistribution(knob.low, knob.high, log=knob.log)


def _grid(space: Space) -> list[Values] | None:
    """Every set of values, or None when there are more than GRID."""
    knobs = space.values()
    if any(not isinstance(knob, tuple) and not knob.whole for knob in knobs):
        return None
    axes = [k if isinstance(k, tuple) else range(int(k.low), int(k.high) + 1) for k in knobs]
    if math.prod(map(len, axes)) > GRID:
        return None
    return [dict(zip(space, v, strict=True)) for v in product(*axes)]


def _short(v: Any, knob: Knob) -> Any:
    """A fraction rounded to DIGITS, within the knob's range; anything else as it is."""
    if isinstance(knob, tuple) or knob.whole:
        return v
    return min(max(float(f"{v:.{DIGITS}g}"), knob.low), knob.high)
