"""The numbers that layers keep have the least total cost of all choices."""

from itertools import product

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.workloads.allocation import allocate


@pytest.mark.parametrize("seed", range(40))
def test_no_choice_of_the_same_total_costs_less(seed: int) -> None:
    """Every combination is tried; costs may rise, fall, be negative or tie."""
    rng = np.random.default_rng(seed)
    layers = int(rng.integers(1, 5))
    options = [
        sorted(rng.choice(np.arange(1, 8), int(rng.integers(1, 5)), replace=False).tolist()) for _ in range(layers)
    ]
    costs = [rng.integers(-3, 9, len(one)).astype(float).tolist() for one in options]
    totals: dict[int, float] = {}
    for choice in product(*(range(len(one)) for one in options)):
        total = sum(options[layer][place] for layer, place in enumerate(choice))
        cost = sum(costs[layer][place] for layer, place in enumerate(choice))
        totals[total] = min(cost, totals.get(total, np.inf))
    for total, least in totals.items():
        found = allocate(costs, options, total)
        assert sum(found) == total
        assert sum(costs[layer][options[layer].index(number)] for layer, number in enumerate(found)) == least
    impossible = max(totals) + 1
    with pytest.raises(NotComputable, match=f"sums to {impossible}"):
        allocate(costs, options, impossible)


def test_what_costs_nothing_is_kept_least_where_it_does_not_matter() -> None:
    assert allocate([[5, 0], [1, 0]], [[1, 4], [1, 4]], 5) == (4, 1)
    assert allocate([[0, 0], [0, 0]], [[1, 4], [1, 4]], 5) == (1, 4)
