"""Permutation tests: random permutations of the labels, and the p-value of a statistic against its values under them.

Labels are permuted over prompts, never over pairs or tokens, which depend on each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.labels import category_numbers

# Permutations that make the same groups give sums that differ by rounding only: they count as reached.
_ROUNDING = 1e-12
_MOST_ROWS, _MOST_NUMBERS = 1000, 2**24


@dataclass(frozen=True)
class PermutationTest:
    """A statistic, the mean and standard deviation of its permutation distribution, and the one-sided p-value."""

    observed: float
    null_mean: float
    null_std: float
    p_value: float
    permutations: int


def permutation_result(statistics: NDArray[np.float64]) -> PermutationTest:
    """Compare the first statistic, of the labels as they are, with the rest, of permuted labels.

    Parameters
    ----------
    statistics
        ``(1 + permutations,)``.
    """
    observed, null = float(statistics[0]), statistics[1:]
    return PermutationTest(
        observed=observed,
        null_mean=float(np.mean(null)),
        null_std=float(np.std(null)),
        p_value=p_value(observed, null),
        permutations=len(null),
    )


def p_value(observed: float, null: NDArray[np.float64]) -> float:
    """``(1 + #{null >= observed}) / (1 + permutations)``: B. Phipson and G. Smyth, SAGMB 9 (2010), article 39."""
    return float((1 + np.count_nonzero(null >= observed - _ROUNDING)) / (1 + len(null)))


def shuffled_labels(
    labels: Sequence[str], *, permutations: int, rng: int | np.random.Generator
) -> Iterator[NDArray[np.int32]]:  # (labelings, prompts) each
    """Yield category numbers in blocks, every row a random permutation; several statistics may share them."""
    generator = np.random.default_rng(rng)
    numbers = category_numbers(labels)
    size = max(1, min(_MOST_ROWS, _MOST_NUMBERS // len(numbers)))
    for start in range(0, permutations, size):
        yield generator.permuted(np.tile(numbers, (min(size, permutations - start), 1)), axis=1)
