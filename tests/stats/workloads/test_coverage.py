"""Coverage is counted and predicted exactly: by enumeration of prompts, of subsets, and of ways to break ties."""

from itertools import combinations, product

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.workloads.coverage import (
    below_in_subsets,
    chance_overlap,
    expected_below,
    expected_below_in_prompts,
    most_used,
    overlap,
)


def test_tokens_follow_the_binomial_distribution() -> None:
    """P(X < 2) of four tokens with p = 1/4 is (3/4)^4 + 4 · 1/4 · (3/4)^3."""
    found = expected_below(np.array([0.25, 0.0, 1.0]), 4, 2)
    assert found == pytest.approx([0.75**4 + 0.75**3, 1, 0])
    assert expected_below(np.array([1.0]), 4, 5) == pytest.approx([1])


def test_prompts_of_several_lengths_are_those_of_enumeration() -> None:
    lengths, probabilities = np.array([1, 3, 3, 5, 0, 8]), np.array([0.0, 0.02, 0.3, 1.0])
    for below in (1, 2, 4, 9):
        expected = []
        for p in probabilities:
            reached = 1 - (1 - p) ** lengths
            cases = product((0, 1), repeat=6)
            expected.append(
                sum(np.prod(np.where(one, reached, 1 - reached)) for one in map(np.array, cases) if one.sum() < below)
            )
        assert expected_below_in_prompts(probabilities, lengths, below) == pytest.approx(expected, abs=1e-12)


def test_experts_that_are_far_from_rare_are_not_summed() -> None:
    lengths = np.full(5000, 100)
    assert expected_below_in_prompts(np.array([0.1]), lengths, 10) == pytest.approx([0.0])
    mean = 5000 * (1 - (1 - 1e-5) ** 100)
    assert 0.2 < expected_below_in_prompts(np.array([1e-5]), lengths, round(mean))[0] < 0.8


def test_a_sum_that_would_take_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moexray.stats.workloads.coverage._MOST_WORK", 10)
    with pytest.raises(NotComputable, match="give a smaller one"):
        expected_below_in_prompts(np.array([0.01]), np.arange(20), 5)


def test_subsets_of_prompts_are_those_of_enumeration() -> None:
    reached = np.random.default_rng(0).random((8, 5)) < 0.3
    for size, below in ((3, 1), (5, 2), (8, 3)):
        expected = np.mean([reached[list(some)].sum(axis=0) < below for some in combinations(range(8), size)], axis=0)
        assert below_in_subsets(reached.sum(axis=0), 8, size, below) == pytest.approx(expected)


def test_ties_are_shared() -> None:
    counts = np.array([[3, 3, 3, 1], [0, 5, 2, 2]])
    assert most_used(counts, 2) == pytest.approx(np.array([[2 / 3, 2 / 3, 2 / 3, 0], [0, 1, 1 / 2, 1 / 2]]))
    assert most_used(counts, 4) == pytest.approx(np.ones((2, 4)))
    assert most_used(counts, 0) == pytest.approx(np.zeros((2, 4)))


def test_overlap_is_the_mean_over_ways_to_break_ties() -> None:
    first, second = np.array([1, 1, 1, 4, 9]), np.array([2, 2, 7, 2, 1])
    ways = [len({*one} & {4, *other}) / 2 for one in combinations((0, 1, 2), 2) for other in combinations((0, 1, 3), 1)]
    assert overlap(first, second, 2) == pytest.approx(np.mean(ways))


def test_overlap_of_equal_and_of_reversed_counts() -> None:
    counts = np.arange(8)
    assert overlap(counts, counts, 4) == pytest.approx(1)
    assert overlap(counts, -counts, 4) == pytest.approx(0)


def test_chance_is_that_of_random_sets() -> None:
    mean, (low, high) = chance_overlap(8, 4)
    found = [len({*one} & {0, 1, 2, 3}) / 4 for one in combinations(range(8), 4)]
    assert mean == pytest.approx(np.mean(found)) == pytest.approx(0.5)
    assert np.mean([low <= one <= high for one in found]) >= 0.95
