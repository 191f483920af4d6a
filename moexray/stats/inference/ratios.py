"""Jackknife intervals of many statistics at once."""

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.intervals import LEVEL
from moexray.stats.inference.jackknife import LEAST_UNITS


def jackknife_intervals(
    estimates: NDArray[np.float64], left_out: NDArray[np.float64], strata: NDArray[np.integer]
) -> NDArray[np.float64]:  # (…, 2)
    """95 % intervals of several statistics of the same units: see `jackknife_interval`.

    Parameters
    ----------
    estimates
        The statistics over all units ``(…)``.
    left_out
        The statistics without each unit ``(units, …)``.
    strata
        The sample of each unit ``(units,)``.

    Returns
    -------
    The two ends of each; NaN where `jackknife_interval` returns None.
    """
    from scipy.special import stdtrit

    sizes = np.bincount(strata)
    found = np.flatnonzero(sizes)
    if not len(found) or sizes[found].min() < LEAST_UNITS:
        return np.full((*estimates.shape, 2), np.nan)
    variances = np.stack([(sizes[one] - 1) * np.var(left_out[strata == one], axis=0) for one in found])
    total = variances.sum(axis=0)
    weights = (sizes[found] - 1).reshape(-1, *(1,) * estimates.ndim)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = total**2 / (variances**2 / weights).sum(axis=0)
    half = stdtrit(np.where(total > 0, freedom, 1.0), (1 + LEVEL) / 2) * np.sqrt(total)
    return np.stack([estimates - half, estimates + half], axis=-1)


def ratio_intervals(
    parts: NDArray[np.number], wholes: NDArray[np.number], strata: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shares of sums over blocks of units, and their 95 % jackknife intervals within 0 and 1.

    Samples are pooled: see `pooled_intervals`.

    Parameters
    ----------
    parts, wholes
        Numerators and denominators of each block ``(blocks, …)``; they are broadcast to one shape.
    strata
        The sample of each block ``(blocks,)``.

    Returns
    -------
    The shares ``(…)``, NaN of nothing, and the ends of their intervals ``(…, 2)``, NaN where there is none.
    """
    parts, wholes = (np.asarray(one, dtype=np.float64) for one in np.broadcast_arrays(parts, wholes))
    of_all, in_all = parts.sum(axis=0), wholes.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = of_all / in_all
        left_out = (of_all - parts) / (in_all - wholes)
    return ratios, np.clip(pooled_intervals(ratios, left_out, strata), 0, 1)


def pooled_intervals(
    estimates: NDArray[np.float64], left_out: NDArray[np.float64], strata: NDArray[np.integer]
) -> NDArray[np.float64]:  # (…, 2)
    """95 % intervals of statistics that pool the units of all samples: see `jackknife_intervals`.

    A pooled statistic moves less without a unit than one that keeps the share of each sample. Of a mean the factor is
    n (n_c − 1) / (n_c (n − 1)), with n_c of n units in the sample: deviations are divided by it.

    Parameters
    ----------
    estimates, left_out, strata
        As for `jackknife_intervals`.
    """
    kept = left_out.copy()
    units = len(strata)
    for stratum in np.unique(strata):
        own = strata == stratum
        size = int(own.sum())
        if size > 1:
            means = left_out[own].mean(axis=0)
            kept[own] = means + (left_out[own] - means) * (size * (units - 1) / (units * (size - 1)))
    return jackknife_intervals(estimates, kept, strata)
