"""Trend of the category effect with depth: its slope over layers, tested against their joint covariance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.intervals import LEVEL
from moexray.stats.layers.covariance import layer_covariance

# Effect sizes that differ by less are equal up to rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class DepthTrend:
    """How the effect size changes with depth.

    Attributes
    ----------
    spearman
        Rank correlation of effect size and layer, which describes these layers and is not tested.
    slope, slope_ci, p_value
        Change of Cohen's d from one layer to the next by least squares, its 95 % interval over units, and the
        two-sided p of no change.
    peak_layer
        The layer of the largest effect.
    """

    spearman: float
    slope: float
    slope_ci: tuple[float, float]
    p_value: float
    peak_layer: int


def depth_trend(
    layers: Sequence[int],
    effect_sizes: Sequence[float | None],
    without_each: NDArray[np.float64],
    strata: NDArray[np.integer],
) -> DepthTrend:
    """Fit a line to the effect sizes over layers, and test its slope over new samples of prompts.

    With x the layers minus their mean and w = x / x'x, the slope is w'd. Its variance is w'Σw, with Σ the joint
    jackknife covariance of the layers, and the quantile is Student's: see `LayerCovariance`. Layers share prompts, so
    they are not exchangeable: a permutation of effect sizes over layers would call most trends significant that are
    only the slow change of the same prompts' deviations from one layer to the next.

    Parameters
    ----------
    layers
        The layers' indices in the model.
    effect_sizes
        Cohen's d of each layer.
    without_each, strata
        Cohen's d without each unit ``(units, layers)``, and the sample of each unit ``(units,)``.

    Raises
    ------
    NotComputable
        If there are fewer than three layers, an effect size is missing, with all units or without one of them, all are
        equal, or a category has fewer than three units.
    """
    from scipy.stats import rankdata, t

    known = np.array([d for d in effect_sizes if d is not None], dtype=np.float64)
    if len(known) < len(layers) or len(layers) < 3:
        message = "a trend needs an effect size in each of at least three layers"
        raise NotComputable(message)
    if np.ptp(known) <= _ROUNDING * max(1.0, float(np.abs(known).max())):
        message = "every layer has the same effect size"
        raise NotComputable(message)
    depth, ranks = rankdata(layers), rankdata(known)
    centred = np.asarray(layers, dtype=np.float64) - np.mean(layers)
    weights = centred / (centred @ centred)
    slope = float(weights @ known)
    variance, freedom = layer_covariance(without_each, strata).variance(weights)
    if variance <= 0:
        message = "the effect sizes do not vary with the prompts"
        raise NotComputable(message)
    error = float(np.sqrt(variance))
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * error
    return DepthTrend(
        spearman=float(np.corrcoef(depth, ranks)[0, 1]),
        slope=slope,
        slope_ci=(slope - half, slope + half),
        p_value=float(2 * t.sf(abs(slope) / error, freedom)),
        peak_layer=int(layers[int(known.argmax())]),
    )
