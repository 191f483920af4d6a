"""Joint sampling covariance of the layers' effect sizes: all layers are measured on the same prompts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable

# With two units a variance is known too poorly for a test or an interval.
_LEAST_UNITS = 3


@dataclass(frozen=True)
class LayerCovariance:
    """The jackknife covariance of a statistic of each layer, from independent samples (strata) of units.

    With θ_(u) the statistics without unit u, a stratum c of n_c units adds
    (n_c − 1)/n_c Σ_u (θ_(u) − mean θ_(·)) (θ_(u) − mean θ_(·))' (B. Efron, *The Jackknife, the Bootstrap and Other
    Resampling Plans*, 1982, chapters 3 and 6).

    Attributes
    ----------
    of_strata
        What each stratum adds ``(strata, layers, layers)``.
    units
        Units of each stratum ``(strata,)``.
    """

    of_strata: NDArray[np.float64]
    units: NDArray[np.int64]

    @property
    def total(self) -> NDArray[np.float64]:  # (layers, layers)
        """The covariance."""
        return np.asarray(self.of_strata.sum(axis=0))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the covariance as a whole, from the variances that the strata add."""
        return self._freedom(np.trace(self.of_strata, axis1=1, axis2=2))

    def variance(self, weights: NDArray[np.float64]) -> tuple[float, float]:
        """Return the variance of a weighted sum over layers, and its degrees of freedom.

        These are (Σ v_c)² / Σ v_c²/(n_c − 1), with v_c the variance that stratum c adds (B. Welch, Biometrika 34,
        1947); infinite where the variance is 0.
        """
        variances = np.einsum("i,cij,j->c", weights, self.of_strata, weights)
        return float(variances.sum()), self._freedom(variances)

    def _freedom(self, variances: NDArray[np.float64]) -> float:
        squares = float((variances**2 / (self.units - 1)).sum())
        return float(variances.sum()) ** 2 / squares if squares > 0 else np.inf


def layer_covariance(without_each: NDArray[np.float64], strata: NDArray[np.integer]) -> LayerCovariance:
    """Estimate the covariance of the layers' statistics from their values without each unit.

    Parameters
    ----------
    without_each
        The statistic of each layer without each unit ``(units, layers)``.
    strata
        The sample of each unit ``(units,)``: see `moexray.stats.inference.units.Units.strata`.

    Raises
    ------
    NotComputable
        If a value is not finite, or a stratum has fewer than three units.
    """
    if not np.isfinite(without_each).all():
        message = "a layer has no effect size without one of the prompts or groups"
        raise NotComputable(message)
    found, numbers, units = np.unique(strata, return_inverse=True, return_counts=True)
    if not len(found) or units.min() < _LEAST_UNITS:
        message = f"the spread of an effect size needs {_LEAST_UNITS} prompts, or groups, of each category"
        raise NotComputable(message)
    parts = [without_each[numbers == stratum] for stratum in range(len(found))]
    pulls = [(part - part.mean(axis=0)) * np.sqrt((len(part) - 1) / len(part)) for part in parts]
    return LayerCovariance(np.stack([one.T @ one for one in pulls]), units)
