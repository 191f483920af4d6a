"""Bias, MSI and the information of an expert are those of their definitions."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats import kinds_by_layer

COUNTS = np.random.default_rng(0).integers(0, 30, size=(2, 3, 8))


def test_disjoint_experts_have_msi_one_and_tell_the_kind() -> None:
    """As ERNIE-4.5-VL routes: text to the first experts, images to the others; however many tokens there are."""
    text, image = np.zeros((2, 2, 8), dtype=int)
    text[:, :3], image[:, 3:] = [[5, 1, 2], [1, 7, 9]], [[100, 3, 4, 5, 6], [1, 1, 1, 1, 900]]
    for layer in kinds_by_layer(text, image):
        assert layer.msi == 1
        assert layer.information == pytest.approx(layer.entropy, abs=1e-12)
        assert layer.bias.tolist() == [1, 1, 1, 0, 0, 0, 0, 0]


def test_equal_shares_have_msi_zero_and_tell_nothing() -> None:
    for layer in kinds_by_layer(COUNTS[0] + 1, 7 * (COUNTS[0] + 1)):
        assert layer.msi == pytest.approx(0, abs=1e-12)
        assert layer.information == pytest.approx(0, abs=1e-12)


def test_they_are_those_of_explicit_sums() -> None:
    for place, layer in enumerate(kinds_by_layer(COUNTS[0], COUNTS[1])):
        first, second = COUNTS[0, place], COUNTS[1, place]
        total, terms, told = first.sum() + second.sum(), [], 0.0
        for e in range(8):
            a, b = first[e] / first.sum(), second[e] / second.sum()
            if a + b:
                terms.append(2 * abs(a / (a + b) - 0.5))
            for n, of_kind in ((first[e], first.sum()), (second[e], second.sum())):
                if n:
                    told += n / total * np.log(n * total / (of_kind * (first[e] + second[e])))
        assert layer.msi == pytest.approx(np.mean(terms))
        assert layer.information == pytest.approx(told)


def test_exchanging_the_names_of_the_kinds_changes_the_bias_alone() -> None:
    for one, other in zip(kinds_by_layer(COUNTS[0], COUNTS[1]), kinds_by_layer(COUNTS[1], COUNTS[0]), strict=True):
        assert one.msi == pytest.approx(other.msi)
        assert one.information == pytest.approx(other.information)
        np.testing.assert_allclose(one.bias, 1 - other.bias)


def test_an_expert_that_neither_kind_selects_has_no_bias_and_does_not_count() -> None:
    (layer,) = kinds_by_layer(np.array([[4, 0, 0]]), np.array([[0, 4, 0]]))
    assert layer.msi == 1
    assert np.isnan(layer.bias[2])
    assert [one.dead_experts for one in layer.balance] == [2, 2]


def test_columns_beyond_the_experts_of_a_layer_are_none() -> None:
    (layer,) = kinds_by_layer(np.array([[4, 4, 0]]), np.array([[4, 4, 0]]), np.array([2]))
    assert layer.bias.tolist() == [0.5, 0.5]
    assert layer.balance[0].entropy == 1
    assert layer.balance[0].dead_experts == 0


def test_a_kind_without_a_selection_is_refused() -> None:
    with pytest.raises(NotComputable, match="no selection"):
        kinds_by_layer(np.array([[1, 2]]), np.array([[0, 0]]))
