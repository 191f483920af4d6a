"""A layer's figures are those of the same statistics on that layer alone."""

import numpy as np
import pytest

from moexray.stats.classifier import classify
from moexray.stats.layers import layer_p_values, layer_statistics
from moexray.stats.permutation import permutation_test
from moexray.stats.similarity import similarity

LABELS = ["code", "math"] * 10
LAYERS = (0, 2, 5)


def vectors() -> np.ndarray:  # (prompts, layers, experts)
    """Structure in the second layer only."""
    made = np.random.default_rng(0).random((20, 3, 8))
    made[0::2, 1, :4] += 1
    made[1::2, 1, 4:] += 1
    return made


def test_each_layer_equals_the_statistics_of_its_own_part() -> None:
    for number, found in enumerate(layer_statistics(vectors(), LABELS, LAYERS)):
        alone = vectors()[:, number]
        pairs = similarity(alone, LABELS)
        assert (found.layer, found.p_value) == (LAYERS[number], None)
        assert (found.within, found.across) == (pairs.within.mean, pairs.across.mean)
        assert found.cohens_d == pairs.cohens_d
        assert found.accuracy == classify(alone, LABELS).accuracy


def test_p_values_are_those_of_each_layer_alone_and_find_the_planted_layer() -> None:
    found = layer_p_values(vectors(), LABELS, permutations=499, rng=1)
    alone = [permutation_test(vectors()[:, i], LABELS, permutations=499, rng=1).p_value for i in range(3)]
    assert found == alone
    assert found[1] == pytest.approx(1 / 500)
    assert min(found[0], found[2]) > 1 / 500


def test_too_few_prompts_to_fold_leave_the_rest_of_a_layer() -> None:
    found = layer_statistics(vectors()[:6], LABELS[:6], LAYERS)
    assert [layer.accuracy for layer in found] == [None] * 3
    assert all(layer.cohens_d is not None for layer in found)
