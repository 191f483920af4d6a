"""Permutation test of the category effect: labels are shuffled over prompts, never over pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.pairs.similarity import unit_rows

# Shuffles that make the same groups give sums that differ by rounding only: they count as reached.
_ROUNDING = 1e-12
_MOST_ROWS, _MOST_NUMBERS = 1000, 2**24


@dataclass(frozen=True)
class PermutationTest:
    """Mean similarity within minus across, its distribution under shuffled labels, and the one-sided p-value."""

    observed: float
    null_mean: float
    null_std: float
    p_value: float
    permutations: int


def permutation_test(
    vectors: NDArray[np.float64], labels: Sequence[str], *, permutations: int, rng: int | np.random.Generator
) -> PermutationTest:
    """Test whether prompts of one category are more similar than labels at random would make them.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``, none of them zero.
    labels
        The category of each.
    permutations
        Number of shuffles.
    rng
        Seed or generator of the shuffles.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across.
    """
    blocks = chain([category_numbers(labels)[None]], shuffled_labels(labels, permutations=permutations, rng=rng))
    return test_of(np.concatenate([mean_differences(vectors, block) for block in blocks]))


def test_of(differences: NDArray[np.float64]) -> PermutationTest:
    """Compare the first difference, of the labels as they are, with those of shuffled labels after it."""
    observed, null = float(differences[0]), differences[1:]
    return PermutationTest(
        observed=observed,
        null_mean=float(np.mean(null)),
        null_std=float(np.std(null)),
        p_value=p_value(observed, null),
        permutations=len(null),
    )


def p_value(observed: float, null: NDArray[np.float64]) -> float:
    """``(1 + #{null >= observed}) / (1 + shuffles)``: B. Phipson and G. Smyth, SAGMB 9 (2010), article 39."""
    return float((1 + np.count_nonzero(null >= observed - _ROUNDING)) / (1 + len(null)))


def category_numbers(labels: Sequence[str]) -> NDArray[np.int32]:  # (prompts,)
    """Return the place of each label among the sorted categories."""
    return np.asarray(np.unique(np.asarray(labels, dtype=object), return_inverse=True)[1], dtype=np.int32)


def shuffled_labels(
    labels: Sequence[str], *, permutations: int, rng: int | np.random.Generator
) -> Iterator[NDArray[np.int32]]:  # (labelings, prompts) each
    """Yield category numbers in blocks, every row in an order of its own; several statistics may share them."""
    generator = np.random.default_rng(rng)
    numbers = category_numbers(labels)
    size = max(1, min(_MOST_ROWS, _MOST_NUMBERS // len(numbers)))
    for start in range(0, permutations, size):
        yield generator.permuted(np.tile(numbers, (min(size, permutations - start), 1)), axis=1)


def mean_differences(vectors: NDArray[np.float64], numbers: NDArray[np.int32]) -> NDArray[np.float64]:  # (labelings,)
    """Mean cosine similarity within minus across categories, for each labeling of the same signatures.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``. A prompt without one, a row of zeros, is in no pair.
    numbers
        Category numbers ``(labelings, prompts)``; every row holds each number equally often.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across.
    """
    check_pairs(np.bincount(numbers[0]))
    there = vectors.any(axis=1)
    categories = int(numbers.max()) + 1
    if there.all():
        sizes = np.bincount(numbers[0])
    else:
        vectors, numbers = vectors[there], numbers[:, there]
        sizes = np.stack([(numbers == category).sum(axis=1) for category in range(categories)], axis=1)
    units = unit_rows(vectors)
    within_sums = _sums_from_matrix if len(units) <= units.shape[1] else _sums_from_moments
    total = units.sum(axis=0)
    every = np.asarray((float(total @ total) - float((units**2).sum())) / 2)
    return difference_of_means(within_sums(units, numbers, categories), every, sizes)


def check_pairs(sizes: NDArray[np.integer]) -> None:
    """Raise NotComputable if the `sizes` of categories leave no pair within, or none across."""
    prompts = int(sizes.sum())
    pairs, within_pairs = prompts * (prompts - 1) // 2, int((sizes * (sizes - 1) // 2).sum())
    if within_pairs in {0, pairs}:
        message = "no two prompts share a category" if within_pairs == 0 else "there is one category only"
        raise NotComputable(message)


def difference_of_means(
    within: NDArray[np.float64], every: NDArray[np.float64], sizes: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Mean over pairs within less mean over pairs across, from the sums over pairs within and over all pairs.

    Parameters
    ----------
    within, every
        The sums, one for each labeling or layer.
    sizes
        Of the categories ``(…, categories)``. Where they leave no pair within or none across there is no difference.
    """
    prompts, within_pairs = sizes.sum(axis=-1), (sizes * (sizes - 1) // 2).sum(axis=-1)
    across_pairs = prompts * (prompts - 1) // 2 - within_pairs
    means = within / np.maximum(within_pairs, 1) - (every - within) / np.maximum(across_pairs, 1)
    return np.where((within_pairs > 0) & (across_pairs > 0), means, 0.0)


def _sums_from_matrix(units: NDArray[np.float64], numbers: NDArray[np.int32], categories: int) -> NDArray[np.float64]:
    """Half the sum over categories c of z' G z, where z marks the prompts of c and G is their similarity."""
    gram = units @ units.T
    np.fill_diagonal(gram, 0)
    sums = np.zeros(len(numbers))
    for category in range(categories):
        marks = (numbers == category).astype(np.float64)
        sums += np.einsum("ij,ij->i", marks @ gram, marks) / 2
    return sums


def _sums_from_moments(units: NDArray[np.float64], numbers: NDArray[np.int32], categories: int) -> NDArray[np.float64]:
    """Half the sum over categories c of |Σu|² − Σ|u|²: no pair is looked at."""
    sums = np.full(len(numbers), -float((units**2).sum()) / 2)
    for category in range(categories):
        totals = (numbers == category).astype(np.float64) @ units
        sums += np.einsum("ij,ij->i", totals, totals) / 2
    return sums
