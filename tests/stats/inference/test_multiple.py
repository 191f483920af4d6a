"""Adjusted p-values: max-T by enumeration, Benjamini–Hochberg by its definition."""

import numpy as np
import pytest

from moexray.stats.inference.multiple import benjamini_hochberg, max_t_p_values


def test_the_adjusted_p_value_counts_labelings_in_which_any_layer_is_as_extreme() -> None:
    """Both layers have the same four values, so none is rescaled against the other.

    The observed 3 of layer 0 is reached in its own column by no labeling but itself, p = 1/4, and in any column by
    the labeling in which layer 1 has 3: 2/4. The observed 0 of layer 1 is reached by all.
    """
    statistics = np.array([[3.0, 0.0], [0.0, 3.0], [1.0, 1.0], [2.0, 2.0]])
    found = max_t_p_values(statistics)
    assert found.p_values == [1 / 4, 1.0]
    assert found.adjusted == [2 / 4, 1.0]


def test_a_layer_that_never_varies_does_not_count() -> None:
    statistics = np.array([[3.0, 7.0], [0.0, 7.0], [1.0, 7.0], [2.0, 7.0]])
    assert max_t_p_values(statistics).adjusted == [1 / 4, 1.0]


def test_benjamini_hochberg_is_its_definition() -> None:
    """Sorted p of rank i is multiplied by m/i, and is at most that of the next rank: 0.01·4, 0.02·2, 0.5·4/3, 0.6."""
    p_values = np.array([[0.02, 0.6], [0.5, 0.01]])
    assert benjamini_hochberg(p_values) == pytest.approx(np.array([[0.04, 0.6], [0.6, 0.04]]))


def test_benjamini_hochberg_does_not_count_what_is_no_test() -> None:
    found = benjamini_hochberg(np.array([0.02, np.nan, 0.01]))
    assert found == pytest.approx([0.02, np.nan, 0.02], nan_ok=True)
