"""The trend of the effect with depth, and the layer of its peak."""

from dataclasses import asdict, dataclass

import numpy as np

from moexray.stats.layers.depth import depth_trend
from moexray.stats.layers.peak import peak_layer_interval
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes


@dataclass(frozen=True)
class Depth:
    """Rank correlation of effect size with depth, and the layer with the largest effect, with a 95 % interval."""

    spearman: float
    p_value: float
    peak_layer: int
    peak_layer_ci: tuple[int, int] | None


def effect_by_depth(cohort: Cohort, notes: Notes) -> Depth:
    """Correlate Cohen's d with depth, and find the layer of its peak."""
    layers, effects = cohort.layers, cohort.layer_effects
    effect_sizes = [effect.cohens_d for effect in effects]
    trend = depth_trend(layers, effect_sizes, permutations=cohort.permutations, rng=cohort.rng("depth"))
    without_each = np.column_stack([effect.without_each for effect in effects])

    def interval() -> tuple[int, int]:
        strata = cohort.all_labels if cohort.streamed else [str(number) for number in cohort.units.strata]
        return peak_layer_interval(effect_sizes, without_each, strata, layers, rng=cohort.rng("peak"))

    return Depth(**asdict(trend), peak_layer_ci=notes.attempt("peak_layer_ci", interval))
