"""The classifier's p-value is that of all labelings, treats them alike, and holds where prompts come in groups."""

from itertools import permutations

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.categories.permuted_classifier import classifier_p_value, classifier_test
from tests.stats.categories.test_classifier import planted
from tests.stats.recipes import SimulatedStudy, crossed_contents, nested_templates
from tests.stats.simulations import assert_level, assert_power, simulated


def test_p_counts_the_labelings_that_do_at_least_as_well() -> None:
    """Six prompts: every order enumerated gives the share that sampled permutations must come near."""
    labels = list("ababab")
    vectors = np.random.default_rng(4).normal(size=(6, 3)) + 0.8 * np.array([[label == "a"] for label in labels])
    # With one permutation p is 1 / 2 where the labeling does worse, else 1: over seeds it averages to the share.
    found = [classifier_p_value(vectors, labels, permutations=200, folds=2, seed=seed) for seed in range(4)]
    orders = sorted(set(permutations(labels)))
    assert len(orders) == 20
    # The labels and their exchange do equally well, so no p-value is below 2 / 20.
    assert min(found) > 2 / 20 - 3 * np.sqrt(0.1 * 0.9 / 200)
    assert classifier_test(vectors, labels, permutations=1, folds=2).least_p == pytest.approx(2 / 20)


def test_groups_are_permuted_as_one() -> None:
    """Four groups of two categories: of the six labelings two are the observed split."""
    vectors, labels = planted(0, 2.0)
    groups = [f"{label} {i // 8}" for i, label in enumerate(labels)]
    assert classifier_p_value(vectors, labels, permutations=19, groups=groups) == 1 / 20
    labels = ["a"] * 10 + ["b"] * 10
    vectors = np.random.default_rng(0).normal(size=(20, 4)) + 9 * np.array([[label == "a"] for label in labels])
    found = classifier_test(vectors, labels, permutations=300, folds=2, groups=[f"g {i // 5}" for i in range(20)])
    assert found.least_p == pytest.approx(1 / 3)
    assert found.p_value > 0.2


def test_a_category_s_name_and_the_order_of_prompts_do_not_matter_to_whether_there_is_an_effect() -> None:
    vectors, labels = planted(1, 0.3)
    renamed = [{"code": "z", "factual": "y"}.get(label, label) for label in labels]
    both = [classifier_p_value(vectors, names, permutations=99) for names in (labels, renamed)]
    assert both == [0.01, 0.01]


def test_a_small_category_is_found_by_balanced_accuracy() -> None:
    """Ten against ninety: accuracy barely moves, since always naming the large category is 90 % accurate."""
    labels = ["a"] * 10 + ["b"] * 90
    vectors = np.random.default_rng(0).normal(size=(100, 4)) + 1.5 * np.array([[label == "a"] for label in labels])
    assert classifier_test(vectors, labels, permutations=99).balanced_p_value <= 0.02


def test_too_little_to_fold_is_not_computable() -> None:
    with pytest.raises(NotComputable, match="than the 5 folds"):
        classifier_p_value(np.zeros((6, 2)), list("aaabbb"), permutations=1)


@pytest.mark.slow
@pytest.mark.parametrize("template", [0.0, 0.15, 0.3])
@simulated(12, nightly=300)
def test_templates_alone_make_no_small_p(template: float, seeds: range) -> None:
    """4 categories of 4 templates of 5 prompts, and nothing but templates differs."""
    assert_level([_p(nested_templates(np.random.default_rng(seed), template), seed) for seed in seeds])


@pytest.mark.slow
@simulated(12, nightly=300)
def test_the_same_contents_in_every_category_make_no_small_p(seeds: range) -> None:
    assert_level([_p(crossed_contents(np.random.default_rng(seed), 0.8, 0.0), seed) for seed in seeds])


@pytest.mark.slow
@simulated(12, nightly=100)
def test_a_category_is_found_among_the_same_contents(seeds: range) -> None:
    """The contents differ five times as much as the categories: labels are permuted inside of each content."""
    assert_power([_p(crossed_contents(np.random.default_rng(seed), 0.8, 0.15), seed) for seed in seeds])


def _p(study: SimulatedStudy, seed: int) -> float:
    return classifier_p_value(
        study.vectors, study.labels, permutations=39, folds=4, groups=study.groups, seed=seed, repeats=2
    )
