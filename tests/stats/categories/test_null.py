"""Where labels mean nothing, p-values are uniform; where an effect of known size is planted, it is found.

A short version is in every run. The numbers of docs/analysis.md come from the long one, which prints them::

    pytest -m nightly -rP tests/stats/categories/test_null.py

A test with N permutations gives one of the N + 1 values 1/(N + 1), 2/(N + 1), …, 1, with equal probability. Minus a
uniform deviate of that step, p is uniform on (0, 1) exactly, and the Kolmogorov–Smirnov test of its distribution is
exact as well. A correct product fails a bound with probability 0.001, in one fixed run.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom, kstest

from moexray.stats.categories.partial import partial_effect
from moexray.stats.categories.permuted_classifier import classifier_p_value
from moexray.stats.inference.multiple import LayerPValues
from moexray.stats.layers.by_layer import layer_p_values
from moexray.stats.pairs.shuffled import permutation_test

from ..simulations import simulated

STUDIES = simulated(40, nightly=500)
CHANCE_OF_FAILURE = 0.001
PERMUTATIONS, CLASSIFIER_PERMUTATIONS = 199, 19
LABELS = ["a", "b"] * 12

# From the draws of one data set to its p-value.
Simulation = Callable[[np.random.Generator], float]


def random_labels(rng: np.random.Generator) -> list[str]:
    """Twelve prompts of one category and twelve of another, in an order that means nothing."""
    return [str(label) for label in rng.permutation(LABELS)]


def nearness_of_points(rng: np.random.Generator) -> np.ndarray:  # (prompts, prompts)
    """Minus the distances of random points: a matrix whose entries depend on each other as similarities do."""
    places = rng.random((len(LABELS), 3))
    return -np.linalg.norm(places[:, None] - places[None], axis=2)


def permutation_p(rng: np.random.Generator) -> float:
    vectors, labels = rng.random((len(LABELS), 10)), random_labels(rng)
    return permutation_test(vectors, labels, permutations=PERMUTATIONS, rng=rng).p_value


def partial_p(rng: np.random.Generator) -> float:
    """Similarity follows one of two covariates; categories follow neither."""
    words, length = nearness_of_points(rng), nearness_of_points(rng)
    similarities = nearness_of_points(rng) + words
    return partial_effect(similarities, random_labels(rng), [words, length], permutations=PERMUTATIONS, rng=rng).p_value


def partial_p_where_categories_follow_words(rng: np.random.Generator) -> float:
    """Prompts of one category lie on one side, so they share words, and similarity follows words: no more than that."""
    places = rng.random((len(LABELS), 3))
    words = -np.linalg.norm(places[:, None] - places[None], axis=2)
    labels = ["ab"[int(side)] for side in places[:, 0] + 0.3 * rng.normal(size=len(LABELS)) > 0.5]
    similarities = nearness_of_points(rng) + words
    return partial_effect(similarities, labels, [words], permutations=PERMUTATIONS, rng=rng).p_value


def least_layer_p(rng: np.random.Generator) -> float:
    """Eight layers of one model: they share much of their routing, and differ in how much it varies."""
    common, own = rng.random((len(LABELS), 1, 6)), rng.random((len(LABELS), 8, 6))
    vectors = common + own * rng.uniform(0.2, 2, size=(1, 8, 1))
    return min(layer_p_values(vectors, random_labels(rng), permutations=PERMUTATIONS, rng=rng).adjusted)


def classifier_p(rng: np.random.Generator) -> float:
    vectors, labels = rng.normal(size=(16, 3)), [str(label) for label in rng.permutation(["a", "b"] * 8)]
    seed = int(rng.integers(2**31))
    return classifier_p_value(vectors, labels, permutations=CLASSIFIER_PERMUTATIONS, folds=2, seed=seed)


@cache
def p_values(simulation: Simulation, seeds: range) -> np.ndarray:  # (data sets,)
    """Of as many data sets as are asked for, each from a stream of its own."""
    return np.array([simulation(np.random.default_rng([7, number])) for number in seeds])


def share_reaching(p: np.ndarray, alpha: float) -> float:
    return float(np.mean(p <= alpha + 1e-12))


def most_likely_shares(alpha: float, studies: int) -> tuple[float, float]:
    """Between what shares of the data sets lie all but one run in a thousand, if the true one is `alpha`."""
    low, high = binom.interval(1 - CHANCE_OF_FAILURE, studies, alpha)
    return low / studies, high / studies


@STUDIES
@pytest.mark.parametrize(
    "simulation",
    [permutation_p, partial_p, partial_p_where_categories_follow_words, least_layer_p],
    ids=lambda simulation: simulation.__name__,
)
def test_labels_that_mean_nothing_give_uniform_p(simulation: Simulation, seeds: range) -> None:
    p = p_values(simulation, seeds)
    continuous = p - np.random.default_rng(1).random(len(p)) / (PERMUTATIONS + 1)
    found = kstest(continuous, "uniform")
    shares = {alpha: share_reaching(p, alpha) for alpha in (0.01, 0.05, 0.1)}
    print(f"{simulation.__name__}: {len(p)} data sets, KS D = {found.statistic:.3f}, p = {found.pvalue:.3f}, {shares}")
    assert found.pvalue > CHANCE_OF_FAILURE


@STUDIES
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 0.5])
def test_labels_that_mean_nothing_are_never_classified_too_often(alpha: float, seeds: range) -> None:
    """An accuracy is a whole number of prompts, so shuffles often tie with the labels as they are.

    A tie counts as reached, as it must for p to be valid, and makes p larger than uniform: the test is
    conservative. So P(p ≤ α) ≤ α is what can be asked, at values of α that p can take.
    """
    share = share_reaching(p_values(classifier_p, seeds), alpha)
    print(f"classifier: {len(seeds)} data sets, p <= {alpha} in {share:.3f} of them")
    assert share <= most_likely_shares(alpha, len(seeds))[1]
    assert share > 0


@STUDIES
def test_the_chance_of_naming_any_layer_by_mistake_is_five_in_a_hundred(seeds: range) -> None:
    """The family-wise error of corrected p-values: no more than 5 %, and no less, for that would waste power."""
    share = share_reaching(p_values(least_layer_p, seeds), 0.05)
    low, high = most_likely_shares(0.05, len(seeds))
    print(f"layers: {len(seeds)} data sets, family-wise error {share:.3f}, between {low:.3f} and {high:.3f}")
    assert low <= share <= high


def planted(
    effect: float, rng: np.random.Generator, *, dimensions: int = 14
) -> np.ndarray:  # (prompts, 2 + dimensions)
    """Signatures whose mean similarity within categories exceeds that across by `effect` exactly, in expectation.

    Each is cos θ times its category's own axis plus sin θ times a direction at random, orthogonal to both axes.
    Two directions at random have similarity zero on average, so two signatures have cos² θ within and 0 across.
    """
    directions = rng.normal(size=(len(LABELS), dimensions))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    axes = np.array([[label == "a", label == "b"] for label in LABELS], dtype=np.float64)
    return np.hstack([np.sqrt(effect) * axes, np.sqrt(1 - effect) * directions])


@STUDIES
def test_a_planted_effect_is_measured_as_large_as_it_is_and_found(seeds: range) -> None:
    found = [
        permutation_test(planted(0.15, rng), LABELS, permutations=PERMUTATIONS, rng=rng)
        for rng in (np.random.default_rng([8, number]) for number in seeds)
    ]
    measured = np.array([test.observed for test in found])
    error = measured.std(ddof=1) / np.sqrt(len(seeds))
    power = share_reaching(np.array([test.p_value for test in found]), 0.05)
    print(f"effect 0.15: measured {measured.mean():.4f} ± {error:.4f}, power {power:.3f} at p <= 0.05")
    assert abs(measured.mean() - 0.15) < 3.3 * error
    assert power > 0.95


@STUDIES
def test_an_effect_in_one_layer_is_found_there_and_in_no_other(seeds: range) -> None:
    """Of four layers only the third has one; any of the others is named in at most 5 % of data sets."""

    def tested(rng: np.random.Generator) -> LayerPValues:
        vectors = np.stack([planted(0.15 if layer == 2 else 0.0, rng) for layer in range(4)], axis=1)
        return layer_p_values(vectors, LABELS, permutations=PERMUTATIONS, rng=rng)

    found = np.array([tested(np.random.default_rng([9, number])).adjusted for number in seeds])
    power = share_reaching(found[:, 2], 0.05)
    mistaken = share_reaching(np.delete(found, 2, axis=1).min(axis=1), 0.05)
    print(f"one layer of four: power {power:.3f}, another layer named in {mistaken:.3f}")
    assert power > 0.9
    assert mistaken <= most_likely_shares(0.05, len(seeds))[1]
