"""Summaries and permutation test of a matrix of similarities, where these are not cosines of vectors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.permutation import PermutationTest, permutation_result
from moexray.stats.inference.units import Units, units_of
from moexray.stats.pairs.pair_sums import PairSums, PairTotals, numbers_of_pairs, second_sums, squared_rows_of
from moexray.stats.pairs.shuffled import difference_between
from moexray.stats.pairs.similarity import Similarity, summarised
from moexray.stats.pairs.summaries import PairSummary, cohens_d


def matrix_similarity(
    similarities: NDArray[np.float64], labels: Sequence[str], *, groups: Sequence[str] | None = None
) -> Similarity:
    """Summarise the similarities of all unordered pairs, as `moexray.stats.similarity` does for vectors.

    Parameters
    ----------
    similarities
        Symmetric matrix ``(prompts, prompts)``; the diagonal is ignored.
    labels
        The category of each prompt.
    groups
        The group of each prompt, two prompts of which are no pair.
    """
    units = units_of(labels, groups)
    categories = len(units.names)
    pairs = numbers_of_pairs(units.categories, categories, units.together)
    apart = _apart(units)
    shift = float(similarities[apart].mean()) if apart.any() else 0.0
    shifted = np.where(apart, similarities - shift, 0)
    marks = np.eye(categories)[units.categories]
    first, squares = shifted @ marks, shifted**2 @ marks
    between = [marks.T @ part for part in (first, squares, pairs)]
    totals = PairTotals(
        shift,
        between[0],
        between[1],
        between[2].astype(np.int64),
        between[1],
        None if units.together is not None else squared_rows_of(first, units.categories),
    )
    second = second_sums(squares, units.categories, categories)
    return summarised(PairSums(totals, first, second, pairs, squares), units, None)


def matrix_effect(
    similarities: NDArray[np.float64], labels: Sequence[str], *, groups: Sequence[str] | None = None
) -> float | None:
    """Return Cohen's d between the pairs within and across, without the rest of `matrix_similarity`."""
    units = units_of(labels, groups)
    first, second = np.nonzero(np.triu(_apart(units), 1))
    values, same = similarities[first, second], units.categories[first] == units.categories[second]
    sets = [
        PairSummary(float(one.mean()), float(one.std(ddof=1)), len(one)) if len(one) > 1 else PairSummary(None, None, 0)
        for one in (values[same], values[~same])
    ]
    return cohens_d(*sets)


def matrix_permutation_test(
    similarities: NDArray[np.float64],
    labels: Sequence[str],
    *,
    permutations: int,
    rng: int | np.random.Generator,
    groups: Sequence[str] | None = None,
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
    groups
        The group of each prompt, whose prompts are one unit.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across.
    """
    units = units_of(labels, groups)
    units.check_pairs()
    apart = _apart(units)
    # Sums over the pairs of every two parts, and the numbers of these pairs.
    sums, numbers = (
        units.sums(units.sums(matrix).T) for matrix in (np.where(apart, similarities, 0), apart.astype(np.float64))
    )
    within, pairs = [], []
    for block in units.labelings(permutations, rng, first=True):
        marks = [(block == category).astype(np.float64) for category in range(len(units.names))]
        within.append(sum(np.einsum("ij,ij->i", one @ sums, one) for one in marks))
        pairs.append(sum(np.einsum("ij,ij->i", one @ numbers, one) for one in marks))
    every, every_pairs = float(sums.sum()) / 2, float(numbers.sum()) / 2
    found = difference_between(np.concatenate(within) / 2, every, np.concatenate(pairs) / 2, every_pairs)
    return permutation_result(found)


def _apart(units: Units) -> NDArray[np.bool_]:  # (prompts, prompts)
    """Mark the pairs of prompts of two units."""
    return np.not_equal.outer(units.units, units.units)
