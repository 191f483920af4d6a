"""Permutation test of the category effect: mean cosine similarity within minus across, under permuted labels."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.labels import category_numbers
from moexray.stats.inference.permutation import PermutationTest, permutation_result, shuffled_labels
from moexray.stats.pairs.similarity import unit_rows


def permutation_test(
    vectors: NDArray[np.float64], labels: Sequence[str], *, permutations: int, rng: int | np.random.Generator
) -> PermutationTest:
    """Test whether prompts of one category are more similar than under permuted labels.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``, none of them zero.
    labels
        The category of each prompt.
    permutations
        Number of permutations.
    rng
        Seed or generator of the permutations.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across.
    """
    blocks = chain([category_numbers(labels)[None]], shuffled_labels(labels, permutations=permutations, rng=rng))
    return permutation_result(np.concatenate([mean_differences(vectors, block) for block in blocks]))


def mean_differences(vectors: NDArray[np.float64], numbers: NDArray[np.int32]) -> NDArray[np.float64]:  # (labelings,)
    """Return mean cosine similarity within minus across categories, for each labeling of the same signatures.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``. A row of zeros, a prompt without a signature, is in no pair.
    numbers
        Category numbers ``(labelings, prompts)``; every row holds each number equally often.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across.
    """
    check_pairs(np.bincount(numbers[0]))
    present = vectors.any(axis=1)
    categories = int(numbers.max()) + 1
    if present.all():
        sizes = np.bincount(numbers[0])
    else:
        vectors, numbers = vectors[present], numbers[:, present]
        sizes = np.stack([(numbers == category).sum(axis=1) for category in range(categories)], axis=1)
    units = unit_rows(vectors)
    within_sums = _sums_from_matrix if len(units) <= units.shape[1] else _sums_from_moments
    total = units.sum(axis=0)
    every = np.asarray((float(total @ total) - float((units**2).sum())) / 2)
    return difference_of_means(within_sums(units, numbers, categories), every, sizes)


def check_pairs(sizes: NDArray[np.integer]) -> None:
    """Raise NotComputable if categories of these sizes have no pair within, or none across."""
    prompts = int(sizes.sum())
    pairs, within_pairs = prompts * (prompts - 1) // 2, int((sizes * (sizes - 1) // 2).sum())
    if within_pairs in {0, pairs}:
        message = "no two prompts share a category" if within_pairs == 0 else "there is one category only"
        raise NotComputable(message)


def difference_of_means(
    within: NDArray[np.float64], every: NDArray[np.float64], sizes: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return the mean over pairs within minus that over pairs across, from sums over pairs within and over all pairs.

    Parameters
    ----------
    within, every
        The sums, one for each labeling or layer ``(…,)``.
    sizes
        Prompts of each category ``(…, categories)``. Without a pair within, or one across, the difference is 0.
    """
    prompts, within_pairs = sizes.sum(axis=-1), (sizes * (sizes - 1) // 2).sum(axis=-1)
    across_pairs = prompts * (prompts - 1) // 2 - within_pairs
    means = within / np.maximum(within_pairs, 1) - (every - within) / np.maximum(across_pairs, 1)
    return np.where((within_pairs > 0) & (across_pairs > 0), means, 0.0)


def _sums_from_matrix(units: NDArray[np.float64], numbers: NDArray[np.int32], categories: int) -> NDArray[np.float64]:
    """Half the sum over categories c of z' G z, with z the indicator of c's prompts and G their Gram matrix."""
    gram = units @ units.T
    np.fill_diagonal(gram, 0)
    sums = np.zeros(len(numbers))
    for category in range(categories):
        marks = (numbers == category).astype(np.float64)
        sums += np.einsum("ij,ij->i", marks @ gram, marks) / 2
    return sums


def _sums_from_moments(units: NDArray[np.float64], numbers: NDArray[np.int32], categories: int) -> NDArray[np.float64]:
    """Half the sum over categories c of |Σu|² − Σ|u|², without forming pairs."""
    sums = np.full(len(numbers), -float((units**2).sum()) / 2)
    for category in range(categories):
        totals = (numbers == category).astype(np.float64) @ units
        sums += np.einsum("ij,ij->i", totals, totals) / 2
    return sums
