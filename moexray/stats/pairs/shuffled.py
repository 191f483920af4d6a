"""Permutation test of the category effect: mean cosine similarity within minus across, under permuted labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.permutation import PermutationTest, permutation_result
from moexray.stats.inference.units import Units, units_of


def permutation_test(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    permutations: int,
    rng: int | np.random.Generator,
    groups: Sequence[str] | None = None,
) -> PermutationTest:
    """Test whether prompts of one category are more similar than under permuted labels.

    It tests whether labels are exchangeable: categories that differ in spread or in length alone are not. For a test of
    location see `moexray.stats.location_test`.

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
    groups
        The group of each prompt, whose prompts are one unit: labels are permuted over units, and two prompts of a unit
        are no pair.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across.
    """
    units = units_of(labels, groups)
    units.check_pairs()
    blocks = units.labelings(permutations, rng, first=True)
    return permutation_result(np.concatenate([differences_of_labelings(vectors, units, block) for block in blocks]))


def differences_of_labelings(
    vectors: NDArray[np.float64], units: Units, labelings: NDArray[np.integer]
) -> NDArray[np.float64]:  # (labelings,)
    """Return mean cosine similarity within minus across categories, for each labeling of the parts of units.

    With V_a the sum of the unit vectors of part a, S_c that of category c, V_u that of unit u, and S of all, the sums
    of similarity over pairs of different units are (Σ_c |S_c|² − Σ_a |V_a|²)/2 within and, of all pairs,
    (|S|² − Σ_u |V_u|²)/2. Numbers of prompts in place of vectors give the numbers of pairs. So no pair is formed.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``; a row of zeros, a prompt without a signature, is in no pair.
    units
        The units of the prompts.
    labelings
        The category of each part ``(labelings, parts)``: see `moexray.stats.inference.units.Units.labelings`.
    """
    present = np.asarray(vectors.any(axis=1))
    directions = vectors / np.sqrt(np.einsum("ij,ij->i", vectors, vectors) + ~present)[:, None]
    parts, held = units.sums(directions), units.sums(present)
    of_units, held_by_units = units.by_unit(directions), units.by_unit(present)
    total, prompts = directions.sum(axis=0), float(present.sum())
    every = float(total @ total) - float((of_units**2).sum())
    every_pairs = prompts**2 - float((held_by_units**2).sum())
    squares = _squares_from_matrix if len(parts) <= parts.shape[1] else _squares_from_moments
    categories = int(labelings.max()) + 1
    within = squares(parts, labelings, categories) - float((parts**2).sum())
    pairs = _squares_from_moments(held[:, None], labelings, categories) - float((held**2).sum())
    return difference_between(within / 2, every / 2, pairs / 2, every_pairs / 2)


def difference_between(
    within: NDArray[np.float64],
    every: float | NDArray[np.float64],
    within_pairs: NDArray[np.number],
    every_pairs: float | NDArray[np.number],
) -> NDArray[np.float64]:
    """Return the mean over pairs within minus that over pairs across, 0 where there are none of either."""
    across_pairs = every_pairs - within_pairs
    means = within / np.maximum(within_pairs, 1) - (every - within) / np.maximum(across_pairs, 1)
    return np.where((within_pairs > 0) & (across_pairs > 0), means, 0.0)


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
    return difference_between(within, every, within_pairs, prompts * (prompts - 1) // 2)


def _squares_from_matrix(
    parts: NDArray[np.float64], labelings: NDArray[np.integer], categories: int
) -> NDArray[np.float64]:
    """Return Σ_c |S_c|² as Σ_c z'Gz, with z the indicator of the parts of category c, and G the products of parts."""
    gram = parts @ parts.T
    sums = np.zeros(len(labelings))
    for category in range(categories):
        marks = (labelings == category).astype(np.float64)
        sums += np.einsum("ij,ij->i", marks @ gram, marks)
    return sums


def _squares_from_moments(
    parts: NDArray[np.float64], labelings: NDArray[np.integer], categories: int
) -> NDArray[np.float64]:
    """Return Σ_c |S_c|² from the sums S_c."""
    sums = np.zeros(len(labelings))
    for category in range(categories):
        totals = (labelings == category).astype(np.float64) @ parts
        sums += np.einsum("ij,ij->i", totals, totals)
    return sums
