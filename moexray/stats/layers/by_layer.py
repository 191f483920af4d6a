"""Similarity, its permutation test and the classifier for each layer alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import REPEATS, Classification, classify
from moexray.stats.categories.location import layer_locations
from moexray.stats.inference.multiple import LayerPValues, max_t_p_values
from moexray.stats.pairs.similarity import CategoryEffect


@dataclass(frozen=True)
class LayerStatistics:
    """One layer's statistics; None where these data cannot give one."""

    layer: int
    within: float | None
    across: float | None
    cohens_d: float | None
    cohens_d_ci: tuple[float, float] | None
    accuracy: float | None
    accuracy_ci: tuple[float, float] | None


def layer_statistics(
    layers: Sequence[int], effects: Sequence[CategoryEffect], classified: Sequence[Classification | None]
) -> list[LayerStatistics]:
    """Combine the similarity and the classifier of each layer.

    Parameters
    ----------
    layers
        The layers' indices in the model.
    effects
        The category effect of each layer: see `moexray.stats.category_effect`.
    classified
        See `layer_accuracies`.
    """
    return [
        LayerStatistics(
            layer=layer,
            within=effect.within,
            across=effect.across,
            cohens_d=effect.cohens_d,
            cohens_d_ci=effect.cohens_d_ci,
            accuracy=found.accuracy if found else None,
            accuracy_ci=found.accuracy_ci if found else None,
        )
        for layer, effect, found in zip(layers, effects, classified, strict=True)
    ]


def layer_accuracies(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    repeats: int = REPEATS,
) -> list[Classification | None]:
    """Classify prompts by each layer's part of their signatures; None where these data cannot be classified.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, layers, experts)``.
    labels
        The category of each prompt.
    folds, groups, seed, repeats
        See `moexray.stats.classify`.
    """
    try:
        return [
            classify(vectors[:, layer], labels, folds=folds, groups=groups, seed=seed, repeats=repeats)
            for layer in range(vectors.shape[1])
        ]
    except NotComputable:
        return [None] * vectors.shape[1]  # the classifier on all layers says why


def layer_p_values(
    vectors: NDArray[np.float64],  # (prompts, layers, experts)
    labels: Sequence[str],
    *,
    permutations: int,
    rng: int | np.random.Generator,
    groups: Sequence[str] | None = None,
) -> LayerPValues:
    """Test in each layer whether categories differ in mean routing; all layers share the permutations.

    The statistic is that of `moexray.stats.location_test`, which neither unequal length nor unequal spread of the
    categories can raise. p-values are adjusted for the number of layers by
    `moexray.stats.inference.multiple.max_t_p_values`.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, layers, experts)``.
    labels
        The category of each prompt.
    permutations, rng
        Number of permutations, and their seed or generator.
    groups
        The group of each prompt: labels are permuted over the units that groups make.

    Raises
    ------
    NotComputable
        If there is one category only, or one of them has fewer than three units.
    """
    return max_t_p_values(layer_locations(vectors, labels, groups=groups, permutations=permutations, rng=rng))
