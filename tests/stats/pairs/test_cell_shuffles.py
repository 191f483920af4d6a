"""Permutations of cells: exact sums, every label kept, and p-values that are uniform without an effect."""

import numpy as np
import pytest
from scipy.stats import kstest

from moexray.errors import NotComputable
from moexray.stats.inference.labels import category_numbers
from moexray.stats.inference.permutation import permutation_result
from moexray.stats.pairs.cell_shuffles import _places as places
from moexray.stats.pairs.cell_shuffles import shuffled_differences
from moexray.stats.pairs.shuffled import permutation_test

from ..loops import mean_differences
from ..simulations import simulated


def made(prompts: int, seed: int, *, effect: float = 0.0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(["a", "b", "c"] * prompts)[:prompts].tolist()
    shares = rng.random((prompts, 2, 6)) + 0.2
    shares[:, 1] += effect * np.eye(6)[category_numbers(labels)]
    return shares / shares.sum(axis=2, keepdims=True), labels


def test_the_labels_as_they_are_come_first() -> None:
    shares, labels = made(50, 0)
    found = shuffled_differences([shares[:7], shares[7:]], labels, permutations=3, rng=0)
    numbers = category_numbers(labels)[None]
    assert found[0] == pytest.approx(mean_differences(shares.reshape(50, -1), numbers)[0])


def test_every_shuffle_gives_the_difference_of_the_labels_that_it_makes() -> None:
    """67 prompts in 64 cells: three are left over and keep their labels."""
    shares, labels = made(67, 1)
    found = shuffled_differences([shares], labels, permutations=20, rng=5)
    rng, numbers = np.random.default_rng(5), category_numbers(labels)
    place, counterpart = places(numbers, 64, rng)
    for shuffle in range(1, 21):
        order = rng.permutation(64)
        in_cell = place[:, 0] >= 0
        shuffled = numbers.copy()
        shuffled[in_cell] = counterpart[place[in_cell, 1], order[place[in_cell, 0]]]
        assert sorted(shuffled) == sorted(numbers)
        expected = mean_differences(shares.reshape(67, -1), shuffled[None])[0]
        assert found[shuffle] == pytest.approx(expected, abs=1e-12)


def test_the_null_is_that_of_shuffles_of_single_prompts() -> None:
    shares, labels = made(600, 2, effect=0.3)
    ours = permutation_result(shuffled_differences([shares], labels, permutations=2000, rng=0))
    plain = permutation_test(shares.reshape(600, -1), labels, permutations=2000, rng=0)
    assert ours.observed == pytest.approx(plain.observed)
    assert ours.null_mean == pytest.approx(plain.null_mean, abs=5 * plain.null_std / np.sqrt(2000) * 2)
    assert ours.null_std == pytest.approx(plain.null_std, rel=0.15)
    assert ours.p_value == 1 / 2001


@simulated(60, nightly=300)
def test_without_an_effect_p_is_uniform(seeds: range) -> None:
    found = []
    for seed in seeds:
        shares, labels = made(90, seed)
        found.append(permutation_result(shuffled_differences([shares], labels, permutations=199, rng=seed)).p_value)
    jitter = np.random.default_rng(0).random(len(seeds)) / 200
    assert kstest(np.array(found) - jitter, "uniform").pvalue > 0.01


def test_one_category_has_no_difference() -> None:
    with pytest.raises(NotComputable, match="one category"):
        shuffled_differences([made(20, 0)[0]], ["a"] * 20, permutations=3, rng=0)
