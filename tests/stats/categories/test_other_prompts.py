"""A classifier trained on one sample and tested on another is scikit-learn's, and its p permutes the test's labels."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from moexray.errors import NotComputable
from moexray.stats.categories.other_prompts import classify_others, similarity_to_training
from moexray.stats.inference.intervals import wilson_interval
from tests.stats.simulations import assert_level, assert_share, simulated

CENTRES = np.random.default_rng(99).normal(size=(4, 30))


def drawn(
    rng: np.random.Generator, prompts: int, separation: float, categories: int = 4
) -> tuple[np.ndarray, list[str]]:
    numbers = np.arange(prompts) % categories
    vectors = separation * CENTRES[numbers] + rng.normal(size=(prompts, 30))
    return vectors + 5, [f"kind {number}" for number in numbers]


def test_a_loop_in_scikit_learn_says_the_same() -> None:
    rng = np.random.default_rng(0)
    training, test = drawn(rng, 60, 0.3), drawn(rng, 31, 0.3, categories=3)
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=10_000)).fit(*training)
    expected = model.predict(test[0])
    found = classify_others(training, test, permutations=9)
    np.testing.assert_array_equal(found.right, expected == np.array(test[1]))
    np.testing.assert_array_equal(found.confusion, confusion_matrix(test[1], expected, labels=found.labels))
    assert found.accuracy.mean == pytest.approx(np.mean(expected == np.array(test[1])))
    recalls = [np.mean(expected[np.array(test[1]) == name] == name) for name in sorted(set(test[1]))]
    assert found.balanced_accuracy.mean == pytest.approx(np.mean(recalls))
    assert found.chance == 11 / 31
    assert 0.3 < found.accuracy.mean < 1


def test_p_is_the_share_of_the_test_s_labelings_that_fit_the_predictions_as_well() -> None:
    """Six prompts: all 20 orders enumerated; the predictions stay as they are."""
    rng = np.random.default_rng(1)
    training, test = drawn(rng, 40, 0.3, categories=2), drawn(rng, 6, 0.2, categories=2)
    found = classify_others(training, test, permutations=4000)
    predicted = np.where(found.right, test[1], [{"kind 0": "kind 1", "kind 1": "kind 0"}[name] for name in test[1]])
    orders = sorted(set(permutations(test[1])))
    exact = np.mean([np.mean(predicted == np.array(order)) >= found.accuracy.mean - 1e-12 for order in orders])
    assert found.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 4000) + 1 / 4001)


def test_the_interval_is_over_prompts_or_over_groups_of_the_test() -> None:
    rng = np.random.default_rng(2)
    training, (vectors, labels) = drawn(rng, 60, 0.3), drawn(rng, 40, 0.3)
    alone = classify_others(training, (vectors, labels), permutations=9)
    assert alone.accuracy.ci == pytest.approx(wilson_interval(alone.accuracy.mean * 40, 40), abs=0.02)
    fivefold = np.repeat(vectors, 5, axis=0), [label for label in labels for _ in range(5)]
    groups = [f"g {i // 5}" for i in range(200)]
    together = classify_others(training, fivefold, permutations=9, groups=groups)
    assert together.accuracy.ci == pytest.approx(alone.accuracy.ci)
    assert together.p_value == alone.p_value


def test_a_test_of_one_category_has_an_accuracy_and_no_p() -> None:
    rng = np.random.default_rng(3)
    found = classify_others(drawn(rng, 60, 0.3), drawn(rng, 20, 0.3, categories=1), permutations=9)
    assert (found.p_value, found.balanced_p_value, found.chance) == (None, None, 1)
    assert found.accuracy.mean == found.balanced_accuracy.mean


def test_what_cannot_be_learnt_is_refused() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(NotComputable, match="no prompt of category 'kind 3'"):
        classify_others(drawn(rng, 30, 0.3, categories=3), drawn(rng, 20, 0.3), permutations=9)
    with pytest.raises(NotComputable, match="one category only"):
        classify_others(drawn(rng, 30, 0.3, categories=1), drawn(rng, 20, 0.3, categories=1), permutations=9)


def test_similarity_to_training_is_a_loop_over_pairs() -> None:
    rng = np.random.default_rng(5)
    (known, labels), (unseen, test_labels) = training, test = drawn(rng, 20, 0.5), drawn(rng, 12, 0.5)
    cosines = cosine_similarity(unseen, known)
    own, others = [], []
    for row, label in zip(cosines, test_labels, strict=True):
        means = {name: np.mean([c for c, one in zip(row, labels, strict=True) if one == name]) for name in set(labels)}
        own.append(means.pop(label))
        others.append(np.mean(list(means.values())))
    found = similarity_to_training(training, test)
    assert found.own == pytest.approx(np.mean(own))
    assert found.others == pytest.approx(np.mean(others))
    assert found.difference == pytest.approx(found.own - found.others)
    assert found.ci is not None
    assert found.ci[0] < found.difference < found.ci[1]


def grouped(rng: np.random.Generator) -> tuple[np.ndarray, list[str], list[str]]:
    """24 groups of 5 prompts that say nothing of their category."""
    groups = np.repeat(np.arange(24), 5)
    vectors = rng.normal(size=(24, 30))[groups] + 0.3 * rng.normal(size=(120, 30))
    return vectors, [f"kind {number % 4}" for number in groups], [f"g {number}" for number in groups]


@simulated(40, nightly=1000)
def test_groups_of_the_test_make_no_small_p(seeds: range) -> None:
    p = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        vectors, labels, groups = grouped(rng)
        found = classify_others(drawn(rng, 60, 0.4), (vectors + 5, labels), permutations=99, groups=groups, rng=rng)
        assert found.p_value is not None
        p.append(found.p_value)
    assert_level(p)


@simulated(40, nightly=1000)
def test_the_accuracy_of_one_classifier_on_other_prompts_is_covered(seeds: range) -> None:
    """The truth is its accuracy on 4,000 prompts."""
    covered = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        training = drawn(rng, 60, 0.3)
        truth = classify_others(training, drawn(rng, 4000, 0.3), permutations=1).accuracy.mean
        low, high = classify_others(training, drawn(rng, 80, 0.3), permutations=1).accuracy.ci
        covered.append(low <= truth <= high)
    assert_share(np.array(covered), 0.93, 0.97)
