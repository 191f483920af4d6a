"""Permutations of labels keep the sizes of categories, and p-values count the observed labeling."""

import numpy as np

from moexray.stats.inference.permutation import p_value, permutation_result
from moexray.stats.inference.units import units_of


def test_every_permutation_keeps_the_size_of_every_category() -> None:
    rows = np.concatenate(list(units_of(["a", "a", "b", "c", "c", "c"]).labelings(50, 0)))
    assert (np.sort(rows, axis=1) == [0, 0, 1, 2, 2, 2]).all()
    assert len({tuple(row) for row in rows}) > 20


def test_p_counts_the_observed_labeling_and_every_tie() -> None:
    """Two of four permutations reach 3: p = (1 + 2) / (1 + 4)."""
    assert p_value(3.0, np.array([1.0, 3.0, 5.0, 2.0])) == 3 / 5
    found = permutation_result(np.array([3.0, 1.0, 3.0, 5.0, 2.0]))
    assert (found.observed, found.p_value, found.permutations, found.null_mean) == (3.0, 3 / 5, 4, 11 / 4)
