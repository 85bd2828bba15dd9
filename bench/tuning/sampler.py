"""Which values `bench tune` tries next: Optuna's TPE sampler, asked anew each time."""

import math
import random
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

from bench.errors import BenchError
from bench.suite.space import Knob, Space, Values

DIGITS = 3  # significant ones of a number that is tried: a row is to be read and typed by people
GRID = 10_000  # a space of no more sets of values than this is known to be exhausted when it is
DRAWS = 20


def propose(
    space: Space,
    scored: Sequence[tuple[Values, float]],
    elsewhere: Iterable[Values] = (),
    *,
    first: Values | None = None,
) -> Values | None:
    """The values to try next; None when all have been tried. Raises BenchError without Optuna.

    scored: what was tried, with its accuracy. elsewhere: what others are trying. first: what to begin with. A function of
    its arguments alone, without a state of its own: a search that was cut short goes on as if it had not been.
    """
    try:
        import optuna
        from optuna.distributions import (
            BaseDistribution,
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )
    except ImportError as e:
        raise BenchError(f"bench tune needs Optuna ({e}): pip install optuna") from e

    def distribution(knob: Knob) -> BaseDistribution:
        if isinstance(knob, tuple):
            return CategoricalDistribution(knob)
        if knob.whole:
            return IntDistribution(int(knob.low), int(knob.high), log=knob.log)
        return FloatDistribution(knob.low, knob.high, log=knob.log)

    tried = [*(values for values, _ in scored), *elsewhere]
    left = (
        None
        if (every := _grid(space)) is None
        else [values for values in every if values not in tried]
    )
    if left == []:
        return None
    if first is not None and not tried:
        return first
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    within = {key: distribution(knob) for key, knob in space.items()}
    known = [
        optuna.trial.create_trial(params=values, distributions=within, value=score)
        for values, score in scored
    ]
    for draw in range(DRAWS):
        # a seed for each place in the sequence: one for all would draw the first values again whenever the search goes on
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=len(tried) + draw)
        )
        study.add_trials(known)
        values = {key: _short(v, space[key]) for key, v in study.ask(within).params.items()}
        if values not in tried:
            return values
    return random.Random(len(tried)).choice(left) if left else None


def _grid(space: Space) -> list[Values] | None:
    """Every set of values, or None where there are too many to list."""
    if any(not isinstance(knob, tuple) and not knob.whole for knob in space.values()):
        return None
    axes = [
        knob if isinstance(knob, tuple) else range(int(knob.low), int(knob.high) + 1)
        for knob in space.values()
    ]
    return (
        [dict(zip(space, v, strict=True)) for v in product(*axes)]
        if math.prod(map(len, axes)) <= GRID
        else None
    )


def _short(v: Any, knob: Knob) -> Any:
    if isinstance(knob, tuple) or knob.whole:
        return v
    return min(max(float(f"{v:.{DIGITS}g}"), knob.low), knob.high)
