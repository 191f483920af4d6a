"""Which layer has the greatest effect, and which others might as well."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.similarity import effect_sizes_without_each, similarity

_DRAWS = 2000
_MOST_NUMBERS = 2**24


def peak_layer_interval(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    layers: Sequence[int],
    *,
    rng: int | np.random.Generator,
) -> tuple[int, int]:
    """Central 95 % of where the peak of Cohen's d lies when prompts are drawn anew within their categories.

    A prompt of a category of n pulls the d of a layer by I = (n − 1)/n · (mean θ_(·) − θ_(p)), with θ_(p) the d
    without it; a sample that holds it w times has, to first order, d + Σ (w − 1) I (B. Efron, *The Jackknife, the
    Bootstrap and Other Resampling Plans*, 1982, chapter 6). All layers share the draws, so that their
    dependence is kept, and no two copies of one prompt ever make a pair.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, layers, experts)``.
    labels
        The category of each prompt.
    layers
        The layers' indices in the model.

    Raises
    ------
    NotComputable
        If a layer has no effect size, with all prompts or without one of them.
    """
    _, numbers = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    sizes = np.bincount(numbers)
    effects = [similarity(vectors[:, layer], labels).cohens_d for layer in range(len(layers))]
    left_out = np.column_stack([effect_sizes_without_each(vectors[:, layer], labels) for layer in range(len(layers))])
    if None in effects or not np.isfinite(left_out).all():
        message = "the peak needs an effect size in each layer, whichever prompt is left out"
        raise NotComputable(message)
    means = np.stack([left_out[numbers == c].mean(axis=0) for c in range(len(sizes))])
    pulls = ((sizes - 1) / sizes)[numbers, None] * (means[numbers] - left_out)
    generator = np.random.default_rng(rng)
    drawn = np.concatenate([weights @ pulls for weights in _weights(numbers, sizes, generator)])
    peaks = np.asarray(layers)[(np.asarray(effects, dtype=np.float64) + drawn).argmax(axis=1)]
    low, high = np.quantile(peaks, [0.025, 0.975], method="inverted_cdf")
    return int(low), int(high)


def _weights(
    numbers: NDArray[np.int64], sizes: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:  # (samples, prompts) each
    """Yield how often samples drawn within categories hold each prompt, less one."""
    rows = max(1, min(_DRAWS, _MOST_NUMBERS // len(numbers)))
    for start in range(0, _DRAWS, rows):
        weights = np.empty((min(rows, _DRAWS - start), len(numbers)))
        for category, size in enumerate(sizes):
            weights[:, numbers == category] = rng.multinomial(size, np.full(size, 1 / size), len(weights)) - 1
        yield weights
