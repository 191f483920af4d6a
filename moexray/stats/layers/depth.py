"""Trend of the category effect with depth, by rank correlation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moexray.errors import NotComputable

_ROUNDING = 1e-12


@dataclass(frozen=True)
class DepthTrend:
    """Spearman correlation of effect size with depth, its two-sided p-value, and the layer of the largest effect."""

    spearman: float
    p_value: float
    peak_layer: int


def depth_trend(
    layers: Sequence[int],
    effect_sizes: Sequence[float | None],
    *,
    permutations: int,
    rng: int | np.random.Generator,
) -> DepthTrend:
    """Correlate layer index and effect size by rank; p from permuting the effect sizes over layers.

    Neighbouring layers depend on each other, so p describes the order of these layers only. It supports no claim about
    other models or prompts.

    Parameters
    ----------
    layers
        The layers' indices in the model.
    effect_sizes
        Cohen's d of each layer.
    permutations, rng
        Number of permutations, and their seed or generator.

    Raises
    ------
    NotComputable
        If there are fewer than three layers, an effect size is missing, or all are equal.
    """
    from scipy.stats import rankdata

    known = np.array([d for d in effect_sizes if d is not None], dtype=np.float64)
    if len(known) < len(layers) or len(layers) < 3:
        message = "a trend needs an effect size in each of at least three layers"
        raise NotComputable(message)
    depth, ranks = rankdata(layers), rankdata(known)
    depth, ranks = depth - depth.mean(), ranks - ranks.mean()
    scale = np.sqrt((depth @ depth) * (ranks @ ranks))
    if scale == 0:
        message = "every layer has the same effect size"
        raise NotComputable(message)
    spearman = float(depth @ ranks / scale)
    shuffled = np.random.default_rng(rng).permuted(np.tile(ranks, (permutations, 1)), axis=1)
    null = np.abs(shuffled @ depth / scale)
    return DepthTrend(
        spearman=spearman,
        p_value=float((1 + np.count_nonzero(null >= abs(spearman) - _ROUNDING)) / (1 + permutations)),
        peak_layer=int(layers[int(known.argmax())]),
    )
