"""The measures of load, against their definitions."""

import numpy as np
import pytest
from scipy.stats import entropy, variation

from moexray.errors import NotComputable
from moexray.stats.layers.load import LayerLoad, layer_loads

LOADS = np.random.default_rng(0).integers(0, 50, size=(6, 9))


def test_perfect_balance_is_one_zero_zero_one_and_no_dead_expert() -> None:
    assert layer_loads(np.full((1, 8), 5)) == [LayerLoad(pytest.approx(1), pytest.approx(0), 0, 1, 0)]


def test_one_expert_that_takes_everything_is_the_other_end() -> None:
    """Of eight experts: Gini 7/8, standard deviation √7 means, eight times the mean, seven dead."""
    (found,) = layer_loads(np.array([[0, 0, 24, 0, 0, 0, 0, 0]]))
    assert found == LayerLoad(0, pytest.approx(7 / 8), pytest.approx(np.sqrt(7)), 8, 7)


def test_entropy_and_variation_equal_scipys_and_gini_its_definition_over_all_pairs() -> None:
    for found, load in zip(layer_loads(LOADS), LOADS, strict=True):
        assert found.entropy == pytest.approx(entropy(load) / np.log(9))
        assert found.cv == pytest.approx(variation(load))
        assert found.gini == pytest.approx(np.abs(load[:, None] - load).mean() / (2 * load.mean()))
        assert found.max_over_mean == pytest.approx(max(load) / np.mean(load))
        assert found.dead_experts == list(load).count(0)


def test_a_layer_without_a_selection_has_no_balance() -> None:
    with pytest.raises(NotComputable):
        layer_loads(np.zeros((1, 4), dtype=int))
