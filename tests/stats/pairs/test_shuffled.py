"""The permutation test is exact: it agrees with scipy, and is uniform where labels mean nothing."""

from math import comb

import numpy as np
import pytest
from scipy.stats import kstest
from scipy.stats import permutation_test as scipy_permutation_test

from moexray.errors import NotComputable
from moexray.stats.inference.units import units_of
from moexray.stats.pairs.shuffled import permutation_test
from moexray.stats.pairs.similarity import similarity

from ..loops import mean_differences


def clustered(seed: int, prompts: int = 24, strength: float = 0.0) -> tuple[np.ndarray, list[str]]:
    """Signatures of two categories that differ by `strength` in their own half of the dimensions."""
    rng = np.random.default_rng(seed)
    labels = ["ab"[i % 2] for i in range(prompts)]
    vectors = rng.random((prompts, 16)) + strength * np.array(
        [[i % 2 == d % 2 for d in range(16)] for i in range(prompts)]
    )
    return vectors, labels


def statistic(vectors: np.ndarray, labels: list[str]) -> float:
    found = similarity(vectors, labels)
    return found.within.mean - found.across.mean


def test_the_statistic_of_every_labeling_is_that_of_the_pair_summaries() -> None:
    vectors, labels = clustered(1)
    numbers = np.concatenate(list(units_of(labels).labelings(20, 0)))
    expected = [statistic(vectors, [str(n) for n in row]) for row in numbers]
    np.testing.assert_allclose(mean_differences(vectors, numbers), expected, atol=1e-14)


@pytest.mark.parametrize("dimensions", [3, 400])
def test_more_prompts_than_dimensions_or_fewer_give_the_same_statistic(dimensions: int) -> None:
    """The first from sums of vectors, the second from the matrix of similarities."""
    rng = np.random.default_rng(2)
    vectors, labels = rng.random((24, dimensions)), ["ab"[i % 2] for i in range(24)]
    numbers = np.concatenate(list(units_of(labels).labelings(5, 0)))
    expected = [statistic(vectors, [str(n) for n in row]) for row in numbers]
    np.testing.assert_allclose(mean_differences(vectors, numbers), expected, atol=1e-13)


def test_all_labelings_enumerated_give_scipys_exact_p() -> None:
    """Eight prompts in two categories of four: C(8, 4) = 70 labelings."""
    vectors, labels = clustered(3, prompts=8, strength=0.3)
    exact = scipy_permutation_test(
        [np.flatnonzero([label == "a" for label in labels]), np.flatnonzero([label == "b" for label in labels])],
        lambda a, _b: statistic(vectors, ["a" if i in a else "b" for i in range(8)]),
        permutation_type="independent",
        alternative="greater",
    )
    assert len(exact.null_distribution) == comb(8, 4)
    # Swapping the two names changes nothing but the last bit, which scipy's own p-value takes for a difference.
    p = np.mean(exact.null_distribution >= exact.statistic - 1e-12)
    ours = permutation_test(vectors, labels, permutations=40_000, rng=0)
    assert ours.observed == pytest.approx(exact.statistic)
    assert abs(ours.p_value - p) < 4 * np.sqrt(p * (1 - p) / 40_000)


def test_shuffles_that_rename_the_categories_count_as_reached() -> None:
    """Of four prompts in two pairs, 8 of 24 orders make the observed pairs again: p can't fall below a third."""
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]) + 1e-3
    found = permutation_test(vectors, list("aabb"), permutations=6000, rng=0)
    assert found.p_value == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / 6000))


def test_labels_that_mean_something_give_the_least_p_there_is() -> None:
    vectors, labels = clustered(5, strength=1.0)
    assert permutation_test(vectors, labels, permutations=999, rng=0).p_value == 1 / 1000


def test_random_labels_give_uniform_p() -> None:
    p_values = []
    for seed in range(200):
        vectors, labels = clustered(seed)
        shuffled = list(np.random.default_rng([seed, 1]).permutation(labels))
        p_values.append(permutation_test(vectors, shuffled, permutations=999, rng=seed).p_value)
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_the_same_seed_gives_the_same_result() -> None:
    vectors, labels = clustered(2)
    first, second = (permutation_test(vectors, labels, permutations=100, rng=7) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("labels", "reason"), [(["a"] * 4, "one category"), (list("abcd"), "no two prompts")])
def test_labels_without_pairs_of_both_kinds_are_not_computable(labels: list[str], reason: str) -> None:
    with pytest.raises(NotComputable, match=reason):
        permutation_test(np.eye(4) + 1, labels, permutations=10, rng=0)
