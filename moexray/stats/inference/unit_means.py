"""The mean of one value of each prompt, with an interval that leaves out whole units."""

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.units import Units


def mean_over_units(values: NDArray[np.float64], units: Units) -> tuple[float, tuple[float, float] | None]:
    """Return the mean over prompts, and its 95 % jackknife interval over units.

    The share w_s = n_s / n of the prompts of each stratum is held fixed, so that without unit u of stratum s the mean
    is Σ_t w_t m_t with m_s = (Σ_s − Σ_u) / (n_s − n_u). Where every unit is a prompt this is
    `moexray.stats.mean_interval`.

    Parameters
    ----------
    values
        One value of each prompt ``(prompts,)``.
    units
        The units of the prompts.

    Returns
    -------
    The mean, and the interval; None where a stratum has one unit only.
    """
    strata = units.strata
    sizes, sums = (np.bincount(units.units, weights) for weights in (None, values))
    of_stratum, total = (np.bincount(strata, weights) for weights in (sizes, sums))
    mean = float(values.mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = (total[strata] - sums) / (of_stratum[strata] - sizes) - total[strata] / of_stratum[strata]
    return mean, jackknife_interval(mean, mean + of_stratum[strata] / len(values) * moved, strata)
