"""p-values adjusted for the number of tests: max-T for the layers of a model, Benjamini–Hochberg for its experts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.permutation import p_value

# Statistics that vary by less are equal up to rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class LayerPValues:
    """The p-value of each layer, by itself and adjusted for the number of layers."""

    p_values: list[float]
    adjusted: list[float]


def max_t_p_values(statistics: NDArray[np.float64]) -> LayerPValues:
    """Adjust permutation p-values by the maximum over layers, which controls the family-wise error rate.

    The adjusted p-value of a layer is the share of permutations in which *any* layer's statistic is as large
    (P. Westfall and S. Young, *Resampling-Based Multiple Testing*, 1993). Layers' statistics are of unequal scale, so
    each is first put in units of its own standard deviation over all labelings, the observed one among them.

    Parameters
    ----------
    statistics
        Of the labels as they are, then of permuted labels ``(1 + permutations, layers)``.
    """
    spread = statistics.std(axis=0)
    scaled = (statistics - statistics.mean(axis=0)) / np.where(spread > _ROUNDING, spread, np.inf)
    greatest = scaled[1:].max(axis=1)
    return LayerPValues(
        p_values=[p_value(float(layer[0]), layer[1:]) for layer in statistics.T],
        adjusted=[p_value(float(observed), greatest) for observed in scaled[0]],
    )


def benjamini_hochberg(p_values: NDArray[np.float64]) -> NDArray[np.float64]:  # as p_values
    """Adjust p-values for the false discovery rate over all entries of an array.

    Among the tests with an adjusted p-value below 0.05, at most 5 % are expected to be false discoveries
    (Y. Benjamini and Y. Hochberg, J. Roy. Stat. Soc. B 57, 1995). NaN stands for no test, and stays NaN.
    """
    from scipy.stats import false_discovery_control

    adjusted = np.full_like(p_values, np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        adjusted[tested] = false_discovery_control(p_values[tested])
    return adjusted
