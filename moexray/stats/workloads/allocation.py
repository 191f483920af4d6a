"""How many experts each layer keeps: the least total cost at a total, the question of LExI (arXiv:2509.02753)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable


def allocate(costs: Sequence[Sequence[float]], options: Sequence[Sequence[int]], total: int) -> tuple[int, ...]:
    """Return the number that each layer keeps, so that the numbers sum to `total` and the costs to the least.

    Dynamic programming over layers: least(l, b) = min over options k of least(l − 1, b − k) + D_l(k), exact for any
    costs. Of equal sums the first layers keep less.

    Parameters
    ----------
    costs
        D_l(k) of each layer, one for each of its options.
    options
        The numbers that each layer may keep, at least one, each of them at least 1.
    total
        The sum of the numbers.

    Raises
    ------
    NotComputable
        If no choice sums to `total`.
    """
    least = np.full(total + 1, np.inf)
    least[0] = 0.0
    chosen: list[NDArray[np.int64]] = []
    for of_layer, numbers in zip(costs, options, strict=True):
        found = np.full(total + 1, np.inf)
        choice = np.zeros(total + 1, dtype=np.int64)
        order = np.argsort(numbers, kind="stable")[::-1]  # the larger number first: what is left for the others is less
        for place in order.tolist():
            number = numbers[place]
            if number > total:
                continue
            shifted = np.full(total + 1, np.inf)
            shifted[number:] = least[: total + 1 - number] + of_layer[place]
            better = shifted < found
            found[better], choice[better] = shifted[better], number
        least = found
        chosen.append(choice)
    if not np.isfinite(least[total]):
        message = f"no choice of the layers' numbers sums to {total}"
        raise NotComputable(message)
    numbers_kept = []
    for choice in reversed(chosen):
        numbers_kept.append(int(choice[total]))
        total -= numbers_kept[-1]
    return tuple(reversed(numbers_kept))
