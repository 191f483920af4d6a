"""Shares of domains and of ids are plain arithmetic; discoveries are about prompts, and rarely false."""

from itertools import combinations

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.experts.specialisation import domain_specialisation, specialisation_tests, vocabulary_specialisation

from ..simulations import simulated

LABELS = ["a", "b", "c", "d"] * 10


def test_shares_are_selections_over_tokens() -> None:
    assert domain_specialisation(np.array([[3, 5], [8, 0]]), np.array([4, 8])).tolist() == [[0.75, 1.25], [1, 0]]
    assert vocabulary_specialisation(np.array([[3, 1]]), np.array([4])).tolist() == [[0.75, 0.25]]


def test_differences_and_p_are_those_of_a_loop_over_shuffles() -> None:
    shares = np.random.default_rng(0).random((6, 3))
    labels = list("aabbbc")
    found = specialisation_tests(shares, labels, permutations=4000, rng=0)
    inside = np.array([label == "b" for label in labels])
    assert found.differences[1] == pytest.approx(shares[inside].mean(axis=0) - shares[~inside].mean(axis=0))
    others = [
        shares[list(some)].mean(axis=0) - np.delete(shares, some, axis=0).mean(axis=0)
        for some in combinations(range(6), 3)
    ]
    exact = np.mean(np.abs(others) >= np.abs(found.differences[1]) - 1e-12, axis=0)
    assert found.p_values[1] == pytest.approx(exact, abs=0.03)


def test_planted_experts_are_discovered_and_nearly_no_others() -> None:
    rng = np.random.default_rng(1)
    shares = rng.normal(1, 0.1, size=(40, 64))
    shares[::4, :8] += 0.3
    found = specialisation_tests(shares, LABELS, permutations=9999, rng=0)
    discovered = found.adjusted < 0.05
    assert discovered[0, :8].all()
    assert discovered[:, 8:].sum() <= 3


@simulated(60, nightly=200)
def test_where_there_is_nothing_a_study_discovers_something_in_one_case_of_twenty(seeds: range) -> None:
    rng = np.random.default_rng(2)
    found = [
        specialisation_tests(rng.random((40, 4)), LABELS, permutations=999, rng=seed).adjusted.min() < 0.05
        for seed in seeds
    ]
    assert np.mean(found) <= 0.1


def test_experts_that_do_not_exist_are_not_tested() -> None:
    """The others have the results of a test without these columns, adjusted for as many tests as there are."""
    shares = np.random.default_rng(3).random((40, 6))
    shares[:, [2, 5]] = 0
    exists = np.array([True, True, False, True, True, False])
    found = specialisation_tests(shares, LABELS, permutations=199, rng=0, exists=exists)
    alone = specialisation_tests(shares[:, exists], LABELS, permutations=199, rng=0)
    for name in ("differences", "p_values", "adjusted"):
        ours, theirs = getattr(found, name), getattr(alone, name)
        np.testing.assert_allclose(ours[:, exists], theirs, rtol=1e-12)
        assert np.isnan(ours[:, ~exists]).all()


def test_one_category_cannot_be_special() -> None:
    with pytest.raises(NotComputable, match="one category only"):
        specialisation_tests(np.ones((3, 2)), list("aaa"), permutations=9, rng=0)
