"""The trend of the effect with depth, and the layer of its peak."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Depth:
    """Rank correlation of effect size with depth, and the layer with the largest effect, with a 95 % interval."""

    spearman: float
    p_value: float
    peak_layer: int
    peak_layer_ci: tuple[int, int] | None
