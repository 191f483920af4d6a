"""The variance that single pairs add to a mean over pairs, which a jackknife counts twice.

A mean over pairs varies for two reasons (W. Hoeffding, Ann. Math. Stat. 19, 1948): some prompts are similar to all
others (variance σ₁), and some pairs are more similar than their two prompts are in general (variance σ₂). Left out with
its prompts, every pair is left out twice, so the jackknife's variance is σ₁ + 2σ₂ in expectation (B. Efron and
C. Stein, Ann. Stat. 9, 1981). Where categories do not differ σ₁ is zero, and intervals are too wide by the root of two.

σ₂ is the residual variance of similarity in an additive model of both prompts, fitted in each category and each pair of
categories; sums of similarity over the pairs of each prompt are all that it needs.
"""

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.jackknife import jackknife_variance
from moexray.stats.pairs.pair_sums import PairTotals

# With fewer units in a category the residual variance is known so poorly that corrected intervals are too narrow.
LEAST_CORRECTED = 10


def kept_share(
    totals: PairTotals,
    weights: NDArray[np.float64],
    scale: float | None,
    left_out: NDArray[np.float64],
    strata: NDArray[np.integer],
) -> float:
    """Return the share of the jackknife variance of a difference of means that is left when pairs are counted once.

    Parameters
    ----------
    totals
        Sums over pairs.
    weights
        The weight of a pair in the difference: see `interaction_variance`.
    scale
        What the difference is divided by, for an effect size; None where nothing varies.
    left_out, strata
        The statistic without each prompt, and the category of each: see `jackknife_interval`.

    Returns
    -------
    Between 1/2 and 1; 1 where units are groups, or a category has fewer than ten prompts.
    """
    if totals.squared_rows is None or scale is None or np.unique_counts(strata).counts.min() < LEAST_CORRECTED:
        return 1.0
    variance, _ = jackknife_variance(left_out, strata)
    twice = interaction_variance(totals, weights) / scale**2
    return float(max(0.5, 1 - twice / variance)) if variance > 0 and np.isfinite(variance) else 1.0


def equal_weights_of_pairs(totals: PairTotals) -> NDArray[np.float64]:  # (categories, categories)
    """Return one over the number of pairs within, and across: the weights of pairs in the study's difference."""
    own = np.eye(len(totals.pairs), dtype=bool)
    within, across = totals.pairs[own].sum() / 2, totals.pairs[~own].sum() / 2
    return np.asarray(np.where(own, 1 / max(within, 1), 1 / max(across, 1)))


def equal_weights_of_categories(totals: PairTotals) -> NDArray[np.float64]:  # (categories, categories)
    """Return the weights of pairs in a difference where categories, and pairs of categories, count equally."""
    categories = len(totals.pairs)
    own = np.eye(categories, dtype=bool)
    pairs = np.maximum(np.where(own, totals.pairs / 2, totals.pairs), 1)
    return np.asarray(np.where(own, 1 / categories, 2 / (categories * max(categories - 1, 1))) / pairs)


def interaction_variance(totals: PairTotals, weights: NDArray[np.float64]) -> float:
    """Return σ₂ of a weighted sum of similarity over pairs of prompts.

    Parameters
    ----------
    totals
        Sums over pairs of prompts that are units of their own.
    weights
        The weight of each pair, by the categories of its prompts ``(categories, categories)``.
    """
    if totals.squared_rows is None:
        message = "sums over the pairs of groups do not give it"
        raise ValueError(message)
    sizes = np.sqrt(np.diag(totals.pairs) + 0.25) + 0.5  # n (n − 1) pairs, each counted twice
    own = np.eye(len(sizes), dtype=bool)
    n, m = sizes[:, None], sizes[None]
    mean = totals.first / np.maximum(totals.pairs, 1)
    # Within: t = mean + a_p + a_q, with a_p = (row sum − (n − 1) mean) / (n − 2), over n (n − 1)/2 pairs.
    rows = totals.squared_rows - n * ((m - own) * mean) ** 2
    inside = (totals.second - totals.pairs * mean**2) / 2 - rows / np.maximum(n - 2, 1)
    # Across: t = mean + a_p + b_q, with a_p = row sum / m − mean.
    outside = totals.second - totals.pairs * mean**2 - rows / m - rows.T / n
    freedom = np.where(own, n * (n - 3) / 2, (n - 1) * (m - 1))
    residual = np.where(own, inside, outside) / np.maximum(freedom, 1)
    pairs = np.where(own, totals.pairs / 2, totals.pairs)
    terms = np.maximum(residual, 0) * pairs * weights**2
    return float(terms[own].sum() + terms[~own].sum() / 2)
