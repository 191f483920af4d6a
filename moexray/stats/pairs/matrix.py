"""Summaries and permutation test of a matrix of similarities, where these are not cosines of vectors."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.labels import category_numbers, numbered_categories
from moexray.stats.inference.permutation import PermutationTest, permutation_result, shuffled_labels
from moexray.stats.pairs.pair_sums import PairSums, PairTotals, numbers_of_pairs
from moexray.stats.pairs.shuffled import check_pairs, difference_of_means
from moexray.stats.pairs.similarity import Similarity, summarised
from moexray.stats.pairs.summaries import PairSummary, cohens_d


def matrix_similarity(similarities: NDArray[np.float64], labels: Sequence[str]) -> Similarity:
    """Summarise the similarities of all unordered pairs, as `moexray.stats.similarity` does for vectors.

    Parameters
    ----------
    similarities
        Symmetric matrix ``(prompts, prompts)``; the diagonal is ignored.
    labels
        The category of each prompt.
    """
    categories, numbers = numbered_categories(labels)
    pairs = numbers_of_pairs(numbers, len(categories))
    apart = ~np.eye(len(numbers), dtype=bool)
    shift = float(similarities[apart].mean()) if len(numbers) > 1 else 0.0
    shifted = np.where(apart, similarities - shift, 0)
    marks = np.eye(len(categories))[numbers]
    first, squares = shifted @ marks, shifted**2 @ marks
    own = marks.astype(bool)
    second = np.column_stack([squares.sum(axis=1, where=own), squares.sum(axis=1, where=~own)])
    between = [marks.T @ part for part in (first, squares, pairs)]
    totals = PairTotals(shift, between[0], between[1], between[2].astype(np.int64), between[1])
    return summarised(PairSums(totals, first, second, pairs), categories, numbers, None)


def matrix_effect(similarities: NDArray[np.float64], labels: Sequence[str]) -> float | None:
    """Return Cohen's d between the pairs within and across, without the rest of `matrix_similarity`."""
    numbers = category_numbers(labels)
    first, second = np.triu_indices(len(numbers), 1)
    values, same = similarities[first, second], numbers[first] == numbers[second]
    sets = [
        PairSummary(float(one.mean()), float(one.std(ddof=1)), len(one)) if len(one) > 1 else PairSummary(None, None, 0)
        for one in (values[same], values[~same])
    ]
    return cohens_d(*sets)


def matrix_permutation_test(
    similarities: NDArray[np.float64], labels: Sequence[str], *, permutations: int, rng: int | np.random.Generator
) -> PermutationTest:
    """Test mean similarity within minus across, as `moexray.stats.permutation_test` does for vectors.

    Parameters
    ----------
    similarities
        Symmetric matrix ``(prompts, prompts)``; the diagonal is ignored.
    labels
        The category of each prompt.
    permutations, rng
        Number of permutations, and their seed or generator.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across.
    """
    numbers = category_numbers(labels)
    sizes = np.bincount(numbers)
    check_pairs(sizes)
    matrix = similarities.copy()
    np.fill_diagonal(matrix, 0)
    blocks = chain([numbers[None]], shuffled_labels(labels, permutations=permutations, rng=rng))
    within = []
    for block in blocks:
        sums = np.zeros(len(block))
        for category in range(len(sizes)):
            marks = (block == category).astype(np.float64)
            sums += np.einsum("ij,ij->i", marks @ matrix, marks) / 2
        within.append(sums)
    return permutation_result(difference_of_means(np.concatenate(within), np.asarray(matrix.sum() / 2), sizes))
