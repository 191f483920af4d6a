"""The load of every expert, and how evenly each layer spreads it."""

from dataclasses import dataclass

from moexray.studies.codec import optional


@dataclass(frozen=True)
class LoadBalance:
    """One layer's balance, as `moexray.stats.layers.load.LayerLoad`, and the selections of each of its experts."""

    layer: int
    entropy: float
    gini: float
    cv: float
    max_over_mean: float
    dead_experts: int
    selections: tuple[int, ...] | None = optional()
