"""The measures of load, against their definitions."""

from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import entropy, variation

from moexray.errors import NotComputable
from moexray.stats.layers.load import layer_loads

LOADS = np.random.default_rng(0).integers(0, 50, size=(6, 9))


def test_perfect_balance_is_one_zero_zero_one_and_no_dead_expert() -> None:
    assert astuple(*layer_loads(np.full((1, 8), 5))) == pytest.approx((1, 0, 0, 1, 0))


def test_one_expert_that_takes_everything_is_the_other_end() -> None:
    """Of eight experts: Gini 7/8, standard deviation √7 means, eight times the mean, seven dead."""
    (found,) = layer_loads(np.array([[0, 0, 24, 0, 0, 0, 0, 0]]))
    assert astuple(found) == pytest.approx((0, 7 / 8, np.sqrt(7), 8, 7))


def test_entropy_and_variation_equal_scipys_and_gini_its_definition_over_all_pairs() -> None:
    for found, load in zip(layer_loads(LOADS), LOADS, strict=True):
        assert found.entropy == pytest.approx(entropy(load) / np.log(9))
        assert found.cv == pytest.approx(variation(load))
        assert found.gini == pytest.approx(np.abs(load[:, None] - load).mean() / (2 * load.mean()))
        assert found.max_over_mean == pytest.approx(max(load) / np.mean(load))
        assert found.dead_experts == list(load).count(0)


def test_experts_that_a_layer_does_not_have_do_not_count() -> None:
    """Layers of eight, five and three experts, each measured by hand.

    The second: mean 4/5, variance (2 · 1.2² + 3 · 0.8²) / 5 = 0.96, Gini (2 · 2 + 4 · 2) / (5 · 4).
    The third: mean 2, variance 2/3, Gini (−2 · 1 + 2 · 3) / (3 · 6).
    """
    load = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [2, 0, 2, 0, 0, 0, 0, 0], [3, 2, 1, 0, 0, 0, 0, 0]])
    experts = np.array([8, 5, 3])
    found = layer_loads(load, experts)
    entropies = [1, np.log(2) / np.log(5), -(np.log(1 / 2) / 2 + np.log(1 / 3) / 3 + np.log(1 / 6) / 6) / np.log(3)]
    expected = [
        (entropies[0], 0, 0, 1, 0),
        (entropies[1], 12 / 20, np.sqrt(0.96) / 0.8, 2.5, 3),
        (entropies[2], 4 / 18, np.sqrt(2 / 3) / 2, 1.5, 0),
    ]
    for layer, values in zip(found, expected, strict=True):
        assert astuple(layer) == pytest.approx(values)
    alone = [layer_loads(row[None, :size])[0] for row, size in zip(load, experts, strict=True)]
    assert found == alone
    assert layer_loads(LOADS, np.full(6, 9)) == layer_loads(LOADS)


def test_a_layer_without_a_selection_has_no_balance() -> None:
    with pytest.raises(NotComputable):
        layer_loads(np.zeros((1, 4), dtype=int))
    with pytest.raises(NotComputable):
        layer_loads(np.array([[0, 0, 5]]), np.array([2]))
