"""Whether the effect grows with depth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moexray.errors import NotComputable

_ROUNDING = 1e-12


@dataclass(frozen=True)
class DepthTrend:
    """Rank correlation of effect size with depth, its two-sided p-value, and the layer of the greatest effect."""

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
    """Correlate layer index and effect size by rank; p from shuffling the effect sizes over layers.

    Neighbouring layers are not independent of each other, so p describes the order of these layers
    and is no claim about other models or prompts.

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
