"""The category effect given covariates: least squares, and a permutation that keeps rows and columns together."""

import numpy as np
import pytest
from scipy.stats import kstest

from moexray.errors import NotComputable
from moexray.stats.categories.partial import partial_effect
from moexray.stats.inference.labels import category_numbers


def nearness(seed: int, prompts: int = 20) -> np.ndarray:
    points = np.random.default_rng(seed).random((prompts, 3))
    return points @ points.T


def labels(prompts: int = 20) -> list[str]:
    return ["ab"[i % 2] for i in range(prompts)]


def same(names: list[str]) -> np.ndarray:
    numbers = category_numbers(names)
    return (numbers[:, None] == numbers[None]).astype(float)


def test_the_effect_is_the_coefficient_of_least_squares() -> None:
    upper = np.triu_indices(20, 1)
    outcome, words, length = nearness(0) + 0.2 * same(labels()), nearness(1), nearness(2)
    columns = np.column_stack([matrix[upper] for matrix in (same(labels()), np.ones((20, 20)), words, length)])
    expected = np.linalg.lstsq(columns, outcome[upper], rcond=None)[0][0]
    found = partial_effect(outcome, labels(), [words, length], permutations=9, rng=0)
    assert found.category_effect == pytest.approx(expected)
    marked = same(labels())[upper] == 1
    assert found.unadjusted == pytest.approx(outcome[upper][marked].mean() - outcome[upper][~marked].mean())


def test_p_is_that_of_shuffled_residuals_regressed_in_full() -> None:
    """Double semi-partialling as its authors write it, one regression after another."""
    upper = np.triu_indices(20, 1)
    outcome, words = nearness(0) + 0.01 * same(labels()), nearness(1)
    fixed = np.column_stack([np.ones(190), words[upper]])
    rest = same(labels())[upper] - fixed @ np.linalg.lstsq(fixed, same(labels())[upper], rcond=None)[0]
    square = np.zeros((20, 20))
    square[upper] = rest
    square += square.T

    def t(column: np.ndarray) -> float:
        columns = np.column_stack([column, fixed])
        slopes = np.linalg.lstsq(columns, outcome[upper], rcond=None)[0]
        left = outcome[upper] - columns @ slopes
        return float(slopes[0] / np.sqrt(left @ left / 187 * np.linalg.inv(columns.T @ columns)[0, 0]))

    rng = np.random.default_rng(5)
    orders = [rng.permutation(20) for _ in range(99)]
    null = [t(square[np.ix_(order, order)][upper]) for order in orders]
    expected = (1 + sum(value >= t(rest) - 1e-9 for value in null)) / 100
    assert partial_effect(outcome, labels(), [words], permutations=99, rng=5).p_value == pytest.approx(expected)


def test_what_a_covariate_explains_is_no_effect_and_the_rest_is() -> None:
    words = nearness(1, 40) + 0.3 * same(labels(40))
    similarities = 0.5 * words + 0.02 * nearness(2, 40)
    explained = partial_effect(similarities, labels(40), [words], permutations=199, rng=0)
    assert explained.unadjusted > 0.1
    assert explained.p_value > 0.05
    beside = partial_effect(similarities + 0.05 * same(labels(40)), labels(40), [words], permutations=199, rng=0)
    assert beside.p_value == pytest.approx(1 / 200)
    assert beside.category_effect == pytest.approx(0.05, abs=0.01)


def test_random_labels_give_uniform_p() -> None:
    rng = np.random.default_rng(3)
    found = []
    for seed in range(500):
        names = rng.permutation(labels(24)).tolist()
        found.append(partial_effect(nearness(seed, 24), names, [nearness(seed + 1000, 24)], permutations=99, rng=seed))
    assert kstest([effect.p_value for effect in found], "uniform").pvalue > 0.01


def test_a_linearly_dependent_covariate_changes_nothing() -> None:
    once = partial_effect(nearness(0), labels(), [nearness(1)], permutations=19, rng=0)
    twice = partial_effect(nearness(0), labels(), [nearness(1), 2 * nearness(1), np.ones((20, 20))],
                           permutations=19, rng=0)  # fmt: skip
    assert twice.category_effect == pytest.approx(once.category_effect)


@pytest.mark.parametrize("names", [["a"] * 6, list("abcdef")])
def test_categories_that_cannot_be_told_from_what_is_fixed_are_not_computable(names: list[str]) -> None:
    with pytest.raises(NotComputable, match="pairs within and across"):
        partial_effect(nearness(0, 6), names, [], permutations=9, rng=0)
    with pytest.raises(NotComputable, match="linear function of the covariates"):
        partial_effect(nearness(0, 6), list("aaabbb"), [same(list("aaabbb"))], permutations=9, rng=0)
