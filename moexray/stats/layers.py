"""Every layer by itself: similarity, its permutation test, and the classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.classifier import classify
from moexray.stats.permutation import category_numbers, mean_differences, p_value, shuffled_labels
from moexray.stats.similarity import similarity

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
            classified = classify(vectors[:, number], labels, folds=folds, groups=groups, seed=seed)
        except NotComputable:
            classified = None  # the classifier on all layers says why
        found.append(
            LayerStatistics(
                layer=layer,
                within=pairs.within.mean,
                across=pairs.across.mean,
                cohens_d=pairs.cohens_d,
                cohens_d_ci=pairs.cohens_d_ci,
                accuracy=classified.accuracy if classified else None,
                accuracy_ci=classified.accuracy_ci if classified else None,
            )
        )
    return found


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
    spread = differences.std(axis=0)
    scaled = (differences - differences.mean(axis=0)) / np.where(spread > _ROUNDING, spread, np.inf)
    greatest = scaled[1:].max(axis=1)
    return LayerPValues(
        p_values=[p_value(float(differences[0, layer]), differences[1:, layer]) for layer in layers],
        corrected=[p_value(float(scaled[0, layer]), greatest) for layer in layers],
    )
