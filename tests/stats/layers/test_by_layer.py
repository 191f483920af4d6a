"""A layer's values are those of the same statistics on that layer alone."""

import numpy as np
import pytest
from scipy.stats import kstest

from moexray.stats.categories.classifier import classify
from moexray.stats.categories.location import location_test
from moexray.stats.inference.units import units_of
from moexray.stats.layers.by_layer import LayerStatistics, layer_accuracies, layer_p_values, layer_statistics
from moexray.stats.pairs.similarity import category_effect, similarity

from ..recipes import EQUAL_MEANS, equal_means
from ..simulations import assert_share, simulated

LABELS = ["code", "math"] * 10
LAYERS = (0, 2, 5)


def vectors() -> np.ndarray:  # (prompts, layers, experts)
    """Structure in the second layer only."""
    made = np.random.default_rng(0).random((20, 3, 8))
    made[0::2, 1, :4] += 1
    made[1::2, 1, 4:] += 1
    return made


def statistics(made: np.ndarray, labels: list[str]) -> list[LayerStatistics]:
    return layer_statistics(
        LAYERS, [category_effect(made[:, i], labels) for i in range(3)], layer_accuracies(made, labels)
    )


def test_each_layer_equals_the_statistics_of_its_own_part() -> None:
    for number, found in enumerate(statistics(vectors(), LABELS)):
        alone = vectors()[:, number]
        pairs = similarity(alone, LABELS)
        assert found.layer == LAYERS[number]
        assert (found.within, found.across) == (pairs.within.mean, pairs.across.mean)
        assert (found.cohens_d, found.cohens_d_ci) == (pairs.cohens_d, pairs.cohens_d_ci)
        classified = classify(alone, LABELS)
        assert (found.accuracy, found.accuracy_ci) == (classified.accuracy, classified.accuracy_ci)


def test_p_values_are_those_of_each_layer_alone_and_find_the_planted_layer() -> None:
    found = layer_p_values(vectors(), LABELS, permutations=499, rng=1)
    alone = [location_test(vectors()[:, [i]], LABELS, permutations=499, rng=1).p_value for i in range(3)]
    assert found.p_values == alone
    assert found.p_values[1] == pytest.approx(1 / 500)
    assert min(found.p_values[0], found.p_values[2]) > 1 / 500


def test_corrected_p_values_are_never_smaller_and_keep_the_planted_layer() -> None:
    found = layer_p_values(vectors(), LABELS, permutations=499, rng=1)
    assert all(adjusted >= p for p, adjusted in zip(found.p_values, found.adjusted, strict=True))
    assert found.adjusted[1] == pytest.approx(1 / 500)


def test_the_correction_counts_the_shuffles_in_which_any_layer_differs_as_much() -> None:
    """By its definition, layer by layer and shuffle by shuffle."""
    made = vectors()
    rows = np.concatenate(list(units_of(LABELS).labelings(99, 4, first=True)))
    differences = np.array([[statistic(made[:, [layer]], row) for layer in range(3)] for row in rows])
    scaled = (differences - differences.mean(axis=0)) / differences.std(axis=0)
    found = layer_p_values(made, LABELS, permutations=99, rng=4).adjusted
    reached = [(1 + sum(max(row) >= scaled[0][layer] - 1e-9 for row in scaled[1:])) / 100 for layer in range(3)]
    assert found == pytest.approx(reached)


def statistic(vectors: np.ndarray, numbers: np.ndarray) -> float:
    return location_test(vectors, [str(n) for n in numbers], permutations=1, rng=0).statistic


@pytest.mark.slow
@simulated(150, nightly=500)
def test_among_layers_that_mean_nothing_the_least_corrected_p_is_uniform(seeds: range) -> None:
    """So that the chance of naming any of eight layers by mistake is what it says, 5 % at 0.05."""
    rng = np.random.default_rng(11)
    least = []
    for _ in seeds:
        common = rng.random((24, 1, 6))  # layers of one model resemble each other
        made = common + rng.random((24, 8, 6)) * rng.uniform(0.2, 2, size=(1, 8, 1))
        least.append(min(layer_p_values(made, ["a", "b"] * 12, permutations=199, rng=rng).adjusted))
    assert kstest(least, "uniform").pvalue > 0.01
    assert abs(np.mean(np.array(least) <= 0.05) - 0.05) < 3.3 * np.sqrt(0.05 * 0.95 / len(seeds))


@simulated(30, nightly=500)
@pytest.mark.parametrize("name", ["10 short, 60 long", "10 loose, 60 tight", "60 loose, 10 tight"])
def test_length_and_spread_alone_single_out_no_layer(name: str, seeds: range) -> None:
    """Where layers were tested by their similarity, short beside long prompts singled out a layer in every study."""
    studies = [equal_means(np.random.default_rng([41, seed]), EQUAL_MEANS[name]) for seed in seeds]
    least = [
        min(layer_p_values(one.shares, one.labels, permutations=199, rng=seed).adjusted)
        for seed, one in zip(seeds, studies, strict=True)
    ]
    assert_share(np.array(least) <= 0.05, 0.02, 0.07)


def test_too_few_prompts_to_fold_leave_the_rest_of_a_layer() -> None:
    found = statistics(vectors()[:6], LABELS[:6])
    assert [layer.accuracy for layer in found] == [None] * 3
    assert all(layer.cohens_d is not None for layer in found)
