"""Every layer by itself: similarity, its permutation test and the classifier."""

from dataclasses import dataclass

from moexray.stats.pairs.summaries import Interval


@dataclass(frozen=True)
class LayerEffect:
    """One layer; `p_value_corrected` is adjusted for the number of layers."""

    layer: int
    within: float | None
    across: float | None
    cohens_d: float | None
    cohens_d_ci: Interval | None
    accuracy: float | None
    accuracy_ci: Interval | None
    p_value: float | None
    p_value_corrected: float | None
