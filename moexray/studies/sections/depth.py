"""The trend of the effect with depth, and the layer of its peak."""

from dataclasses import dataclass

import numpy as np

from moexray.stats.inference.labels import category_numbers
from moexray.stats.layers.depth import depth_trend
from moexray.stats.layers.peak import peak_layer_interval, peak_layers
from moexray.studies.codec import optional
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes


@dataclass(frozen=True)
class Depth:
    """The trend of effect size with depth, and the layer with the largest effect.

    Attributes
    ----------
    spearman
        Rank correlation of layer and Cohen's d, as a description.
    p_value
        Of the slope, two-sided; of `spearman` in analyses of before, which have no slope.
    peak_layer, peak_layer_ci
        The layer with the largest effect, and its 95 % interval.
    slope, slope_ci
        Change of Cohen's d from one layer to the next, and its 95 % interval over units.
    peak_layers
        The layers whose effect cannot be told from the largest.
    """

    spearman: float
    p_value: float
    peak_layer: int
    peak_layer_ci: tuple[int, int] | None
    slope: float | None = optional()
    slope_ci: tuple[float, float] | None = optional(beside="slope")
    peak_layers: tuple[int, ...] | None = optional(beside="slope")


def effect_by_depth(cohort: Cohort, notes: Notes) -> Depth:
    """Fit a line to Cohen's d over layers, and find the layers of its peak."""
    layers, effects = cohort.layers, cohort.layer_effects
    effect_sizes = [effect.cohens_d for effect in effects]
    without_each = np.column_stack([effect.without_each for effect in effects])
    strata = category_numbers(cohort.all_labels) if cohort.streamed else cohort.units.strata
    given = effect_sizes, without_each, strata, layers
    trend = depth_trend(layers, effect_sizes, without_each, strata)
    return Depth(
        spearman=trend.spearman,
        p_value=trend.p_value,
        peak_layer=trend.peak_layer,
        peak_layer_ci=notes.attempt("peak_layer_ci", lambda: peak_layer_interval(*given, rng=cohort.rng("peak"))),
        slope=trend.slope,
        slope_ci=trend.slope_ci,
        peak_layers=notes.attempt("peak_layers", lambda: peak_layers(*given, rng=cohort.rng("peak layers"))),
    )
