"""Every layer by itself: similarity, its permutation test, and the classifier."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.classifier import classify
from moexray.stats.permutation import category_numbers, mean_differences, p_value, shuffled_labels
from moexray.stats.similarity import similarity


@dataclass(frozen=True)
class LayerStatistics:
    """One layer's figures; None where these data cannot give one."""

    layer: int
    within: float | None
    across: float | None
    cohens_d: float | None
    p_value: float | None
    accuracy: float | None


def layer_statistics(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    layers: Sequence[int],
    *,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> list[LayerStatistics]:
    """Within, across, effect size and accuracy of each layer's part of the signatures, without p-values.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, layers, experts)``.
    labels
        The category of each prompt.
    layers
        The layers' indices in the model.
    folds, groups, seed
        See `moexray.stats.classifier.classify`.
    """
    found = []
    for number, layer in enumerate(layers):
        pairs = similarity(vectors[:, number], labels)
        try:
            accuracy = classify(vectors[:, number], labels, folds=folds, groups=groups, seed=seed).accuracy
        except NotComputable:
            accuracy = None  # the classifier on all layers says why
        found.append(LayerStatistics(layer, pairs.within.mean, pairs.across.mean, pairs.cohens_d, None, accuracy))
    return found


def layer_p_values(
    vectors: NDArray[np.float64],  # (prompts, layers, experts)
    labels: Sequence[str],
    *,
    permutations: int,
    rng: int | np.random.Generator,
) -> list[float]:
    """Permutation p-value of each layer's mean difference; all layers see the same shuffles.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across.
    """
    shuffled = shuffled_labels(labels, permutations=permutations, rng=rng)
    labelings = np.vstack([category_numbers(labels), shuffled])
    found = []
    for number in range(vectors.shape[1]):
        observed, *null = mean_differences(vectors[:, number], labelings)
        found.append(p_value(float(observed), np.asarray(null)))
    return found
