"""The variance of single pairs is that of the residuals of an additive model, and intervals count it once."""

from itertools import combinations

import numpy as np
import pytest

from moexray.stats.pairs.interactions import equal_weights_of_pairs, interaction_variance
from moexray.stats.pairs.pair_sums import pair_sums
from moexray.stats.pairs.similarity import similarity, unit_rows

from ..simulations import assert_share, simulated
from .test_balanced import made


def residual_variance(matrix: np.ndarray, pairs: list[tuple[int, int]]) -> float:
    """Least squares of similarity on one term for each prompt of a pair, whose terms of one category sum to zero."""
    prompts = sorted({one for pair in pairs for one in pair})
    design = np.array([[float(one in pair) for one in prompts] for pair in pairs])
    values = np.array([matrix[pair] for pair in pairs])
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    freedom = len(pairs) - np.linalg.matrix_rank(design)
    return float(((values - fitted) ** 2).sum() / freedom)


@pytest.mark.parametrize("dimensions", [8, 60])
def test_it_is_the_residual_variance_of_an_additive_model_of_both_prompts(dimensions: int) -> None:
    vectors, labels = made([5, 8, 11], 6, dimensions)
    units = unit_rows(vectors)
    numbers = np.array([int(label[1]) for label in labels])
    totals = pair_sums(units, numbers, 3).totals
    weights = equal_weights_of_pairs(totals)
    expected = 0.0
    for b, c in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]:
        pairs = [(p, q) for p, q in combinations(range(24), 2) if sorted((numbers[p], numbers[q])) == [b, c]]
        expected += residual_variance(units @ units.T, pairs) * len(pairs) * weights[b, c] ** 2
    assert interaction_variance(totals, weights) == pytest.approx(expected, rel=1e-6)


def test_weights_are_those_of_the_difference_of_means() -> None:
    totals = pair_sums(unit_rows(made([4, 6], 0)[0]), np.repeat([0, 1], [4, 6]), 2).totals
    weights = equal_weights_of_pairs(totals)
    assert weights[0, 0] == weights[1, 1] == 1 / (6 + 15)
    assert weights[0, 1] == 1 / 24


@pytest.mark.slow
@simulated(150, nightly=2000)
def test_intervals_of_d_cover_where_categories_do_not_differ(seeds: range) -> None:
    """Counted twice, pairs make the interval cover 98 to 99 %."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng([21, seed])
        scatter = np.repeat([0.6, 0.8, 1, 1.2], 20)[:, None]
        one = similarity(1 + scatter * rng.random((80, 24)), [f"c{i // 20}" for i in range(80)])
        found.append((one.cohens_d, one.cohens_d_ci, one.auc, one.balanced))
    values = np.array([[d, auc.value, b.cohens_d, b.difference] for d, _, auc, b in found])
    ends = np.array([[ci, auc.ci, b.ci, b.difference_ci] for _, ci, auc, b in found])
    truth = values.mean(axis=0)
    for number in range(4):
        assert_share((ends[:, number, 0] <= truth[number]) & (truth[number] <= ends[:, number, 1]), 0.93, 0.97)
