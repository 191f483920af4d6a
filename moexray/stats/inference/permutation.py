"""Permutation tests: the p-value of a statistic against its values under permuted labels.

Labels are permuted over units, `moexray.stats.inference.units`, never over pairs or tokens, which depend on each other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Permutations that make the same groups give sums that differ by rounding only: they count as reached.
_ROUNDING = 1e-12


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
