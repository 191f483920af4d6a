"""MaxVio equals its definition, expert by expert, and its closed forms."""

import numpy as np
import pytest

from moexray.stats import max_violations


def test_max_violations_equal_the_definition() -> None:
    selections = np.random.default_rng(0).integers(0, 9, (4, 3, 5))
    found = max_violations(selections)
    for batch in range(4):
        for layer in range(3):
            loads = [int(load) for load in selections[batch, layer]]
            mean = sum(loads) / 5
            assert found[batch, layer] == pytest.approx((max(loads) - mean) / mean)


def test_even_load_has_none_and_k_of_all_experts_have_experts_over_k_minus_one() -> None:
    even, k_of_eight = np.full((1, 1, 8), 3), np.array([[[5, 5, 0, 0, 0, 0, 0, 0]]])
    assert max_violations(even) == 0
    assert max_violations(k_of_eight) == 8 / 2 - 1


def test_columns_beyond_a_layers_experts_do_not_count() -> None:
    selections = np.array([[[6, 2, 0, 0], [1, 1, 1, 5]]])
    assert max_violations(selections, np.array([2, 4])).tolist() == [[0.5, 1.5]]


def test_a_batch_that_selected_nothing_has_no_violation() -> None:
    assert np.isnan(max_violations(np.zeros((1, 1, 4), dtype=np.int64))).all()
