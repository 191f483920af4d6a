"""Where the category effect peaks: an interval of the layer, and the set of layers that may be the peak."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.intervals import LEVEL
from moexray.stats.layers.covariance import LayerCovariance, layer_covariance

_DRAWS = 2000
# Differences of effect size, and shares of a variance, below this are rounding.
_ROUNDING = 1e-9


def peak_layer_interval(
    effect_sizes: Sequence[float | None],
    without_each: NDArray[np.float64],
    strata: NDArray[np.integer],
    layers: Sequence[int],
    *,
    rng: int | np.random.Generator,
) -> tuple[int, int]:
    """Interval of the layer where Cohen's d peaks: the central 95 % over new samples of prompts.

    In a new sample, the d of all layers are to first order the observed ones plus a deviate with their jackknife
    covariance, which is drawn from Student's distribution. This keeps the dependence of layers, which share the
    prompts; unlike in a bootstrap, no prompt is paired with a copy of itself.

    Parameters
    ----------
    effect_sizes
        Cohen's d of each layer.
    without_each, strata
        Cohen's d without each unit ``(units, layers)``, and the sample of each unit ``(units,)``.
    layers
        The layers' indices in the model.
    rng
        Seed or generator of the samples.

    Raises
    ------
    NotComputable
        If a layer has no effect size, with all units or without one of them, or a category fewer than three units.
    """
    effects, covariance = _known(effect_sizes, without_each, strata)
    drawn = effects + _deviates(covariance, rng)
    low, high = np.quantile(np.asarray(layers)[drawn.argmax(axis=1)], [0.025, 0.975], method="inverted_cdf")
    return int(low), int(high)


def peak_layers(
    effect_sizes: Sequence[float | None],
    without_each: NDArray[np.float64],
    strata: NDArray[np.integer],
    layers: Sequence[int],
    *,
    rng: int | np.random.Generator,
) -> tuple[int, ...]:
    """Return the layers whose Cohen's d cannot be told from the largest: in 95 % of samples the peak is among them.

    Multiple comparisons with the best (J. Hsu, Ann. Stat. 9, 1981). A layer l is left out if another one exceeds it
    by more than chance allows: if max_j (d_j − d_l) / s_jl is above c_l, with s_jl the standard error of the difference
    from the joint jackknife covariance, and c_l the 95 % quantile of that maximum for layers of equal effect, which
    are drawn from Student's distribution with the same covariance.

    Parameters
    ----------
    effect_sizes, without_each, strata, layers, rng
        See `peak_layer_interval`.

    Raises
    ------
    NotComputable
        If a layer has no effect size, with all units or without one of them, or a category fewer than three units.
    """
    effects, covariance = _known(effect_sizes, without_each, strata)
    total, drawn = covariance.total, _deviates(covariance, rng)
    spread = np.diag(total)
    kept = []
    for place, layer in enumerate(layers):
        variances = spread + spread[place] - 2 * total[place]
        varies = variances > _ROUNDING * (spread + spread[place])
        errors, ahead = np.sqrt(variances[varies]), effects - effects[place]
        behind = (ahead[~varies] > _ROUNDING).any()  # by a difference that no sample changes
        chance = ((drawn[:, varies] - drawn[:, [place]]) / errors).max(axis=1, initial=0)
        if not behind and (ahead[varies] / errors).max(initial=0) <= np.quantile(chance, LEVEL):
            kept.append(int(layer))
    return tuple(kept)


def _known(
    effect_sizes: Sequence[float | None], without_each: NDArray[np.float64], strata: NDArray[np.integer]
) -> tuple[NDArray[np.float64], LayerCovariance]:
    if None in effect_sizes:
        message = "the peak needs an effect size in each layer"
        raise NotComputable(message)
    return np.asarray(effect_sizes, dtype=np.float64), layer_covariance(without_each, strata)


def _deviates(covariance: LayerCovariance, rng: int | np.random.Generator) -> NDArray[np.float64]:  # (draws, layers)
    """Draw from Student's distribution with this covariance, and the degrees of freedom that it was estimated with."""
    generator, total, freedom = np.random.default_rng(rng), covariance.total, covariance.freedom
    drawn = generator.multivariate_normal(np.zeros(len(total)), total, _DRAWS, method="eigh")
    if np.isfinite(freedom):
        drawn /= np.sqrt(generator.chisquare(freedom, size=(_DRAWS, 1)) / freedom)
    return drawn
