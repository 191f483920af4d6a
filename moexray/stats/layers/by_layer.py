"""Every layer by itself: similarity, its permutation test, and the classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import Classification, classify
from moexray.stats.inference.permutation import category_numbers, mean_differences, p_value, shuffled_labels
from moexray.stats.pairs.similarity import CategoryEffect

# Differences that vary by less are the same but for rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class LayerStatistics:
    """One layer's figures; None where these data cannot give one."""

    layer: int
    within: float | None
    across: float | None
    cohens_d: float | None
    cohens_d_ci: tuple[float, float] | None
    accuracy: float | None
    accuracy_ci: tuple[float, float] | None


@dataclass(frozen=True)
class LayerPValues:
    """The p-value of each layer, by itself and corrected for having looked at all of them."""

    p_values: list[float]
    corrected: list[float]


def layer_statistics(
    layers: Sequence[int], effects: Sequence[CategoryEffect], classified: Sequence[Classification | None]
) -> list[LayerStatistics]:
    """Put together what similarity and what the classifier say of each layer.

    Parameters
    ----------
    layers
        The layers' indices in the model.
    effects
        Of category, on each layer's similarities: see `moexray.stats.pairs.similarity.category_effect`.
    classified
        See `layer_accuracies`.
    """
    return [
        LayerStatistics(
            layer=layer,
            within=alike.within,
            across=alike.across,
            cohens_d=alike.cohens_d,
            cohens_d_ci=alike.cohens_d_ci,
            accuracy=named.accuracy if named else None,
            accuracy_ci=named.accuracy_ci if named else None,
        )
        for layer, alike, named in zip(layers, effects, classified, strict=True)
    ]


def layer_accuracies(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> list[Classification | None]:
    """Classify prompts by each layer's part of their signatures; None where these data cannot be classified.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, layers, experts)``.
    labels
        The category of each prompt.
    folds, groups, seed
        See `moexray.stats.categories.classifier.classify`.
    """
    try:
        return [
            classify(vectors[:, layer], labels, folds=folds, groups=groups, seed=seed)
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
) -> LayerPValues:
    """Permutation p-values of each layer's mean difference; all layers see the same shuffles.

    The corrected p-value of a layer is the share of shuffles in which *any* layer differs as much (P. Westfall
    and S. Young, *Resampling-Based Multiple Testing*, 1993). Layers' differences are of unequal scale, so each
    is first put in units of its own standard deviation over all labelings, the observed one among them.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across.
    """
    blocks = chain([category_numbers(labels)[None]], shuffled_labels(labels, permutations=permutations, rng=rng))
    layers = range(vectors.shape[1])
    differences = np.concatenate(
        [np.column_stack([mean_differences(vectors[:, layer], block) for layer in layers]) for block in blocks]
    )
    return p_values_of(differences)


def p_values_of(differences: NDArray[np.float64]) -> LayerPValues:
    """Compare each layer's first difference with those of shuffled labels after it: ``(1 + shuffles, layers)``."""
    spread = differences.std(axis=0)
    scaled = (differences - differences.mean(axis=0)) / np.where(spread > _ROUNDING, spread, np.inf)
    greatest = scaled[1:].max(axis=1)
    layers = range(differences.shape[1])
    return LayerPValues(
        p_values=[
            p_value(float(differences[0, layer]), differences[1:, layer]) for layer in range(differences.shape[1])
        ],
        corrected=[p_value(float(scaled[0, layer]), greatest) for layer in layers],
    )
