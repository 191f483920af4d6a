"""A linear classifier that predicts a prompt's category from its signature, cross-validated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.categories.cross_validation import Features, accuracies_of_labelings, predictions, standardised
from moexray.stats.inference.folds import check_folds, splits
from moexray.stats.inference.intervals import wilson_interval
from moexray.stats.inference.labels import exchange_units, group_numbers, numbered_categories

# Accuracies that differ by less are equal up to rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Classification:
    """Cross-validated predictions.

    Attributes
    ----------
    accuracy, accuracy_std
        Mean over folds, and the population standard deviation over them.
    accuracy_ci
        95 % Wilson interval of the share of prompts that are predicted correctly. It treats predictions as
        independent, and says what to expect of other prompts after training on as many as in these folds.
    fold_accuracies
        The accuracy of each fold.
    chance
        The share of the most frequent category: the accuracy of always predicting it.
    labels
        Categories, in the order of the confusion matrix.
    confusion
        Prompts ``(true category, predicted category)``.
    right
        Whether each prompt was predicted correctly when it was in the test fold ``(prompts,)``.
    """

    accuracy: float
    accuracy_std: float
    accuracy_ci: tuple[float, float]
    fold_accuracies: tuple[float, ...]
    chance: float
    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    right: NDArray[np.bool_]


def classify(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> Classification:
    """Predict every prompt's category from a logistic regression fitted to the other folds.

    Features are standardised, the penalty is L2 with C = 1, folds are stratified by category, and everything is
    fitted inside the folds.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``.
    labels
        The category of each prompt.
    folds
        Number of folds.
    groups
        The group of each prompt; an empty name is no group. Prompts of one group are never split between folds.
    seed
        Decides which prompts share a fold.

    Raises
    ------
    NotComputable
        If there is one category only, or a category has fewer prompts, or groups, than there are folds.
    """
    return cross_validated(standardised(vectors), labels, folds=folds, groups=groups, seed=seed)


def classifier_p_value(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    permutations: int,
    folds: int = 5,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> float:
    """Share of labelings that are classified at least as accurately as the observed one, itself among them.

    Every permutation goes through the whole of `classify`, its folds stratified anew, so that observed and permuted
    labels are treated equally. Labels are permuted over groups, where there are groups.

    Parameters
    ----------
    vectors, labels, folds, groups, seed
        See `classify`; the seed also draws the permutations.
    permutations
        Number of permutations.

    Raises
    ------
    NotComputable
        If `classify` cannot be computed, or a group holds more than one category.
    """
    _, truth, whole = _numbered(labels, folds, groups)
    of_group = exchange_units(labels, groups)[1]
    rng = np.random.default_rng(seed)
    labelings = [truth, *(rng.permutation(of_group)[whole] for _ in range(permutations))]
    accuracies = accuracies_of_labelings(standardised(vectors), labelings, whole, folds, seed)
    reached = np.count_nonzero(accuracies[1:] >= accuracies[0] - _ROUNDING)
    return float(1 + reached) / (1 + permutations)


def cross_validated(
    features: Features, labels: Sequence[str], *, folds: int, groups: Sequence[str] | None, seed: int
) -> Classification:
    """Classify prompts by any features: see `classify`."""
    from threadpoolctl import threadpool_limits

    names, truth, whole = _numbered(labels, folds, groups)
    parts = list(splits(truth, whole, folds, seed))
    with threadpool_limits(1):
        predicted = predictions(features, [truth] * len(parts), parts, len(names))
    right = np.zeros(len(truth), dtype=bool)
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    for (_, test), found in zip(parts, predicted, strict=True):
        right[test] = found == truth[test]
        np.add.at(confusion, (truth[test], found), 1)
    accuracies = [float(np.mean(right[test])) for _, test in parts]
    return Classification(
        accuracy=float(np.mean(accuracies)),
        accuracy_std=float(np.std(accuracies)),
        accuracy_ci=wilson_interval(int(np.count_nonzero(right)), len(truth)),
        fold_accuracies=tuple(accuracies),
        chance=float(np.bincount(truth).max() / len(truth)),
        labels=tuple(names),
        confusion=confusion,
        right=right,
    )


def _numbered(
    labels: Sequence[str], folds: int, groups: Sequence[str] | None
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return the categories, and each prompt's category and group by number; refuse what cannot be put into folds."""
    names, truth = numbered_categories(labels)
    whole = group_numbers(len(labels), groups)
    check_folds(names, truth, whole, folds)
    return names, truth, whole
