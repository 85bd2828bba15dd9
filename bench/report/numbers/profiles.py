"""Performance profiles: how far rows stay behind the best one, place by place."""

from collections.abc import Mapping, Sequence


def find_regrets(
    values: Mapping[str, Sequence[float]], *, lower: bool = False
) -> dict[str, list[float]]:
    """Row id -> how far it stays behind the best row at each place, sorted; 0 for the best.

    values: row id -> its values, at the same places for each row. lower: whether small values are
    good. Dolan and Moré (2002) divide by the best value; accuracies are compared by differences.
    """
    sign = -1 if lower else 1
    best = [max(sign * x for x in place) for place in zip(*values.values(), strict=True)]
    return {
        row: sorted(b - sign * x for b, x in zip(best, own, strict=True))
        for row, own in values.items()
    }
