"""Interval of the layer with the largest category effect."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.labels import category_numbers

_DRAWS = 2000


def peak_layer_interval(
    effect_sizes: Sequence[float | None],
    without_each: NDArray[np.float64],
    labels: Sequence[str],
    layers: Sequence[int],
    *,
    rng: int | np.random.Generator,
) -> tuple[int, int]:
    """Interval of the layer where Cohen's d peaks: the central 95 % over new samples of prompts.

    The influence of a prompt of a category of n on the d of a layer is I = (n − 1)/n · (mean θ_(·) − θ_(p)), with θ_(p)
    the d without it. In a new sample, the d of all layers are to first order the observed ones plus a normal deviate
    with the covariance Σ I I' (B. Efron, *The Jackknife, the Bootstrap and Other Resampling Plans*, 1982, chapter 6).
    The covariance keeps the dependence of layers, which share the prompts; unlike in a bootstrap, no prompt is paired
    with a copy of itself.

    Parameters
    ----------
    effect_sizes
        Cohen's d of each layer.
    without_each
        Cohen's d without each prompt ``(prompts, layers)``.
    labels
        The category of each prompt.
    layers
        The layers' indices in the model.
    rng
        Seed or generator of the samples.

    Raises
    ------
    NotComputable
        If a layer has no effect size, with all prompts or without one of them.
    """
    if None in effect_sizes or not np.isfinite(without_each).all():
        message = "the peak needs an effect size in each layer, whichever prompt is left out"
        raise NotComputable(message)
    numbers = category_numbers(labels)
    sizes = np.bincount(numbers)
    means = np.stack([without_each[numbers == c].mean(axis=0) for c in range(len(sizes))])
    influences = ((sizes - 1) / sizes)[numbers, None] * (means[numbers] - without_each)
    effects = np.asarray(effect_sizes, dtype=np.float64)
    drawn = np.random.default_rng(rng).multivariate_normal(effects, influences.T @ influences, _DRAWS, method="eigh")
    low, high = np.quantile(np.asarray(layers)[drawn.argmax(axis=1)], [0.025, 0.975], method="inverted_cdf")
    return int(low), int(high)
