"""Jensen–Shannon divergence against scipy and at its ends."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from moexray.stats.pairs.divergence import jensen_shannon


def test_it_is_the_square_of_scipys_distance() -> None:
    one, other = np.random.default_rng(0).dirichlet(np.ones(6), size=(2, 5))
    expected = [jensenshannon(a, b, base=2) ** 2 for a, b in zip(one, other, strict=True)]
    assert jensen_shannon(one, other) == pytest.approx(expected)


def test_a_distribution_is_at_zero_from_itself_and_at_one_from_a_disjoint_one() -> None:
    one, other = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.5, 0.5])
    assert jensen_shannon(np.stack([one, other]), one).tolist() == [0.0, 1.0]
