"""The load of every expert, and how evenly each layer spreads it."""

from dataclasses import asdict, dataclass

from moexray.stats.layers.load import layer_loads
from moexray.studies.codec import optional
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes


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


def load_by_layer(cohort: Cohort, _notes: Notes) -> tuple[LoadBalance, ...]:
    """Measure how evenly each layer spreads the tokens of all prompts over its experts."""
    load, experts = cohort.load, cohort.all.experts
    return tuple(
        LoadBalance(layer=layer, **asdict(found), selections=tuple(selections[:size].tolist()))
        for layer, size, selections, found in zip(
            cohort.layers, experts.tolist(), load, layer_loads(load, experts), strict=True
        )
    )
